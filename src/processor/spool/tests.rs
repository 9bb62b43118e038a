//! What comes out of a spool, however little memory it has.

use super::*;
use crate::format::KeyGroup;
use crate::format::composite::CompositeKey;

fn key(number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let group = KeyGroup((number * 7919) as u16);
    CompositeKey::new(1, group, &number.to_be_bytes(), b"", b"").encode_into(&mut out);
    out
}

/// The largest value of a key is kept; in lane 9 there may be one alone.
struct Largest;

impl Fold for Largest {
    type Lane = u8;

    fn fold(
        &self,
        lane: u8,
        _: &[u8],
        values: &mut dyn Iterator<Item = Result<&[u8]>>,
        list: &mut Vec<u8>,
    ) -> Result<()> {
        let values = values.collect::<Result<Vec<_>>>()?;
        match values.iter().max() {
            Some(_) if lane == 9 && values.len() > 1 => {
                Err(Error::new(ErrorKind::Invalid, "twice"))
            }
            Some(largest) => {
                put_encoded(list, largest);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// All that is in some lanes, folded to the end.
fn read(spooled: &Spooled<Largest>, lanes: &[u8]) -> Result<Vec<(Vec<u8>, u64)>> {
    let mut found = Vec::new();
    let (chain, _) = spooled.open(lanes)?;
    chain.merge(KeyGroupRange::ALL, None, &mut |entry| {
        let mut list = Vec::new();
        let mut values = elements(entry.value).map(|value| Ok(value?));
        spooled.fold().fold(lanes[0], entry.key, &mut values, &mut list)?;
        let value = elements(&list).next().unwrap()?;
        found.push((entry.key.to_vec(), u64::from_be_bytes(value.try_into().unwrap())));
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn entries_come_back_by_lane_in_order_and_folded_whatever_the_memory() {
    // Numbers in no order, most of them several times, with a value each.
    let all: Vec<(u64, u64)> =
        (0..4000_u64).map(|n| (n * 2_654_435_761 % 1709, n * 40_503 % 65_521)).collect();
    // All in memory; a few runs; so many that runs are merged, twice over.
    for len_bytes_max in [1 << 20, 40_000, 900] {
        let mut expected = [BTreeMap::new(), BTreeMap::new()];
        let mut spool = Spool::within(len_bytes_max, Largest).unwrap();
        for (number, value) in &all {
            let lane = number % 2;
            let kept = expected[lane as usize].entry(key(*number)).or_insert(*value);
            *kept = (*kept).max(*value);
            spool.add(lane as u8, &key(*number), &value.to_be_bytes()).unwrap();
        }
        let spooled = spool.finish().unwrap();
        assert_eq!(spooled.lanes().collect::<Vec<_>>(), [0, 1]);
        for (lane, expected) in (0..).zip(&expected) {
            let found = read(&spooled, &[lane]).unwrap();
            assert!(found.iter().map(|(k, v)| (k, v)).eq(expected.iter()), "{len_bytes_max}");
        }
        assert_eq!(read(&spooled, &[0, 1]).unwrap().len(), 1709);
        assert_eq!(read(&spooled, &[5]).unwrap(), []);

        // Two levels of them at most, or merged further.
        let runs = |lane: &u8| spooled.lanes[lane].levels.iter().flatten().count();
        assert!([0, 1].iter().all(|lane| (1..3 * FAN_IN).contains(&runs(lane))));
        assert_eq!(runs(&0) == 1, len_bytes_max == 1 << 20);
        let files = std::fs::read_dir(spooled.folder.dir.path()).unwrap().count();
        let named = spooled.lanes.values().flat_map(|runs| runs.levels.iter().flatten()).count();
        assert_eq!(files, named, "what was merged is gone");
        let path = spooled.folder.dir.path().to_owned();
        drop(spooled);
        assert!(!path.exists());
    }
}

#[test]
fn what_cannot_be_folded_is_an_error_in_memory_and_out_of_it() {
    for (len_bytes_max, count) in [(1 << 20, 2), (900, 400), (900, 20)] {
        let mut spool = Spool::within(len_bytes_max, Largest).unwrap();
        let mut added = (0..count).try_for_each(|number| spool.add(9, &key(number), &[0; 8]));
        added = added.and_then(|()| spool.add(9, &key(1), &[1; 8]));
        let all = added.and_then(|()| spool.finish());
        let found = all.and_then(|all| read(&all, &[9]));
        assert_eq!(found.unwrap_err().to_string(), "twice", "{len_bytes_max} {count}");
    }
}

#[test]
fn what_is_too_long_is_refused_and_not_taken() {
    let mut spool = Spool::within(1 << 30, Largest).unwrap();
    let mut long = Vec::new();
    CompositeKey::new(1, KeyGroup(1), &[7; KEY_LEN_BYTES_MAX], b"", b"").encode_into(&mut long);
    let error = spool.add(0, &long, b"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("the limit is 1048576"), "{error}");
    let key = key(1);
    let longest = vec![0; Spool::<Largest>::ENTRY_LEN_BYTES_MAX - key.len() + 1];
    let error = spool.add(0, &key, &longest).unwrap_err();
    assert!(error.to_string().contains("key and value of 268435385 bytes"), "{error}");
    assert_eq!(spool.finish().unwrap().lanes().count(), 0);
}

#[test]
fn runs_of_long_entries_are_merged_before_too_many_are_read_side_by_side() {
    // Of one key, and of keys of their own.
    for keys in [1, 300] {
        let mut spool = Spool::within(10_000, Largest).unwrap();
        for number in 0..300_u64 {
            let mut value = vec![0; 3000];
            value[..8].copy_from_slice(&number.to_be_bytes());
            spool.add(0, &key(number % keys), &value).unwrap();
            let levels = spool.lanes.values().flat_map(|runs| &runs.levels);
            assert!(levels.clone().all(|runs| are_few(runs, 10_000)), "{keys}");
        }
        let spooled = spool.finish().unwrap();
        let runs: Vec<_> = spooled.lanes[&0].levels.iter().flatten().collect();
        assert!(runs.len() <= 3, "{} runs", runs.len());
        assert!(runs.iter().all(|sorted| (3000..3100).contains(&sorted.longest_len_bytes)));
        let (mut found, (chain, _)) = (0, spooled.open(&[0]).unwrap());
        chain
            .merge(KeyGroupRange::ALL, None, &mut |entry| {
                found += 1;
                let last = elements(entry.value).map(|value| value.unwrap()[..8].to_vec()).max();
                assert!(keys > 1 || last == Some(299_u64.to_be_bytes().to_vec()));
                Ok(())
            })
            .unwrap();
        assert_eq!(found, keys);
    }
}

#[test]
fn a_spool_that_lost_entries_takes_and_gives_none_any_more() {
    // As it sorts what is held, and as it merges runs.
    for added in [1, 2] {
        let mut spool = Spool::within(1, Largest).unwrap();
        for number in 1..added {
            spool.add(0, &key(number), b"12345678").unwrap();
        }
        let path = spool.folder.dir.path().to_owned();
        if added == 1 {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            std::fs::remove_file(path.join("1.run")).unwrap();
        }
        let first = spool.add(0, &key(0), b"12345678").unwrap_err();
        std::fs::create_dir_all(&path).unwrap();
        let lost = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::Retry);
            let text = error.to_string();
            assert!(text.starts_with("entries were lost") && text.contains(&first.to_string()));
        };
        lost(spool.add(0, &key(0), b"12345678").unwrap_err());
        lost(spool.add(0, &key(0), b"12345678").unwrap_err());
        lost(spool.finish().err().unwrap());
    }
}
