//! Rows of a Parquet file, whoever wrote it.

use super::HEAD;
use super::column::Column;
use super::contain::contained;
use super::footer::metadata;
use super::pages::PageFile;
use super::shape::Shape;
use crate::format::canonical::Line;
use crate::processor::load::{COLUMNS, Input, Read, Unit, WrongLine};
use crate::{Error, ErrorKind};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// So many rows are decoded at once at most.
const ROWS_MAX: u64 = 1024;

/// Why a file gives no rows, or no more.
#[derive(Debug)]
pub(super) enum Bad {
    Io(io::Error),
    /// It is not, or no longer, what was written.
    Damaged(String),
    /// It has not the columns that rows have, or in no way that is read.
    Columns(String),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Bad> for Error {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Io(error) => Self::new(ErrorKind::Retry, error.to_string()),
            Bad::Damaged(message) => Self::new(ErrorKind::Corrupt, message),
            Bad::Columns(message) => Self::new(ErrorKind::Unsupported, message),
        }
    }
}

/// The rows of a file.
pub struct Rows {
    file: Arc<PageFile>,
    metadata: ParquetMetaData,
    /// For each of [`COLUMNS`], its place in the file and what it holds.
    columns: [Option<(usize, Shape)>; COLUMNS.len()],
}

impl Rows {
    /// Reads the footer.
    ///
    /// # Errors
    /// Those of [`Input::each`], for any bytes.
    pub fn open(file: File) -> Result<Self, Error> {
        Ok(Self::opened(file)?)
    }

    pub(super) fn opened(mut file: File) -> Result<Self, Bad> {
        let metadata = metadata(&mut file)?;
        let columns = columns(&metadata)?;
        Ok(Self { file: Arc::new(PageFile(file)), metadata, columns })
    }

    /// How many there are, as the footer has it.
    pub fn count(&self) -> u64 {
        let of_groups = self.metadata.row_groups().iter().map(RowGroupMetaData::num_rows);
        of_groups.fold(0, |sum, rows| sum.saturating_add(u64::try_from(rows).unwrap_or(0)))
    }

    /// Calls `each` with the number of every row, from 1 on, and its line, until it says no. Memory: a page of
    /// each column, and what it takes to decode it.
    ///
    /// # Errors
    /// [`Bad`], for any bytes, and those of `each`.
    pub(super) fn rows<E: From<Bad>>(
        self,
        each: &mut dyn FnMut(u64, Read<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut number = 0;
        for (group_number, group) in self.metadata.row_groups().iter().enumerate() {
            let damaged = |number: u64, why: String| {
                Bad::Damaged(format!("row group {group_number}, after row {number}: {why}"))
            };
            let mut columns = self.open_group(group_number, group)?;
            let mut left = u64::try_from(group.num_rows())
                .map_err(|_| damaged(number, "less than no rows".to_owned()))?;
            while left > 0 {
                let rows = columns.iter().flatten().map(Column::left).min();
                let rows = rows.unwrap_or(1).clamp(1, left.min(ROWS_MAX));
                for (name, column) in named(&mut columns) {
                    let done = contained(|| column.read(rows as usize));
                    done.unwrap_or_else(|panic| Err(ParquetError::General(panic))).map_err(
                        |error| match error {
                            ParquetError::NYI(why) => Bad::Columns(format!("column {name}: {why}")),
                            other => damaged(number, format!("column {name}: {}", text_of(other))),
                        },
                    )?;
                }
                left -= rows;
                for row in 0..rows as usize {
                    number += 1;
                    let cells = columns.each_ref().map(|column| column.as_ref()?.cell(row));
                    if !each(number, line(&cells))? {
                        return Ok(());
                    }
                }
            }
            for (name, column) in named(&mut columns) {
                let more = contained(|| column.read(1));
                if matches!(more, Ok(Ok(()))) {
                    let why = format!("column {name}: more values than there are rows");
                    return Err(damaged(number, why).into());
                }
            }
        }
        Ok(())
    }

    fn open_group(
        &self,
        number: usize,
        group: &RowGroupMetaData,
    ) -> Result<[Option<Column>; COLUMNS.len()], Bad> {
        let mut columns = [const { None }; COLUMNS.len()];
        for ((column, place), name) in columns.iter_mut().zip(self.columns).zip(COLUMNS) {
            let Some((at, shape)) = place else { continue };
            let damaged =
                |why: String| Bad::Damaged(format!("row group {number}: column {name}: {why}"));
            let chunk = group.columns().get(at);
            let chunk = chunk.ok_or_else(|| damaged("it is not there".to_owned()))?;
            match chunk.compression() {
                Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_) => {}
                other => {
                    return Err(Bad::Columns(format!(
                        "column {name} is compressed by {other}; esker reads ZSTD, SNAPPY and UNCOMPRESSED"
                    )));
                }
            }
            let opened = contained(|| Column::open(&self.file, group, chunk, shape));
            let opened = opened.map_err(damaged)?.map_err(|error| damaged(text_of(error)))?;
            *column = Some(opened);
        }
        Ok(columns)
    }
}

