//! A column of a row group of somebody's file, some rows at a time.

use super::pages::{PageFile, Pages};
use super::shape::Shape;
use crate::format::Value;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A column of a row group, and the rows of it that were read last.
pub(super) struct Column {
    values: Values,
    /// Of each row its place among the values, if it has one.
    places: Vec<Option<usize>>,
    left: Arc<AtomicU64>,
}

/// A reader and what it read.
struct Typed<T: DataType>(ColumnReaderImpl<T>, Vec<T::T>);

enum Values {
    Text(Typed<ByteArrayType>),
    Bool(Typed<BoolType>),
    I32(Typed<Int32Type>, bool),
    I64(Typed<Int64Type>, bool),
    F32(Typed<FloatType>),
    F64(Typed<DoubleType>),
}

impl Column {
    /// The column of `chunk`, in `group`, as values of `shape`. Panics as its decoder does.
    pub(super) fn open(
        file: &Arc<PageFile>,
        group: &RowGroupMetaData,
        chunk: &ColumnChunkMetaData,
        shape: Shape,
    ) -> Result<Self, ParquetError> {
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let pages = SerializedPageReader::new(Arc::clone(file), chunk, rows, None)?;
        let left = Arc::new(AtomicU64::new(0));
        let pages = Box::new(Pages { pages, left: Arc::clone(&left) });
        let is_signed = !matches!(shape, Shape::Int { signed: false, .. });
        let values = match get_column_reader(chunk.column_descr_ptr(), pages) {
            ColumnReader::ByteArrayColumnReader(reader) => Values::Text(Typed::new(reader)),
            ColumnReader::BoolColumnReader(reader) => Values::Bool(Typed::new(reader)),
            ColumnReader::Int32ColumnReader(reader) => Values::I32(Typed::new(reader), is_signed),
            ColumnReader::Int64ColumnReader(reader) => Values::I64(Typed::new(reader), is_signed),
            ColumnReader::FloatColumnReader(reader) => Values::F32(Typed::new(reader)),
            ColumnReader::DoubleColumnReader(reader) => Values::F64(Typed::new(reader)),
            _ => return Err(ParquetError::General("a type that is not read".to_owned())),
        };
        Ok(Self { values, places: Vec::new(), left })
    }

    /// How many rows can be read without another page.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Reads just so many rows.
    pub(super) fn read(&mut self, rows: usize) -> Result<(), ParquetError> {
        let places = &mut self.places;
        match &mut self.values {
            Values::Text(typed) => typed.read(rows, places),
            Values::Bool(typed) => typed.read(rows, places),
            Values::I32(typed, _) => typed.read(rows, places),
            Values::I64(typed, _) => typed.read(rows, places),
            Values::F32(typed) => typed.read(rows, places),
            Values::F64(typed) => typed.read(rows, places),
        }?;
        let left = self.left().saturating_sub(rows as u64);
        self.left.store(left, Ordering::Relaxed);
        Ok(())
    }

    /// The JSON of a row that was read, or its text; none where it is null. An error is that it is no text.
    pub(super) fn cell(&self, row: usize) -> Option<Result<Cow<'_, str>, ()>> {
        let at = (*self.places.get(row)?)?;
        let owned = |text: String| Ok(Cow::Owned(text));
        Some(match &self.values {
            Values::Text(typed) => {
                std::str::from_utf8(typed.1.get(at)?.data()).map(Cow::Borrowed).map_err(|_| ())
            }
            Values::Bool(typed) => owned(typed.1.get(at)?.to_string()),
            Values::I32(typed, true) => owned(typed.1.get(at)?.to_string()),
            Values::I32(typed, false) => owned(typed.1.get(at)?.cast_unsigned().to_string()),
            Values::I64(typed, true) => owned(typed.1.get(at)?.to_string()),
            Values::I64(typed, false) => owned(typed.1.get(at)?.cast_unsigned().to_string()),
            Values::F32(typed) => owned(Value::F32(*typed.1.get(at)?).to_json()),
            Values::F64(typed) => owned(Value::F64(*typed.1.get(at)?).to_json()),
        })
    }
}

impl<T: DataType> Typed<T> {
    fn new(reader: ColumnReaderImpl<T>) -> Self {
        Self(reader, Vec::new())
    }

    fn read(&mut self, rows: usize, places: &mut Vec<Option<usize>>) -> Result<(), ParquetError> {
        self.1.clear();
        let mut levels = Vec::new();
        let (read, values, found) =
            self.0.read_records(rows, Some(&mut levels), None, &mut self.1)?;
        places.clear();
        let mut next = 0..values;
        match levels.is_empty() {
            // Required, all of them.
            true => places.extend((0..values).map(Some)),
            false => places
                .extend(levels.iter().map(|level| if *level > 0 { next.next() } else { None })),
        }
        if (read, found, places.len()) != (rows, rows, rows) {
            return Err(ParquetError::General("less values than there are rows".to_owned()));
        }
        Ok(())
    }
}
