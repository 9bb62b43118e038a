//! Dates and times as Java's `toString` prints them, and back.

use super::number::push_integer;

const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: u32 = 1_000_000_000;
/// The years of Java's `LocalDate` are at most this, before and after the beginning.
const YEAR_MAX: i32 = 999_999_999;
/// The first and last second of Java's `Instant`, whose years are one more.
pub(crate) const SECONDS_MIN: i64 = -31_557_014_167_219_200;
pub(crate) const SECONDS_MAX: i64 = 31_556_889_864_403_199;

/// A day of the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i32,
    pub(crate) month: u8,
    pub(crate) day: u8,
}

/// A time of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) nanos: u32,
}

/// Seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

impl Date {
    /// The day, if there is one.
    pub(crate) fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        Self::of_any_year(year, month, day).filter(|date| date.is_local())
    }

    /// Whether it is in the years of `LocalDate`.
    fn is_local(self) -> bool {
        (-YEAR_MAX..=YEAR_MAX).contains(&self.year)
    }

    fn of_any_year(year: i32, month: u8, day: u8) -> Option<Self> {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        (1..=last).contains(&day).then_some(Self { year, month, day })
    }

    /// The day that is so many after 1970-01-01, within Java's years.
    fn of_days(days: i64) -> Self {
        // Eras of 400 years that begin on a first of March, so that leap days come last.
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let months = (5 * of_year + 2) / 153;
        let day = of_year - (153 * months + 2) / 5 + 1;
        let month = if months < 10 { months + 3 } else { months - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year: year as i32, month: month as u8, day: day as u8 }
    }

    /// How many days it is after 1970-01-01.
    fn days(self) -> i64 {
        let (month, day) = (i64::from(self.month), i64::from(self.day));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        era * 146_097 + of_era - 719_468
    }

    /// Appends `2024-02-29`; years of more than four digits have a sign.
    pub(crate) fn push(self, out: &mut String) {
        let year = self.year.unsigned_abs();
        if self.year < 0 {
            out.push('-');
        } else if year > 9999 {
            out.push('+');
        }
        if year < 1000 {
            out.push_str(if year < 10 {
                "000"
            } else if year < 100 {
                "00"
            } else {
                "0"
            });
        }
        push_integer(year, out);
        out.push('-');
        push_two(self.month, out);
        out.push('-');
        push_two(self.day, out);
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::parse_any_year(text).filter(|date| date.is_local())
    }

    fn parse_any_year(text: &str) -> Option<Self> {
        let (sign, rest) = match text.as_bytes().first()? {
            b'-' => (-1, text.get(1..)?),
            b'+' => (1, text.get(1..)?),
            _ => (1, text),
        };
        let (year, rest) = rest.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let number = match year.len() {
            4..=9 => digits(year)?.cast_signed(),
            _ if year == "1000000000" => 1_000_000_000,
            _ => return None,
        };
        Self::of_any_year(sign * number, two(month)?, two(day)?)
    }
}

impl Time {
    /// The time, if there is one.
    pub(crate) fn new(hour: u8, minute: u8, second: u8, nanos: u32) -> Option<Self> {
        let fits = hour < 24 && minute < 60 && second < 60 && nanos < NANOS_PER_SECOND;
        fits.then_some(Self { hour, minute, second, nanos })
    }

    fn of_seconds(seconds: i64, nanos: u32) -> Self {
        let seconds = seconds as u32;
        let (hour, rest) = (seconds / 3600, seconds % 3600);
        Self { hour: hour as u8, minute: (rest / 60) as u8, second: (rest % 60) as u8, nanos }
    }

    fn seconds(self) -> i64 {
        i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second)
    }

    /// Nanoseconds of the day.
    pub(crate) fn nanos_of_day(self) -> i64 {
        self.seconds() * i64::from(NANOS_PER_SECOND) + i64::from(self.nanos)
    }

    /// Appends `10:15`, `10:15:30`, `10:15:30.123`: what is 0 at the end is left out.
    pub(crate) fn push(self, out: &mut String) {
        self.push_with(self.second > 0 || self.nanos > 0, out);
    }

    fn push_with(self, seconds: bool, out: &mut String) {
        push_two(self.hour, out);
        out.push(':');
        push_two(self.minute, out);
        if !seconds {
            return;
        }
        out.push(':');
        push_two(self.second, out);
        if self.nanos == 0 {
            return;
        }
        let mut buffer = itoa::Buffer::new();
        // The digit in front keeps the zeros.
        let digits = buffer.format(self.nanos + NANOS_PER_SECOND);
        let shown = match self.nanos {
            nanos if nanos % 1_000_000 == 0 => 3,
            nanos if nanos % 1_000 == 0 => 6,
            _ => 9,
        };
        out.push('.');
        out.push_str(digits.get(1..=shown).unwrap_or_default());
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (hour, rest) = text.split_once(':')?;
        let (minute, rest) = rest.split_once(':').map_or((rest, None), |(m, s)| (m, Some(s)));
        let (second, fraction) = match rest {
            Some(rest) => rest.split_once('.').unwrap_or((rest, "0")),
            None => ("00", "0"),
        };
        let places = u32::try_from(fraction.len()).ok().filter(|places| *places <= 9)?;
        let nanos = digits(fraction)? * 10_u32.pow(9 - places);
        Self::new(two(hour)?, two(minute)?, two(second)?, nanos)
    }
}

impl Moment {
    /// So many milliseconds after 1970.
    pub(crate) fn of_millis(millis: i64) -> Self {
        let nanos = millis.rem_euclid(1000) as u32 * 1_000_000;
        Self { seconds: millis.div_euclid(1000), nanos }
    }

