//! Text that is loaded: lines of JSON, or rows of CSV as `dump` writes them.

use clap::ValueEnum;
use esker::format::canonical::Line;
use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

/// The columns of CSV, in their order.
pub(crate) const COLUMNS: [&str; 8] =
    ["operator", "state", "kind", "key", "namespace", "userKey", "value", "ttl"];
/// No line or row is longer: a value takes less than half of it.
const LINE_LEN_BYTES_MAX: u64 = 1 << 30;

/// How canonical lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Jsonl,
    Csv,
    Parquet,
}

/// Lines from somewhere.
pub(crate) struct Input<R> {
    from: R,
    len_bytes_max: u64,
}

/// Reads so many bytes and then fails, until it is given more.
struct Limited<R> {
    from: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.from.read(out)?;
        self.left.set(left.saturating_sub(read as u64));
        Ok(read)
    }
}

/// A line, or what is wrong with it: where in it, if that is known, and why.
pub(crate) type Read1<'a> = Result<(&'a str, Line<'a>), (Option<usize>, String)>;

impl<R: BufRead> Input<R> {
    pub(crate) fn new(from: R) -> Self {
        Self::within(LINE_LEN_BYTES_MAX, from)
    }

    fn within(len_bytes_max: u64, from: R) -> Self {
        Self { from, len_bytes_max }
    }

    /// Calls `each` with the number of every line of JSON, from 1 on, and the line, until it says no; blank
    /// lines are passed over. Behind one that is too long none is read. Memory: one line.
    ///
    /// # Errors
    /// Those of reading and of `each`.
    pub(crate) fn jsonl<E: From<io::Error>>(
        mut self,
        each: &mut dyn FnMut(u64, Read1<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let (mut bytes, len_bytes_max) = (Vec::new(), self.len_bytes_max);
        for number in 1.. {
            bytes.clear();
            let mut limited = (&mut self.from).take(len_bytes_max);
            if limited.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            let is_whole = bytes.last() == Some(&b'\n') || bytes.len() as u64 != len_bytes_max;
            let line = match std::str::from_utf8(&bytes) {
                _ if !is_whole => Err((None, too_long(len_bytes_max))),
                Err(error) => Err((Some(error.valid_up_to()), "no text in UTF-8".to_owned())),
                Ok(text) => {
                    let text = text.trim_end_matches(['\n', '\r']);
                    if text.trim().is_empty() {
                        continue;
                    }
                    let line = Line::parse(text).map(|line| (text, line));
                    line.map_err(|e| {
                        (e.offset.map(|at| at as usize), format!("JSON: {}", e.message))
                    })
                }
            };
            if !each(number, line)? || !is_whole {
                break;
            }
        }
        Ok(())
    }

    /// The same of rows of CSV; they go by the number of their first line.
    ///
    /// # Errors
    /// Those of reading and of `each`.
    pub(crate) fn csv<E: From<io::Error>>(
        self,
        each: &mut dyn FnMut(u64, Read1<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let left = Rc::new(Cell::new(0));
        let from = Limited { from: self.from, left: Rc::clone(&left) };
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(from);
        let mut row = csv::StringRecord::new();
        let mut is_head = true;
        loop {
            left.set(self.len_bytes_max);
            let read = reader.read_record(&mut row);
            let number = row.position().map_or(0, csv::Position::line);
            match read {
                Ok(false) => return Ok(()),
                Ok(true) => {}
                Err(error) => match error.into_kind() {
                    // A quote that nothing closes makes one row of all that follows.
                    csv::ErrorKind::Io(_) if left.get() == 0 => {
                        let message = too_long(self.len_bytes_max);
                        each(number, Err((None, message + "; is a quote not closed?")))?;
                        return Ok(());
                    }
                    csv::ErrorKind::Io(error) => return Err(error.into()),
                    csv::ErrorKind::Utf8 { pos, .. } => {
                        let number = pos.map_or(number, |pos| pos.line());
                        each(number, Err((None, "no text in UTF-8".to_owned())))?;
                        continue;
                    }
                    other => {
                        each(number, Err((None, format!("CSV: {other:?}"))))?;
                        return Ok(());
                    }
                },
            }
            if std::mem::take(&mut is_head) {
                if row != COLUMNS[..] {
                    let message = format!("the first row names the columns: {}", COLUMNS.join(","));
                    each(number, Err((None, message)))?;
                    return Ok(());
                }
                continue;
            }
            if !each(number, cells(&row))? {
                return Ok(());
            }
        }
    }
}

fn too_long(len_bytes_max: u64) -> String {
    format!("longer than {len_bytes_max} bytes")
}

fn cells(row: &csv::StringRecord) -> Read1<'_> {
    if row.len() != COLUMNS.len() {
        return Err((None, format!("{} cells, not {}", row.len(), COLUMNS.len())));
    }
    let text = |at: usize| Cow::Borrowed(row.get(at).unwrap_or_default());
    // Nothing stands for null, and for what there is not.
    let json = |at: usize| row.get(at).map(|cell| if cell.is_empty() { "null" } else { cell });
    let line = Line {
        operator: text(0),
        state: text(1),
        kind: text(2),
        key: json(3),
        namespace: json(4),
        user_key: json(5),
        value: json(6),
        ttl: json(7),
    };
    Ok(("", line))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_does_not_end_is_told_by_its_line_once_it_is_too_long() {
        let head = COLUMNS.join(",") + "\n";
        let row = format!("delays,count,value,{},,,7,\n", "1".repeat(500));
        // Each row within the limit, all of them far beyond it; then a stray quote.
        let good = head + &row.repeat(300);
        for (text, expected) in [
            (good.clone(), None),
            (
                format!("{good}\"{}", row.repeat(100_000)),
                Some((302, "longer than 20000 bytes; is a quote not closed?".to_owned())),
            ),
        ] {
            let mut from = text.as_bytes();
            let (mut rows, mut wrong) = (0, None);
            let input = Input::within(20_000, &mut from);
            let each = &mut |number, read: Read1<'_>| {
                match read {
                    Ok(_) => rows += 1,
                    Err((_, message)) => wrong = Some((number, message)),
                }
                Ok::<_, io::Error>(true)
            };
            input.csv(each).unwrap();
            assert_eq!((rows, &wrong), (300, &expected));
            assert!(text.len() - from.len() <= good.len() + 40_000, "no more was read");
        }
    }
}