impl Input for Rows {
    fn unit(&self) -> Unit {
        Unit::Row
    }

    fn each(self, each: &mut dyn FnMut(u64, Read<'_>) -> Result<bool, Error>) -> Result<(), Error> {
        self.rows(each)
    }
}

/// What is wrong, whatever kind of error it is.
pub(super) fn text_of(error: ParquetError) -> String {
    match error {
        ParquetError::General(text) | ParquetError::EOF(text) => text,
        other => other.to_string(),
    }
}

/// The columns that are there, with their names.
fn named(
    columns: &mut [Option<Column>; COLUMNS.len()],
) -> impl Iterator<Item = (&'static str, &mut Column)> {
    COLUMNS.into_iter().zip(columns).filter_map(|(name, column)| Some((name, column.as_mut()?)))
}

/// Where each column is: any order will do, and one in which all would be null may be left out.
fn columns(metadata: &ParquetMetaData) -> Result<[Option<(usize, Shape)>; COLUMNS.len()], Bad> {
    let schema = metadata.file_metadata().schema_descr();
    let mut found = [None; COLUMNS.len()];
    let wanted = COLUMNS.join(", ");
    for (at, column) in schema.columns().iter().enumerate() {
        let name = column.path().string();
        let refused = |why: String| Bad::Columns(format!("column {name}: {why}"));
        let Some(number) = COLUMNS.iter().position(|known| *known == name) else {
            return Err(refused(format!("there is no such column; they are {wanted}")));
        };
        let shape = Shape::of_column(column);
        let shape = shape.filter(|_| column.max_rep_level() == 0 && column.max_def_level() <= 1);
        let shape = shape.filter(|shape| number >= HEAD || *shape == Shape::Json);
        let Some(shape) = shape else {
            let wanted = if number < HEAD { "text" } else { "JSON text, a number or a boolean" };
            let logical = column.logical_type_ref();
            let logical = logical.map_or(String::new(), |logical| format!(" ({logical:?})"));
            let (physical, list) = (
                column.physical_type(),
                if column.max_rep_level() > 0 { "a list of " } else { "" },
            );
            return Err(refused(format!("expected {wanted}, found {list}{physical}{logical}")));
        };
        let Some(place @ None) = found.get_mut(number) else {
            return Err(refused("it is there twice".to_owned()));
        };
        *place = Some((at, shape));
    }
    match found.iter().zip(COLUMNS).take(HEAD).find(|(place, _)| place.is_none()) {
        Some((_, name)) => {
            Err(Bad::Columns(format!("column {name} is missing; they are {wanted}")))
        }
        None => Ok(found),
    }
}

type Cells<'a> = [Option<Result<Cow<'a, str>, ()>>; COLUMNS.len()];

fn line<'a>(cells: &'a Cells<'_>) -> Read<'a> {
    let wrong = |message: String| WrongLine { at: None, message };
    let cell = |at: usize| match cells.get(at) {
        Some(Some(Ok(text))) => Ok(Some(&**text)),
        Some(Some(Err(()))) => {
            let name = COLUMNS.get(at).copied().unwrap_or_default();
            Err(wrong(format!("{name}: no text in UTF-8")))
        }
        _ => Ok(None),
    };
    let head = |at: usize| {
        let name = COLUMNS.get(at).copied().unwrap_or_default();
        let text = cell(at)?.ok_or_else(|| wrong(format!("{name}: expected text, found null")))?;
        Ok(Cow::Borrowed(text))
    };
    // Null stands for null, and for what there is not.
    let json = |at: usize| Ok(Some(cell(at)?.unwrap_or("null")));
    let line = Line {
        operator: head(0)?,
        state: head(1)?,
        kind: head(2)?,
        key: json(3)?,
        namespace: json(4)?,
        user_key: json(5)?,
        value: json(6)?,
        ttl: json(7)?,
    };
    Ok(("", line))
}
