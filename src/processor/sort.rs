//! External merge sort of lines: `LC_ALL=C sort` in bounded memory, over files that have no name.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};

/// Lines are kept up to this many bytes before they are sorted into a file.
const MEMORY_LEN_BYTES: usize = 64 << 20;
/// How many files are merged at once; above that, into one.
const FILES_MAX: usize = 64;
/// What a line takes besides its bytes.
const LINE_OVERHEAD_BYTES: usize = 32;

/// Takes lines, and gives them back in the order of their bytes. Memory: 64 MiB of them; the rest lies
/// in files in the system's temporary folder, which have no names and go with it.
pub struct Sorter {
    lines: Vec<Box<[u8]>>,
    len_bytes: usize,
    len_bytes_max: usize,
    files: Vec<File>,
}

impl Default for Sorter {
    fn default() -> Self {
        Self::within(MEMORY_LEN_BYTES)
    }
}

impl Sorter {
    /// One that has no lines yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that keeps about `len_bytes_max` in memory.
    fn within(len_bytes_max: usize) -> Self {
        Self { lines: Vec::new(), len_bytes: 0, len_bytes_max, files: Vec::new() }
    }

    /// Takes a line, without its end.
    ///
    /// # Errors
    /// Those of the temporary folder.
    pub fn add(&mut self, line: &str) -> io::Result<()> {
        self.len_bytes += line.len() + LINE_OVERHEAD_BYTES;
        self.lines.push(line.as_bytes().into());
        if self.len_bytes < self.len_bytes_max {
            return Ok(());
        }
        self.lines.sort_unstable();
        let mut out = BufWriter::new(tempfile::tempfile()?);
        for line in self.lines.drain(..) {
            write_line(&mut out, &line)?;
        }
        self.len_bytes = 0;
        self.files.push(rewound(out)?);
        if self.files.len() >= FILES_MAX {
            let mut out = BufWriter::new(tempfile::tempfile()?);
            merge(std::mem::take(&mut self.files), Vec::new(), &mut |line| {
                write_line(&mut out, line)
            })?;
            self.files.push(rewound(out)?);
        }
        Ok(())
    }

    /// Calls `each` with every line, in order.
    ///
    /// # Errors
    /// Those of the temporary files and of `each`.
    pub fn finish(mut self, each: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.lines.sort_unstable();
        merge(self.files, self.lines, each)
    }
}

fn write_line(out: &mut impl Write, line: &[u8]) -> io::Result<()> {
    out.write_all(line)?;
    out.write_all(b"\n")
}

fn rewound(out: BufWriter<File>) -> io::Result<File> {
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

fn merge(
    files: Vec<File>,
    lines: Vec<Box<[u8]>>,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut readers: Vec<_> = files.into_iter().map(BufReader::new).collect();
    let in_memory = readers.len();
    let mut lines = lines.into_iter();
    let mut next = |from: usize| -> io::Result<Option<Box<[u8]>>> {
        let Some(reader) = readers.get_mut(from) else { return Ok(lines.next()) };
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        line.pop();
        Ok(Some(line.into()))
    };
    let mut heap = BinaryHeap::new();
    for from in 0..=in_memory {
        heap.extend(next(from)?.map(|line| Reverse((line, from))));
    }
    while let Some(Reverse((line, from))) = heap.pop() {
        each(&line)?;
        heap.extend(next(from)?.map(|line| Reverse((line, from))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;

    #[test]
    fn lines_come_back_in_order_of_bytes_whatever_the_memory() {
        let strategy = proptest::collection::vec("[a-zß-ÿ]{0,12}", 5000);
        let lines: Vec<String> =
            strategy.new_tree(&mut TestRunner::deterministic()).unwrap().current();
        let mut expected: Vec<_> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        expected.sort();
        // All in memory; a few files; so many that files are merged before the end.
        for len_bytes_max in [1 << 20, 40_000, 900] {
            let mut sorter = Sorter::within(len_bytes_max);
            lines.iter().for_each(|line| sorter.add(line).unwrap());
            let mut sorted = Vec::new();
            let mut keep = |line: &[u8]| {
                sorted.push(line.to_vec());
                Ok(())
            };
            sorter.finish(&mut keep).unwrap();
            assert!(sorted == expected, "{len_bytes_max}");
        }
    }
}
