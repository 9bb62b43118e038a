//! What compactions drop.

use super::super::RocksBackend;
use super::all::{All, runs};
use super::backend;
use crate::backend::heap::testing::ops;
use crate::backend::{Backend, ListCalls, MapCalls, ValueCalls};
use crate::state::TtlConfig;

impl All<RocksBackend> {
    /// Merges all files of all states.
    pub(super) fn compact(&mut self) {
        let backend = &mut self.backend;
        backend.state(self.value).unwrap().cells.family.compact();
        backend.state(self.ttl_value).unwrap().values.cells.family.compact();
        backend.state(self.list).unwrap().family.compact();
        backend.state(self.ttl_list).unwrap().lists.family.compact();
        backend.state(self.map).unwrap().cells.family.compact();
        backend.state(self.ttl_map).unwrap().maps.cells.family.compact();
    }

    /// How many keys the states with TTL have in the database: values, lists and entries of maps.
    fn keys(&mut self) -> [usize; 3] {
        let count = |family: &super::super::db::Family| {
            let mut keys = 0;
            family
                .for_each(&[], &[], |_, _| {
                    keys += 1;
                    Ok(true)
                })
                .unwrap();
            keys
        };
        let values = count(&self.backend.state(self.ttl_value).unwrap().values.cells.family);
        let lists = count(&self.backend.state(self.ttl_list).unwrap().lists.family);
        let maps = count(&self.backend.state(self.ttl_map).unwrap().maps.cells.family);
        [values, lists, maps]
    }

    fn put(&mut self, key: u64) {
        self.backend.state(self.ttl_value).unwrap().update(&key, &0, 7).unwrap();
        self.backend.state(self.ttl_list).unwrap().append(&key, &0, 7).unwrap();
        self.backend.state(self.ttl_map).unwrap().put(&key, &0, &"a".into(), 7).unwrap();
    }
}

#[test]
fn compactions_drop_what_has_expired_and_no_capture_sees() {
    let (rocks, _folder) = backend();
    let mut rocks = All::open(rocks, TtlConfig::new(10));
    (0..100).for_each(|key| rocks.put(key));
    rocks.backend.set_time_ms(9);
    (100..120).for_each(|key| rocks.put(key));
    rocks.compact();
    assert_eq!(rocks.keys(), [120; 3], "nothing has expired");

    let capture = rocks.capture();
    rocks.backend.set_time_ms(10);
    rocks.compact();
    assert_eq!(rocks.keys(), [120; 3], "a capture sees all");
    assert_eq!(runs(&capture).iter().map(|run| ops(run).len()).sum::<usize>(), 3 * 120);

    drop(capture);
    rocks.compact();
    assert_eq!(rocks.keys(), [20; 3]);
}

#[test]
fn a_list_stays_until_its_last_element_expires() {
    let (rocks, _folder) = backend();
    let mut rocks = All::open(rocks, TtlConfig::new(10));
    rocks.put(1);
    rocks.backend.set_time_ms(5);
    rocks.put(1);
    rocks.backend.set_time_ms(10);
    rocks.compact();
    rocks.compact();
    assert_eq!(rocks.backend.state(rocks.ttl_list).unwrap().get(&1, &0).unwrap(), [7]);
    rocks.backend.set_time_ms(15);
    rocks.compact();
    assert_eq!(rocks.keys(), [0; 3]);
}
