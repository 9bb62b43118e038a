//! A snapshot of Flink's: its operators, and where the state of each lies.

use super::place::{FlinkFile, Place};
use super::stream::FlinkStream;
use crate::format::RelativeName;
use crate::{Error, ErrorKind, Result, Store, block_on};
use bytes::Bytes;
use esker_flink::metadata::{FILE_NAME, StreamHandle, StreamKind};
use esker_flink::{Metadata, OperatorId, Serializer};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// `_metadata` above this size, in bytes, is refused: 1 GiB.
const METADATA_LEN_BYTES_MAX: u64 = 1 << 30;
/// The first bytes of `_metadata`.
const MAGIC: [u8; 4] = [0x49, 0x60, 0x67, 0x2d];

/// How a snapshot is opened.
#[derive(Debug, Clone, Default)]
pub struct FlinkOptions {
    /// Uids that operators may have: metadata before version 5 (Flink 2.0) knows hashes of them alone.
    pub uids: Vec<String>,
    /// Prefixes of absolute paths, and what stands in their place now.
    pub maps: Vec<(String, String)>,
    /// Types of keys by the operator's uid or id, for changelogs that do not tell: words as
    /// [`Serializer::parse_spec`] takes them.
    pub key_types: Vec<(String, String)>,
}

/// An operator of a snapshot.
#[derive(Debug, Clone)]
pub struct FlinkOperator {
    /// Its place in the metadata.
    pub number: usize,
    /// What it is called here: its uid where that is known, else its id in hexadecimal.
    pub label: String,
    /// Its uid, from the metadata or among [`FlinkOptions::uids`].
    pub uid: Option<String>,
    /// Its id.
    pub id: OperatorId,
    /// How many subtasks it had.
    pub parallelism: u32,
    /// How many key groups it has.
    pub max_parallelism: u32,
}

/// A snapshot, its metadata read and nothing else.
pub struct FlinkSnapshot {
    pub(super) place: Place,
    metadata: Metadata,
    operators: Vec<FlinkOperator>,
    /// Path or URL of `_metadata`.
    path: Arc<str>,
    len_bytes: u64,
    pub(super) options: FlinkOptions,
    /// By the number of an operator with changelogs, what writes its keys, where that was looked for.
    pub(super) keys: Mutex<BTreeMap<usize, Option<Serializer>>>,
}

