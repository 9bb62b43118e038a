//! What tests of all kinds of keyed state need: runs of captures, restores, subtasks.

use super::state::KeyedState;
use crate::Result;
use crate::backend::StateCapture;
use esker_format::run::{RunOptions, RunReader, RunWriter};
use esker_format::{Key, KeyGroup, KeyGroupRange};

/// A run of what `write` writes.
pub(super) fn run(write: impl FnOnce(&mut RunWriter) -> Result<()>) -> Vec<u8> {
    let mut writer = RunWriter::new(RunOptions { block_len_bytes: 4096, zstd_level: 1 });
    write(&mut writer).unwrap();
    writer.finish().unwrap().0
}

/// A run of all that a capture holds.
pub(super) fn full(capture: &dyn StateCapture) -> Vec<u8> {
    run(|writer| capture.write_full(KeyGroupRange::ALL, writer))
}

/// A run of what changed up to a capture.
pub(super) fn changes(capture: &dyn StateCapture) -> Vec<u8> {
    run(|writer| capture.write_changes(KeyGroupRange::ALL, writer))
}

/// Applies a run to each state.
pub(super) fn restore<S: KeyedState>(states: &mut [S], file: &[u8]) {
    let reader = RunReader::open_file(file).unwrap();
    reader.verify(file).unwrap();
    for (number, handle) in reader.index().blocks.iter().enumerate() {
        let start = handle.offset as usize;
        let stored = &file[start..start + handle.len_bytes as usize];
        let block = reader.block(number, stored).unwrap();
        block
            .for_each(|entry| {
                states.iter_mut().for_each(|state| state.apply(entry).unwrap());
                Ok(())
            })
            .unwrap();
    }
}

/// States of all subtasks at a parallelism.
pub(super) fn subtasks<S>(parallelism: u32, make: impl Fn(KeyGroupRange) -> S) -> Vec<S> {
    (0..parallelism)
        .map(|index| make(KeyGroupRange::of_subtask(index, parallelism).unwrap()))
        .collect()
}

/// The subtask that a record of `key` goes to.
pub(super) fn owner<'a, S>(states: &'a mut [S], key: &impl Key) -> &'a mut S {
    let group = key.with_encoded(KeyGroup::of);
    let parallelism = states.len() as u32;
    let owns =
        |index: &u32| KeyGroupRange::of_subtask(*index, parallelism).unwrap().contains(group);
    &mut states[(0..parallelism).find(owns).unwrap() as usize]
}
