//! What a server's answer means to a caller: which kind of error it is, and what to do. Nothing of it is passed on
//! but its code, as servers repeat what they were sent, signatures and names of keys among it.

use super::Place;
use crate::ErrorKind;
use crate::store::url::Provider;
use object_store::Error as StoreError;
use std::error::Error;
use std::fmt;

/// Longest code that is shown; what is longer is none.
const CODE_LEN_MAX: usize = 48;

/// What went wrong, in esker's words.
#[derive(Debug)]
pub(in crate::store) struct Answer {
    /// What to do about it.
    pub(in crate::store) kind: ErrorKind,
    text: String,
    code: String,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Answer {}

/// The answer below an error that [`cleaned`] made.
pub(in crate::store) fn answer(error: &StoreError) -> Option<&Answer> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(answer) = error.downcast_ref() {
            return Some(answer);
        }
        cause = error.source();
    }
    None
}

/// Whether the store copies no file of that size.
pub(in crate::store) fn is_too_large(error: &StoreError) -> bool {
    let code = answer(error).map(|answer| answer.code.as_str());
    matches!(code, Some("InvalidRequest" | "EntityTooLarge"))
}

/// Of what kind an error is, and what a server said.
pub(super) struct Heard {
    status: Option<u16>,
    code: String,
    /// The innermost cause: of a server's answer all of it.
    text: String,
    /// Whether it was asked for credentials, and not for a file.
    is_of_credentials: bool,
}

impl Heard {
    pub(super) fn of(error: &StoreError) -> Self {
        let (mut text, mut is_of_credentials) = (String::new(), false);
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            text = error.to_string();
            is_of_credentials |= CREDENTIALS.iter().any(|part| text.contains(part));
            cause = error.source();
        }
        let status = text.split_once("status code: ").and_then(|(_, rest)| rest.get(..3));
        let code = between(&text, "<Code>", "</Code>").filter(|code| is_code(code));
        Self {
            status: status.and_then(|status| status.parse().ok()),
            code: code.unwrap_or_default().to_owned(),
            text,
            is_of_credentials,
        }
    }

    /// Whether a create-only put was turned down because another one of that name was under way, so that nobody
    /// knows whether there is an object.
    pub(super) fn is_undecided(&self) -> bool {
        self.status == Some(409) && self.code != "BlobAlreadyExists"
    }

    /// Whether there is no such bucket, and not no such object.
    fn is_without_container(&self) -> bool {
        let no_container = "The specified bucket does not exist";
        matches!(self.code.as_str(), "NoSuchBucket" | "ContainerNotFound")
            || self.status == Some(404) && self.text.contains(no_container)
    }
}

/// Addresses that credentials are asked for at.
const CREDENTIALS: [&str; 6] = [
    "169.254.169.254",
    "169.254.170.2",
    "/latest/api/token",
    "metadata.google.internal",
    "/metadata/identity",
    "/oauth2/",
];

/// Codes of credentials that are wrong, and not merely without rights.
const REFUSED: [&str; 7] = [
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "InvalidToken",
    "ExpiredToken",
    "TokenRefreshRequired",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
];

/// The same error, with nothing below it but what may be shown.
pub(super) fn cleaned(error: StoreError, place: &Place) -> StoreError {
    let heard = Heard::of(&error);
    let is_without_container = heard.is_without_container();
    let source = Box::new(Answer::new(heard, place));
    match error {
        StoreError::NotFound { path, .. } if !is_without_container => {
            StoreError::NotFound { path, source }
        }
        StoreError::AlreadyExists { path, .. } => StoreError::AlreadyExists { path, source },
        StoreError::Precondition { path, .. } => StoreError::Precondition { path, source },
        StoreError::NotModified { path, .. } => StoreError::NotModified { path, source },
        StoreError::PermissionDenied { path, .. } => StoreError::PermissionDenied { path, source },
        StoreError::Unauthenticated { path, .. } => StoreError::Unauthenticated { path, source },
        StoreError::NotSupported { .. } => StoreError::NotSupported { source },
        // What has nothing of a server in it.
        StoreError::InvalidPath { .. }
        | StoreError::NotImplemented { .. }
        | StoreError::UnknownConfigurationKey { .. } => error,
        _ => StoreError::Generic { store: "remote", source },
    }
}