/// Whether `bytes`, the first four or more of a file, begin Flink's metadata.
pub fn is_flink(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

impl FlinkSnapshot {
    /// Opens the snapshot in the folder `folder` of `store`, or in its root. Relative to the root, which is a job's
    /// folder or one above, are looked for files that are not where `_metadata` says. Reads `_metadata` alone.
    ///
    /// # Errors
    /// `Invalid` if there is no `_metadata`; `Corrupt` and `Unsupported` with the offset; the store's.
    pub fn open(
        store: &Store,
        folder: Option<&RelativeName>,
        options: &FlinkOptions,
    ) -> Result<Self> {
        let (above, folder) = match folder.map(|folder| (folder, folder.as_str().rsplit_once('/')))
        {
            None => (store.clone(), None),
            Some((folder, None)) => (store.clone(), Some(folder.clone())),
            Some((_, Some((above, name)))) => {
                (store.below(&RelativeName::new(above)?), Some(RelativeName::new(name)?))
            }
        };
        let place = Place::new(above, folder, &options.maps);
        let name = place.beside(FILE_NAME)?;
        let path = format!("{}/{name}", place.store());
        let bytes = block_on(place.store().get_within(&name, METADATA_LEN_BYTES_MAX));
        let bytes = bytes.map_err(|error| error.at_path(&*path))?.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "no snapshot: there is no _metadata").at_path(&*path)
        })?;
        let metadata =
            Metadata::read(&bytes).map_err(|error| Error::from(error).at_path(&*path))?;
        let operators = named(&metadata, &options.uids);
        Ok(Self {
            place,
            metadata,
            operators,
            path: path.into(),
            len_bytes: bytes.len() as u64,
            options: options.clone(),
            keys: Mutex::default(),
        })
    }

    /// Opens the snapshot in the folder that `url` names, a path or a URL as [`Store::open`] takes them.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_at(url: &str, options: &FlinkOptions) -> Result<Self> {
        let url = url.strip_suffix(FILE_NAME).filter(|url| url.ends_with('/')).unwrap_or(url);
        let (root, path) = match url.split_once("://") {
            Some((scheme, rest)) if scheme != "file" => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                (format!("{scheme}://{authority}"), path.trim_matches('/').to_owned())
            }
            other => {
                let path = other.map_or(url, |(_, path)| path);
                let at = |error: std::io::Error| {
                    Error::new(ErrorKind::Retry, error.to_string()).at_path(url)
                };
                // A folder that is missing would be made.
                let path = std::path::Path::new(path).canonicalize().map_err(at)?;
                let above = path.parent().unwrap_or(&path).to_string_lossy().into_owned();
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                (above, name.unwrap_or_default())
            }
        };
        let store = Store::open(&root)?;
        let folder = Some(path).filter(|path| !path.is_empty()).map(RelativeName::new);
        Self::open(&store, folder.transpose()?.as_ref(), options)
    }

    /// What `_metadata` says.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Path or URL of `_metadata`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The size of `_metadata` in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// The operators, in the order of the metadata.
    pub fn operators(&self) -> &[FlinkOperator] {
        &self.operators
    }

    /// The operator that `name` is the uid of, or the id in hexadecimal.
    ///
    /// # Errors
    /// `Invalid`, naming those that there are.
    pub fn operator(&self, name: &str) -> Result<&FlinkOperator> {
        let id = OperatorId::of_uid(name);
        let by_label = self.operators.iter().find(|operator| operator.label == name);
        let by_id = || {
            let mut operators = self.operators.iter();
            operators.find(|operator| operator.id == id || operator.id.to_string() == name)
        };
        by_label.or_else(by_id).ok_or_else(|| {
            let known: Vec<_> = self.operators.iter().map(|operator| &operator.label).collect();
            let message = format!("the snapshot has no operator {name:?}; it has {known:?}");
            Error::new(ErrorKind::Invalid, message)
        })
    }

    /// Uids among [`FlinkOptions::uids`] that no operator has.
    pub fn unknown_uids(&self) -> Vec<&str> {
        let has = |uid: &&String| {
            let id = OperatorId::of_uid(uid);
            !self.operators.iter().any(|operator| operator.id == id)
        };
        self.options.uids.iter().filter(has).map(String::as_str).collect()
    }

    /// The bytes that `handle` stands for: their file is looked for, and nothing is read.
    ///
    /// # Errors
    /// `Corrupt`, with all that was tried, if the file is nowhere, or shorter than the handle says; the store's.
    pub fn stream(&self, handle: &StreamHandle) -> Result<FlinkStream> {
        let handle = handle.leaf();
        let (file, start, len_bytes) = match &handle.kind {
            StreamKind::Bytes { name, bytes } => {
                // Behind the tag, the name and the length.
                let head = 1 + 2 + utf_len_bytes(name) + 4;
                let start = handle.position.offset().map_or(0, |at| at.saturating_add(head));
                let bytes = Bytes::from_owner(Arc::clone(bytes));
                return Ok(FlinkStream::inline(bytes, start, &self.path));
            }
            StreamKind::EmptySegment | StreamKind::KeyGroups(_) => {
                return Ok(FlinkStream::inline(Bytes::new(), 0, &self.path));
            }
            StreamKind::File { path, len_bytes } => (self.place.absolute(path)?, 0, *len_bytes),
            StreamKind::Relative { path, len_bytes } => (self.place.relative(path)?, 0, *len_bytes),
            StreamKind::Segment(segment) => {
                let file = self.place.absolute(&segment.path)?;
                (file, segment.start, Some(segment.len_bytes))
            }
        };
        let len_bytes = len_bytes.unwrap_or(file.len_bytes.saturating_sub(start));
        Self::within(file, start, len_bytes)
    }

    /// The same of a changelog's log: of its file the handle says how many bytes it holds unpacked, behind the first one. All
    /// of the file is meant.
    ///
    /// # Errors
    /// As for [`stream`](Self::stream).
    pub fn log_stream(&self, handle: &StreamHandle) -> Result<FlinkStream> {
        let file = match &handle.leaf().kind {
            StreamKind::File { path, .. } => self.place.absolute(path)?,
            StreamKind::Relative { path, .. } => self.place.relative(path)?,
            _ => return self.stream(handle),
        };
        let len_bytes = file.len_bytes;
        Ok(FlinkStream::of_file(file, 0, len_bytes))
    }

    fn within(file: Arc<FlinkFile>, start: u64, len_bytes: u64) -> Result<FlinkStream> {
        if start.saturating_add(len_bytes) > file.len_bytes {
            let message = format!(
                "the file has {} bytes, and _metadata says {}: it was cut off",
                file.len_bytes,
                start.saturating_add(len_bytes)
            );
            return Err(Error::new(ErrorKind::Corrupt, message).at_path(&*file.path));
        }
        Ok(FlinkStream::of_file(file, start, len_bytes))
    }
}

fn named(metadata: &Metadata, uids: &[String]) -> Vec<FlinkOperator> {
    let given: BTreeMap<_, _> = uids.iter().map(|uid| (OperatorId::of_uid(uid), uid)).collect();
    let operators = metadata.operators.iter().enumerate().map(|(number, operator)| {
        let uid =
            operator.uid.clone().or_else(|| given.get(&operator.id).map(|uid| (*uid).clone()));
        FlinkOperator {
            number,
            label: uid.clone().unwrap_or_else(|| operator.id.to_string()),
            uid,
            id: operator.id,
            parallelism: operator.parallelism,
            max_parallelism: operator.max_parallelism,
        }
    });
    operators.collect()
}

/// What text takes in modified UTF-8.
fn utf_len_bytes(text: &str) -> u64 {
    let unit = |unit: u16| match unit {
        1..0x80 => 1,
        0 | 0x80..0x800 => 2,
        _ => 3,
    };
    text.encode_utf16().map(unit).sum()
}
