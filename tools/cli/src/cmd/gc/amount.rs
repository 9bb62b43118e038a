//! Times and rates as arguments.

use esker::checkpoint::Rate;
use std::num::NonZeroU64;
use std::time::Duration;

/// `90s`, `15m`, `12h`, `7d`, `2w`.
pub(in crate::cmd) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
    let seconds = scaled(text, &units);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| "a time with its unit: 90s, 15m, 12h, 7d, 2w".into())
}

/// `100`: files per second; `50MiB`, `50MB`: bytes per second.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let files = text.parse().ok().and_then(NonZeroU64::new).map(Rate::Files);
    let bytes = || scaled(text, &units).and_then(NonZeroU64::new).map(Rate::Bytes);
    files.or_else(bytes).ok_or_else(|| {
        "so much per second, from 1 on: 100 files, or bytes with their unit, 50MiB or 50MB".into()
    })
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_have_units_and_anything_else_is_refused() {
        let seconds =
            ["0s", "90s", "15m", "12h", "7d", "2w"].map(|text| duration(text).unwrap().as_secs());
        assert_eq!(seconds, [0, 90, 900, 43_200, 604_800, 1_209_600]);
        for bad in ["", "5", "d", "-1d", "1.5h", "1y", "99999999999999999w"] {
            assert!(duration(bad).unwrap_err().contains("15m"), "{bad}");
        }
        let number = |number| NonZeroU64::new(number).unwrap();
        assert_eq!(rate("100"), Ok(Rate::Files(number(100))));
        assert_eq!(rate("3KiB"), Ok(Rate::Bytes(number(3072))));
        assert_eq!(rate("2MB"), Ok(Rate::Bytes(number(2_000_000))));
        assert_eq!(rate("7B"), Ok(Rate::Bytes(number(7))));
        for bad in ["", "0", "0MiB", "MiB", "-5", "1mib", "fast"] {
            assert!(rate(bad).unwrap_err().contains("50MiB"), "{bad}");
        }
    }
}
