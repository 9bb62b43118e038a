//! Where a source was that does not go back: kept beside the job, not in its checkpoints.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The number of rows that were handed out, in a file of one process.
///
/// It is written before each row is sent on. That a process is killed loses no byte that was handed to the
/// system, so that the next one knows which rows will never be seen again; a power loss is not thought of.
pub(super) struct Position {
    file: File,
    path: PathBuf,
}

impl Position {
    /// Begins at `rows`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn begin(path: &Path, rows: u64) -> Result<Self, String> {
        let failed = |error: io::Error| failed(path, &error);
        let mut position = Self { file: File::create(path).map_err(failed)?, path: path.into() };
        position.set(rows)?;
        Ok(position)
    }

    /// Rows below `rows` will not be read again.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn set(&mut self, rows: u64) -> Result<(), String> {
        let seek = self.file.seek(SeekFrom::Start(0));
        let written = seek.and_then(|_| self.file.write_all(&rows.to_le_bytes()));
        written.map_err(|error| failed(&self.path, &error))
    }

    /// What the last one who wrote it said; 0 where nobody has.
    ///
    /// # Errors
    /// If the file cannot be read, or holds something else.
    pub(super) fn read(path: &Path) -> Result<u64, String> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            read => read.map_err(|error| failed(path, &error))?,
        };
        let bytes = <[u8; 8]>::try_from(bytes.as_slice());
        bytes.map(u64::from_le_bytes).map_err(|_| format!("{}: not a position", path.display()))
    }
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("the source's position, {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_position_is_what_the_next_process_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("position");
        assert_eq!(Position::read(&path), Ok(0));
        let mut position = Position::begin(&path, 300).unwrap();
        assert_eq!(Position::read(&path), Ok(300));
        position.set(70_000).unwrap();
        assert_eq!(Position::read(&path), Ok(70_000));
        std::fs::write(&path, "seventy").unwrap();
        assert!(Position::read(&path).unwrap_err().contains("not a position"));
    }
}
