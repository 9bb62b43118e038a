//! Numbers as Java's `toString` prints them, and back.

use num_bigint::BigInt;
use std::fmt::Write;

/// Appends an integer.
pub(crate) fn push_integer(value: impl itoa::Integer, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// Appends a finite `double` with the fewest digits that are read as the same: `1.0`, `0.001`, `1.0E7`.
pub(crate) fn push_double(value: f64, out: &mut String) {
    push_float(value, value.abs(), out);
}

/// Appends a finite `float`, with the fewest digits that are read as the same `float`.
pub(crate) fn push_single(value: f32, out: &mut String) {
    push_float(value, value.abs().into(), out);
}

fn push_float<T: std::fmt::Display + std::fmt::LowerExp>(value: T, size: f64, out: &mut String) {
    let start = out.len();
    // Writing to a String cannot fail.
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        let _ = write!(out, "{value}");
        if !out.get(start..).is_some_and(|digits| digits.contains('.')) {
            out.push_str(".0");
        }
        return;
    }
    let _ = write!(out, "{value:e}");
    if !out.get(start..).is_some_and(|digits| digits.contains('.')) {
        // Java prints two digits at least, and of those of two the nearest.
        out.truncate(start);
        let _ = write!(out, "{value:.1e}");
    }
    if let Some(at) = out.get(start..).and_then(|digits| digits.find('e')) {
        out.replace_range(start + at..=start + at, "E");
    }
}

/// Appends the integer that is `bytes` in two's complement, big-endian; none are 0.
pub(crate) fn push_big_integer(bytes: &[u8], out: &mut String) {
    match small(bytes) {
        Some(value) => push_integer(value, out),
        None => out.push_str(&BigInt::from_signed_bytes_be(bytes).to_string()),
    }
}

/// The integer that is `bytes`, if it fits.
pub(crate) fn small(bytes: &[u8]) -> Option<i128> {
    let mut wide = match bytes.first() {
        Some(first) if first & 0x80 != 0 => [0xff; 16],
        _ => [0; 16],
    };
    let start = wide.len().checked_sub(bytes.len())?;
    wide.get_mut(start..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

/// Appends a `BigDecimal`: `12.34`, `1E+3`, `1E-7`.
pub(crate) fn push_big_decimal(unscaled: &[u8], scale: i32, out: &mut String) {
    let mut digits = String::new();
    push_big_integer(unscaled, &mut digits);
    let magnitude = match digits.strip_prefix('-') {
        Some(magnitude) => {
            out.push('-');
            magnitude
        }
        None => &digits,
    };
    let exponent = magnitude.len() as i64 - 1 - i64::from(scale);
    match usize::try_from(scale) {
        Ok(0) => out.push_str(magnitude),
        Ok(scale) if exponent >= -6 => push_plain(magnitude, scale, out),
        _ => {
            let (first, rest) = magnitude.split_at(1);
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            if exponent != 0 {
                out.push_str(if exponent > 0 { "E+" } else { "E" });
                push_integer(exponent, out);
            }
        }
    }
}

/// Appends digits of which `scale` are behind the point.
fn push_plain(digits: &str, scale: usize, out: &mut String) {
    match digits.len().checked_sub(scale) {
        None | Some(0) => {
            out.push_str("0.");
            out.extend(std::iter::repeat_n('0', scale.saturating_sub(digits.len())));
            out.push_str(digits);
        }
        Some(whole) => {
            let (whole, rest) = digits.split_at(whole);
            out.push_str(whole);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
        }
    }
}

/// Appends a SQL decimal, which never has an exponent; `scale` is at most 38.
pub(crate) fn push_sql_decimal(unscaled: i128, scale: i32, out: &mut String) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(unscaled.unsigned_abs());
    if unscaled < 0 {
        out.push('-');
    }
    push_plain(digits, usize::try_from(scale).unwrap_or(0), out);
}

/// The integer that `text` says, in two's complement with as few bytes as possible.
pub(crate) fn parse_big_integer(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse::<BigInt>().ok()?.to_signed_bytes_be())
}

/// The unscaled value and the scale of the decimal that `text` says.
pub(crate) fn parse_big_decimal(text: &str) -> Option<(Vec<u8>, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let scale = i64::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    Some((parse_big_integer(&digits)?, i32::try_from(scale).ok()?))
}

