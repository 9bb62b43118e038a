//! Files that get a further name, or are copied by their store, so that nobody reads them.

use super::local::{create_folder, sync_folder};
use super::runtime::blocking;
use super::{Store, error};
use crate::format::RelativeName;
use crate::{Error, ErrorKind, Result};
use object_store::{Error as StoreError, ObjectStoreExt};
use std::fs::{self, File};
use std::io;
use std::path::Path;

impl Store {
    /// Makes the file `name` out of `from` in `source` without its bytes passing through here; false
    /// where these two stores cannot. Between folders of one file system it is a hard link: one file
    /// under two names, of which either may be deleted. Within one object store, for clients that are alike,
    /// the store copies, in place of any file of that name.
    ///
    /// A link is durable once [`sync_root`](Self::sync_root) has been called.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub(crate) async fn share(
        &self,
        name: &RelativeName,
        source: &Store,
        from: &RelativeName,
    ) -> Result<bool> {
        let (to, from_path) = (self.path(name)?, source.path(from)?);
        if let (Some(folder), Some(source)) = (&self.folder, &source.folder) {
            let (to, from) = (folder.join(name.as_str()), source.join(from.as_str()));
            return blocking(move || {
                if let Some(folder) = to.parent().filter(|folder| !folder.exists()) {
                    create_folder(folder)?;
                }
                Ok(link(&from, &to).is_ok())
            })
            .await?;
        }
        if !self.has_client_of(source) {
            return Ok(false);
        }
        match self.objects.copy(&from_path, &to).await {
            Ok(()) => Ok(true),
            Err(StoreError::NotSupported { .. } | StoreError::NotImplemented { .. }) => Ok(false),
            #[cfg(feature = "remote")]
            Err(error) if super::remote::is_too_large(&error) => Ok(false),
            Err(error) => Err(error::map(error, "copy the file", to.as_ref())),
        }
    }

    /// Makes the entries of the root durable; where this is not a folder they are, and where the folder is
    /// not there, there are none.
    ///
    /// # Errors
    /// `Retry` if that fails.
    pub(crate) async fn sync_root(&self) -> Result<()> {
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        blocking(move || match sync_folder(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unsynced(error, &folder)),
            _ => Ok(()),
        })
        .await?
    }
}

/// A link to what is a file, and durable before it has the name. Why it fails does not matter: another
/// file system, no permission, a name that is taken; whoever copies instead will see what does.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(from)?.is_file() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // Whoever put the file there may not have synced it.
    File::open(from)?.sync_all()?;
    fs::hard_link(from, to)
}

fn unsynced(error: io::Error, folder: &Path) -> Error {
    let message = format!("cannot sync the folder: {error}");
    Error::new(ErrorKind::Retry, message).with_source(error).at_path(folder.to_string_lossy())
}
