//! Figures as people read them: three digits and a unit.

/// Nanoseconds.
pub(crate) fn nanos(nanos: u64) -> String {
    seconds(nanos as f64 / 1e9)
}

/// Seconds.
pub(crate) fn seconds(seconds: f64) -> String {
    let (scale, unit) = match seconds {
        _ if seconds >= 0.9995 => (1.0, "s"),
        _ if seconds >= 0.9995e-3 => (1e3, "ms"),
        _ if seconds >= 0.9995e-6 => (1e6, "µs"),
        _ => (1e9, "ns"),
    };
    format!("{} {unit}", digits(seconds * scale))
}

/// Bytes.
pub(crate) fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut scaled, mut unit) = (bytes, 0);
    while scaled >= 999.5 && unit + 1 < units.len() {
        (scaled, unit) = (scaled / 1024.0, unit + 1);
    }
    format!("{} {}", digits(scaled), units.get(unit).unwrap_or(&""))
}

/// Operations in a second.
pub(crate) fn rate(rate: f64) -> String {
    match rate {
        _ if rate >= 999_500.0 => format!("{} m", digits(rate / 1e6)),
        _ if rate >= 999.5 => format!("{} k", digits(rate / 1e3)),
        _ => digits(rate),
    }
}

/// A number, its thousands apart.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut apart = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// Three digits, none behind the point that say nothing.
fn digits(number: f64) -> String {
    let places = match number {
        _ if number >= 99.95 || number == 0.0 => 0,
        _ if number >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{number:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_unit() {
        for (nanoseconds, text) in [
            (0, "0 ns"),
            (31, "31 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (12_345, "12.3 µs"),
            (1_500_000, "1.5 ms"),
            (999_999_999, "1 s"),
            (61_000_000_000, "61 s"),
        ] {
            assert_eq!(nanos(nanoseconds), text);
        }
        assert_eq!([bytes(0.0), bytes(999.0), bytes(1024.0)], ["0 B", "999 B", "1 KiB"]);
        assert_eq!(bytes(1536.0 * 1024.0 * 1024.0), "1.5 GiB");
        assert_eq!([rate(3.25), rate(1_234.0), rate(2_500_000.0)], ["3.25", "1.23 k", "2.5 m"]);
        assert_eq!([count(7), count(1_000), count(1_234_567)], ["7", "1,000", "1,234,567"]);
    }
}
