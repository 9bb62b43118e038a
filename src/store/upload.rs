//! Files that come piece by piece, for who has no memory for all of one.

use super::{Store, error};
use crate::Result;
use crate::format::RelativeName;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

/// A file on its way: nobody sees it before [`complete`](Self::complete). One that is dropped before
/// that is found as [`Store::put`] says.
pub(crate) struct Upload {
    path: Path,
    upload: Box<dyn MultipartUpload>,
}

impl Store {
    /// Begins a file, which is to take the place of any of that name.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub(crate) async fn upload(&self, name: &RelativeName) -> Result<Upload> {
        let path = self.path(name)?;
        match self.objects.put_multipart(&path).await {
            Ok(upload) => Ok(Upload { path, upload }),
            Err(error) => Err(error::map(error, "write the file", path.as_ref())),
        }
    }
}

impl Upload {
    /// Sends the next bytes: [`PART_LEN_BYTES`](super::PART_LEN_BYTES) of them, fewer only at the
    /// end. The file's order is that of the calls, whichever future ends first.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub(crate) fn put(&mut self, bytes: Bytes) -> impl Future<Output = Result<()>> + Send + use<> {
        let (sent, path) = (self.upload.put_part(PutPayload::from_bytes(bytes)), self.path.clone());
        async move { sent.await.map_err(|error| error::map(error, "write the file", path.as_ref())) }
    }

    /// Makes the file of what was sent, durably. All that was put has ended before.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub(crate) async fn complete(mut self) -> Result<()> {
        let Err(error) = self.upload.complete().await else { return Ok(()) };
        let error = error::map(error, "write the file", self.path.as_ref());
        self.abandon().await;
        Err(error)
    }

    /// Gives the file up. What cannot be abandoned now is found as after [`Store::put`].
    pub(crate) async fn abandon(mut self) {
        let _ = self.upload.abort().await;
    }
}
