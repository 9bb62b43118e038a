//! Whether a Flink reads what it is to get.

use crate::format::CodecId;
use crate::format::manifest::{Operator, StateInfo};
use crate::processor::convert::types::FlinkType;
use crate::{Error, ErrorKind, Result};
use esker_flink::Serializer;

/// That the state's types are by codecs of esker's.
pub(super) fn check_codecs(operator: &Operator, info: &StateInfo) -> Result<()> {
    let key = operator.key.as_ref().filter(|_| info.kind.is_keyed());
    let infos = [key, info.namespace.as_ref(), info.user_key.as_ref(), info.value.as_ref()];
    let is_own = |codec: &CodecId| [CodecId::ORDERED, CodecId::BINCODE2].contains(codec);
    match infos.into_iter().flatten().find(|of| !is_own(&of.codec)) {
        None => Ok(()),
        Some(of) => {
            let message =
                format!("codec={} is not one of esker's: only its program reads it", of.codec);
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}

/// Classes that Flink 1 has not.
const OF_FLINK_2: [&[u8]; 3] =
    [b"base.SetSerializerSnapshot", b"base.VariantSerializer", b"base.BitmapSerializer"];

/// That Flink of this major version reads the state.
pub(super) fn check_major(state: &FlinkType, major: u32, origin_major: Option<u32>) -> Result<()> {
    if state.is_opaque && origin_major.is_some_and(|origin| origin != major) {
        let class =
            state.value.as_ref().and_then(Serializer::opaque).unwrap_or_default().to_owned();
        let message = format!(
            "{class} of Flink {} wrote it, and that of Flink {major} reads other bytes: drop the state first (esker rewrite)",
            origin_major.unwrap_or_default()
        );
        return Err(Error::new(ErrorKind::Incompatible, message));
    }
    let mut bytes = Vec::new();
    state.meta.write(&mut bytes)?;
    let has = |name: &&&[u8]| bytes.windows(name.len()).any(|window| window == **name);
    match OF_FLINK_2.iter().find(has).filter(|_| major == 1) {
        None => Ok(()),
        Some(name) => {
            let message = format!("{} is of Flink 2", String::from_utf8_lossy(name));
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}