/// The unscaled value of a SQL decimal of this precision and scale; nothing is rounded.
pub(crate) fn parse_sql_decimal(text: &str, precision: i32, scale: i32) -> Option<i128> {
    let (unscaled, found) = parse_big_decimal(text)?;
    let unscaled = small(&unscaled)?;
    let power = |digits: i32| 10_i128.checked_pow(digits.unsigned_abs());
    let more = scale.checked_sub(found)?;
    let scaled = match more {
        0.. if unscaled == 0 => 0,
        0.. => unscaled.checked_mul(power(more)?)?,
        _ => {
            let power = power(more)?;
            (unscaled % power == 0).then_some(unscaled / power)?
        }
    };
    (scaled.unsigned_abs() < power(precision)?.unsigned_abs()).then_some(scaled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn double(value: f64) -> String {
        let mut out = String::new();
        push_double(value, &mut out);
        out
    }

    /// What Java 19 prints.
    #[test]
    fn doubles_are_as_java_prints_them() {
        let vectors = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (0.1, "0.1"),
            (0.001, "0.001"),
            (0.000_999, "9.99E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.9, "1.23456789E7"),
            (1e100, "1.0E100"),
            (-1e-100, "-1.0E-100"),
            (2e23, "2.0E23"),
            (f64::from_bits(1), "4.9E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (1.0 / 3.0, "0.3333333333333333"),
        ];
        for (value, text) in vectors {
            assert_eq!(double(value), text);
        }
        let mut out = String::new();
        push_single(3.4e38, &mut out);
        push_single(f32::from_bits(1), &mut out);
        push_single(0.1, &mut out);
        assert_eq!(out, "3.4E381.4E-450.1");
    }

    #[test]
    fn decimals_are_as_java_prints_them() {
        let vectors: [(i64, i32, &str); 14] = [
            (0, 0, "0"),
            (0, 3, "0.000"),
            (0, 7, "0E-7"),
            (0, -3, "0E+3"),
            (1234, 2, "12.34"),
            (-1234, 2, "-12.34"),
            (1234, 4, "0.1234"),
            (1, 6, "0.000001"),
            (1, 7, "1E-7"),
            (12, 8, "1.2E-7"),
            (1, -3, "1E+3"),
            (-125, -1, "-1.25E+3"),
            (10, 1, "1.0"),
            (7, i32::MAX, "7E-2147483647"),
        ];
        for (unscaled, scale, text) in vectors {
            let mut out = String::new();
            push_big_decimal(&unscaled.to_be_bytes(), scale, &mut out);
            assert_eq!(out, text);
            let (bytes, parsed) = parse_big_decimal(text).unwrap();
            assert_eq!((small(&bytes), parsed), (Some(unscaled.into()), scale), "{text}");
        }
        for text in ["", "-", "1.2.3", "e5", "1e", "x", "1 ", ".", "--1", "1.-2", "1e99999999999"] {
            assert_eq!(parse_big_decimal(text), None, "{text}");
        }
        assert_eq!(parse_big_decimal("+.5E+2"), Some((vec![5], -1)));
    }

    #[test]
    fn sql_decimals_are_never_rounded() {
        let vectors = [
            ("123.45", 20, 2, Some(12_345)),
            ("123.4", 5, 2, Some(12_340)),
            ("1E+2", 5, 2, Some(10_000)),
            ("1.20", 3, 1, Some(12)),
            ("1.25", 3, 1, None),
            ("1000", 3, 0, None),
            ("-999", 3, 0, Some(-999)),
            ("0E-40", 3, 0, None),
            ("0E+40", 3, 0, Some(0)),
        ];
        for (text, precision, scale, unscaled) in vectors {
            assert_eq!(parse_sql_decimal(text, precision, scale), unscaled, "{text}");
        }
        let mut out = String::new();
        push_sql_decimal(-5, 3, &mut out);
        push_sql_decimal(i128::MIN, 38, &mut out);
        push_sql_decimal(12, 0, &mut out);
        assert_eq!(out, "-0.005-1.7014118346046923173168730371588410572812");
    }

    #[test]
    fn integers_of_any_length() {
        let mut out = String::new();
        push_big_integer(&[], &mut out);
        push_big_integer(&[0x80], &mut out);
        push_big_integer(&[1; 17], &mut out);
        assert_eq!(out, "0-128341616807575530379006368233343265341697");
        let bytes = parse_big_integer("-341616807575530379006368233343265341697").unwrap();
        let mut out = String::new();
        push_big_integer(&bytes, &mut out);
        assert_eq!(out, "-341616807575530379006368233343265341697");
        assert_eq!(parse_big_integer("0").unwrap(), [0]);
        assert_eq!(parse_big_integer("_1"), None);
    }
}
