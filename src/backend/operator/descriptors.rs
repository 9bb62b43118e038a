//! Descriptors to operator states.

use super::backend::OperatorDescriptor;
use super::{BroadcastState, OperatorListState, Redistribution};
use crate::Result;
use crate::format::Key;
use crate::format::manifest::{StateInfo, StateKind, TypeInfo};
use crate::format::schema::Reads;
use crate::state::{BroadcastDescriptor, OperatorListDescriptor, key_info};

fn operator_info(
    id: u32,
    name: &str,
    kind: StateKind,
    user_key: Option<TypeInfo>,
    value: TypeInfo,
) -> StateInfo {
    let (name, value, extra) = (name.to_owned(), Some(value), Default::default());
    StateInfo { id, name, kind, namespace: None, user_key, value, ttl: None, extra }
}

impl<E: Clone + Send + Sync + 'static> OperatorDescriptor for OperatorListDescriptor<E> {
    type State = OperatorListState<E>;

    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self, id: u32) -> Result<StateInfo> {
        let kind = match self.redistribution {
            Redistribution::Split => StateKind::OperatorList,
            Redistribution::Union => StateKind::OperatorUnion,
        };
        Ok(operator_info(id, &self.name, kind, None, self.codec.info()?))
    }

    fn reads(&self) -> Result<Option<Reads>> {
        Ok(self.codec.reads()?)
    }

    fn build(self, id: u32) -> Result<Self::State> {
        Ok(OperatorListState::new(id, self.redistribution, self.codec))
    }
}

impl<UK: Key, V: Clone + Send + Sync + 'static> OperatorDescriptor for BroadcastDescriptor<UK, V> {
    type State = BroadcastState<UK, V>;

    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self, id: u32) -> Result<StateInfo> {
        let (kind, user_key) = (StateKind::OperatorBroadcast, Some(key_info::<UK>()?));
        Ok(operator_info(id, &self.name, kind, user_key, self.codec.info()?))
    }

    fn reads(&self) -> Result<Option<Reads>> {
        Ok(self.codec.reads()?)
    }

    fn build(self, id: u32) -> Result<Self::State> {
        BroadcastState::new(id, self.codec)
    }
}
