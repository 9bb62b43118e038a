//! URLs of buckets, and what of one may be shown.

/// Who runs a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    S3,
    Azure,
    Google,
}

impl Provider {
    /// By a URL's scheme.
    pub(super) fn of(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" | "azure" | "adl" | "abfs" | "abfss" => Some(Self::Azure),
            _ => None,
        }
    }

    /// The feature that brings a client of it.
    pub(super) fn feature(self) -> &'static str {
        match self {
            Self::S3 => "aws",
            Self::Azure => "azure",
            Self::Google => "gcp",
        }
    }
}

/// A URL as it may be shown: without what may be credentials, which have no place in one. What is no URL is shown
/// as it is.
///
/// ```
/// use esker::store::shown;
/// assert_eq!(shown("s3://KEY:SECRET@bucket/job"), "s3://…@bucket/job");
/// assert_eq!(shown("az://container/job?sig=SECRET"), "az://container/job");
/// assert_eq!(shown("abfss://container@account.dfs.core.windows.net"), "abfss://container@account.dfs.core.windows.net");
/// ```
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let provider = Provider::of(scheme);
    if provider.is_none() && !scheme.starts_with("http") {
        return url.to_owned();
    }
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.rsplit_once('@') {
        // A container and its account.
        Some((name, _)) if provider == Some(Provider::Azure) && !name.contains(':') => {
            format!("{scheme}://{rest}")
        }
        // An `@` of a path follows a `/`, and what is before that is no name and password.
        Some((before, _)) if before.contains('/') && !before.contains(':') => {
            format!("{scheme}://{rest}")
        }
        Some((_, after)) => format!("{scheme}://…@{after}"),
        None => format!("{scheme}://{rest}"),
    }
}

/// Whether an argument is a bucket's URL with what may be credentials in it.
pub fn has_credentials(argument: &str) -> bool {
    let scheme = argument.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| Provider::of(scheme).is_some()) && shown(argument) != argument
}
