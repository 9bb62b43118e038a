//! What esker cannot have of a snapshot of Flink's.

use crate::flink::FlinkState;
use crate::format::Schema;
use crate::format::manifest::StateKind;
use crate::format::schema::Shape;
use crate::{Error, ErrorKind, Result};
use esker_flink::Serializer;
use std::sync::Arc;

/// That the entries of a state with something opaque can be kept as bytes.
pub(super) fn check_keepable(state: &FlinkState) -> Result<()> {
    let opaque = |serializer: &Option<Arc<Serializer>>| {
        serializer.as_deref().and_then(Serializer::opaque).map(str::to_owned)
    };
    let unreadable = [
        ("its keys", opaque(&state.key)),
        ("its namespaces", opaque(&state.namespace)),
        ("its user keys", opaque(&state.user_key)),
        (
            "the elements of its lists",
            opaque(&state.value).filter(|_| state.kind == StateKind::List),
        ),
    ];
    match unreadable.into_iter().find_map(|(what, class)| Some((what, class?))) {
        None => Ok(()),
        Some((what, class)) => {
            let message = format!(
                "{what} cannot be told apart, as {class} wrote them: leave such states out (skip_opaque)"
            );
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}

/// What keys of `schema` hold that keys cannot.
pub(super) fn no_key(schema: &Schema) -> Option<&'static str> {
    match schema {
        Schema::F32 | Schema::F64 => Some("floating-point numbers"),
        Schema::Map(..) => Some("maps"),
        Schema::Set(_) => Some("sets"),
        Schema::Opaque { .. } => Some("what cannot be read"),
        Schema::Option(of) | Schema::Seq(of) | Schema::Newtype { inner: of, .. } => no_key(of),
        Schema::Tuple(of) | Schema::TupleStruct { fields: of, .. } => of.iter().find_map(no_key),
        Schema::Struct { fields, .. } => fields.iter().find_map(|field| no_key(&field.schema)),
        Schema::Enum { variants, .. } => variants.iter().find_map(|variant| match &variant.shape {
            Shape::Unit => None,
            Shape::Newtype(of) => no_key(of),
            Shape::Tuple(of) => of.iter().find_map(no_key),
            Shape::Struct(fields) => fields.iter().find_map(|field| no_key(&field.schema)),
        }),
        _ => None,
    }
}