    /// Milliseconds since 1970, without what is less than one; `None` if they do not fit.
    pub(crate) fn millis(self) -> Option<i64> {
        // In this order the last second before the limit fits too.
        let millis = i128::from(self.seconds) * 1000 + i128::from(self.nanos / 1_000_000);
        i64::try_from(millis).ok()
    }

    /// Whether Java's years reach so far.
    pub(crate) fn is_possible(self) -> bool {
        (SECONDS_MIN..=SECONDS_MAX).contains(&self.seconds) && self.nanos < NANOS_PER_SECOND
    }

    /// Day and time in UTC.
    pub(crate) fn civil(self) -> (Date, Time) {
        let seconds = self.seconds.clamp(SECONDS_MIN, SECONDS_MAX);
        let date = Date::of_days(seconds.div_euclid(SECONDS_PER_DAY));
        (date, Time::of_seconds(seconds.rem_euclid(SECONDS_PER_DAY), self.nanos))
    }

    /// The moment of a day and time in UTC.
    pub(crate) fn of_civil(date: Date, time: Time) -> Self {
        Self { seconds: date.days() * SECONDS_PER_DAY + time.seconds(), nanos: time.nanos }
    }

    /// Appends `2020-09-13T12:27:40.000000060Z`.
    pub(crate) fn push(self, out: &mut String) {
        let (date, time) = self.civil();
        date.push(out);
        out.push('T');
        time.push_with(true, out);
        out.push('Z');
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let moment = Self::of_civil(Date::parse_any_year(date)?, Time::parse(time)?);
        Some(moment).filter(|moment| moment.is_possible())
    }
}

/// Appends `2020-01-01T01:00`.
pub(crate) fn push_civil(date: Date, time: Time, out: &mut String) {
    date.push(out);
    out.push('T');
    time.push(out);
}

pub(crate) fn parse_civil(text: &str) -> Option<(Date, Time)> {
    let (date, time) = text.split_once('T')?;
    Some((Date::parse(date)?, Time::parse(time)?))
}

fn push_two(value: u8, out: &mut String) {
    out.push(char::from(b'0' + value / 10 % 10));
    out.push(char::from(b'0' + value % 10));
}

/// Digits and nothing else, at most 9.
fn digits(text: &str) -> Option<u32> {
    let all = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| all && text.len() <= 9)
}

fn two(text: &str) -> Option<u8> {
    (text.len() == 2).then(|| digits(text)).flatten().and_then(|value| value.try_into().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn text(push: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        push(&mut out);
        out
    }

    #[test]
    fn dates_and_times_are_as_java_prints_them() {
        let dates = [
            (2024, 2, 29, "2024-02-29"),
            (0, 1, 1, "0000-01-01"),
            (-1, 12, 31, "-0001-12-31"),
            (99, 3, 4, "0099-03-04"),
            (10_000, 1, 1, "+10000-01-01"),
            (-999_999_999, 1, 1, "-999999999-01-01"),
        ];
        for (year, month, day, printed) in dates {
            let date = Date::new(year, month, day).unwrap();
            assert_eq!(text(|out| date.push(out)), printed);
            assert_eq!(Date::parse(printed), Some(date));
        }
        assert_eq!(Date::new(2023, 2, 29), None);
        assert_eq!(Date::new(1_000_000_000, 1, 1), None);
        let times = [
            (0, 0, 0, 0, "00:00"),
            (23, 59, 0, 1, "23:59:00.000000001"),
            (1, 2, 3, 40_000_000, "01:02:03.040"),
            (1, 2, 3, 4_000, "01:02:03.000004"),
            (1, 2, 3, 0, "01:02:03"),
        ];
        for (hour, minute, second, nanos, printed) in times {
            let time = Time::new(hour, minute, second, nanos).unwrap();
            assert_eq!(text(|out| time.push(out)), printed);
            assert_eq!(Time::parse(printed), Some(time));
        }
        for wrong in ["", "1:00", "24:00", "00:60", "00:00:0", "00:00:00.1234567890", "0a:00"] {
            assert_eq!(Time::parse(wrong), None, "{wrong}");
        }
        for wrong in ["", "-", "2024-2-01", "2024-01", "99-01-01", "2024-01-01-01", "20x4-01-01"] {
            assert_eq!(Date::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_are_as_java_prints_them() {
        let moments = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (-1, 999_000_000, "1969-12-31T23:59:59.999Z"),
            (SECONDS_MIN, 0, "-1000000000-01-01T00:00:00Z"),
            (SECONDS_MAX, 999_999_999, "+1000000000-12-31T23:59:59.999999999Z"),
            (253_402_300_800, 0, "+10000-01-01T00:00:00Z"),
            (-62_167_219_201, 0, "-0001-12-31T23:59:59Z"),
        ];
        for (seconds, nanos, printed) in moments {
            let moment = Moment { seconds, nanos };
            assert_eq!(text(|out| moment.push(out)), printed);
            assert_eq!(Moment::parse(printed), Some(moment));
        }
        assert_eq!(Moment::of_millis(-1), Moment { seconds: -1, nanos: 999_000_000 });
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            assert_eq!(Moment::of_millis(millis).millis(), Some(millis));
        }
        assert_eq!(Moment { seconds: i64::MAX, nanos: 0 }.millis(), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(seconds in -9_999_999_999_999_i64..9_999_999_999_999, nanos in 0_u32..1_000_000_000) {
            let moment = Moment { seconds, nanos };
            let (date, time) = moment.civil();
            prop_assert_eq!(Date::new(date.year, date.month, date.day), Some(date));
            prop_assert_eq!(Moment::of_civil(date, time), moment);
            prop_assert_eq!(Moment::parse(&text(|out| moment.push(out))), Some(moment));
            prop_assert_eq!(parse_civil(&text(|out| push_civil(date, time, out))), Some((date, time)));
        }
    }
}
