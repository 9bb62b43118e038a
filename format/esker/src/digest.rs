//! BLAKE3 digests, by which files name and verify each other (SPEC.md, "Digests").

use crate::{FormatError, Result};
use std::fmt;
use std::str::FromStr;

/// The BLAKE3 digest of some bytes; its text form is 64 lower-case hex digits.
///
/// ```
/// # use esker_format::Digest;
/// let digest = Digest::of(b"run");
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// ```
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

/// The digest of bytes that come one piece after another.
///
/// ```
/// # use esker_format::Digest;
/// # use esker_format::digest::Digester;
/// let mut digester = Digester::default();
/// digester.update(b"ru");
/// digester.update(b"n");
/// assert_eq!(digester.digest(), Digest::of(b"run"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Digester(blake3::Hasher);

impl Digester {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn digest(&self) -> Digest {
        Digest(*self.0.finalize().as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self> {
        from_hex(text).map(Self).ok_or_else(|| {
            FormatError::corrupt("digest", "a digest is 64 lower-case hexadecimal digits")
        })
    }
}

impl TryFrom<String> for Digest {
    type Error = FormatError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A digest in the JSON of parts and manifests: 43 characters of unpadded base64url, as hundreds of
/// them stand in one file.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ShortDigest(pub(crate) Digest);

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl From<ShortDigest> for String {
    fn from(ShortDigest(Digest(bytes)): ShortDigest) -> Self {
        let (mut text, mut bits, mut held) = (Self::with_capacity(43), 0_u32, 0_u32);
        for byte in bytes {
            bits = (bits << 8) | u32::from(byte);
            held += 8;
            while held >= 6 {
                held -= 6;
                text.push(char::from(BASE64URL[(bits >> held) as usize & 63]));
            }
        }
        // 256 bits are 42 characters and four bits, which the last one begins with.
        text.push(char::from(BASE64URL[(bits << 2) as usize & 63]));
        text
    }
}

impl TryFrom<String> for ShortDigest {
    type Error = FormatError;

    fn try_from(text: String) -> Result<Self> {
        let refused =
            || FormatError::corrupt("digest", "a short digest is 43 characters of base64url");
        let mut bytes = [0; 32];
        let (mut out, mut bits, mut held) = (bytes.iter_mut(), 0_u32, 0_u32);
        for c in text.bytes() {
            let six = BASE64URL.iter().position(|known| *known == c).ok_or_else(refused)?;
            bits = (bits << 6) | six as u32;
            held += 6;
            if held >= 8 {
                held -= 8;
                *out.next().ok_or_else(refused)? = (bits >> held) as u8;
            }
        }
        // The two bits left over are zero, so that a digest has one text.
        let whole = text.len() == 43 && out.next().is_none() && bits & 3 == 0;
        if whole { Ok(Self(Digest(bytes))) } else { Err(refused()) }
    }
}

/// Lower-case hex digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    push_hex(bytes, &mut text);
    text
}

/// Appends lower-case hex digits of `bytes` to `out`.
pub(crate) fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 * bytes.len());
    for byte in bytes {
        let pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        out.extend(pair.map(char::from));
    }
}

/// The bytes of lower-case hex digits.
pub(crate) fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn digit(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    }
}

/// Exactly `N` bytes from `2 * N` lower-case hex digits.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The length first, so that a long text is not unpacked to be refused.
    let bytes = (text.len() == 2 * N).then(|| hex_bytes(text))??;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_the_known_digest_of_no_bytes() {
        let text = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of(b"").to_string(), text);
        assert_eq!(text.parse(), Ok(Digest::of(b"")));
        assert_eq!(serde_json::to_string(&Digest::of(b"")).unwrap(), format!("\"{text}\""));
        assert_eq!(
            serde_json::from_str::<Digest>(&format!("\"{text}\"")).unwrap(),
            Digest::of(b"")
        );
    }

    #[test]
    fn other_text_is_refused() {
        let good = Digest::of(b"").to_string();
        for bad in ["", "é", &good[1..], &good.to_uppercase(), &good.replace('a', "g")] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn short_text_is_base64url_and_has_one_form() {
        let text = String::from(ShortDigest(Digest::of(b"")));
        assert_eq!(text, "rxNJufX5oaagQE3qNtzJSZvLJcmtwRK3zJqTyuQfMmI");
        assert_eq!(ShortDigest::try_from(text.clone()).unwrap().0, Digest::of(b""));
        let all = ShortDigest(Digest([0xff; 32]));
        assert_eq!(ShortDigest::try_from(String::from(all)).unwrap().0, all.0);
        let loose = format!("{}J", &text[..42]);
        for bad in ["", &text[1..], &format!("{text}A"), &text.replace('u', "+"), &loose] {
            assert!(ShortDigest::try_from((*bad).to_owned()).is_err(), "{bad}");
        }
        assert!(ShortDigest::try_from("A".repeat(1000)).is_err());
    }
}
