//! The calls of a [`Store`].

use super::{Store, ended, error};
use crate::format::RelativeName;
use crate::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures::{TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, GetResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload,
};
use std::ops::Range;

/// Files above this size, in bytes, are put in parts of it; S3 takes none below 5 MiB.
pub(crate) const PART_LEN_BYTES: usize = 8 << 20;
/// What an object store answers.
type Outcome<T> = std::result::Result<T, StoreError>;

/// How many parts of one file travel at once.
const PARTS_IN_FLIGHT: usize = 4;

/// How a [`Store::create`] ended.
#[derive(Debug)]
pub enum Created {
    /// This call created the object, and it is durable.
    Created,
    /// An object of that name existed.
    AlreadyExists,
    /// The call failed, and may have taken effect or do so yet; read back to know.
    Unknown(Error),
}

/// A file of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dated {
    /// Its name.
    pub name: RelativeName,
    /// Its size in bytes.
    pub len_bytes: u64,
    /// When it was written, in milliseconds since 1970, by the store's clock.
    pub modified_ms: i64,
}

impl Store {
    /// Writes a file, durably, in place of any of that name. Readers see all of it or nothing.
    ///
    /// Above 8 MiB it goes in parts, which are abandoned again on failure. A call that is dropped may
    /// take effect or not.
    ///
    /// # Errors
    /// `Retry` if the store failed: the file may be there nevertheless. `Invalid` if it may not be
    /// written.
    pub async fn put(&self, name: &RelativeName, bytes: Bytes) -> Result<()> {
        let path = self.path(name)?;
        let put = if bytes.len() > PART_LEN_BYTES {
            self.put_parts(&path, bytes).await
        } else {
            self.objects.put(&path, PutPayload::from_bytes(bytes)).await.map(|_| ())
        };
        put.map_err(|error| error::map(error, "write the file", path.as_ref()))
    }

    async fn put_parts(&self, path: &Path, bytes: Bytes) -> Outcome<()> {
        let mut upload = self.objects.put_multipart(path).await?;
        let starts = (0..bytes.len()).step_by(PART_LEN_BYTES);
        let parts = starts
            .map(|start| bytes.slice(start..bytes.len().min(start.saturating_add(PART_LEN_BYTES))));
        let puts = parts.map(|part| upload.put_part(PutPayload::from_bytes(part)));
        let sent = ended(stream::iter(puts), PARTS_IN_FLIGHT).await;
        let done = match sent {
            Ok(_) => upload.complete().await.map(|_| ()),
            Err(error) => Err(error),
        };
        if done.is_err() {
            // The first error is the one that tells; what cannot be abandoned now is found by a
            // sweep on a local disk, and by the bucket's lifecycle rule elsewhere.
            let _ = upload.abort().await;
        }
        done
    }

