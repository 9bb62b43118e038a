//! Walks a few entries at a time.

use super::super::{CowTable, Cursor, Seed};
use super::Key;
use esker_format::KeyGroupRange;

#[test]
fn a_round_meets_each_entry_once_whatever_its_steps() {
    let range = KeyGroupRange::new(100, 611).unwrap();
    for count in [0_u64, 1, 40, 3000] {
        let mut table = CowTable::<Key, u64>::new(range, Seed::fixed(1));
        for i in 0..count {
            // Half of them in one key group.
            let group = if i % 2 == 0 { 300 } else { 100 + (i % 512) as u16 };
            table.insert(Key(group, i), i);
        }
        for limit in [1, 7, 500, 100_000] {
            let (mut cursor, mut met, mut calls) = (Cursor::default(), Vec::new(), 0);
            loop {
                let before = met.len();
                table.visit(&mut cursor, limit, |key, _| met.push(key.1));
                assert!(met.len() - before <= limit);
                calls += 1;
                // As an access of a state may change the page, and a capture share it.
                drop(table.freeze());
                if let Some(last) = met.last() {
                    let key = table.iter().find(|(key, _)| key.1 == *last).unwrap().0.clone();
                    *table.get_mut(&key).unwrap() += 1;
                }
                if cursor == Cursor::default() {
                    break;
                }
                assert!(calls < 8000, "no end");
            }
            met.sort_unstable();
            assert!(met.into_iter().eq(0..count), "{count} entries by {limit}");
        }
    }
}
