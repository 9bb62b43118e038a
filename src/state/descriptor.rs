//! Descriptors: name, kind and types of a state, from which any backend can open it.

use crate::format::Key;
use crate::format::manifest::{StateInfo, StateKind, TypeInfo};
use crate::format::record::Extra;
use crate::format::schema::Reads;
use crate::{Error, ErrorKind, Result};

/// What can be said of a state before there is a backend.
pub trait Described {
    /// The keys of the operator.
    type Key: Key;

    /// The name: unique within the operator.
    fn name(&self) -> &str;

    /// What a manifest says of the state, with numeric id `id`.
    ///
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding or a type cannot be traced.
    fn info(&self, id: u32) -> Result<StateInfo>;

    /// What it reads besides values of its own shape, for schema files; `None` where that cannot be told.
    ///
    /// # Errors
    /// `Incompatible` if a type cannot be traced.
    fn reads(&self) -> Result<Option<Reads>> {
        Ok(None)
    }
}

/// What a manifest says of a keyed state that lives for ever.
pub(crate) fn keyed_info<N: Key>(
    id: u32,
    name: &str,
    kind: StateKind,
    user_key: Option<TypeInfo>,
    value: Option<TypeInfo>,
) -> Result<StateInfo> {
    let (name, namespace) = (name.to_owned(), namespace_info::<N>()?);
    Ok(StateInfo { id, name, kind, namespace, user_key, value, ttl: None, extra: Extra::new() })
}

/// What a manifest says of a key type.
///
/// # Errors
/// `Incompatible` if it has no deterministic encoding.
pub(crate) fn key_info<K: Key>() -> Result<TypeInfo> {
    K::check()?;
    Ok(TypeInfo { codec: K::codec(), schema: K::schema() })
}

/// The same of a namespace; `()` is none.
pub(crate) fn namespace_info<N: Key>() -> Result<Option<TypeInfo>> {
    let info = key_info::<N>()?;
    Ok((info.schema != crate::format::Schema::Unit).then_some(info))
}

/// Whether a state called for as `asked` can be restored from what was stored as `stored`: same
/// kind and key types; values may still be migrated.
///
/// # Errors
/// `Incompatible`, naming the difference.
pub(crate) fn check_stored(asked: &StateInfo, stored: &StateInfo) -> Result<()> {
    let differs = |what: &str, was: String, is: String| {
        let name = &asked.name;
        let message = format!("state={name}: {what} is {was} in the snapshot, not {is}");
        Err(Error::new(ErrorKind::Incompatible, message))
    };
    let text = |info: &Option<TypeInfo>| match info {
        Some(info) => format!("{:?} by codec={}", info.schema, info.codec),
        None => "none".to_owned(),
    };
    if asked.kind != stored.kind {
        return differs("kind", stored.kind.to_string(), asked.kind.to_string());
    }
    if asked.namespace != stored.namespace {
        return differs("namespace", text(&stored.namespace), text(&asked.namespace));
    }
    if asked.user_key != stored.user_key {
        return differs("user key", text(&stored.user_key), text(&asked.user_key));
    }
    if asked.ttl.is_some() != stored.ttl.is_some() {
        let text = |is: bool| if is { "with TTL" } else { "without TTL" }.to_owned();
        return differs("it", text(stored.ttl.is_some()), text(asked.ttl.is_some()));
    }
    Ok(())
}
