//! The demo's input: departures, a row each, in the order of the file.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Departures from New York's airports in 2013 (US Bureau of Transportation Statistics, CC0).
const FLIGHTS_2013: &[u8] = include_bytes!("../../../../examples/data/flights-2013.csv.zst");

/// The columns that a file must have, in any order; others are passed over.
const COLUMNS: [&str; 7] =
    ["time_hour", "carrier", "tailnum", "origin", "dest", "arr_delay", "distance"];

/// A scheduled departure.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Flight {
    /// The scheduled hour, as it stands in the file.
    pub(crate) time_hour: String,
    /// The same in milliseconds since the epoch.
    pub(crate) time_ms: i64,
    pub(crate) carrier: String,
    /// The aircraft, where it was recorded.
    pub(crate) tailnum: Option<String>,
    pub(crate) origin: String,
    pub(crate) dest: String,
    /// Minutes; negative is early.
    pub(crate) arr_delay: Option<i64>,
    /// Miles.
    pub(crate) distance: u64,
}

/// Reads the rows of a file, skipping none.
pub(crate) struct Flights {
    rows: csv::StringRecordsIntoIter<Box<dyn Read + Send>>,
    /// Where each of [`COLUMNS`] stands in a row.
    at: [usize; COLUMNS.len()],
    path: String,
    /// Watermarks never go back.
    last_ms: i64,
}

impl Flights {
    /// The rows of `path`, or of the file that is built in; a name that ends in `.zst` is unpacked.
    ///
    /// # Errors
    /// If the file cannot be opened, or lacks a column.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, String> {
        let name = path.map_or("flights-2013.csv.zst".into(), |path| path.display().to_string());
        let failed = |error: io::Error| format!("{name}: {error}");
        let input: Box<dyn Read + Send> = match path {
            None => Box::new(zstd::Decoder::new(FLIGHTS_2013).map_err(failed)?),
            Some(path) => {
                let file = File::open(path).map_err(failed)?;
                if path.extension().is_some_and(|extension| extension == "zst") {
                    Box::new(zstd::Decoder::new(file).map_err(failed)?)
                } else {
                    Box::new(BufReader::new(file))
                }
            }
        };
        let mut reader = csv::Reader::from_reader(input);
        let header = reader.headers().map_err(|error| format!("{name}: {error}"))?;
        let mut at = [0; COLUMNS.len()];
        for (at, column) in at.iter_mut().zip(COLUMNS) {
            let found = header.iter().position(|name| name == column);
            *at = found.ok_or_else(|| format!("{name}: line 1: there is no column {column}"))?;
        }
        Ok(Self { rows: reader.into_records(), at, path: name, last_ms: i64::MIN })
    }

    fn flight(&mut self, row: &csv::StringRecord) -> Result<Flight, String> {
        let line = row.position().map_or(0, csv::Position::line);
        let path = &self.path;
        let cell = |column: usize| row.get(self.at[column]).unwrap_or_default();
        let refuse = |column: usize, why: &str| {
            let (name, text) = (COLUMNS[column], cell(column));
            format!("{path}: line {line}, column {name}: {why}: {text:?}")
        };
        let required = |column: usize| {
            let text = cell(column);
            if text.is_empty() { Err(refuse(column, "it is empty")) } else { Ok(text.to_owned()) }
        };
        let time_hour = required(0)?;
        let time: jiff::Timestamp =
            time_hour.parse().map_err(|_| refuse(0, "not an RFC 3339 time"))?;
        let time_ms = time.as_millisecond();
        if time_ms < self.last_ms {
            return Err(refuse(0, "earlier than the row before"));
        }
        let arr_delay = match cell(5) {
            "" => None,
            text => Some(text.parse().map_err(|_| refuse(5, "not a whole number"))?),
        };
        let flight = Flight {
            time_ms,
            carrier: required(1)?,
            tailnum: Some(cell(2).to_owned()).filter(|tailnum| !tailnum.is_empty()),
            origin: required(3)?,
            dest: required(4)?,
            arr_delay,
            distance: cell(6).parse().map_err(|_| refuse(6, "not a whole number"))?,
            time_hour,
        };
        self.last_ms = time_ms;
        Ok(flight)
    }
}

impl Iterator for Flights {
    type Item = Result<Flight, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(match row {
            Ok(row) => self.flight(&row),
            Err(error) => Err(format!("{}: {error}", self.path)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<Flight>, String> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("esker-flights-{}-{number}.csv", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let rows = Flights::open(Some(&path)).and_then(Iterator::collect);
        std::fs::remove_file(path).unwrap();
        rows
    }

    #[test]
    fn the_built_in_file_has_the_rows_that_its_publisher_counts() {
        let flights: Vec<_> = Flights::open(None).unwrap().map(Result::unwrap).collect();
        assert_eq!(flights.len(), 336_776);
        assert_eq!(flights[0].time_ms, 1_357_034_400_000);
        assert_eq!(flights[0].tailnum.as_deref(), Some("N14228"));
    }

    #[test]
    fn a_bad_row_is_named_by_line_and_column() {
        let header = "time_hour,carrier,tailnum,origin,dest,arr_delay,distance\n";
        let good = "2013-01-01T10:00:00Z,UA,N1,EWR,IAH,11,1400\n";
        assert_eq!(rows(&format!("{header}{good}")).unwrap().len(), 1);
        for (bad, column) in [
            ("yesterday,UA,N1,EWR,IAH,11,1400\n", "time_hour"),
            ("2013-01-01T09:00:00Z,UA,N1,EWR,IAH,11,1400\n", "time_hour"),
            ("2013-01-01T10:00:00Z,,N1,EWR,IAH,11,1400\n", "carrier"),
            ("2013-01-01T10:00:00Z,UA,,EWR,IAH,eleven,1400\n", "arr_delay"),
            ("2013-01-01T10:00:00Z,UA,,EWR,IAH,,-1\n", "distance"),
        ] {
            let error = rows(&format!("{header}{good}{bad}")).unwrap_err();
            assert!(error.contains("line 3") && error.contains(column), "{error}");
        }
        let error = rows(&format!("{header}{good}short,row\n")).unwrap_err();
        assert!(error.contains("line: 3"), "{error}");
        let error = rows("time_hour,carrier\n").unwrap_err();
        assert!(error.contains("tailnum"), "{error}");
    }
}