    /// Writes a file, durably, unless one of that name exists.
    ///
    /// # Errors
    /// `Invalid` if the store does not take the name. Whatever else fails is
    /// [`Created::Unknown`].
    pub async fn create(&self, name: &RelativeName, bytes: Bytes) -> Result<Created> {
        let path = self.path(name)?;
        let options = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(&path, PutPayload::from_bytes(bytes), options).await {
            Ok(_) => Ok(Created::Created),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                Ok(Created::AlreadyExists)
            }
            Err(error) => Ok(Created::Unknown(error::map(error, "create the file", path.as_ref()))),
        }
    }

    /// All bytes of a file, or none if there is no such file.
    ///
    /// # Errors
    /// `Retry` if the store failed, `Invalid` if the file may not be read.
    pub async fn get(&self, name: &RelativeName) -> Result<Option<Bytes>> {
        self.get_within(name, u64::MAX).await
    }

    /// As [`Store::get`], for a file of at most `len_bytes_max` bytes: nothing is read of a longer
    /// one.
    ///
    /// # Errors
    /// As for [`Store::get`], and `Corrupt` if the file is longer.
    pub async fn get_within(
        &self,
        name: &RelativeName,
        len_bytes_max: u64,
    ) -> Result<Option<Bytes>> {
        let path = self.path(name)?;
        let Some(found) = self.open_within(&path, len_bytes_max).await? else { return Ok(None) };
        let len_bytes = found.meta.size;
        let failed = |error| error::of_read(error, path.as_ref());
        let bytes = found.bytes().await.map_err(failed)?;
        check_len(&path, len_bytes, &bytes)?;
        Ok(Some(bytes))
    }

    /// A file of at most `len_bytes_max` bytes, of which nothing is read yet, or none if there is no
    /// such file. One call.
    ///
    /// # Errors
    /// As for [`Store::get_within`].
    pub(super) async fn open_within(
        &self,
        path: &Path,
        len_bytes_max: u64,
    ) -> Result<Option<GetResult>> {
        let found = present(self.objects.get(path).await)
            .map_err(|error| error::of_read(error, path.as_ref()))?;
        if let Some(found) = &found
            && found.meta.size > len_bytes_max
        {
            let len_bytes = found.meta.size;
            let message = format!("longer than {len_bytes_max} bytes: bytes={len_bytes}");
            return Err(Error::new(ErrorKind::Corrupt, message).at_path(path.as_ref()));
        }
        Ok(found)
    }

    /// The bytes of `range` of a file, or none if there is no such file. One call.
    ///
    /// # Errors
    /// As for [`Store::get`], and `Corrupt` if the file ends before the range does.
    pub async fn get_range(&self, name: &RelativeName, range: Range<u64>) -> Result<Option<Bytes>> {
        let path = self.path(name)?;
        if range.is_empty() {
            // Stores refuse an empty range.
            let len_bytes = self.head(name).await?;
            return len_bytes
                .map(|len| within(&path, &range, len).map(|()| Bytes::new()))
                .transpose();
        }
        let failed = |error| error::of_read(error, path.as_ref());
        let options = GetOptions::new().with_range(Some(range.clone()));
        let found = match present(self.objects.get_opts(&path, options).await) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                // Stores tell in many ways that the range begins behind the end.
                if let Ok(Some(len_bytes)) = self.head(name).await {
                    within(&path, &range, len_bytes)?;
                }
                return Err(failed(error));
            }
        };
        // Known before anything is allocated: stores cut a range that is too long.
        within(&path, &range, found.meta.size)?;
        let bytes = found.bytes().await.map_err(failed)?;
        check_len(&path, range.end - range.start, &bytes)?;
        Ok(Some(bytes))
    }

    /// The bytes of each of `ranges` of a file, or none if there is no such file. Ranges that are
    /// near each other are fetched in one. One call more, for the file's size: it bounds what is
    /// allocated.
    ///
    /// # Errors
    /// As for [`Store::get_range`].
    pub async fn get_ranges(
        &self,
        name: &RelativeName,
        ranges: &[Range<u64>],
    ) -> Result<Option<Vec<Bytes>>> {
        let path = self.path(name)?;
        let Some(len_bytes) = self.head(name).await? else { return Ok(None) };
        ranges.iter().try_for_each(|range| within(&path, range, len_bytes))?;
        let asked: Vec<_> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
        let found = present(self.objects.get_ranges(&path, &asked).await)
            .map_err(|error| error::of_read(error, path.as_ref()))?;
        let Some(found) = found else { return Ok(None) };
        let mut found = found.into_iter();
        let mut all = Vec::with_capacity(ranges.len());
        for range in ranges {
            let bytes = match range.is_empty() {
                true => Bytes::new(),
                false => found.next().unwrap_or_default(),
            };
            check_len(&path, range.end.saturating_sub(range.start), &bytes)?;
            all.push(bytes);
        }
        Ok(Some(all))
    }

    /// The size of a file in bytes, or none if there is no such file.
    ///
    /// # Errors
    /// As for [`Store::get`].
    pub async fn head(&self, name: &RelativeName) -> Result<Option<u64>> {
        Ok(self.head_dated(name).await?.map(|found| found.len_bytes))
    }

    /// A file with its size and the time at which it was written, or none if there is no such file.
    ///
    /// # Errors
    /// As for [`Store::get`].
    pub async fn head_dated(&self, name: &RelativeName) -> Result<Option<Dated>> {
        let path = self.path(name)?;
        let found = self.objects.get_opts(&path, GetOptions::new().with_head(true)).await;
        let found = present(found.map(|found| Dated {
            name: name.clone(),
            len_bytes: found.meta.size,
            modified_ms: found.meta.last_modified.timestamp_millis(),
        }));
        found.map_err(|error| error::map(error, "look up the file", path.as_ref()))
    }

    /// The files below `folder`, or of the whole store, with their sizes in bytes, in the order of
    /// their names. Files whose names are none of esker's, and half-written ones, are left out.
    ///
    /// # Errors
    /// As for [`Store::get`].
    pub async fn list(&self, folder: Option<&RelativeName>) -> Result<Vec<(RelativeName, u64)>> {
        let listed = self.list_dated(folder).await?;
        Ok(listed.into_iter().map(|file| (file.name, file.len_bytes)).collect())
    }

    /// As [`Store::list`], with the times at which files were written.
    ///
    /// # Errors
    /// As for [`Store::get`].
    pub async fn list_dated(&self, folder: Option<&RelativeName>) -> Result<Vec<Dated>> {
        let root = folder.map_or(self.prefix.clone(), |folder| self.joined(folder));
        let failed = |error| error::map(error, "list the files", &root);
        let path = Path::parse(&root).map_err(|error| failed(error.into()))?;
        let mut files = Vec::new();
        let mut listed = self.objects.list(Some(&path));
        while let Some(file) = listed.try_next().await.map_err(failed)? {
            if let Some(name) = self.name(&file.location) {
                let modified_ms = file.last_modified.timestamp_millis();
                files.push(Dated { name, len_bytes: file.size, modified_ms });
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    fn name(&self, location: &Path) -> Option<RelativeName> {
        let name = location.as_ref().strip_prefix(self.prefix.as_str())?;
        let name = if self.prefix.is_empty() { name } else { name.strip_prefix('/')? };
        RelativeName::new(name).ok()
    }

    /// Deletes a file. That it is absent is no error.
    ///
    /// # Errors
    /// As for [`Store::put`]; the file may be gone, or go later.
    pub async fn delete(&self, name: &RelativeName) -> Result<()> {
        let path = self.path(name)?;
        present(self.objects.delete(&path).await)
            .map(|_| ())
            .map_err(|error| error::map(error, "delete the file", path.as_ref()))
    }
}

fn present<T>(result: Outcome<T>) -> Outcome<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// That `range` lies in a file of `len_bytes`.
fn within(path: &Path, range: &Range<u64>, len_bytes: u64) -> Result<()> {
    if range.start <= range.end && range.end <= len_bytes {
        return Ok(());
    }
    let message = format!("file ends early: bytes={len_bytes} range={range:?}");
    Err(Error::new(ErrorKind::Corrupt, message).at_path(path.as_ref()))
}

fn check_len(path: &Path, expected_bytes: u64, found: &Bytes) -> Result<()> {
    if found.len() as u64 == expected_bytes {
        return Ok(());
    }
    let message = format!("expected bytes={expected_bytes}, found bytes={}", found.len());
    Err(Error::new(ErrorKind::Corrupt, message).at_path(path.as_ref()))
}
