//! A file's footer, looked at before it is decoded: the decoder gives memory and stack as the bytes say.

use super::contain::contained;
use super::read::{Bad, text_of};
use super::thrift::{LIST, STRUCT, Thrift};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

const MAGIC: &[u8; 4] = b"PAR1";
/// At the end of a file: the length of what says where everything is, and the magic again.
const TAIL_LEN_BYTES: usize = 8;
/// Decoded, it takes some twenty times as much.
const FOOTER_LEN_BYTES_MAX: u32 = 8 << 20;
/// Names of columns and what is around them.
const ELEMENTS_MAX: u64 = 256;

/// What the footer says. Memory: bounded, whatever the bytes.
pub(super) fn metadata(file: &mut File) -> Result<ParquetMetaData, Bad> {
    let len_bytes = file.seek(SeekFrom::End(0))?;
    let (mut head, mut tail) = ([0; MAGIC.len()], [0; TAIL_LEN_BYTES]);
    if len_bytes < (MAGIC.len() + TAIL_LEN_BYTES) as u64 {
        return Err(Bad::Damaged(format!("{len_bytes} bytes are no Parquet file")));
    }
    file.rewind()?;
    file.read_exact(&mut head)?;
    if head != *MAGIC {
        let what = if &head == b"PARE" { "an encrypted" } else { "no" };
        return Err(Bad::Damaged(format!("it is {what} Parquet file")));
    }
    let tail_at = len_bytes - TAIL_LEN_BYTES as u64;
    file.seek(SeekFrom::Start(tail_at))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    let footer_len_bytes = u32::from_le_bytes([a, b, c, d]);
    if magic != *MAGIC || u64::from(footer_len_bytes) > tail_at - MAGIC.len() as u64 {
        return Err(Bad::Damaged("it does not end as a Parquet file does: is it cut off?".into()));
    }
    if footer_len_bytes > FOOTER_LEN_BYTES_MAX {
        return Err(Bad::Columns(format!(
            "its footer has {footer_len_bytes} bytes, the limit is {FOOTER_LEN_BYTES_MAX}: write it anew in larger \
             row groups, or as several files"
        )));
    }
    file.seek(SeekFrom::Start(tail_at - u64::from(footer_len_bytes)))?;
    let mut footer = vec![0; footer_len_bytes as usize];
    file.read_exact(&mut footer)?;
    match is_plausible(&footer) {
        Some(true) => {}
        Some(false) => {
            return Err(Bad::Columns(format!("it has more than {ELEMENTS_MAX} columns")));
        }
        None => return Err(Bad::Damaged("its footer is damaged".to_owned())),
    }
    let decoded = contained(|| ParquetMetaDataReader::decode_metadata(&footer));
    let damaged = |why: String| Bad::Damaged(format!("its footer: {why}"));
    decoded.map_err(damaged)?.map_err(|error| damaged(text_of(error)))
}

/// Whether there are so few columns, in groups of as many as there are, that they may be decoded; none if the
/// bytes are not that far a footer.
fn is_plausible(footer: &[u8]) -> Option<bool> {
    let (mut is_small, mut has_schema) = (true, false);
    Thrift(footer).fields(&mut |thrift, number, kind| {
        if (number, kind) != (2, LIST) {
            thrift.skip(kind)?;
            return Some(true);
        }
        let (kind, elements) = thrift.list()?;
        has_schema = true;
        is_small &= kind == STRUCT && elements <= ELEMENTS_MAX;
        for _ in 0..if is_small { elements } else { 0 } {
            thrift.fields(&mut |thrift, number, kind| {
                match (number, kind) {
                    (5, super::thrift::I32) => {
                        is_small &= (0..=elements as i64).contains(&thrift.integer()?);
                    }
                    _ => thrift.skip(kind)?,
                }
                Some(true)
            })?;
        }
        Some(is_small)
    })?;
    has_schema.then_some(is_small)
}
