//! Object stores: durable files by relative name, on local disk, in memory, or wherever
//! [`object_store`] reaches.
//!
//! A [`Store`] is a root and what is below it; a [`RelativeName`] cannot leave it. Calls are async on
//! the caller's executor, whichever it is, or none: [`block_on`] is the blocking form of each.

mod call;
mod digest;
mod ended;
mod error;
pub mod fault;
mod local;
mod runtime;
mod share;
mod upload;

pub(crate) use call::PART_LEN_BYTES;
pub use call::{Created, Dated};
pub(crate) use ended::ended;
pub use error::is_device_error;
pub(crate) use local::Leftover;
pub use runtime::block_on;
pub(crate) use runtime::{blocking, sleep};
pub(crate) use upload::Upload;

use crate::format::RelativeName;
use crate::{Error, ErrorKind, Result};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use url::Url;

/// A root in an object store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The root, below that of `objects`.
    prefix: String,
    /// The root as a folder, where `objects` is a local disk.
    folder: Option<PathBuf>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({self})")
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.folder {
            Some(folder) => write!(f, "{}", folder.display()),
            None => write!(f, "{}/{}", self.objects, self.prefix),
        }
    }
}

impl Store {
    /// Opens a folder, by its path or as `file:///…`, or a new store in memory, as `memory://`.
    ///
    /// A folder is created where it is missing. What is written to it is synced before a call
    /// returns: the file, and every folder that gained an entry.
    ///
    /// # Errors
    /// `Unsupported` for a store that this build has no client for, `Invalid` for anything else that
    /// is not a store or may not be used, `Retry` if the folder cannot be made just now.
    pub fn open(url_or_path: &str) -> Result<Self> {
        if !url_or_path.contains("://") {
            return Self::open_folder(PathBuf::from(url_or_path));
        }
        let invalid = |why: &str| {
            Error::new(ErrorKind::Invalid, format!("not a store: {why}")).at_path(url_or_path)
        };
        let url = Url::parse(url_or_path).map_err(|error| invalid(&error.to_string()))?;
        let feature = match url.scheme() {
            "file" => {
                let path = url.to_file_path();
                return Self::open_folder(path.map_err(|()| invalid("not a file's path"))?);
            }
            "memory" => return Ok(Self::from_object_store(Arc::new(InMemory::new()), None)),
            "s3" | "s3a" => "aws",
            "gs" => "gcp",
            "az" | "azure" | "adl" | "abfs" | "abfss" => "azure",
            "http" | "https" => "http",
            scheme => return Err(invalid(&format!("no store is known by `{scheme}://`"))),
        };
        let message =
            format!("{}:// needs the feature `{feature}`, which this build lacks", url.scheme());
        Err(Error::new(ErrorKind::Unsupported, message).at_path(url_or_path))
    }

    fn open_folder(path: PathBuf) -> Result<Self> {
        let folder = local::create_folder(&path)?;
        let objects = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|error| error::map(error, "open the folder", &folder.to_string_lossy()))?
            .with_fsync(true);
        Ok(Self { objects: Arc::new(objects), prefix: String::new(), folder: Some(folder) })
    }

    /// The part of `objects` below `prefix`, or all of it.
    ///
    /// Files that a dying process leaves half-written are found only where [`Store::open`] knows the
    /// folder.
    pub fn from_object_store(objects: Arc<dyn ObjectStore>, prefix: Option<&RelativeName>) -> Self {
        let root = Self { objects, prefix: String::new(), folder: None };
        prefix.map_or(root.clone(), |prefix| root.below(prefix))
    }

    /// The same root, its calls going through what `wrap` puts around the object store: a limit, a
    /// cache, a [`fault::FaultStore`].
    #[must_use]
    pub fn map_object_store(
        self,
        wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>,
    ) -> Self {
        Self { objects: wrap(self.objects), ..self }
    }

    /// The root `name` below this one.
    #[must_use]
    pub fn below(&self, name: &RelativeName) -> Self {
        Self {
            objects: Arc::clone(&self.objects),
            prefix: self.joined(name),
            folder: self.folder.as_ref().map(|folder| folder.join(name.as_str())),
        }
    }

    /// Whether both are one root; of two clients of one bucket that is not known.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.folder, &other.folder) {
            (Some(folder), Some(other)) => folder == other,
            _ => Arc::ptr_eq(&self.objects, &other.objects) && self.prefix == other.prefix,
        }
    }

    /// All of the path that an error has, which begins at the root of names or at that of the objects; the root
    /// where it has none.
    pub(crate) fn whole_path(&self, path: Option<&str>) -> String {
        let Some(path) = path else { return self.to_string() };
        let below = path.strip_prefix(&self.prefix).and_then(|path| path.strip_prefix('/'));
        format!("{self}/{}", below.unwrap_or(path))
    }

    fn joined(&self, name: &RelativeName) -> String {
        match self.prefix.as_str() {
            "" => name.to_string(),
            prefix => format!("{prefix}/{name}"),
        }
    }

    /// The object's path as the store sees it: the names as they are, nothing percent-encoded.
    fn path(&self, name: &RelativeName) -> Result<Path> {
        let path = self.joined(name);
        if local::staged_for(&path).is_some() {
            let message = "a name that ends with `#` and digits is that of a half-written file";
            return Err(Error::new(ErrorKind::Invalid, message).at_path(path));
        }
        Path::parse(&path).map_err(|error| error::map(error.into(), "use the name", &path))
    }
}

#[cfg(test)]
mod tests;
