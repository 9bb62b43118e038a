//! Rows of CSV, as `dump` writes them.

use super::text::{COLUMNS, Input, LINE_LEN_BYTES_MAX, Read, Unit, WrongLine, unread};
use crate::Result;
use crate::format::canonical::Line;
use std::borrow::Cow;
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// Rows of CSV: the first names the [`COLUMNS`], in the others keys and values are JSON, and nothing stands for null and
/// for what there is not. They go by the number of their first line. Memory: one row, of 1 GiB at most.
pub struct Csv<R> {
    from: R,
    len_bytes_max: u64,
}

/// Reads so many bytes and then fails, until it is given more.
struct Limited<R> {
    from: R,
    left: Rc<Cell<u64>>,
}

impl<R: io::Read> io::Read for Limited<R> {
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

impl<R: io::Read> Csv<R> {
    /// Those that `from` holds, which need not be buffered.
    pub fn new(from: R) -> Self {
        Self::within(LINE_LEN_BYTES_MAX, from)
    }

    fn within(len_bytes_max: u64, from: R) -> Self {
        Self { from, len_bytes_max }
    }
}

impl<R: io::Read> Input for Csv<R> {
    fn unit(&self) -> Unit {
        Unit::Line
    }

    fn each(self, each: &mut dyn FnMut(u64, Read<'_>) -> Result<bool>) -> Result<()> {
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
                        let mut wrong = WrongLine::too_long(self.len_bytes_max);
                        wrong.message += "; is a quote not closed?";
                        each(number, Err(wrong))?;
                        return Ok(());
                    }
                    csv::ErrorKind::Io(error) => return Err(unread(error)),
                    csv::ErrorKind::Utf8 { pos, .. } => {
                        let number = pos.map_or(number, |pos| pos.line());
                        if !each(number, Err(WrongLine::new("no text in UTF-8")))? {
                            return Ok(());
                        }
                        continue;
                    }
                    other => {
                        each(number, Err(WrongLine::new(format!("CSV: {other:?}"))))?;
                        return Ok(());
                    }
                },
            }
            if std::mem::take(&mut is_head) {
                if row != COLUMNS[..] {
                    let message = format!("the first row names the columns: {}", COLUMNS.join(","));
                    each(number, Err(WrongLine::new(message)))?;
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

fn cells(row: &csv::StringRecord) -> Read<'_> {
    if row.len() != COLUMNS.len() {
        return Err(WrongLine::new(format!("{} cells, not {}", row.len(), COLUMNS.len())));
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
            let input = Csv::within(20_000, &mut from);
            let each = &mut |number, read: Read<'_>| {
                match read {
                    Ok(_) => rows += 1,
                    Err(WrongLine { message, .. }) => wrong = Some((number, message)),
                }
                Ok(true)
            };
            input.each(each).unwrap();
            assert_eq!((rows, &wrong), (300, &expected));
            assert!(text.len() - from.len() <= good.len() + 40_000, "no more was read");
        }
    }
}
