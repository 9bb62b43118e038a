//! Rows `tool.memory.*`: the most resident memory of commands on a savepoint of 5 GiB.

use super::{Folder, NO_TOOL, esker, text, tool};
use crate::keys;
use crate::report::{Question, Report};
use esker::backend::EntrySink;
use esker::processor::{EntrySource, OperatorSources, SubtaskSource, write_savepoint};
use esker::snapshot::SnapshotSettings;
use esker::{Store, block_on};
use esker_format::composite::CompositeKey;
use esker_format::manifest::{Manifest, Operator, SnapshotKind, StateInfo, StateKind};
use esker_format::run::{Entry, Op};
use esker_format::{KeyGroup, KeyGroupRange, Ordered, ValueCodec};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

const ENTRIES: usize = 1 << 20;
/// Random bytes, which do not compress: 5 GiB in all.
const VALUE_LEN_BYTES: usize = 5 << 10;
const STATE_ID: u32 = 1;
const MIB: f64 = (1 << 20) as f64;
const MIB_MAX: f64 = 256.0;
/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(5);

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let rows = ["verify", "verify.deep", "dump", "copy", "rewrite", "diff", "copy.large"];
    let wanted = |report: &Report, row: &str| report.wants(&format!("tool.memory.{row}"));
    let names = report.names("tool.memory");
    if !rows.iter().any(|row| wanted(report, row)) || (report.quick() && !names) {
        return Ok(());
    }
    if tool().is_none() {
        let question = Question::less("tool.memory.verify", "MiB", 1.0, ENTRIES, 1);
        report.skip(question, NO_TOOL);
        return Ok(());
    }
    let folder = Folder::new("large")?;
    let (source, target) = (folder.join("savepoint"), folder.join("new"));
    let settings = SnapshotSettings::default();
    savepoint(&source, 0, &settings)?;
    for row in rows {
        if !wanted(report, row) {
            continue;
        }
        let path: &dyn AsRef<OsStr> = &source;
        let new: &dyn AsRef<OsStr> = &target;
        let peak = match row {
            "verify" => peak(&[&"verify", path], 0)?,
            "verify.deep" => peak(&[&"verify", &"--deep", path], 0)?,
            "dump" => peak(&[&"dump", path], 0)?,
            "copy" => peak(&[&"copy", path, new], 0)?,
            "rewrite" => peak(&[&"rewrite", path, new, &"--filter", &"key % 16u != 0"], 0)?,
            "copy.large" => {
                // Files of 1 GiB, which go in pieces.
                std::fs::remove_dir_all(&source).map_err(text)?;
                let settings = SnapshotSettings { file_len_bytes: 1 << 30, ..settings.clone() };
                savepoint(&source, 0, &settings)?;
                peak(&[&"copy", path, new], 0)?
            }
            _ => {
                // Nothing of it is shared.
                savepoint(&target, 1, &settings)?;
                peak(&[&"diff", path, new], 1)?
            }
        };
        if target.exists() {
            std::fs::remove_dir_all(&target).map_err(text)?;
        }
        let name = format!("tool.memory.{row}");
        report.limit(Question::less(&name, "MiB", 1.0, ENTRIES, 1), peak / MIB, MIB_MAX);
    }
    Ok(())
}

/// The most resident bytes that `esker` had while it ran with `arguments`; some pages are held in common
/// with other processes, and count.
fn peak(arguments: &[&dyn AsRef<OsStr>], code: i32) -> Result<f64, String> {
    let mut child = esker(arguments)?.spawn().map_err(text)?;
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0_u64;
    let ended = loop {
        // Of a process that has ended there is no figure any more.
        let seen = std::fs::read_to_string(&status).unwrap_or_default();
        let line = seen.lines().find(|line| line.starts_with("VmHWM"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        most = most.max(kib.unwrap_or_default());
        if let Some(ended) = child.try_wait().map_err(text)? {
            break ended;
        }
        sleep(LOOK);
    };
    if ended.code() == Some(code) && most > 0 {
        return Ok(most as f64 * 1024.0);
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        std::io::Read::read_to_string(&mut stderr, &mut said).map_err(text)?;
    }
    let command: Vec<_> = arguments.iter().map(|argument| argument.as_ref()).collect();
    Err(format!("{command:?} ended with {ended}: {said}"))
}

/// Writes a savepoint of one state, by which `seed` tells values apart.
fn savepoint(target: &Path, seed: u64, settings: &SnapshotSettings) -> Result<(), String> {
    let mut keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    keys.sort_unstable_by_key(|key| (KeyGroup::of(&key.to_be_bytes()), *key));
    let key = ValueCodec::<u64>::info(&Ordered).map_err(text)?;
    let value = ValueCodec::<Vec<u8>>::info(&Ordered).map_err(text)?;
    let state = StateInfo {
        id: STATE_ID,
        name: "pages".into(),
        kind: StateKind::Value,
        namespace: None,
        user_key: None,
        value: Some(value),
        ttl: None,
        extra: Default::default(),
    };
    let operator = Operator {
        uid: "op".into(),
        key: Some(key),
        states: vec![state],
        parts: vec![],
        dropped: vec![],
        extra: Default::default(),
    };
    let manifest = Manifest {
        job: "bench".into(),
        kind: SnapshotKind::Savepoint,
        checkpoint: 1,
        generation: 1,
        operators: vec![],
        extra: Default::default(),
    };
    let keyed: Arc<dyn EntrySource> = Arc::new(Pages { keys, seed });
    let subtasks = vec![SubtaskSource { keyed: Some(keyed), ..SubtaskSource::default() }];
    let sources = vec![OperatorSources { operator, subtasks }];
    let store = Store::open(&target.to_string_lossy()).map_err(text)?;
    block_on(write_savepoint(&store, manifest, sources, settings, &|_| ())).map_err(text)?;
    Ok(())
}

/// Values that are made as they are asked for.
struct Pages {
    /// In the order of runs.
    keys: Vec<u64>,
    seed: u64,
}

impl EntrySource for Pages {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> esker::Result<()> {
        let (mut key, mut value) = (Vec::new(), vec![0; VALUE_LEN_BYTES]);
        let group = |key: &u64| KeyGroup::of(&key.to_be_bytes());
        let from = self.keys.partition_point(|key| group(key).0 < range.first());
        let owned = self.keys.get(from..).unwrap_or_default().iter();
        for number in owned.take_while(|key| range.contains(group(key))) {
            key.clear();
            CompositeKey::new(STATE_ID, group(number), &number.to_be_bytes(), b"", b"")
                .encode_into(&mut key);
            let (words, _) = value.as_chunks_mut::<8>();
            for (nth, word) in (self.seed..).zip(words) {
                *word = keys::mixed(number.wrapping_add(nth)).to_le_bytes();
            }
            sink.add(Entry { key: &key, op: Op::Put, value: &value })?;
        }
        Ok(())
    }

    fn len_bytes(&self) -> u64 {
        (self.keys.len() * VALUE_LEN_BYTES) as u64
    }
}
