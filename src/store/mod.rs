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
#[cfg(feature = "remote")]
#[cfg_attr(
    not(any(feature = "aws", feature = "azure", feature = "gcp")),
    allow(dead_code, reason = "without a client there is nothing to share")
)]
mod remote;
mod runtime;
mod share;
mod upload;
mod url;

pub(crate) use call::PART_LEN_BYTES;
pub use call::{Created, Dated};
pub(crate) use ended::ended;
pub use error::is_device_error;
pub(crate) use local::Leftover;
pub use runtime::block_on;
pub(crate) use runtime::{blocking, sleep};
pub(crate) use upload::Upload;
pub use url::{has_credentials, shown};

use crate::format::RelativeName;
use crate::{Error, ErrorKind, Result};
use ::url::Url;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A root in an object store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The root, below that of `objects`.
    prefix: String,
    /// The root as a folder, where `objects` is a local disk.
    folder: Option<PathBuf>,
    /// The bucket, where `objects` is a client of one.
    #[cfg(feature = "remote")]
    place: Option<Arc<remote::Place>>,
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
    /// Opens a folder, by its path or as `file:///…`; a new store in memory, as `memory://`; or, with the feature
    /// named, what is below a path in a bucket or container:
    ///
    /// | URL | store | feature | settings |
    /// |---|---|---|---|
    /// | `s3://BUCKET/PATH`, `s3a://…` | S3, and servers that speak like it | `aws` | `AWS_…` |
    /// | `gs://BUCKET/PATH` | Google Cloud Storage | `gcp` | `GOOGLE_…` |
    /// | `az://CONTAINER/PATH`, `abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH` | Azure | `azure` | `AZURE_…` |
    ///
    /// A folder is created where it is missing. What is written to it is synced before a call
    /// returns: the file, and every folder that gained an entry. A bucket is not created, and nothing is sent before
    /// the first call.
    ///
    /// Settings of a bucket come from the environment, by the names that `object_store` has for them:
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` and others. A URL
    /// holds none. Calls are made on a thread of esker's, whatever runs their futures, by connections that are kept.
    /// What may be done twice is, with a backoff, where the network or the server fails for a while: reads, lists,
    /// deletes, copies, and writes of files that may be there already. [`Store::create`] is sent once.
    ///
    /// If the process has named no provider of TLS (`rustls::crypto::CryptoProvider::install_default`), the first
    /// bucket that is opened names `ring`.
    ///
    /// # Errors
    /// `Unsupported` for a store that this build has no client for, `Invalid` for anything else that
    /// is not a store or may not be used, `Retry` if the folder cannot be made just now.
    pub fn open(url_or_path: &str) -> Result<Self> {
        Self::open_with(url_or_path, &[])
    }

    /// As [`Store::open`], with settings of a bucket that count before those of the environment, by the same names:
    /// `("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")`. They are not shown by anything.
    ///
    /// # Errors
    /// As for [`Store::open`]; `Invalid` if there is no such setting, or its value is wrong.
    pub fn open_with(url_or_path: &str, options: &[(&str, &str)]) -> Result<Self> {
        let invalid = |why: &str| {
            let error = Error::new(ErrorKind::Invalid, format!("not a store: {why}"));
            error.at_path(shown(url_or_path))
        };
        let takes_none = || match options.first() {
            Some((name, _)) => {
                Err(invalid(&format!("only a bucket has settings, `{name}` for one")))
            }
            None => Ok(()),
        };
        if !url_or_path.contains("://") {
            takes_none()?;
            return Self::open_folder(PathBuf::from(url_or_path));
        }
        let url = Url::parse(url_or_path).map_err(|error| invalid(&error.to_string()))?;
        #[cfg(feature = "remote")]
        if let Some(provider) = url::Provider::of(url.scheme()) {
            let remote::Opened { objects, prefix, place } = remote::open(&url, provider, options)?;
            return Ok(Self { objects, prefix, folder: None, place: Some(place) });
        }
        let feature = match (url.scheme(), url::Provider::of(url.scheme())) {
            (_, Some(provider)) => provider.feature(),
            ("file", _) => {
                takes_none()?;
                let path = url.to_file_path();
                return Self::open_folder(path.map_err(|()| invalid("not a file's path"))?);
            }
            ("memory", _) => {
                takes_none()?;
                return Ok(Self::from_object_store(Arc::new(InMemory::new()), None));
            }
            ("http" | "https", _) => "http",
            (scheme, _) => return Err(invalid(&format!("no store is known by `{scheme}://`"))),
        };
        Err(without_client(feature, &shown(url_or_path)))
    }

    fn open_folder(path: PathBuf) -> Result<Self> {
        let folder = local::create_folder(&path)?;
        let objects = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|error| error::map(error, "open the folder", &folder.to_string_lossy()))?
            .with_fsync(true);
        let root = Self::from_object_store(Arc::new(objects), None);
        Ok(Self { folder: Some(folder), ..root })
    }

    /// The part of `objects` below `prefix`, or all of it.
    ///
    /// Files that a dying process leaves half-written are found only where [`Store::open`] knows the
    /// folder.
    pub fn from_object_store(objects: Arc<dyn ObjectStore>, prefix: Option<&RelativeName>) -> Self {
        let root = Self {
            objects,
            prefix: String::new(),
            folder: None,
            #[cfg(feature = "remote")]
            place: None,
        };
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
            #[cfg(feature = "remote")]
            place: self.place.clone(),
        }
    }

    /// Whether both are one root. Of two clients of one bucket that is known if [`Store::open`] made them, by URLs of
    /// one form.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        #[cfg(feature = "remote")]
        if let (Some(place), Some(of_other)) = (&self.place, &other.place) {
            return place.is_same(of_other) && self.prefix == other.prefix;
        }
        match (&self.folder, &other.folder) {
            (Some(folder), Some(other)) => folder == other,
            _ => Arc::ptr_eq(&self.objects, &other.objects) && self.prefix == other.prefix,
        }
    }

    /// Whether the objects of both are reached by one client, or by two that differ in nothing.
    fn has_client_of(&self, other: &Self) -> bool {
        #[cfg(feature = "remote")]
        if self.place.is_some() && self.place == other.place {
            return true;
        }
        Arc::ptr_eq(&self.objects, &other.objects)
    }

    /// All of the path that an error has, which begins at the root of names or at that of the objects; the root
    /// where it has none.
    pub(crate) fn whole_path(&self, path: Option<&str>) -> String {
        let Some(path) = path else { return self.to_string() };
        let below = path.strip_prefix(&self.prefix).and_then(|path| path.strip_prefix('/'));
        format!("{self}/{}", below.unwrap_or(path))
    }

    /// The path of a file, where this is a folder.
    pub(crate) fn local_path(&self, name: &RelativeName) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(name.as_str()))
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

/// The error of a store that this build has no client for.
fn without_client(feature: &str, at: &str) -> Error {
    let scheme = at.split("://").next().unwrap_or_default();
    let message = format!("{scheme}:// needs the feature `{feature}`, which this build lacks");
    Error::new(ErrorKind::Unsupported, message).at_path(at)
}

#[cfg(test)]
mod tests;
