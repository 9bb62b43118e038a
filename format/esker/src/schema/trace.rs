//! stub
use super::*;
/// stub
pub fn trace<T: serde::Serialize + serde::de::DeserializeOwned>() -> crate::Result<Schema> {
    Ok(Schema::Unit)
}
