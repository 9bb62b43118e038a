//! Where the files of a job are, below its root, and what their names tell.

use super::log::Sequence;
use crate::Result;
use crate::format::RelativeName;

/// Digits of a record's number, so that names sort as numbers do.
const SEQUENCE_DIGITS: usize = 20;
const LOG: &str = "log";
const SHARED: &str = "shared";

/// Who wrote a file, as far as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A record of the log.
    Log(Sequence),
    /// Data, part or manifest.
    Data {
        /// The generation of the owner under which it was written.
        generation: u64,
        /// The checkpoint for which it was written.
        checkpoint: Option<u64>,
    },
}

impl Place {
    /// The place of `name`, or none: whatever is elsewhere is not the job's, and left alone.
    pub fn of(name: &RelativeName) -> Option<Self> {
        let (folder, file) = name.as_str().split_once('/')?;
        if folder == LOG {
            let is_record = file.len() == SEQUENCE_DIGITS;
            return is_record.then(|| number(file).map(Sequence).map(Self::Log)).flatten();
        }
        if folder == SHARED {
            let (generation, file) = file.split_once('/')?;
            let checkpoint = file.split_once('-').and_then(|(checkpoint, _)| number(checkpoint));
            return Some(Self::Data { generation: number(generation)?, checkpoint });
        }
        let (checkpoint, generation) = folder.strip_prefix("chk-")?.split_once('-')?;
        let (generation, checkpoint) = (number(generation)?, Some(number(checkpoint)?));
        Some(Self::Data { generation, checkpoint })
    }
}

fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// `log/<seq>`: a record, its number in 20 digits.
///
/// # Errors
/// None in fact: the name is always sound.
pub fn log_name(sequence: Sequence) -> Result<RelativeName> {
    Ok(RelativeName::new(format!("{LOG}/{:0SEQUENCE_DIGITS$}", sequence.0))?)
}

/// `log`: the folder of the records.
///
/// # Errors
/// None in fact: the name is always sound.
pub fn log_folder() -> Result<RelativeName> {
    Ok(RelativeName::new(LOG)?)
}

/// `chk-<n>-<generation>/_metadata`: a checkpoint's manifest.
///
/// # Errors
/// None in fact: the name is always sound.
pub fn manifest_name(checkpoint: u64, generation: u64) -> Result<RelativeName> {
    Ok(RelativeName::new(format!("chk-{checkpoint}-{generation}/_metadata"))?)
}

/// `shared/<generation>`: data written under an owner.
///
/// # Errors
/// None in fact: the name is always sound.
pub fn shared_folder(generation: u64) -> Result<RelativeName> {
    Ok(RelativeName::new(format!("{SHARED}/{generation}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_place_and_no_other_name_does() {
        let data = |generation, checkpoint| Some(Place::Data { generation, checkpoint });
        let place = |name: &str| Place::of(&RelativeName::new(name).unwrap());
        assert_eq!(Place::of(&log_name(Sequence(7)).unwrap()), Some(Place::Log(Sequence(7))));
        assert_eq!(Place::of(&manifest_name(5, 3).unwrap()), data(3, Some(5)));
        assert_eq!(place("chk-5-3/0.part"), data(3, Some(5)));
        assert_eq!(place("shared/3/5-0-ab.run"), data(3, Some(5)));
        assert_eq!(place("shared/3/odd"), data(3, None));
        for other in ["x", "log/7", "log/+0000000000000000007", "shared/x/5-0", "shared/3"] {
            assert_eq!(place(other), None, "{other}");
        }
        for other in ["chk-5/_metadata", "chk--3/x", "chk-5-+3/x", "chk-5-3-1/x", "savepoint/x"] {
            assert_eq!(place(other), None, "{other}");
        }
    }
}
