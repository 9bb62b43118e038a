//! Where the lines come from, and how they are written.

use super::quiet::quiet;
use crate::cmd::progress;
use clap::ValueEnum;
use esker::processor::columnar::Rows;
use esker::processor::load::{Bootstrap, COLUMNS, Csv, Jsonl, ReadError};
use esker::{Error, ErrorKind};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::Path;

const BUFFER_LEN_BYTES: usize = 1 << 16;

/// How canonical lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Jsonl,
    Csv,
    Parquet,
}

/// Lines of a file or of standard input.
pub(crate) enum Origin {
    /// Lines of JSON, or rows of CSV, and how many bytes, if that is known.
    Text(Format, Box<dyn BufRead>, u64),
    Rows(Box<Rows>),
}

/// That a file does not give its bytes.
fn unread(error: io::Error) -> ReadError {
    ReadError::Input(Error::new(ErrorKind::Retry, error.to_string()))
}

impl Origin {
    /// Opens `name`, standard input if it is `-`. If no format is given, it is the one that the name ends in,
    /// else the one that the bytes begin with. Parquet is read from its end: what is not on disk, as that of a
    /// pipe, goes to a file in the temporary folder first, which has no name.
    ///
    /// # Errors
    /// Those of reading and of the temporary folder, and that it is no Parquet file that can be read.
    pub(crate) fn open(name: &str, format: Option<Format>) -> Result<Self, ReadError> {
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
        let mut file = File::open(name).map_err(unread)?;
        let metadata = file.metadata().map_err(unread)?;
        if !metadata.is_file() {
            let from = BufReader::with_capacity(BUFFER_LEN_BYTES, file);
            return Self::of_pipe(Box::new(from), format);
        }
        let format = match format {
            Some(format) => format,
            None => {
                let mut front = Vec::new();
                let len_bytes = COLUMNS.join(",").len() as u64;
                (&mut file).take(len_bytes).read_to_end(&mut front).map_err(unread)?;
                file.rewind().map_err(unread)?;
                format_of(&front)
            }
        };
        if format == Format::Parquet {
            return Self::of_rows(file);
        }
        let from = BufReader::with_capacity(BUFFER_LEN_BYTES, file);
        Ok(Self::Text(format, Box::new(from), metadata.len()))
    }

    fn of_pipe(mut from: Box<dyn BufRead>, format: Option<Format>) -> Result<Self, ReadError> {
        let format = match format {
            Some(format) => format,
            None => format_of(from.fill_buf().map_err(unread)?),
        };
        if format != Format::Parquet {
            return Ok(Self::Text(format, from, 0));
        }
        let of_folder = |error: io::Error| {
            let message =
                format!("cannot keep what is read ({error}); TMPDIR names another folder");
            ReadError::Folder(Error::new(ErrorKind::Retry, message))
        };
        let mut file = tempfile::tempfile().map_err(of_folder)?;
        loop {
            let read = from.fill_buf().map_err(unread)?;
            if read.is_empty() {
                break;
            }
            file.write_all(read).map_err(of_folder)?;
            let len = read.len();
            from.consume(len);
        }
        Self::of_rows(file)
    }

    fn of_rows(file: File) -> Result<Self, ReadError> {
        quiet();
        Ok(Self::Rows(Box::new(Rows::open(file).map_err(ReadError::Input)?)))
    }

    /// Gives `bootstrap` every line, and shows how far it has come.
    ///
    /// # Errors
    /// As for [`Bootstrap::read`].
    pub(crate) fn read(self, bootstrap: &mut Bootstrap<'_>) -> Result<(), ReadError> {
        match self {
            Self::Text(format, from, len_bytes) => {
                let bar = progress(len_bytes, "bytes read");
                let from = BufReader::with_capacity(BUFFER_LEN_BYTES, bar.wrap_read(from));
                let done = match format {
                    Format::Csv => bootstrap.read(Csv::new(from), &mut |_| {}),
                    _ => bootstrap.read(Jsonl::new(from), &mut |_| {}),
                };
                bar.finish_and_clear();
                done
            }
            Self::Rows(rows) => {
                let bar = progress(rows.count(), "rows read");
                let done = bootstrap.read(*rows, &mut |rows| bar.inc(rows));
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
