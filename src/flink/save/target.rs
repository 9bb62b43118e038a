//! The folder that a savepoint is written to.

use super::spill::{INLINE_LEN_BYTES_MAX, Spilled};
use crate::flink::format::Metadata;
use crate::flink::format::metadata::{FILE_NAME, StreamHandle};
use crate::format::RelativeName;
use crate::snapshot::{Count, create_once, in_target};
use crate::store::PART_LEN_BYTES;
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Streams lie inside the metadata until they take so many bytes together.
const INLINED_LEN_BYTES_MAX: u64 = 4 << 20;
/// The length of a digest in hexadecimal.
const DIGEST_LEN: usize = 64;

/// The folder, and what has been put there.
pub(super) struct Target<'t> {
    store: &'t Store,
    /// Files that were there before.
    listed: BTreeMap<RelativeName, u64>,
    /// Files that the metadata names.
    named: BTreeSet<RelativeName>,
    /// Those of them that were not there before.
    made: Vec<RelativeName>,
    written: Count,
    present: Count,
    inlined_len_bytes: u64,
}

impl<'t> Target<'t> {
    /// # Errors
    /// `Conflict` if something is there that no call of this kind left; the store's.
    pub(super) async fn open(store: &'t Store) -> Result<Self> {
        let name = RelativeName::new(FILE_NAME)?;
        let listed = store.list(None).await.map_err(|error| in_target(error, store, &name))?;
        let listed: BTreeMap<RelativeName, u64> = listed.into_iter().collect();
        let is_ours =
            |name: &RelativeName| name.as_str() == FILE_NAME || is_named_by_digest(name.as_str());
        if let Some(name) = listed.keys().find(|name| !is_ours(name)) {
            return Err(foreign(store, name));
        }
        if !listed.contains_key(&name) {
            for leftover in store.leftovers().await.map_err(|e| in_target(e, store, &name))? {
                if is_ours(&leftover.name) {
                    leftover.remove().await.map_err(|error| in_target(error, store, &name))?;
                }
            }
        }
        let (written, present) = (Count::default(), Count::default());
        let (named, made) = (BTreeSet::new(), Vec::new());
        Ok(Self { store, listed, named, made, written, present, inlined_len_bytes: 0 })
    }

    /// Puts a stream into a file, or leaves it to the metadata.
    ///
    /// # Errors
    /// The store's; those of the temporary folder.
    pub(super) async fn place(&mut self, mut stream: Spilled) -> Result<StreamHandle> {
        let (len_bytes, digest) = (stream.len_bytes, stream.digest.to_string());
        if let Some(bytes) = stream.small()
            && self.inlined_len_bytes + INLINE_LEN_BYTES_MAX as u64 <= INLINED_LEN_BYTES_MAX
        {
            self.inlined_len_bytes += len_bytes;
            return Ok(StreamHandle::inline(digest, bytes));
        }
        let name = RelativeName::new(digest)?;
        // Two subtasks may have the same.
        if self.named.insert(name.clone()) {
            if self.listed.get(&name) == Some(&len_bytes) {
                self.present.add(len_bytes);
            } else {
                if !self.listed.contains_key(&name) {
                    self.made.push(name.clone());
                }
                let put = self.put(&name, &mut stream).await;
                put.map_err(|error| in_target(error, self.store, &name))?;
                self.written.add(len_bytes);
            }
        }
        Ok(StreamHandle::relative(name.as_str(), len_bytes))
    }

    async fn put(&self, name: &RelativeName, stream: &mut Spilled) -> Result<()> {
        let first = stream.next(PART_LEN_BYTES)?.unwrap_or_default();
        if first.len() as u64 == stream.len_bytes {
            return self.store.put(name, first).await;
        }
        let mut upload = self.store.upload(name).await?;
        let mut next = Ok(Some(first));
        while let Ok(Some(piece)) = next {
            next = match upload.put(piece).await {
                Ok(()) => stream.next(PART_LEN_BYTES),
                Err(error) => Err(error),
            };
        }
        match next {
            Ok(_) => upload.complete().await,
            Err(error) => {
                upload.abandon().await;
                Err(error)
            }
        }
    }

    /// Deletes what was put, so that another savepoint can be written there; as far as that is possible. Where metadata is by
    /// now, nothing is deleted: it may name it.
    pub(super) async fn take_back(self) {
        let Ok(name) = RelativeName::new(FILE_NAME) else { return };
        if self.made.is_empty() || !matches!(self.store.head(&name).await, Ok(None)) {
            return;
        }
        for name in self.made {
            if let Err(error) = self.store.delete(&name).await {
                tracing::warn!(%error, "a file of a savepoint that was given up stays");
            }
        }
    }

    /// Writes the metadata; what was written, and what was there.
    ///
    /// # Errors
    /// `Conflict` if the folder holds other files, or another snapshot; `Invalid` if there can be no such metadata; the
    /// store's.
    pub(super) async fn finish(mut self, metadata: &Metadata) -> Result<(Count, Count)> {
        let name = RelativeName::new(FILE_NAME)?;
        let unnamed = |listed: &&RelativeName| **listed != name && !self.named.contains(*listed);
        if let Some(listed) = self.listed.keys().find(unnamed) {
            return Err(foreign(self.store, listed));
        }
        let bytes = Bytes::from(metadata.write()?);
        let len_bytes = bytes.len() as u64;
        let of_target = |error| in_target(error, self.store, &name);
        let is_there = self.listed.contains_key(&name);
        match create_once(self.store, &name, &bytes).await.map_err(of_target)? {
            None if is_there => self.present.add(len_bytes),
            None => self.written.add(len_bytes),
            Some(_) => return Err(occupied(self.store)),
        }
        Ok((self.written, self.present))
    }
}

fn is_named_by_digest(name: &str) -> bool {
    name.len() == DIGEST_LEN && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn foreign(store: &Store, name: &RelativeName) -> Error {
    let message = format!(
        "the folder holds what is not of this savepoint, {name} for one: it has a folder of its own. What another call \
         left that was interrupted goes with the folder"
    );
    Error::new(ErrorKind::Conflict, message).at_path(store.to_string())
}

fn occupied(store: &Store) -> Error {
    let message =
        "the folder holds another snapshot, and is not overwritten: choose another folder";
    Error::new(ErrorKind::Conflict, message).at_path(store.to_string())
}
