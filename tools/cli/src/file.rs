//! What a file is, by its first bytes, and what it holds once all of it is verified.

use crate::outcome::Problem;
use esker_format::composite::CompositeKey;
use esker_format::run::{self, Entry, RunReader};
use esker_format::{
    Digest, FormatError, FormatErrorKind, KeyGroup, Record, frame, manifest, part, record,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A verified file.
pub(crate) enum Content {
    Run(Run),
    Sealed(Sealed),
}

/// What a run holds, in the shape of the JSON output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) version: u32,
    pub(crate) bytes: u64,
    pub(crate) digest: Digest,
    pub(crate) blocks: u64,
    pub(crate) entries: u64,
    pub(crate) key_bytes: u64,
    pub(crate) value_bytes: u64,
    pub(crate) states: Vec<State>,
}

/// What a run holds of one state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    pub(crate) state: u32,
    pub(crate) entries: u64,
    pub(crate) live: u64,
    pub(crate) key_bytes: u64,
    pub(crate) value_bytes: u64,
    /// Both ends are inside the span; absent if the state has no entries.
    pub(crate) key_group_first: Option<u16>,
    pub(crate) key_group_last: Option<u16>,
}

/// A sealed file, in the shape of the JSON output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sealed {
    #[serde(skip)]
    pub(crate) kind: &'static str,
    pub(crate) version: u32,
    pub(crate) bytes: u64,
    pub(crate) digest: Digest,
    pub(crate) digest_ok: bool,
    pub(crate) json: serde_json::Value,
}

impl Content {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Sealed(sealed) => sealed.kind,
        }
    }
}

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| Problem::unreadable(&error))
}

/// Reads and verifies all of a file, whatever its kind.
pub(crate) fn open(path: &Path) -> Result<Content, Problem> {
    let bytes = read(path)?;
    let content = if bytes.starts_with(&run::MAGIC) {
        open_run(&bytes).map(Content::Run)
    } else if let Some(rest) = bytes.strip_prefix(b"esker-") {
        open_sealed(rest, &bytes).map(Content::Sealed)
    } else {
        Err(FormatError::corrupt("file", "not a file of esker").at(0))
    };
    Ok(content?)
}

fn open_run(bytes: &[u8]) -> Result<Run, FormatError> {
    let reader = RunReader::open_file(bytes)?;
    let stats = reader.verify(bytes)?;
    let mut spans: BTreeMap<u32, (u16, u16)> = BTreeMap::new();
    for_each_block(&reader, bytes, |block| {
        block.for_each(|entry| {
            let CompositeKey { state, group: KeyGroup(group), .. } =
                CompositeKey::decode(entry.key)?;
            spans.entry(state).or_insert((group, group)).1 = group;
            Ok(())
        })
    })?;
    let states = stats.iter().map(|(state, stats)| {
        let span = spans.get(state);
        State {
            state: *state,
            entries: stats.entries,
            live: stats.live,
            key_bytes: stats.key_bytes,
            value_bytes: stats.value_bytes,
            key_group_first: span.map(|span| span.0),
            key_group_last: span.map(|span| span.1),
        }
    });
    Ok(Run {
        version: version_of(bytes),
        bytes: bytes.len() as u64,
        digest: Digest::of(bytes),
        blocks: reader.index().blocks.len() as u64,
        entries: stats.values().map(|stats| stats.entries).sum(),
        key_bytes: stats.values().map(|stats| stats.key_bytes).sum(),
        value_bytes: stats.values().map(|stats| stats.value_bytes).sum(),
        states: states.collect(),
    })
}

/// The version in the header of a run that was opened, so it is one that this esker knows.
fn version_of(run: &[u8]) -> u32 {
    let version = run.get(run::MAGIC.len()..).and_then(|rest| rest.first_chunk());
    version.map_or(run::VERSION, |version| u32::from_le_bytes(*version))
}

/// Calls `each` with every block of a run, verified and unpacked, in order.
pub(crate) fn for_each_block(
    reader: &RunReader,
    bytes: &[u8],
    mut each: impl FnMut(run::Block) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    for (number, handle) in reader.index().blocks.iter().enumerate() {
        let start = usize::try_from(handle.offset).unwrap_or(usize::MAX);
        let len = usize::try_from(handle.len_bytes).unwrap_or(usize::MAX);
        let stored = bytes.get(start..start.saturating_add(len)).unwrap_or_default();
        each(reader.block(number, stored)?)?;
    }
    Ok(())
}

fn open_sealed(rest: &[u8], bytes: &[u8]) -> Result<Sealed, FormatError> {
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\n')).unwrap_or(rest.len());
    let (kind, version_max) = match &rest[..end] {
        b"log" => ("log", record::RECORD_VERSION),
        b"metadata" => (manifest::MANIFEST_KIND, manifest::MANIFEST_VERSION),
        b"part" => (part::PART_KIND, part::PART_VERSION),
        other => {
            let kind = String::from_utf8_lossy(&other[..other.len().min(32)]);
            let message = format!("this esker knows no such kind: kind={kind:?}");
            return Err(FormatError::new(
                FormatErrorKind::UnsupportedVersion,
                "sealed file",
                message,
            ));
        }
    };
    let (version, json) = frame::open(kind, version_max, bytes)?;
    let digest = Digest::of(json);
    match kind {
        manifest::MANIFEST_KIND => drop(manifest::Manifest::decode(bytes)?),
        part::PART_KIND => drop(part::Part::decode(bytes)?),
        _ => drop(Record::decode(bytes)?),
    }
    let json = serde_json::from_slice(json)
        .map_err(|error| FormatError::corrupt(kind, error.to_string()))?;
    // A wrong digest was refused above; it is said all the same, for whoever reads the output.
    Ok(Sealed { kind, version, bytes: bytes.len() as u64, digest, digest_ok: true, json })
}

/// One entry of a run, in the shape of a dumped line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    state: u32,
    key_group: u16,
    key: String,
    namespace: String,
    user_key: String,
    op: &'static str,
    value: String,
}

impl Line {
    pub(crate) fn of(entry: Entry<'_>) -> Result<Self, FormatError> {
        let key = CompositeKey::decode(entry.key)?;
        Ok(Self {
            state: key.state,
            key_group: key.group.0,
            key: hex(&key.key),
            namespace: hex(&key.namespace),
            user_key: hex(&key.user_key),
            op: match entry.op {
                run::Op::Clear => "clear",
                run::Op::Put => "put",
                run::Op::Delete => "delete",
                run::Op::Append => "append",
            },
            value: hex(entry.value),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| DIGITS[usize::from(digit)]).collect()
}
