#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]
use super::*;
use crate::metadata::{KeyGroupsFormat, KeyGroupsHandle, KeyedHandle};
use crate::testing::{Golden, goldens};
use std::collections::BTreeMap;

fn native(golden: &Golden) -> Vec<(u32, &KeyGroupsHandle)> {
    let handles = golden.keyed().into_iter().filter_map(|(max_parallelism, handle)| match handle {
        KeyedHandle::KeyGroups(handle) => match handle.format {
            KeyGroupsFormat::Native { .. } => Some((max_parallelism, handle)),
            _ => None,
        },
        _ => None,
    });
    handles.collect()
}

/// Every key group of every golden heap snapshot is read to its end, by state how many entries, and how many errors.
#[test]
fn goldens_are_read_to_the_end() {
    for golden in goldens() {
        let mut counts = BTreeMap::new();
        for (max_parallelism, handle) in native(&golden) {
            let stream = golden.stream(&handle.stream);
            let len = handle.header_len(stream.len() as u64) as usize;
            let header = KeyedHeader::read(&mut Input::new("test", &stream[..len])).unwrap();
            let format = HeapFormat::new(&header, max_parallelism);
            let ends = handle.present().skip(1).map(|(_, offset)| offset as usize);
            for ((group, offset), end) in handle.present().zip(ends.chain([stream.len()])) {
                let input = Input::new("test", &stream[offset as usize..end]).based_at(offset);
                let mut entries = format.entries(group, input).unwrap();
                loop {
                    match entries.next() {
                        Ok(Some(entry)) => {
                            *counts
                                .entry(header.states[usize::from(entry.state)].name.clone())
                                .or_insert(0) += 1;
                        }
                        Ok(None) => break,
                        Err(error) => panic!("{}: {error}", golden.name),
                    }
                }
            }
        }
        if !counts.is_empty() {
            println!("{}: {counts:?}", golden.name);
        }
    }
}
