//! The frozen shape of version 1 of log records. Never changed once released: a new version gets
//! structs of its own.

use super::{Extra, Nonce};
use crate::{Digest, RelativeName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A struct of the wire, and its conversions from and to the program's struct of the same fields.
macro_rules! wire {
    ($name:ident = $model:path { $($field:ident: $type:ty),* $(,)? }) => {
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $name {
            $($field: $type,)*
            #[serde(flatten)]
            extra: Extra,
        }

        impl From<$name> for $model {
            fn from(wire: $name) -> Self {
                Self { $($field: wire.$field.into(),)* extra: wire.extra }
            }
        }

        impl From<$model> for $name {
            fn from(model: $model) -> Self {
                Self { $($field: model.$field.into(),)* extra: model.extra }
            }
        }
    };
}

wire!(Record = super::Record { generation: u64, nonce: Nonce, decision: Decision });
wire!(
    Published =
        super::Published { checkpoint: u64, manifest_path: RelativeName, manifest_digest: Digest }
);
wire!(Retire = super::Retire { checkpoints: BTreeSet<u64>, condemned: BTreeSet<RelativeName> });
wire!(Hold = super::Hold { checkpoint: u64, name: String });

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Base {
    claim_generation: u64,
    claim_nonce: Nonce,
    checkpoint_last: u64,
    checkpoints: Vec<Published>,
    holds: BTreeMap<u64, BTreeSet<String>>,
    condemned: BTreeSet<RelativeName>,
    #[serde(flatten)]
    extra: Extra,
}

impl From<Base> for super::Base {
    fn from(wire: Base) -> Self {
        Self {
            claim_generation: wire.claim_generation,
            claim_nonce: wire.claim_nonce,
            checkpoint_last: wire.checkpoint_last,
            checkpoints: wire.checkpoints.into_iter().map(Into::into).collect(),
            holds: wire.holds,
            condemned: wire.condemned,
            extra: wire.extra,
        }
    }
}

impl From<super::Base> for Base {
    fn from(model: super::Base) -> Self {
        Self {
            claim_generation: model.claim_generation,
            claim_nonce: model.claim_nonce,
            checkpoint_last: model.checkpoint_last,
            checkpoints: model.checkpoints.into_iter().map(Into::into).collect(),
            holds: model.holds,
            condemned: model.condemned,
            extra: model.extra,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Decision {
    Claim(Extra),
    Publish(Published),
    Retire(Retire),
    Hold(Hold),
    Release(Hold),
    Base(Base),
}

impl From<Decision> for super::Decision {
    fn from(wire: Decision) -> Self {
        match wire {
            Decision::Claim(extra) => Self::Claim(extra),
            Decision::Publish(wire) => Self::Publish(wire.into()),
            Decision::Retire(wire) => Self::Retire(wire.into()),
            Decision::Hold(wire) => Self::Hold(wire.into()),
            Decision::Release(wire) => Self::Release(wire.into()),
            Decision::Base(wire) => Self::Base(wire.into()),
        }
    }
}

impl From<super::Decision> for Decision {
    fn from(model: super::Decision) -> Self {
        match model {
            super::Decision::Claim(extra) => Self::Claim(extra),
            super::Decision::Publish(model) => Self::Publish(model.into()),
            super::Decision::Retire(model) => Self::Retire(model.into()),
            super::Decision::Hold(model) => Self::Hold(model.into()),
            super::Decision::Release(model) => Self::Release(model.into()),
            super::Decision::Base(model) => Self::Base(model.into()),
        }
    }
}
