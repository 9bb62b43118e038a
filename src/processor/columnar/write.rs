//! Rows to a Parquet file, a row group at a time.

use super::HEAD;
use super::shape::{Shape, Shapes, schema};
use crate::format::canonical::Line;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

/// A row group has at most so many rows: DuckDB's own, for whom it is what a thread works on.
const ROWS_MAX: usize = 122_880;
/// And takes about so many bytes of memory before it is written.
const LEN_BYTES_MAX: usize = 32 << 20;

/// Writes lines as rows. Memory: a row group, and what the file's footer says of those before.
pub struct Writer<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
    len_bytes: usize,
    len_bytes_max: usize,
}

/// The values of a column that are held for the next row group, and which rows have one.
struct Column {
    cells: Cells,
    levels: Vec<i16>,
}

enum Cells {
    /// Text side by side, and where each ends.
    Text(Vec<u8>, Vec<usize>),
    Bool(Vec<bool>),
    I32(Vec<i32>, bool),
    I64(Vec<i64>, bool),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl<W: Write + Send> Writer<W> {
    /// A file whose columns behind the first are of `shapes`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, shapes: &Shapes) -> io::Result<Self> {
        Self::within(LEN_BYTES_MAX, out, shapes)
    }

    pub(super) fn within(len_bytes_max: usize, out: W, shapes: &Shapes) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_created_by(concat!("esker version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(of_parquet)?))
            // By row group; a page is not worth its line in an index of a file that is read through.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .build();
        let schema = schema(shapes).map_err(of_parquet)?;
        let file =
            SerializedFileWriter::new(out, schema, Arc::new(properties)).map_err(of_parquet)?;
        let head = std::iter::repeat_n(&Shape::Json, HEAD);
        let columns = head.chain(shapes).map(|shape| Column::new(*shape)).collect();
        Ok(Self { file, columns, rows: 0, len_bytes: 0, len_bytes_max })
    }

    /// # Errors
    /// Those of writing, and `Other` if a member is not of its column's type.
    pub fn write(&mut self, line: &Line<'_>) -> io::Result<()> {
        let head = [&line.operator, &line.state, &line.kind].map(|text| Some(&**text));
        let json = [line.key, line.namespace, line.user_key, line.value, line.ttl];
        let json = json.map(|json| json.filter(|json| *json != "null"));
        for (column, cell) in self.columns.iter_mut().zip(head.into_iter().chain(json)) {
            self.len_bytes += column.add(cell)?;
        }
        self.rows += 1;
        if self.rows < ROWS_MAX && self.len_bytes < self.len_bytes_max {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group().map_err(of_parquet)?;
        for (number, column) in self.columns.iter_mut().enumerate() {
            column.write(&mut group, number >= HEAD).map_err(of_parquet)?;
        }
        group.close().map_err(of_parquet)?;
        (self.rows, self.len_bytes) = (0, 0);
        Ok(())
    }

    /// Writes what is left and the footer, without which it is no file.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.finish().map_err(of_parquet).map(|_| ())
    }
}

impl Column {
    fn new(shape: Shape) -> Self {
        let cells = match shape {
            Shape::Json => Cells::Text(Vec::new(), Vec::new()),
            Shape::Bool => Cells::Bool(Vec::new()),
            Shape::Int { bits: 64, signed } => Cells::I64(Vec::new(), signed),
            Shape::Int { signed, .. } => Cells::I32(Vec::new(), signed),
            Shape::F32 => Cells::F32(Vec::new()),
            Shape::F64 => Cells::F64(Vec::new()),
        };
        Self { cells, levels: Vec::new() }
    }

    /// Takes text, or the JSON of a number or boolean; about how many bytes it takes.
    fn add(&mut self, cell: Option<&str>) -> io::Result<usize> {
        self.levels.push(i16::from(cell.is_some()));
        let Some(cell) = cell else { return Ok(size_of::<i16>()) };
        match &mut self.cells {
            Cells::Text(text, ends) => {
                text.extend_from_slice(cell.as_bytes());
                ends.push(text.len());
            }
            Cells::Bool(values) => values.push(parsed(cell)?),
            Cells::I32(values, true) => values.push(parsed(cell)?),
            Cells::I32(values, false) => values.push(parsed::<u32>(cell)?.cast_signed()),
            Cells::I64(values, true) => values.push(parsed(cell)?),
            Cells::I64(values, false) => values.push(parsed::<u64>(cell)?.cast_signed()),
            // What is no number is a string in JSON.
            Cells::F32(values) => values.push(parsed(cell.trim_matches('"'))?),
            Cells::F64(values) => values.push(parsed(cell.trim_matches('"'))?),
        }
        // With a copy of the text's place, as the file's writer wants it.
        Ok(cell.len() + size_of::<ByteArray>() + size_of::<usize>())
    }

    fn write<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
        is_optional: bool,
    ) -> Result<(), ParquetError> {
        let levels = is_optional.then_some(&*self.levels);
        match &mut self.cells {
            Cells::Text(text, ends) => {
                // Values of one piece of memory.
                let all = ByteArray::from(std::mem::take(text));
                let starts = std::iter::once(0).chain(ends.iter().copied());
                let values = starts.zip(ends.iter()).map(|(from, to)| all.slice(from, to - from));
                put::<ByteArrayType, _>(group, &values.collect::<Vec<_>>(), levels)?;
                ends.clear();
            }
            Cells::Bool(values) => put_all::<BoolType, _>(group, values, levels)?,
            Cells::I32(values, _) => put_all::<Int32Type, _>(group, values, levels)?,
            Cells::I64(values, _) => put_all::<Int64Type, _>(group, values, levels)?,
            Cells::F32(values) => put_all::<FloatType, _>(group, values, levels)?,
            Cells::F64(values) => put_all::<DoubleType, _>(group, values, levels)?,
        }
        self.levels.clear();
        Ok(())
    }
}

fn put_all<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &mut Vec<T::T>,
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    put::<T, W>(group, values, levels)?;
    values.clear();
    Ok(())
}

fn put<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let column = group.next_column()?;
    let mut column =
        column.ok_or_else(|| ParquetError::General("a row group without a column".into()))?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn parsed<T: FromStr>(json: &str) -> io::Result<T> {
    json.parse().map_err(|_| io::Error::other(format!("{json} is not of its column's type")))
}

/// The error below one of Parquet: that a reader went away must be seen as that.
fn of_parquet(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
