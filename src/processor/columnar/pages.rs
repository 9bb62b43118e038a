//! Pages of a column, looked at before they are decoded: the decoder gives memory as the bytes say.

use super::thrift::{I32, Thrift};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A page has at most so many bytes, decompressed; more if it is not compressed to a fraction. DuckDB's own
/// limit is 100 MiB.
const PAGE_LEN_BYTES_MAX: u64 = 128 << 20;
const COMPRESSION_MAX: u64 = 16;
/// The sizes are at the front of a page's header.
const SIZES_LEN_BYTES: u64 = 64;

/// The file, as pages are read from it: their headers by [`get_read`](ChunkReader::get_read), which are looked
/// at, their bytes by [`get_bytes`](ChunkReader::get_bytes).
pub(super) struct PageFile(pub(super) File);

impl Length for PageFile {
    fn len(&self) -> u64 {
        self.0.metadata().map_or(0, |metadata| metadata.len())
    }
}

impl ChunkReader for PageFile {
    type T = std::io::Chain<Cursor<Vec<u8>>, File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        let mut front = Vec::new();
        file.by_ref().take(SIZES_LEN_BYTES).read_to_end(&mut front)?;
        let damaged = || ParquetError::General(format!("no page begins at byte {start}"));
        let (page, held) = sizes(&front).ok_or_else(damaged)?;
        if page > PAGE_LEN_BYTES_MAX.max(held.saturating_mul(COMPRESSION_MAX)) {
            let message = format!(
                "a page of {page} bytes in {held} at byte {start}, the limit is {PAGE_LEN_BYTES_MAX}: write it \
                 anew in smaller pages"
            );
            return Err(ParquetError::NYI(message));
        }
        Ok(Cursor::new(front).chain(file))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.0.get_bytes(start, length)
    }
}

/// How many bytes a page has, and has compressed.
fn sizes(header: &[u8]) -> Option<(u64, u64)> {
    let (mut page, mut held) = (None, None);
    // Not passed to its end, which may be far.
    Thrift(header).fields(&mut |thrift, number, kind| {
        let value = if kind == I32 { thrift.integer()? } else { return None };
        match number {
            2 => page = u64::try_from(value).ok(),
            3 => held = u64::try_from(value).ok(),
            _ => {}
        }
        Some(page.is_none() || held.is_none())
    })?;
    page.zip(held)
}

/// The pages of a column chunk, of which `left` tells how many values of the last one are not yet read, as far
/// as its reader knows. What others may read, but esker does not, is [`ParquetError::NYI`].
pub(super) struct Pages<P> {
    pub(super) pages: P,
    pub(super) left: Arc<AtomicU64>,
}

impl<P: PageReader> PageReader for Pages<P> {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let Some(page) = self.pages.get_next_page()? else { return Ok(None) };
        match page.encoding() {
            Encoding::PLAIN
            | Encoding::PLAIN_DICTIONARY
            | Encoding::RLE_DICTIONARY
            | Encoding::RLE => {}
            // Of others the decoder gives memory as they say.
            other => {
                let message = format!(
                    "it is encoded as {other}, which esker does not read: write it anew as PLAIN or with dictionaries"
                );
                return Err(ParquetError::NYI(message));
            }
        }
        if !page.is_dictionary_page() {
            self.left.store(u64::from(page.num_values()), Ordering::Relaxed);
        } else if page.num_values() as usize > page.buffer().len() {
            let (values, len_bytes) = (page.num_values(), page.buffer().len());
            let message = format!("a dictionary of {values} values in {len_bytes} bytes");
            return Err(ParquetError::General(message));
        }
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl<P: PageReader> Iterator for Pages<P> {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
