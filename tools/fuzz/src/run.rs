//! Runs, their indexes and their blocks.

use crate::seeds;
use esker_format::run::{
    Block, BlockCursor, Entry, FOOTER_LEN_BYTES, IndexLocation, RunFilter, RunIndex, RunOptions,
    RunReader, RunWriter,
};
use esker_format::{Digest, FormatError, Result};

/// A file, as it is and with its digests put right: else no mutation would get behind them.
pub(crate) fn run(file: &[u8]) {
    whole(file);
    if let Some(repaired) = repair(file) {
        whole(&repaired);
    }
}

fn whole(file: &[u8]) {
    let Ok(reader) = RunReader::open_file(file) else { return };
    blocks_between(reader.index());
    let mut writer = writer();
    let read = for_each(&reader, file, |entry| {
        // What only `verify` refuses, the writer refuses too.
        let _ = writer.add(entry);
    });
    let Ok(stats) = reader.verify(file) else { return };
    read.unwrap();
    let (again, summary) = writer.finish().unwrap();
    assert_eq!(summary.digest, Digest::of(&again));
    let written = RunReader::open_file(&again).unwrap();
    assert_eq!(written.verify(&again).unwrap(), stats);
    assert_eq!(content(&written, &again), content(&reader, file));
}

fn writer() -> RunWriter {
    RunWriter::new(RunOptions { block_len_bytes: 1 << 10, ..RunOptions::default() })
}

/// A digest of all entries: they may be much larger than the file.
fn content(reader: &RunReader, file: &[u8]) -> (u64, Digest) {
    let (mut count, mut digest) = (0, Digest::of(b""));
    for_each(reader, file, |entry| {
        let lens = [entry.key.len(), entry.value.len()].map(usize::to_le_bytes).concat();
        let op = format!("{:?}", entry.op);
        count += 1;
        digest =
            Digest::of(&[&digest.0[..], &lens, op.as_bytes(), entry.key, entry.value].concat());
    })
    .unwrap();
    (count, digest)
}

