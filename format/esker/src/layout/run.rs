//! The fields of a run.

use super::{Out, Walk};
use crate::bytes::Cursor;
use crate::composite::CompositeKey;
use crate::digest::hex;
use crate::run::{
    Block, BlockHandle, FOOTER_LEN_BYTES, HEADER_LEN_BYTES, MAGIC, RunIndex, RunReader, StateStats,
};
use crate::{Digest, Result};

pub(super) fn describe(file: &[u8], out: &mut Out) {
    let header = file.get(..HEADER_LEN_BYTES).unwrap_or(file);
    listed("header", 0, header, out, |walk| {
        walk.take("magic", MAGIC.len())?;
        walk.u32("version")?;
        walk.take("reserved", 4).map(drop)
    });
    let footer_at = file.len().checked_sub(FOOTER_LEN_BYTES).filter(|at| *at >= header.len());
    let Some(footer_at) = footer_at else {
        return out.problem(None, "too short for header and footer");
    };
    let (before, footer) = file.split_at(footer_at);
    let index_at = footer.first_chunk().map_or(0, |offset| u64::from_le_bytes(*offset));
    let start = usize::try_from(index_at).ok().filter(|at| (header.len()..=footer_at).contains(at));
    let index = start.and_then(|at| before.get(at..));
    let mut starts = Vec::new();
    if let Some(index) = index {
        let mut found = RunIndex::default();
        let mut quiet = Out { fields: Vec::new(), problems: Vec::new(), depth: 0 };
        // Blocks come before the index that says where they are.
        let _ = walk_index(&mut walk(index_at, index, &mut quiet), &mut found);
        starts.extend(found.blocks.iter().map(|block| block.offset));
        blocks_and_filter(file, &found, index_at, out);
        listed("index", index_at, index, out, |walk| walk_index(walk, &mut RunIndex::default()));
    } else {
        out.problem(Some(footer_at as u64), "the index does not lie inside the file");
    }
    listed("footer", footer_at as u64, footer, out, |walk| {
        walk.u64("offset of the index")?;
        walk.u64("length of the index")?;
        walk.take("digest of the index", 32)?;
        walk.u32("version")?;
        walk.take("reserved", 4)?;
        walk.take("magic", MAGIC.len()).map(drop)
    });
    let verified = RunReader::open_file(file).and_then(|reader| reader.verify(file));
    if let Err(mut error) = verified {
        // Errors of a digest count from the start of the file, others from that of their structure.
        let is_start = |at: &u64| *at == index_at || starts.contains(at);
        let base = match error.what {
            "run footer" => footer_at as u64,
            "run index" if !error.offset.is_some_and(|at| is_start(&at)) => index_at,
            _ => 0,
        };
        if error.what == "run block" {
            // Which block it is has been said where blocks are listed.
            error.offset = error.offset.filter(is_start);
        }
        out.error(base, &error);
    }
}

fn walk<'a, 'o>(base: u64, bytes: &'a [u8], out: &'o mut Out) -> Walk<'a, 'o> {
    Walk { cursor: Cursor::new("run", bytes), base, out }
}

/// Lists `bytes` as `name`, and within it what `fields` reads; says where it stops.
fn listed(
    name: &str,
    base: u64,
    bytes: &[u8],
    out: &mut Out,
    fields: impl FnOnce(&mut Walk<'_, '_>) -> Result<()>,
) {
    out.field(base, bytes.len() as u64, name, "");
    out.inside(|out| {
        let mut walk = walk(base, bytes, out);
        let read = fields(&mut walk);
        let (at, left) = (walk.cursor.position(), walk.cursor.remaining());
        if let Err(error) = read {
            out.error(base, &error);
        } else if left > 0 {
            out.field(base + at as u64, left as u64, "not understood", "");
        }
    });
}

