//! Stores that are reached over HTTP, by URL: S3 and what speaks like it, Azure's blobs, Google's.
//!
//! All settings come from the environment, or from whoever opens the store; see [`Store::open_with`].
//! Nothing that is shown of a store, a URL or an error holds credentials: what a server says of them is
//! reduced to its code ([`mod@answer`]), and a URL that has any in it is refused, and shown without.
//!
//! [`Store::open_with`]: super::Store::open_with

mod answer;
mod builder;
mod client;

pub(super) use answer::{answer, is_too_large};

use super::url::{Provider, shown};
use crate::{Error, ErrorKind, Result};
use object_store::ObjectStore;
use object_store::path::Path;
use std::fmt;
use std::sync::{Arc, Once};
use url::Url;

impl Provider {
    /// What its files are in.
    fn container(self) -> &'static str {
        match self {
            Self::Azure => "container",
            Self::S3 | Self::Google => "bucket",
        }
    }

    /// The variables that credentials are set by.
    fn credentials(self) -> &'static str {
        match self {
            Self::S3 => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)",
            Self::Azure => "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
            Self::Google => "GOOGLE_SERVICE_ACCOUNT, the path of the account's key",
        }
    }

    /// The variable that the address is set by, where it is not the provider's own.
    fn endpoint(self) -> &'static str {
        match self {
            Self::S3 => "AWS_ENDPOINT_URL",
            Self::Azure => "AZURE_STORAGE_ENDPOINT",
            Self::Google => "GOOGLE_BASE_URL",
        }
    }

    /// The variable that lets `http://` be, in place of `https://`.
    fn allow_http(self) -> &'static str {
        match self {
            Self::S3 => "AWS_ALLOW_HTTP=true",
            Self::Azure => "AZURE_ALLOW_HTTP=true",
            Self::Google => "GOOGLE_ALLOW_HTTP=true",
        }
    }
}

/// Which container a store is in, and how it was opened: by this two clients of one are known to be.
#[derive(PartialEq, Eq)]
pub(super) struct Place {
    provider: Provider,
    /// The URL of the container: no credentials, no path.
    url: String,
    /// The address, where it is not the provider's own.
    endpoint: Option<String>,
    /// What was said beside the environment; credentials, for one.
    options: Vec<(String, String)>,
}

impl Place {
    /// Whether both are one container, whoever asks.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.provider, &self.url, &self.endpoint) == (other.provider, &other.url, &other.endpoint)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// A client of a container, and where in it the store's root is.
pub(super) struct Opened {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) prefix: String,
    pub(super) place: Arc<Place>,
}

/// The client that `url` names. Nothing is sent yet.
///
/// # Errors
/// `Invalid` if the URL, an option or a variable is wrong, or the URL holds credentials; `Unsupported` if this
/// build has no client for it.
pub(super) fn open(url: &Url, provider: Provider, options: &[(&str, &str)]) -> Result<Opened> {
    let at = shown(url.as_str());
    let invalid =
        |why: &str| Error::new(ErrorKind::Invalid, format!("not a store: {why}")).at_path(&at);
    let is_account = provider == Provider::Azure && url.password().is_none();
    if !(url.username().is_empty() && url.password().is_none() || is_account) {
        return Err(invalid(&format!(
            "a URL is no place for credentials: set {}",
            provider.credentials()
        )));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("nothing follows the path: no `?` and no `#`"));
    }
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Err(invalid(&format!("it names no {}", provider.container())));
    };
    let prefix =
        Path::from_url_path(url.path()).map_err(|error| invalid(&error.to_string()))?.to_string();
    if !prefix.is_empty() {
        crate::format::RelativeName::new(prefix.as_str()).map_err(|e| invalid(&e.to_string()))?;
    }
    let container = match (provider, url.username()) {
        (Provider::S3, _) => format!("s3://{host}"),
        (Provider::Google, _) => format!("gs://{host}"),
        (Provider::Azure, "") => format!("az://{host}"),
        (Provider::Azure, name) => format!("abfss://{name}@{host}"),
    };
    a_provider_of_tls();
    let (objects, place) = builder::open(provider, container, options, &at)?;
    Ok(Opened { objects: Arc::new(objects), prefix, place })
}

/// The client of HTTP takes what the process has, and panics where it has none: ring, unless the program has said
/// something else.
fn a_provider_of_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another thread may have been first, which is as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
    });
}

#[cfg(test)]
mod tests;
