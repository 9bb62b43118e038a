//! Clients by the environment and by what is said beside it.

use super::Place;
use super::client::Client;
use crate::store::url::Provider;
use crate::{Error, ErrorKind, Result};
use object_store::client::{HttpClient, HttpConnector, ReqwestConnector};
use object_store::{BackoffConfig, ClientOptions, Error as StoreError, RetryConfig};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How calls that may be done twice are: an endpoint that is down is given up after some seconds, one that asks for
/// patience is given it.
fn repeating() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(10),
        base: 2.5,
    };
    RetryConfig { backoff, max_retries: 8, retry_timeout: Duration::from_secs(60) }
}

fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..repeating() }
}

/// Lets the clients of a process have their connections in common, those of one set of options: a tool opens one
/// bucket several times, and each client that begins anew reads the system's certificates.
#[derive(Debug)]
struct Shared;

/// As many sets of options; a client of the oldest goes when its stores do.
const CLIENT_COUNT_MAX: usize = 16;

impl HttpConnector for Shared {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        static CLIENTS: Mutex<Vec<(String, HttpClient)>> = Mutex::new(Vec::new());
        // All that they differ in, kept to be compared and not to be shown.
        let which = format!("{options:?}");
        let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(of, _)| *of == which) {
            return Ok(client.clone());
        }
        let client = ReqwestConnector::default().connect(options)?;
        if clients.len() == CLIENT_COUNT_MAX {
            clients.remove(0);
        }
        clients.push((which, client.clone()));
        Ok(client)
    }
}

/// The error of a setting.
fn wrong(error: &StoreError, at: &str, options: &[(&str, &str)], prefix: &str) -> Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let mut text = cause.to_string();
    // What is wrong may be a credential that is no number, say.
    let given = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let secrets = std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
            .filter(|(name, _)| name.starts_with(prefix))
    });
    for (name, value) in given.chain(secrets) {
        if is_secret(&name) && !value.is_empty() {
            text = text.replace(&value, "…");
        }
    }
    Error::new(ErrorKind::Invalid, format!("the store's settings are wrong: {text}")).at_path(at)
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "secret", "token", "password", "sas"].iter().any(|part| name.contains(part))
}

fn unknown(name: &str, provider: Provider, at: &str) -> Error {
    let message = format!("no option of {provider:?} is called `{name}`");
    Error::new(ErrorKind::Invalid, message).at_path(at)
}

/// Makes `open`, by a builder of `object_store`, its type of keys, those of its endpoint, and the prefix of its
/// variables.
macro_rules! client {
    ($builder:ty, $key:ty, [$($endpoint:expr),*], $variables:literal) => {
        pub(super) fn open(
            provider: Provider,
            url: String,
            options: &[(&str, &str)],
            at: &str,
        ) -> Result<(Client, Arc<Place>)> {
            let mut builder = <$builder>::from_env().with_url(url.as_str());
            for (name, value) in options {
                let key: $key = name
                    .to_ascii_lowercase()
                    .parse()
                    .map_err(|_| unknown(name, provider, at))?;
                builder = builder.with_config(key, *value);
            }
            let endpoint = [$(builder.get_config_value(&$endpoint)),*].into_iter().flatten().next();
            let builder = builder.with_http_connector(Shared);
            let wrong = |error: StoreError| wrong(&error, at, options, $variables);
            let repeating = builder.clone().with_retry(repeating()).build().map_err(wrong)?;
            // They have the same credentials, fetched once.
            let credentials = Arc::clone(repeating.credentials());
            let once = builder.with_credentials(credentials).with_retry(once());
            let once = once.build().map_err(wrong)?;
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let options = options.iter().map(own).collect();
            let place = Arc::new(Place { provider, url, endpoint, options });
            Ok((Client::new(repeating, once, Arc::clone(&place))?, place))
        }
    };
}

#[cfg(feature = "aws")]
mod s3 {
    use super::*;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};

    client!(AmazonS3Builder, Key, [Key::S3Endpoint, Key::Endpoint], "AWS_");
}

#[cfg(feature = "azure")]
mod azure {
    use super::*;
    use object_store::azure::{AzureConfigKey as Key, MicrosoftAzureBuilder};

    client!(MicrosoftAzureBuilder, Key, [Key::Endpoint, Key::AccountName], "AZURE_");
}

#[cfg(feature = "gcp")]
mod google {
    use super::*;
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Key};

    client!(GoogleCloudStorageBuilder, Key, [Key::BaseUrl], "GOOGLE_");
}

/// The client of a container, and where that is.
///
/// # Errors
/// As for [`super::open`].
pub(super) fn open(
    provider: Provider,
    url: String,
    options: &[(&str, &str)],
    at: &str,
) -> Result<(Client, Arc<Place>)> {
    match provider {
        #[cfg(feature = "aws")]
        Provider::S3 => s3::open(provider, url, options, at),
        #[cfg(feature = "azure")]
        Provider::Azure => azure::open(provider, url, options, at),
        #[cfg(feature = "gcp")]
        Provider::Google => google::open(provider, url, options, at),
        #[allow(unreachable_patterns, reason = "with every client there is no other")]
        _ => Err(crate::store::without_client(provider.feature(), at)),
    }
}