fn for_each(reader: &RunReader, file: &[u8], mut f: impl FnMut(Entry<'_>)) -> Result<()> {
    for (number, handle) in reader.index().blocks.iter().enumerate() {
        let (start, end) = (handle.offset as usize, (handle.offset + handle.len_bytes) as usize);
        let block = reader.block(number, &file[start..end])?;
        block.for_each(|entry| {
            f(entry);
            Ok(())
        })?;
    }
    Ok(())
}

/// `file` with the digests of its blocks and of its index made those of the bytes there.
fn repair(file: &[u8]) -> Option<Vec<u8>> {
    let mut file = file.to_vec();
    let index_end = file.len().checked_sub(FOOTER_LEN_BYTES)?;
    let offset = u64::from_le_bytes(*file.get(index_end..)?.first_chunk()?);
    let start = usize::try_from(offset).ok().filter(|start| *start <= index_end)?;
    let len_bytes = (index_end - start) as u64;
    let index = &file[start..index_end];
    let location = IndexLocation { offset, len_bytes, digest: Digest::of(index) };
    if let Ok(reader) = RunReader::open(location, index) {
        let mut index = index.to_vec();
        let mut from = 0;
        let blocks = reader.index().blocks.iter().map(|at| (at.offset, at.len_bytes, at.digest));
        let filter = reader.index().filter.iter().map(|at| (at.offset, at.len_bytes, at.digest));
        for (offset, len_bytes, digest) in blocks.chain(filter) {
            let stored = file.get(offset as usize..)?.get(..len_bytes as usize)?;
            let at = index[from..].windows(32).position(|bytes| bytes == digest.0)? + from;
            index[at..at + 32].copy_from_slice(&Digest::of(stored).0);
            from = at + 32;
        }
        file[start..index_end].copy_from_slice(&index);
    }
    let digest = Digest::of(&file[start..index_end]);
    file[index_end + 8..index_end + 16].copy_from_slice(&len_bytes.to_le_bytes());
    file[index_end + 16..index_end + 48].copy_from_slice(&digest.0);
    Some(file)
}

/// An index; its last 8 bytes of input say where it lies.
pub(crate) fn index(input: &[u8]) {
    let Some((index, offset)) = input.split_last_chunk() else { return };
    let offset = u64::from_le_bytes(*offset);
    let location =
        IndexLocation { offset, len_bytes: index.len() as u64, digest: Digest::of(index) };
    if let Ok(reader) = RunReader::open(location, index) {
        blocks_between(reader.index());
        for number in 0..reader.index().blocks.len() + 1 {
            assert!(reader.block(number, b"not it").is_err());
        }
    }
}

fn blocks_between(index: &RunIndex) {
    for block in &index.blocks {
        let found = index.blocks_between(&block.first_key, b"\xff\xff\xff\xff");
        assert!(found.start <= found.end && found.end <= index.blocks.len());
    }
}

pub(crate) fn index_seeds() -> Vec<Vec<u8>> {
    let indexes = seeds::runs().into_iter().filter_map(|run| {
        let (start, end) = index_of(&run)?;
        Some([&run[start..end], &(start as u64).to_le_bytes()].concat())
    });
    indexes.collect()
}

fn index_of(run: &[u8]) -> Option<(usize, usize)> {
    let end = run.len().checked_sub(FOOTER_LEN_BYTES)?;
    let start = u64::from_le_bytes(*run[end..].first_chunk()?) as usize;
    (start <= end).then_some((start, end))
}

/// The stored bytes of a block, read in both ways that there are.
pub(crate) fn block(stored: &[u8]) {
    let Ok(block) = Block::decode(stored) else { return };
    let mut cursor = BlockCursor::new(block.clone());
    let (mut entries, mut added) = (0, 0);
    let mut writer = writer();
    let read = block.for_each(|entry| {
        assert!(cursor.advance().unwrap());
        assert_eq!(cursor.entry(), entry);
        entries += 1;
        added += u32::from(writer.add(entry).is_ok());
        Ok(())
    });
    let end = cursor.advance();
    let same = |a: &FormatError, b: &FormatError| (a.kind, &a.message) == (b.kind, &b.message);
    match &read {
        Ok(()) => assert_eq!(end, Ok(false)),
        Err(error) => assert!(end.is_err_and(|end| same(&end, error)), "{error}"),
    }
    if read.is_ok() {
        assert_eq!(entries, block.entries());
        let (run, _) = writer.finish().unwrap();
        let stats = RunReader::open_file(&run).unwrap().verify(&run).unwrap();
        assert_eq!(stats.values().map(|stats| stats.entries).sum::<u64>(), u64::from(added));
    }
}

/// A filter.
pub(crate) fn filter(stored: &[u8]) {
    let Ok(filter) = RunFilter::decode(stored) else { return };
    let full = stored.iter().all(|byte| *byte == 0xff);
    let empty = stored.iter().all(|byte| *byte == 0);
    for key in stored.chunks(7) {
        let may = filter.may_contain(key);
        assert!(may || !full);
        assert!(!(may && empty));
    }
}

pub(crate) fn filter_seeds() -> Vec<Vec<u8>> {
    let mut filters = vec![vec![0xff; 64], vec![0; 32]];
    for run in seeds::runs() {
        let reader = RunReader::open_file(&run).ok();
        if let Some(at) = reader.and_then(|reader| reader.index().filter) {
            filters.push(run[at.offset as usize..][..at.len_bytes as usize].to_vec());
        }
    }
    filters
}

pub(crate) fn block_seeds() -> Vec<Vec<u8>> {
    // One entry, and a column that would unpack to 256 MiB, but has a single repeated byte.
    let bomb = b"\x01\0\0\0\x01\x80\x80\x80\x80\x01\x0d\
        \x28\xb5\x2f\xfd\xa0\0\0\0\x10\x03\0\x10\0";
    let mut blocks = vec![bomb.to_vec()];
    for run in seeds::runs() {
        if let Ok(reader) = RunReader::open_file(&run) {
            let handles = reader.index().blocks.iter();
            blocks.extend(
                handles.map(|handle| {
                    run[handle.offset as usize..][..handle.len_bytes as usize].to_vec()
                }),
            );
        }
    }
    blocks
}
