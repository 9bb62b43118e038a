//! What the tests of keyed states share.

use crate::Result;
use crate::backend::KeyedState;
use crate::backend::StateCapture;
use esker_format::run::{Block, Entry, Op, RunOptions, RunReader, RunWriter};
use esker_format::{Key, KeyGroup, KeyGroupRange};

/// The file of a run.
pub(in crate::backend) fn run(write: impl FnOnce(&mut RunWriter) -> Result<()>) -> Vec<u8> {
    let mut writer = RunWriter::new(RunOptions { block_len_bytes: 4096, ..RunOptions::default() });
    write(&mut writer).unwrap();
    writer.finish().unwrap().0
}

/// Everything in a capture.
pub(in crate::backend) fn full(capture: &dyn StateCapture) -> Vec<u8> {
    run(|writer| capture.write_full(KeyGroupRange::ALL, writer))
}

/// What changed before a capture.
pub(in crate::backend) fn changes(capture: &dyn StateCapture) -> Vec<u8> {
    run(|writer| capture.write_changes(KeyGroupRange::ALL, writer))
}

/// Calls `f` with each block of a run.
pub(in crate::backend) fn for_blocks(file: &[u8], mut f: impl FnMut(Block)) {
    let reader = RunReader::open_file(file).unwrap();
    reader.verify(file).unwrap();
    for (number, handle) in reader.index().blocks.iter().enumerate() {
        let start = handle.offset as usize;
        let stored = &file[start..start + handle.len_bytes as usize];
        f(reader.block(number, stored).unwrap());
    }
}

/// Calls `f` with each entry of a run.
pub(in crate::backend) fn for_entries(file: &[u8], mut f: impl FnMut(Entry<'_>)) {
    for_blocks(file, |block| {
        let each = |entry: Entry<'_>| {
            f(entry);
            Ok(())
        };
        block.for_each(each).unwrap();
    });
}

/// Operation and value length of each entry of a run.
pub(in crate::backend) fn ops(file: &[u8]) -> Vec<(Op, usize)> {
    let mut ops = Vec::new();
    for_entries(file, |entry| ops.push((entry.op, entry.value.len())));
    ops
}

/// Applies a run to all states.
pub(in crate::backend) fn restore<S: KeyedState>(states: &mut [S], file: &[u8]) {
    for_entries(file, |entry| states.iter_mut().for_each(|state| state.apply(entry).unwrap()));
}

/// One state per subtask.
pub(in crate::backend) fn subtasks<S>(
    parallelism: u32,
    make: impl Fn(KeyGroupRange) -> S,
) -> Vec<S> {
    (0..parallelism)
        .map(|index| make(KeyGroupRange::of_subtask(index, parallelism).unwrap()))
        .collect()
}

/// The subtask that owns a key: records are routed by key group, as an engine does.
pub(in crate::backend) fn subtask_of(key: u64, parallelism: u32) -> usize {
    let group = key.with_encoded(KeyGroup::of);
    (0..parallelism)
        .position(|i| KeyGroupRange::of_subtask(i, parallelism).unwrap().contains(group))
        .unwrap()
}

/// I8: the changes of each epoch are made by `change`, which is given all subtasks; then each
/// subtask is captured. What is restored at another parallelism from full snapshots is, byte for
/// byte, what is restored from the chain of changes, and is returned.
pub(in crate::backend) fn restored<S: KeyedState, C>(
    (before, after): (u32, u32),
    make: impl Fn(KeyGroupRange) -> S,
    epochs: Vec<C>,
    mut change: impl FnMut(&mut [S], C),
) -> Vec<S> {
    let mut states = subtasks(before, &make);
    let (mut runs, mut fulls) = (Vec::new(), Vec::new());
    for epoch in epochs {
        change(&mut states, epoch);
        fulls.clear();
        for state in &mut states {
            let capture = state.capture_state();
            assert_eq!(capture.entries(), state.entries());
            fulls.push(full(&*capture));
            runs.push(changes(&*capture));
        }
    }
    let (mut of_fulls, mut of_chain) = (subtasks(after, &make), subtasks(after, &make));
    fulls.iter().for_each(|file| restore(&mut of_fulls, file));
    runs.iter().for_each(|file| restore(&mut of_chain, file));
    for (a, b) in of_fulls.iter_mut().zip(&mut of_chain) {
        assert_eq!(a.entries(), b.entries());
        assert_eq!(full(&*a.capture_state()), full(&*b.capture_state()));
        b.end_restore();
        assert_eq!(ops(&changes(&*b.capture_state())), [], "a restore counts as a change");
    }
    of_fulls
}

/// The subtask that a record of `key` goes to.
pub(in crate::backend) fn owner<'a, S>(states: &'a mut [S], key: &impl Key) -> &'a mut S {
    let group = key.with_encoded(KeyGroup::of);
    let parallelism = states.len() as u32;
    let owns =
        |index: &u32| KeyGroupRange::of_subtask(*index, parallelism).unwrap().contains(group);
    &mut states[(0..parallelism).find(owns).unwrap() as usize]
}
