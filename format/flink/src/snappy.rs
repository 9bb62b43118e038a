//! Compressed state: Snappy's framing format, read as far as somebody asks (SPEC.md, "Compression").
//!
//! Nothing says where such a stream ends but what it holds, and plain bytes may follow it: no chunk is looked at before what
//! it holds is needed. Checksums are verified, which Flink does not do.

use crate::{FormatError, Input, Result, Source};
use snap::raw::{Decoder, Encoder, decompress_len};

/// What a stream begins with: a chunk that says what it is.
pub const IDENTIFIER: [u8; 10] = *b"\xff\x06\0\0sNaPpY";
/// No chunk holds more bytes.
pub const CHUNK_LEN_MAX: usize = 65_536;

const WHAT: &str = "compressed state";
/// The kind of a chunk and its length.
const CHUNK_HEADER_LEN: usize = 4;
const CHECKSUM_LEN: usize = 4;
/// The most that a chunk takes: its checksum, and what Snappy makes of bytes that do not compress.
const STORED_LEN_MAX: usize = CHECKSUM_LEN + 32 + CHUNK_LEN_MAX + CHUNK_LEN_MAX / 6;

const COMPRESSED: u8 = 0;
const PLAIN: u8 = 1;
const IDENTIFIES: u8 = 0xff;

/// A compressed stream as the bytes that it holds.
///
/// It may begin with its identifier or, as an element of operator state does, with a chunk; identifiers may stand
/// between chunks too. Holds one chunk in memory, or as many as [`peek`](Source::peek) asks for.
pub struct Decompressed<S> {
    source: S,
    decoder: Decoder,
    held: Vec<u8>,
    /// How much of `held` has been passed.
    passed: usize,
    /// Where the chunk begins that was read last.
    chunk: u64,
}

impl<S: Source> Decompressed<S> {
    /// Reads the stream that begins where `source` stands.
    pub fn new(source: S) -> Self {
        let chunk = source.offset();
        Self { source, decoder: Decoder::new(), held: Vec::new(), passed: 0, chunk }
    }

    /// What was read from, which stands behind the last chunk that was needed.
    pub fn into_inner(self) -> S {
        self.source
    }

    /// Appends what the next chunk holds to `held`.
    fn chunk(&mut self) -> Result<()> {
        self.chunk = self.source.offset();
        let (kind, len) = match self.source.peek(CHUNK_HEADER_LEN)? {
            [kind, low, middle, high, ..] => {
                (*kind, u32::from_le_bytes([*low, *middle, *high, 0]) as usize)
            }
            _ => return Err(corrupt(self.chunk, "the length of a chunk is cut off")),
        };
        match kind {
            COMPRESSED | PLAIN if !(CHECKSUM_LEN..=STORED_LEN_MAX).contains(&len) => {
                return Err(corrupt(self.chunk, format!("a chunk of {len} bytes")));
            }
            COMPRESSED | PLAIN => {}
            IDENTIFIES if len == IDENTIFIER.len() - CHUNK_HEADER_LEN => {}
            // Padding, and what readers must pass over.
            0x80..=0xfe => {}
            _ => return Err(corrupt(self.chunk, format!("no chunk: kind {kind}, {len} bytes"))),
        }
        let stored = self.source.peek(CHUNK_HEADER_LEN + len)?;
        match kind {
            COMPRESSED | PLAIN => {
                let (checksum, data) = stored[CHUNK_HEADER_LEN..][..len].split_at(CHECKSUM_LEN);
                self.held.drain(..self.passed);
                self.passed = 0;
                let start = self.held.len();
                unpack(&mut self.decoder, kind, data, &mut self.held)
                    .map_err(|message| corrupt(self.chunk, message))?;
                if masked_checksum(&self.held[start..]).to_le_bytes() != checksum {
                    return Err(corrupt(self.chunk, "the checksum of a chunk is another"));
                }
            }
            IDENTIFIES if stored[..IDENTIFIER.len()] != IDENTIFIER => {
                return Err(corrupt(self.chunk, "a chunk that is no identifier of Snappy's"));
            }
            _ => {}
        }
        self.source.advance(CHUNK_HEADER_LEN + len);
        Ok(())
    }
}

impl<S: Source> Source for Decompressed<S> {
    fn peek(&mut self, len: usize) -> Result<&[u8]> {
        while self.held.len() - self.passed < len {
            self.chunk()?;
        }
        Ok(&self.held[self.passed..])
    }

    fn advance(&mut self, len: usize) {
        self.passed = self.held.len().min(self.passed.saturating_add(len));
    }

    fn offset(&self) -> u64 {
        self.chunk
    }
}

/// Appends what a chunk holds.
fn unpack(
    decoder: &mut Decoder,
    kind: u8,
    data: &[u8],
    held: &mut Vec<u8>,
) -> std::result::Result<(), String> {
    let len = match kind {
        PLAIN => data.len(),
        _ => decompress_len(data).map_err(|error| error.to_string())?,
    };
    if len > CHUNK_LEN_MAX {
        return Err(format!("a chunk of {len} bytes, where {CHUNK_LEN_MAX} is the most"));
    }
    if kind == PLAIN {
        held.extend_from_slice(data);
        return Ok(());
    }
    let start = held.len();
    held.resize(start + len, 0);
    let unpacked = decoder.decompress(data, &mut held[start..]);
    match unpacked {
        Ok(unpacked) if unpacked == len => Ok(()),
        Ok(unpacked) => Err(format!("a chunk of {unpacked} bytes says that it has {len}")),
        Err(error) => Err(error.to_string()),
    }
}

