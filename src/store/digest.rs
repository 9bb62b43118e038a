//! The digests of files, of which no more is in memory than a piece.

use super::{Store, blocking, error};
use crate::{Error, Result};
use bytes::Bytes;
use esker_format::digest::Digester;
use esker_format::{Digest, RelativeName};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::{Error as StoreError, GetResultPayload};
use std::fs::File;
use std::io::{self, Read};

/// How much of a local file is read in one: little beside a core's own cache, and enough for BLAKE3 to
/// digest it by its widest instructions.
const PIECE_LEN_BYTES: usize = 64 << 10;
/// Longer pieces of a stream are digested elsewhere than where it is polled.
const INLINE_LEN_BYTES: usize = 64 << 10;

impl Store {
    /// The digest of all bytes of a file of at most `len_bytes_max`, or none if there is no such file:
    /// of a longer one nothing is read. One call. Memory: 64 KiB of a local file, and what the store
    /// gives in one of any other.
    ///
    /// # Errors
    /// As for [`Store::get_within`].
    pub async fn digest_within(
        &self,
        name: &RelativeName,
        len_bytes_max: u64,
    ) -> Result<Option<Digest>> {
        let path = self.path(name)?;
        let failed = |error| error::of_read(error, path.as_ref());
        let Some(found) = self.open_within(&path, len_bytes_max).await? else { return Ok(None) };
        let digest = match found.payload {
            GetResultPayload::File(file, _) => {
                let read = blocking(move || of_file(file)).await?;
                let store = "LocalFileSystem";
                read.map_err(|error| failed(StoreError::Generic { store, source: error.into() }))?
            }
            GetResultPayload::Stream(stream) => of_stream(stream, failed).await?,
        };
        Ok(Some(digest))
    }
}

fn of_file(mut file: File) -> io::Result<Digest> {
    let (mut digester, mut piece) = (Digester::default(), [0; PIECE_LEN_BYTES]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(digester.digest()),
            Ok(len) => digester.update(piece.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

async fn of_stream(
    mut stream: BoxStream<'static, object_store::Result<Bytes>>,
    failed: impl Fn(StoreError) -> Error,
) -> Result<Digest> {
    let mut digester = Digester::default();
    while let Some(piece) = stream.try_next().await.map_err(&failed)? {
        if piece.len() <= INLINE_LEN_BYTES {
            digester.update(&piece);
            continue;
        }
        digester = blocking(move || {
            digester.update(&piece);
            digester
        })
        .await?;
    }
    Ok(digester.digest())
}
