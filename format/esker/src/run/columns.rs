//! Columns of a block: how their bytes are packed.

use super::{BLOCK_LEN_BYTES_MAX, planes};
use crate::bytes::{Cursor, put_varint};
use crate::{FormatError, Result};
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

/// How the bytes of a column are stored: as they are, as one zstd frame, or as one of their planes.
const CODING_RAW: u8 = 0;
const CODING_ZSTD: u8 = 1;
pub(super) const CODING_PLANES: u8 = 2;
/// No zstd frame unpacks to more than this many times its length: its blocks hold 128 KiB at most
/// and take 4 bytes at least.
const ZSTD_RATIO_MAX: usize = 1 << 15;
/// Of so many blocks one is packed in both ways, to see which is shorter.
const TRIED_EVERY: u32 = 16;

thread_local! {
    /// Kept for as long as the thread, as setting one up costs as much as unpacking a column.
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    /// Columns on their way into another shape; the allocator would give their memory back each time.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// So much of it stays: blocks are much shorter, but for values that are not.
const SCRATCH_LEN_BYTES_MAX: usize = 1 << 20;

/// Packs columns.
#[derive(Default)]
pub(super) struct Packer {
    /// Kept, as setting one up costs as much as packing a column.
    zstd: Option<Compressor<'static>>,
    planes: Vec<u8>,
    /// Of keys and of values: how many blocks there were, and whether planes were shorter.
    tried: [(u32, bool); 2],
}

fn failed(error: std::io::Error) -> FormatError {
    FormatError::invalid("run block", format!("zstd: {error}"))
}

impl Packer {
    fn packed(&mut self, level: i32, column: &[u8]) -> Result<Vec<u8>> {
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            None => self.zstd.insert(Compressor::new(level).map_err(failed)?),
        };
        zstd.compress(column).map_err(failed)
    }

    /// Appends a column.
    pub(super) fn put(&mut self, level: i32, column: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let packed = self.packed(level, column)?;
        put_shorter(column, CODING_ZSTD, &packed, out);
        Ok(())
    }

    /// Appends a column of items with these lengths; `which` it is, 0 or 1, tells apart what was
    /// learned.
    pub(super) fn put_items(
        &mut self,
        level: i32,
        which: usize,
        column: &[u8],
        lens: &[u32],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let (blocks, mut shorter) = self.tried.get(which).copied().unwrap_or_default();
        let mut split = std::mem::take(&mut self.planes);
        if planes::split(column, lens, &mut split) {
            let tried = blocks.is_multiple_of(TRIED_EVERY);
            let planes = if tried || shorter { self.packed(level, &split)? } else { Vec::new() };
            let plain = if tried || !shorter { self.packed(level, column)? } else { Vec::new() };
            if tried {
                shorter = planes.len() < plain.len();
            }
            match shorter {
                true => put_shorter(column, CODING_PLANES, &planes, out),
                false => put_shorter(column, CODING_ZSTD, &plain, out),
            }
        } else {
            self.put(level, column, out)?;
        }
        self.planes = split;
        if let Some(tried) = self.tried.get_mut(which) {
            *tried = (blocks.wrapping_add(1), shorter);
        }
        Ok(())
    }
}

fn put_shorter(column: &[u8], coding: u8, packed: &[u8], out: &mut Vec<u8>) {
    let (coding, stored) =
        if packed.len() < column.len() { (coding, packed) } else { (CODING_RAW, column) };
    out.push(coding);
    put_varint(out, column.len() as u64);
    put_varint(out, stored.len() as u64);
    out.extend_from_slice(stored);
}

/// A column of a stored block.
pub(super) struct Column<'a> {
    coding: u8,
    len: usize,
    stored: &'a [u8],
}

impl<'a> Column<'a> {
    /// The next one.
    pub(super) fn take(cursor: &mut Cursor<'a>) -> Result<Self> {
        let coding = cursor.u8()?;
        let len = cursor.length(BLOCK_LEN_BYTES_MAX)?;
        let stored_len = cursor.length(cursor.remaining())?;
        let stored = cursor.take(stored_len)?;
        match coding {
            CODING_RAW if len == stored.len() => {}
            CODING_ZSTD | CODING_PLANES => {
                // The frame's own idea of its size must agree before memory is set aside for it.
                if len > stored.len().saturating_mul(ZSTD_RATIO_MAX) {
                    return Err(
                        cursor.corrupt("column is longer than its zstd frame can unpack to")
                    );
                }
                let declared = zstd::zstd_safe::get_frame_content_size(stored).ok().flatten();
                if declared != Some(len as u64) {
                    return Err(cursor.corrupt("column length differs from its zstd frame's"));
                }
            }
            CODING_RAW => return Err(cursor.corrupt("raw column lengths differ")),
            _ => return Err(cursor.corrupt(format!("unknown column coding {coding}"))),
        }
        Ok(Self { coding, len, stored })
    }

    /// How many bytes it holds.
    pub(super) fn len_bytes(&self) -> usize {
        self.len
    }

    pub(super) fn has_planes(&self) -> bool {
        self.coding == CODING_PLANES
    }

    /// What `f` makes of its bytes, which are not kept.
    pub(super) fn read<T>(&self, f: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
        if self.coding == CODING_RAW {
            return f(self.stored);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let made = self.unpack(scratch).and_then(|()| f(scratch));
            if scratch.capacity() > SCRATCH_LEN_BYTES_MAX {
                *scratch = Vec::new();
            }
            made
        })
    }

    /// Its bytes.
    pub(super) fn into_bytes(self) -> Result<Vec<u8>> {
        if self.coding == CODING_RAW {
            return Ok(self.stored.to_vec());
        }
        let mut bytes = Vec::new();
        self.unpack(&mut bytes)?;
        Ok(bytes)
    }

    /// Puts the content of its zstd frame into `out`, instead of what is there.
    fn unpack(&self, out: &mut Vec<u8>) -> Result<()> {
        let corrupt = |what: String| FormatError::corrupt("run block", what);
        out.clear();
        out.reserve_exact(self.len);
        let unpacked = UNPACKER.with_borrow_mut(|kept| {
            let unpacker = match kept {
                Some(unpacker) => unpacker,
                None => kept.insert(Decompressor::new()?),
            };
            unpacker.decompress_to_buffer(self.stored, out)
        });
        let len = unpacked.map_err(|error| corrupt(format!("zstd: {error}")))?;
        if len == self.len {
            Ok(())
        } else {
            Err(corrupt("column is not as long as it says".into()))
        }
    }
}
