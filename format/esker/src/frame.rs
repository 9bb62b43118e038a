//! Sealed JSON files: one line that says what follows, then the JSON (SPEC.md, "Sealed files").
//!
//! ```text
//! esker-<kind> <version> blake3:<64 hex digits> <bytes>\n
//! <that many bytes of JSON, of that digest, and nothing after>
//! ```
//! `tail -n +2 | jq` works on such a file, a flipped bit is caught, and a newer version is refused
//! by name before anything is parsed.

use crate::{Digest, FormatError, FormatErrorKind, Result};

/// No first line is longer than this, in bytes, its newline included.
const LINE_LEN_BYTES_MAX: usize = 256;

/// A sealed file of `kind` and `version` that holds `json`.
///
/// `kind` is a constant of the caller: lower-case letters and hyphens.
pub fn seal(kind: &'static str, version: u32, json: &[u8]) -> Vec<u8> {
    let mut sealed = line(kind, version, Digest::of(json), json.len());
    sealed.extend_from_slice(json);
    sealed
}

/// The version and the JSON of a sealed file of `kind`, verified, but not yet parsed.
///
/// # Errors
/// `Incompatible` if it is a sealed file of another kind; `UnsupportedVersion` if its version is
/// above `version_max`; `Corrupt` if the first line, the length or the digest is wrong.
pub fn open<'a>(kind: &'static str, version_max: u32, bytes: &'a [u8]) -> Result<(u32, &'a [u8])> {
    let corrupt = |message: &str| FormatError::corrupt(kind, message);
    let line_len = bytes.iter().take(LINE_LEN_BYTES_MAX).position(|byte| *byte == b'\n');
    let line_len = line_len.ok_or_else(|| corrupt("no first line"))?;
    let (first, json) = bytes.split_at(line_len + 1);
    let text = std::str::from_utf8(first).map_err(|_| corrupt("the first line is not text"))?;
    let mut words = text.trim_end_matches('\n').split(' ');

    let found = words.next().and_then(|word| word.strip_prefix("esker-"));
    let found = found.ok_or_else(|| corrupt("not a file of esker").at(0))?;
    if found != kind {
        let message = format!("a file of another kind: kind={found:?}");
        return Err(FormatError::new(FormatErrorKind::Incompatible, kind, message));
    }
    let version: Option<u32> = words.next().and_then(|word| word.parse().ok());
    let version = version.filter(|v| *v > 0).ok_or_else(|| corrupt("no version"))?;
    if version > version_max {
        let message = format!("version={version} is newer than the newest known={version_max}");
        return Err(FormatError::new(FormatErrorKind::UnsupportedVersion, kind, message));
    }
    let digest = words.next().and_then(|word| word.strip_prefix("blake3:"));
    let digest = digest.ok_or_else(|| corrupt("no digest"))?.parse()?;
    let len: Option<usize> = words.next().and_then(|word| word.parse().ok());
    let len = len.ok_or_else(|| corrupt("no length"))?;
    if line(kind, version, digest, len) != first {
        return Err(corrupt("the first line is not in its one form"));
    }
    if len != json.len() {
        let message = format!("bytes={len} are announced, bytes={} follow", json.len());
        return Err(FormatError::corrupt(kind, message).at(first.len() as u64));
    }
    if Digest::of(json) != digest {
        return Err(corrupt("the digest differs").at(first.len() as u64));
    }
    Ok((version, json))
}

fn line(kind: &str, version: u32, digest: Digest, len: usize) -> Vec<u8> {
    format!("esker-{kind} {version} blake3:{digest} {len}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind_of(bytes: &[u8], version_max: u32) -> FormatErrorKind {
        open("log", version_max, bytes).unwrap_err().kind
    }

    #[test]
    fn a_sealed_file_opens_to_what_was_sealed() {
        let sealed = seal("log", 2, b"{}");
        assert_eq!(open("log", 2, &sealed), Ok((2, &b"{}"[..])));
        assert!(sealed.starts_with(b"esker-log 2 blake3:"));
        assert!(sealed.ends_with(b" 2\n{}"));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let sealed = seal("log", 2, b"{}");
        assert_eq!(kind_of(&sealed, 1), FormatErrorKind::UnsupportedVersion);
        assert_eq!(kind_of(&seal("metadata", 1, b"{}"), 1), FormatErrorKind::Incompatible);
        assert_eq!(kind_of(&seal("log", 0, b"{}"), 1), FormatErrorKind::Corrupt);
        assert_eq!(kind_of(b"esker-log 9 what a future version says\n", 1), {
            FormatErrorKind::UnsupportedVersion
        });
        for bad in ["", "\n", "{}", "esker-log\n", "esker-log 1\n", "esker-log +1 \n{}"] {
            assert_eq!(kind_of(bad.as_bytes(), 1), FormatErrorKind::Corrupt, "{bad:?}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_caught() {
        let sealed = seal("log", 1, br#"{"generation":1}"#);
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open("log", 1, &bad).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(open("log", 1, &sealed[..len]).is_err(), "cut at {len}");
        }
        assert!(open("log", 1, &[&sealed[..], b" "].concat()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, tail: String) {
            let _ = open("log", 1, &bytes);
            let _ = open("log", 1, format!("esker-log 1 blake3:{tail}\n").as_bytes());
        }
    }
}
