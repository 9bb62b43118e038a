//! One file from store to store, verified on its way.

use super::plan::Planned;
use crate::snapshot::{in_target, missing};
use crate::store::{PART_LEN_BYTES, Upload, blocking};
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use esker_format::digest::Digester;
use esker_format::{Digest, RelativeName};
use futures::future::{self, FutureExt};

/// Longer files go in pieces of it.
const PIECE_LEN_BYTES: u64 = PART_LEN_BYTES as u64;

/// Copies `file`; it has its name in `target` once all of it has been there and has the digest that
/// its part says. `progress` is told of bytes. Memory: two pieces.
///
/// # Errors
/// `Corrupt`, naming the file in `source`, if it is missing or another; the stores', those of
/// `target` as [`in_target`] says. No write is under way once it returns.
pub(super) async fn transfer(
    source: &Store,
    target: &Store,
    file: &Planned,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    if file.len_bytes <= PIECE_LEN_BYTES {
        let bytes = source.get_within(&file.from, file.len_bytes).await?;
        let bytes = bytes.ok_or_else(|| missing(&file.from))?;
        check_len(file, bytes.len() as u64)?;
        let (bytes, digest) = blocking(move || {
            let digest = Digest::of(&bytes);
            (bytes, digest)
        })
        .await?;
        check_digest(file, digest)?;
        let len_bytes = bytes.len() as u64;
        put(target, &file.to, bytes).await?;
        progress(len_bytes);
        return Ok(());
    }
    let found = source.head(&file.from).await?.ok_or_else(|| missing(&file.from))?;
    check_len(file, found)?;
    let in_target = |error| in_target(error, target, &file.to);
    let mut upload = target.upload(&file.to).await.map_err(in_target)?;
    match send(source, &mut upload, file, &in_target, progress).await {
        Ok(()) => upload.complete().await.map_err(in_target),
        Err(error) => {
            upload.abandon().await;
            Err(error)
        }
    }
}

/// Makes `file` of `target` without reading it, where the stores can: see [`Store::share`]. Its length
/// is checked, and nothing else of it.
///
/// # Errors
/// `Corrupt`, naming the file in `source`, if it is missing or of another length; the stores'.
pub(super) async fn link(source: &Store, target: &Store, file: &Planned) -> Result<bool> {
    let found = source.head(&file.from).await?.ok_or_else(|| missing(&file.from))?;
    check_len(file, found)?;
    let shared = target.share(&file.to, source, &file.from).await;
    shared.map_err(|error| in_target(error, target, &file.to))
}

/// Sends all pieces: each is on its way while the next one is read.
async fn send(
    source: &Store,
    upload: &mut Upload,
    file: &Planned,
    in_target: &(dyn Fn(Error) -> Error + Sync),
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let mut digester = Digester::default();
    let mut sent = future::ready(Ok(())).boxed();
    let mut start = 0;
    while start < file.len_bytes {
        let end = file.len_bytes.min(start + PIECE_LEN_BYTES);
        let (piece, before) = future::join(source.get_range(&file.from, start..end), sent).await;
        before.map_err(in_target)?;
        let piece = piece?.ok_or_else(|| missing(&file.from))?;
        let hashed = piece.clone();
        digester = blocking(move || {
            digester.update(&hashed);
            digester
        })
        .await?;
        sent = upload.put(piece).boxed();
        progress(end - start);
        start = end;
    }
    sent.await.map_err(in_target)?;
    check_digest(file, digester.digest())
}

/// Writes a file of `target`.
///
/// # Errors
/// The store's, as [`in_target`] says.
pub(super) async fn put(target: &Store, name: &RelativeName, bytes: Bytes) -> Result<()> {
    target.put(name, bytes).await.map_err(|error| in_target(error, target, name))
}

fn check_len(file: &Planned, found_bytes: u64) -> Result<()> {
    if found_bytes == file.len_bytes {
        return Ok(());
    }
    let message = format!("{found_bytes} bytes, its part says {}", file.len_bytes);
    Err(Error::new(ErrorKind::Corrupt, message).at_path(file.from.as_str()))
}

fn check_digest(file: &Planned, found: Digest) -> Result<()> {
    if found == file.digest {
        return Ok(());
    }
    let message = "the file's digest is not the one that its part names it by";
    Err(Error::new(ErrorKind::Corrupt, message).at_path(file.from.as_str()))
}