impl Answer {
    fn new(heard: Heard, place: &Place) -> Self {
        let is_without_container = heard.is_without_container();
        let Heard { status, code, text, is_of_credentials } = heard;
        let Place { provider, .. } = place;
        let (container, credentials) = (provider.container(), provider.credentials());
        let said = match (status, code.as_str()) {
            (Some(status), "") => format!(" ({status})"),
            (Some(status), code) => format!(" ({status} {code})"),
            (None, "") => String::new(),
            (None, code) => format!(" ({code})"),
        };
        use ErrorKind::{Conflict, Invalid, Retry};
        let (kind, text) = match status {
            _ if is_of_credentials => {
                (Retry, format!("no credentials for {place}{said}: set {credentials}"))
            }
            _ if is_without_container => (
                Invalid,
                format!("there is no {container} {place}{said}: create it, or mend the URL"),
            ),
            Some(403) if code == "RequestTimeTooSkewed" => {
                (Invalid, format!("{place} refuses this machine's time{said}: set its clock"))
            }
            Some(401) => (Invalid, format!("{place} wants credentials{said}: set {credentials}")),
            Some(403) if REFUSED.contains(&code.as_str()) => (
                Invalid,
                format!("{place} does not know the credentials{said}: check {credentials}"),
            ),
            Some(403) => (
                Invalid,
                format!(
                    "{place} denies access{said}: ask for the right to read, write, list and delete, or check \
                     {credentials}"
                ),
            ),
            Some(404) => (Retry, format!("{place} has no such file{said}")),
            Some(409) => (Retry, format!("{place} is busy with the same file{said}: try again")),
            Some(412 | 304) => (Conflict, format!("{place} has another file{said}")),
            Some(408 | 429 | 500..) => {
                (Retry, format!("{place} fails or is overloaded{said}: try again later"))
            }
            Some(301 | 302 | 307 | 308) => (Invalid, elsewhere(place, &said)),
            Some(400) if code == "AuthorizationHeaderMalformed" => {
                (Invalid, elsewhere(place, &said))
            }
            Some(_) => (Invalid, format!("{place} refuses the call{said}")),
            None if text.contains("redirect without LOCATION") => {
                (Invalid, elsewhere(place, &said))
            }
            None if text.contains("URL scheme is not allowed") => (
                Invalid,
                format!(
                    "the address of {place} is no https://: if it is meant to be, set {}",
                    provider.allow_http()
                ),
            ),
            None => (
                Retry,
                format!(
                    "{place} does not answer: {text}: check the network, and {} if it is not the provider's own",
                    provider.endpoint()
                ),
            ),
        };
        Self { kind, text, code }
    }
}

fn elsewhere(place: &Place, said: &str) -> String {
    let what = place.provider.container();
    match place.provider {
        Provider::S3 => format!("the {what} {place} is in another region{said}: set AWS_REGION"),
        _ => format!("the {what} {place} is elsewhere{said}: mend the URL"),
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

fn is_code(text: &str) -> bool {
    text.len() <= CODE_LEN_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(provider: Provider) -> Place {
        Place { provider, url: "s3://b".into(), endpoint: None, options: Vec::new() }
    }

    fn heard(provider: Provider, text: &str) -> Answer {
        let error = StoreError::Generic { store: "S3", source: text.into() };
        Answer::new(Heard::of(&error), &place(provider))
    }

    #[test]
    fn an_answer_says_what_to_do_and_repeats_nothing() {
        let body = "<Error><Code>CODE</Code><Message>AKIDSECRET</Message></Error>";
        let status = |status: &str, code: &str| {
            let body = body.replace("CODE", code);
            format!("Server returned non-2xx status code: {status} Words: {body}")
        };
        let cases = [
            (status("404", "NoSuchBucket"), ErrorKind::Invalid, "create it"),
            (status("403", "AccessDenied"), ErrorKind::Invalid, "denies access (403 AccessDenied)"),
            (status("403", "InvalidAccessKeyId"), ErrorKind::Invalid, "check AWS_ACCESS_KEY_ID"),
            (status("403", "RequestTimeTooSkewed"), ErrorKind::Invalid, "clock"),
            (status("401", ""), ErrorKind::Invalid, "set AWS_ACCESS_KEY_ID"),
            (status("503", "SlowDown"), ErrorKind::Retry, "(503 SlowDown)"),
            (status("429", "TooManyRequests"), ErrorKind::Retry, "overloaded"),
            (status("409", "OperationAborted"), ErrorKind::Retry, "busy"),
            (status("400", "AuthorizationHeaderMalformed"), ErrorKind::Invalid, "AWS_REGION"),
            (status("301", "PermanentRedirect"), ErrorKind::Invalid, "AWS_REGION"),
            // What is no code is not repeated either.
            (status("400", "AKIDSECRET/1"), ErrorKind::Invalid, "refuses the call (400)"),
            ("Connection refused (os error 111)".into(), ErrorKind::Retry, "AWS_ENDPOINT_URL"),
            ("URL scheme is not allowed".into(), ErrorKind::Invalid, "AWS_ALLOW_HTTP=true"),
            ("PUT http://169.254.169.254/x".into(), ErrorKind::Retry, "no credentials for s3://b"),
        ];
        for (text, kind, part) in cases {
            let answer = heard(Provider::S3, &text);
            let shown = format!("{answer} {answer:?}");
            assert_eq!(answer.kind, kind, "{shown}");
            assert!(shown.contains(part), "{part:?} is not in {shown:?}");
            assert!(!shown.contains("AKIDSECRET"), "{shown}");
        }
    }

    #[test]
    fn a_container_that_is_not_there_is_no_missing_file() {
        let missing = |code: &str| {
            let text = format!("status code: 404 Not Found: <Code>{code}</Code>");
            let error = StoreError::NotFound { path: "x".into(), source: text.into() };
            let cleaned = cleaned(error, &place(Provider::Azure));
            matches!(cleaned, StoreError::NotFound { .. })
        };
        assert!(missing("NoSuchKey") && missing("BlobNotFound") && missing(""));
        assert!(!missing("NoSuchBucket") && !missing("ContainerNotFound"));
    }

    #[test]
    fn a_conflict_leaves_open_whether_there_is_a_file() {
        let undecided = |status: &str, code: &str| {
            let text = format!("status code: {status} x: <Code>{code}</Code>");
            let error = StoreError::AlreadyExists { path: "x".into(), source: text.into() };
            Heard::of(&error).is_undecided()
        };
        assert!(undecided("409", "ConditionalRequestConflict") && undecided("409", ""));
        assert!(!undecided("412", "PreconditionFailed"));
        assert!(!undecided("409", "BlobAlreadyExists"));
    }
}