/// All that the chunks in `input` hold, up to its end or to the next identifier that is not at its front.
///
/// # Errors
/// `Corrupt` with the offset of the chunk.
pub fn decompress(input: &mut Input<'_>) -> Result<Vec<u8>> {
    let mut stream = Decompressed::new(input.clone());
    loop {
        let rest = stream.source.rest();
        let next = rest.starts_with(&IDENTIFIER) && rest.len() < input.remaining();
        if rest.is_empty() || next {
            break;
        }
        stream.chunk()?;
    }
    let Decompressed { source, held, .. } = stream;
    *input = source;
    Ok(held)
}

/// Appends `bytes` as a stream with its identifier.
///
/// # Errors
/// `Invalid` if Snappy cannot compress them; it can.
pub fn compress(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(&IDENTIFIER);
    let mut encoder = Encoder::new();
    for chunk in bytes.chunks(CHUNK_LEN_MAX) {
        let packed = encoder
            .compress_vec(chunk)
            .map_err(|error| FormatError::invalid(WHAT, error.to_string()))?;
        // What hardly compresses is stored as it is, as Flink does: above 85 %.
        let pays = packed.len() * 100 <= chunk.len() * 85;
        let (kind, data) = if pays { (COMPRESSED, packed.as_slice()) } else { (PLAIN, chunk) };
        let len = (CHECKSUM_LEN + data.len()) as u32;
        out.push(kind);
        out.extend_from_slice(&len.to_le_bytes()[..3]);
        out.extend_from_slice(&masked_checksum(chunk).to_le_bytes());
        out.extend_from_slice(data);
    }
    Ok(())
}

/// CRC-32C, changed as the framing format wants it, so that checksums of what holds checksums are worth something.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn corrupt(offset: u64, message: impl Into<String>) -> FormatError {
    FormatError::corrupt(WHAT, message).at(offset)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    /// Bytes 1, 2, 3 as Flink's own classes write them.
    const EXAMPLE: [u8; 21] = *b"\xff\x06\0\0sNaPpY\x01\x07\0\0\x39\xcd\xc0\x86\x01\x02\x03";

    #[test]
    fn a_stream_is_as_flink_writes_it() {
        let mut out = Vec::new();
        compress(&[1, 2, 3], &mut out).unwrap();
        assert_eq!(out, EXAMPLE);
        assert_eq!(decompress(&mut Input::new("test", &EXAMPLE)).unwrap(), [1, 2, 3]);
        // An element of operator state begins with a chunk.
        assert_eq!(decompress(&mut Input::new("test", &EXAMPLE[10..])).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn nothing_is_read_that_is_not_needed() {
        let bytes = [&EXAMPLE[..], &EXAMPLE[..], b"plain bytes"].concat();
        let mut stream = Decompressed::new(Input::new("test", &bytes));
        assert_eq!(stream.peek(2).unwrap(), [1, 2, 3]);
        stream.advance(2);
        assert_eq!(stream.peek(3).unwrap(), [3, 1, 2, 3], "an identifier in the middle");
        stream.advance(4);
        assert_eq!(stream.peek(0).unwrap(), [0; 0]);
        assert!(stream.peek(1).is_err());
        assert_eq!(stream.into_inner().rest(), b"plain bytes");
        let mut input = Input::new("test", &bytes[..42]);
        assert_eq!(decompress(&mut input).unwrap(), [1, 2, 3], "the next identifier ends it");
        assert_eq!(input.rest(), EXAMPLE);
    }

    #[test]
    fn damage_is_found_and_named() {
        for (at, byte) in [(18, 9), (14, 0), (10, 2), (11, 3), (13, 1), (4, b'S')] {
            let mut bytes = EXAMPLE;
            bytes[at] = byte;
            let input = Input::new("test", &bytes).based_at(100);
            let error = decompress(&mut input.clone()).unwrap_err();
            let offset = if at == 4 { 100 } else { 110 };
            let short = error.message.starts_with("needs");
            assert!(error.offset == Some(offset) || short, "{at}: {error}");
        }
        // A chunk that claims to hold a gigabyte.
        let bomb = b"\x00\x0a\0\0\0\0\0\0\xff\xff\xff\xff\x03\0";
        let error = decompress(&mut Input::new("test", bomb)).unwrap_err();
        assert!(error.message.contains("65536 is the most"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_compressed_is_read(
            pieces in prop::collection::vec((any::<u8>(), 0..50_000_usize, any::<bool>()), 0..6),
            asked in 1..100_000_usize,
        ) {
            let mut bytes = Vec::new();
            for (byte, len, mixed) in pieces {
                bytes.extend((0..len).map(|at| if mixed { ((at * at) >> 7) as u8 ^ byte } else { byte }));
            }
            let mut out = Vec::new();
            compress(&bytes, &mut out).unwrap();
            prop_assert_eq!(&decompress(&mut Input::new("test", &out)).unwrap(), &bytes);
            let mut stream = Decompressed::new(Input::new("test", &out));
            let mut read = Vec::new();
            while read.len() < bytes.len() {
                let len = asked.min(bytes.len() - read.len());
                read.extend_from_slice(&stream.peek(len).unwrap()[..len]);
                stream.advance(len);
            }
            prop_assert_eq!(read, bytes);
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), framed in any::<bool>()) {
            if framed {
                let mut out = EXAMPLE.to_vec();
                out.append(&mut bytes);
                bytes = out;
            }
            let _ = decompress(&mut Input::new("test", &bytes));
        }
    }
}
