//! Writing 10,000,000 values to local disk, and restoring them from there and from memory.

use super::lab::Lab;
use super::states::Values;
use crate::heap::{State, get};
use crate::keys::mixed;
use crate::measure::{median, seconds};
use crate::report::{Question, Report};
use crate::snapshot::subtask::{Subtask, restored};
use esker_format::KeyGroupRange;
use std::path::PathBuf;

const ENTRIES: usize = 10_000_000;
const WRITE: &str = "heap.snapshot.write.10m";
const FROM_MEMORY: &str = "heap.snapshot.restore-memory.10m";
const FROM_DISK: &str = "heap.snapshot.restore.10m";

/// Name, which of the lab's questions it is, and target; entries per second, but for the bytes.
const ROWS: [(&str, &str, f64); 4] = [
    ("snapshot.full.10m.flink", WRITE, 1.5),
    ("snapshot.full.10m.flink-bytes", WRITE, 0.6),
    ("restore.heap.10m.flink", FROM_MEMORY, 2.0),
    ("restore.heap.10m.flink-disk", FROM_DISK, 10.0),
];

fn question(name: &'static str, target: f64, rounds: usize) -> Question<'static> {
    if name.ends_with("-bytes") {
        Question::less(name, "B", target, ENTRIES, rounds)
    } else {
        Question::speed(name, target, ENTRIES, rounds)
    }
}

/// Measures all rows that are asked for.
pub(super) fn run(report: &mut Report, lab: &Result<Lab, String>) -> Result<(), String> {
    let mut rows = ROWS.to_vec();
    rows.retain(|(name, ..)| report.selects(name));
    if rows.is_empty() {
        return Ok(());
    }
    let lab = match lab {
        Ok(lab) => lab,
        Err(why) => {
            for (name, _, target) in rows {
                report.skip(question(name, target, 0), why);
            }
            return Ok(());
        }
    };
    let mut asked: Vec<String> = rows.iter().map(|(_, asked, _)| (*asked).to_owned()).collect();
    asked.dedup();
    let flink = lab.ask(asked, report.quick())?;
    let rounds = report.rounds(5);
    let mut subtask = Subtask::new(KeyGroupRange::ALL, &[])?;
    subtask.state = Values::new().filled(&(0..ENTRIES as u64).collect::<Vec<_>>())?;
    let folder = Folder::new();
    let (time, bytes) = write(&mut subtask, &folder, rounds)?;
    for (name, asked, target) in rows {
        let question = question(name, target, rounds);
        if name.ends_with("-bytes") {
            report.versus(question, bytes, flink.figure(asked, "bytes")?, flink.system());
            continue;
        }
        let (seconds, peer_ms) = match asked {
            // Capture and writing, of both.
            WRITE => (time, flink.figure(asked, "sync_ms")? + flink.figure(asked, "async_ms")?),
            from => {
                let url = folder.url(rounds + 1);
                subtask.full_at(if from == FROM_DISK { &url } else { "memory://" })?;
                (restore(&mut subtask, rounds)?, flink.figure(asked, "ms")?)
            }
        };
        let ops = ENTRIES as f64;
        report.versus(question, ops / seconds, ops * 1e3 / peer_ms, flink.system());
    }
    Ok(())
}

/// Median seconds from the capture to the last durable file, and the bytes of all files.
fn write(subtask: &mut Subtask, folder: &Folder, rounds: usize) -> Result<(f64, f64), String> {
    let (mut times, mut bytes) = (Vec::new(), 0);
    for round in 0..=rounds {
        // A new folder each time, and the last one's files gone, as in the lab.
        let url = folder.url(round);
        let mut stats = Err(String::new());
        times.push(seconds(|| stats = subtask.full_at(&url)));
        bytes = stats?.written_len_bytes;
        drop(std::fs::remove_dir_all(url));
    }
    times.remove(0);
    Ok((median(times), bytes as f64))
}

/// Median seconds to restore the subtask's last checkpoint, each compared with what it was taken of.
fn restore(subtask: &mut Subtask, rounds: usize) -> Result<f64, String> {
    let manifest = subtask.manifest()?;
    let expected = checksum(&mut subtask.state);
    let mut times = Vec::new();
    for _ in 0..=rounds {
        let (time, mut state) = restored(&subtask.store, &manifest, subtask.range)?;
        if checksum(&mut state) != expected {
            return Err("what was restored differs".to_owned());
        }
        times.push(time);
    }
    times.remove(0);
    Ok(median(times))
}

/// Depends on every key and value.
fn checksum(state: &mut State) -> u64 {
    (0..ENTRIES as u64).fold(state.len() as u64, |sum, key| {
        sum.wrapping_add(mixed(key + 1).wrapping_mul(get(state, &[key])))
    })
}

/// A temporary folder, gone when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("esker-versus-{}", std::process::id())))
    }

    fn url(&self, number: usize) -> String {
        self.0.join(number.to_string()).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
