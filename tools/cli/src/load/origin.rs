//! Where the lines come from, and how they are written.

use super::input::{COLUMNS, Format, Input, Read1};
use crate::cmd::progress;
use crate::columnar::{Bad, Rows};
use esker::Error;
use esker::ErrorKind;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::Path;

const BUFFER_LEN_BYTES: usize = 1 << 16;

/// Lines of a file or of standard input.
pub(crate) enum Origin {
    /// Lines of JSON, or rows of CSV, and how many bytes, if that is known.
    Text(Format, Box<dyn BufRead>, u64),
    Rows(Box<Rows>),
}

/// Why reading ended before its end.
pub(crate) enum Ended {
    Input(io::Error),
    Parquet(Bad),
    /// In the temporary folder.
    Spool(Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

impl From<Bad> for Ended {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Io(error) => Self::Input(error),
            bad => Self::Parquet(bad),
        }
    }
}

impl Origin {
    /// Opens `name`, standard input if it is `-`. If no format is given, it is the one that the name ends in,
    /// else the one that the bytes begin with. Parquet is read from its end: what is not on disk, as that of a
    /// pipe, goes to a file in the temporary folder first, which has no name.
    ///
    /// # Errors
    /// Those of reading and of the temporary folder, and [`Bad`].
    pub(crate) fn open(name: &str, format: Option<Format>) -> Result<Self, Ended> {
        if name == "-" {
            let from = BufReader::with_capacity(BUFFER_LEN_BYTES, io::stdin().lock());
            return Self::of_pipe(Box::new(from), format);
        }
        let by_name = Path::new(name).extension().and_then(|extension| match extension.to_str() {
            Some("csv") => Some(Format::Csv),
            Some("parquet") => Some(Format::Parquet),
            _ => None,
        });
        let format = format.or(by_name);
        let mut file = File::open(name)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            let from = BufReader::with_capacity(BUFFER_LEN_BYTES, file);
            return Self::of_pipe(Box::new(from), format);
        }
        let format = match format {
            Some(format) => format,
            None => {
                let mut front = Vec::new();
                let len_bytes = COLUMNS.join(",").len() as u64;
                (&mut file).take(len_bytes).read_to_end(&mut front)?;
                file.rewind()?;
                format_of(&front)
            }
        };
        if format == Format::Parquet {
            return Ok(Self::Rows(Box::new(Rows::open(file)?)));
        }
        let from = BufReader::with_capacity(BUFFER_LEN_BYTES, file);
        Ok(Self::Text(format, Box::new(from), metadata.len()))
    }

    fn of_pipe(mut from: Box<dyn BufRead>, format: Option<Format>) -> Result<Self, Ended> {
        let format = match format {
            Some(format) => format,
            None => format_of(from.fill_buf()?),
        };
        if format != Format::Parquet {
            return Ok(Self::Text(format, from, 0));
        }
        let of_folder = |error: io::Error| {
            let message =
                format!("cannot keep what is read ({error}); TMPDIR names another folder");
            Ended::Spool(Error::new(ErrorKind::Retry, message))
        };
        let mut file = tempfile::tempfile().map_err(of_folder)?;
        loop {
            let read = from.fill_buf()?;
            if read.is_empty() {
                break;
            }
            file.write_all(read).map_err(of_folder)?;
            let len = read.len();
            from.consume(len);
        }
        Ok(Self::Rows(Box::new(Rows::open(file)?)))
    }

    /// What one of its lines is called.
    pub(crate) fn unit(&self) -> &'static str {
        if matches!(self, Self::Rows(_)) { "row" } else { "line" }
    }

    /// Calls `each` with every line and its number until it says no.
    ///
    /// # Errors
    /// Those of reading and of `each`.
    pub(crate) fn each(
        self,
        each: &mut dyn FnMut(u64, Read1<'_>) -> Result<bool, Error>,
    ) -> Result<(), Ended> {
        let each = &mut |number, read: Read1<'_>| each(number, read).map_err(Ended::Spool);
        match self {
            Self::Text(format, from, len_bytes) => {
                let bar = progress(len_bytes, "bytes read");
                let from = BufReader::with_capacity(BUFFER_LEN_BYTES, bar.wrap_read(from));
                let input = Input::new(from);
                let done = match format {
                    Format::Csv => input.csv(each),
                    _ => input.jsonl(each),
                };
                bar.finish_and_clear();
                done
            }
            Self::Rows(rows) => {
                let bar = progress(rows.count(), "rows read");
                let done = rows.each(&mut |number, read| {
                    bar.inc(1);
                    each(number, read)
                });
                bar.finish_and_clear();
                done
            }
        }
    }
}

fn format_of(front: &[u8]) -> Format {
    if front.starts_with(b"PAR1") {
        Format::Parquet
    } else if front.starts_with(COLUMNS.join(",").as_bytes()) {
        Format::Csv
    } else {
        Format::Jsonl
    }
}
