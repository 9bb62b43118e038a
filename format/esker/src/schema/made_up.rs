//! Text and bytes that are offered to a type that is traced, in turn, until it takes one.
//!
//! Types that hold a time or an address as text, or an id as bytes, refuse what is empty.

/// Nothing, a letter, a digit, times as `chrono` and `time` write them, a UUID, an address, a URL, a day, a
/// month, a time zone, a version.
pub(super) const TEXTS: [&str; 15] = [
    "",
    "a",
    "1",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00",
    "1970-01-01",
    "00:00:00",
    "00000000-0000-0000-0000-000000000000",
    "127.0.0.1",
    "http://localhost/",
    "Mon",
    "January",
    "UTC",
    "Etc/UTC",
    "1.0.0",
];

/// Nothing, then the sizes of ids, addresses, digests and keys.
pub(super) const LENS_BYTES: [usize; 11] = [0, 16, 1, 4, 6, 8, 12, 20, 24, 32, 64];

/// So many zeros as the length number `number` says.
pub(super) fn bytes(number: usize) -> &'static [u8] {
    static ZEROS: [u8; 64] = [0; 64];
    LENS_BYTES.get(number).and_then(|len| ZEROS.get(..*len)).unwrap_or_default()
}