fn blocks_and_filter(file: &[u8], index: &RunIndex, index_at: u64, out: &mut Out) {
    for (number, handle) in index.blocks.iter().enumerate() {
        let name = format!("block {number}");
        match slice(file, handle.offset, handle.len_bytes, index_at) {
            Some(stored) => {
                listed(&name, handle.offset, stored, out, block);
                check(&name, handle.offset, stored, handle.digest, out);
                if let Err(error) = Block::decode(stored).and_then(|b| b.for_each(|_| Ok(()))) {
                    out.problem(Some(handle.offset), format!("{name}: {error}"));
                }
            }
            None => out.problem(None, format!("{name} does not lie before the index")),
        }
    }
    if let Some(at) = index.filter {
        match slice(file, at.offset, at.len_bytes, index_at) {
            Some(stored) => {
                out.field(
                    at.offset,
                    at.len_bytes,
                    "filter",
                    format!("{} blocks", at.len_bytes / 32),
                );
                check("filter", at.offset, stored, at.digest, out);
            }
            None => out.problem(None, "the filter does not lie before the index"),
        }
    }
}

fn slice(file: &[u8], offset: u64, len_bytes: u64, end: u64) -> Option<&[u8]> {
    offset.checked_add(len_bytes).filter(|stop| *stop <= end)?;
    file.get(usize::try_from(offset).ok()?..)?.get(..usize::try_from(len_bytes).ok()?)
}

fn check(name: &str, offset: u64, stored: &[u8], digest: Digest, out: &mut Out) {
    if Digest::of(stored) != digest {
        out.problem(Some(offset), format!("{name}: its digest differs from the index"));
    }
}

fn block(walk: &mut Walk<'_, '_>) -> Result<()> {
    walk.u32("entries")?;
    for column in ["meta", "keys", "values"] {
        let coding = |code: &u8| {
            let name = match *code {
                0 => "stored",
                1 => "zstd",
                2 => "zstd of planes",
                _ => "unknown",
            };
            format!("{code} {name}")
        };
        walk.read(&format!("{column}: coding"), Cursor::u8, coding)?;
        walk.varint(&format!("{column}: length"))?;
        let stored = walk.varint(&format!("{column}: stored length"))?;
        walk.take(column, usize::try_from(stored).unwrap_or(usize::MAX))?;
    }
    Ok(())
}

/// Reads as far as it can what [`RunIndex::decode`] does, which in the end says if it is sound.
fn walk_index(walk: &mut Walk<'_, '_>, found: &mut RunIndex) -> Result<()> {
    walk.u32("version")?;
    for number in 0..walk.varint("number of blocks")? {
        let text = |at: &BlockHandle| {
            let BlockHandle { offset, len_bytes, entries, digest, first_key } = at;
            let key = key(first_key);
            format!(
                "at {offset}, {len_bytes} bytes, {entries} entries, from {key}, blake3:{digest}"
            )
        };
        let handle = walk.read(&format!("block {number}"), RunIndex::decode_block, text)?;
        found.blocks.push(handle);
    }
    let end = found.blocks.last().map(|last| last.offset.saturating_add(last.len_bytes));
    let len_bytes = walk.varint("length of the filter")?;
    if len_bytes > 0 {
        let digest = walk.read("digest of the filter", Cursor::array, |bytes| hex(bytes))?;
        let offset = end.unwrap_or(HEADER_LEN_BYTES as u64);
        found.filter =
            Some(crate::run::FilterLocation { offset, len_bytes, digest: Digest(digest) });
    }
    for _ in 0..walk.varint("number of states")? {
        let state = walk.u32("state")?;
        let stats = walk.read("statistics", StateStats::decode, text_of)?;
        found.stats.insert(state, stats);
    }
    Ok(())
}

fn key(bytes: &[u8]) -> String {
    let Ok(key) = CompositeKey::decode(bytes) else { return format!("{} (no key)", hex(bytes)) };
    let (state, group) = (key.state, key.group.0);
    let mut text = format!("state {state} key group {group} key {}", hex(&key.key));
    for (name, part) in [("namespace", &key.namespace), ("user key", &key.user_key)] {
        if !part.is_empty() {
            text.push_str(&format!(" {name} {}", hex(part)));
        }
    }
    text
}

fn text_of(stats: &StateStats) -> String {
    let StateStats { entries, live, key_bytes, value_bytes, .. } = stats;
    let largest = stats.largest.len();
    format!(
        "{entries} entries, {live} live, {key_bytes} and {value_bytes} bytes, largest {largest}"
    )
}
