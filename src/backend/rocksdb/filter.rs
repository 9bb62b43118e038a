//! What RocksDB calls while it merges files: how lists grow, and what has expired.

use super::expiry::Expiry;
use crate::backend::ttl::time_of;
use esker_format::list::elements;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use rocksdb::{CompactionDecision, MergeOperands, Options};
use std::ffi::CStr;
use std::sync::Arc;

/// What the values of a column family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Values, entries of maps and timers: each by itself.
    Values,
    /// Lists.
    Lists,
}

impl Content {
    /// Completes the options of a column family; where its values expire, `expiry` says when.
    pub(super) fn set(self, options: &mut Options, expiry: Option<Arc<Expiry>>) {
        if self == Self::Lists {
            options.set_merge_operator_associative("esker-list", concatenated);
        }
        if let Some(expiry) = expiry {
            // A factory: RocksDB then owns the filters. A filter alone would have to be kept for as
            // long as the family is there, which nobody does for a family that is made later.
            options.set_periodic_compaction_seconds(expiry.period_s());
            options.set_compaction_filter_factory(Expired { content: self, expiry });
        }
    }

    /// Whether nothing of a value is left. What has no time is left to whoever reads it.
    fn has_expired(self, value: &[u8], expiry: &Expiry) -> bool {
        let expired = |timed: &[u8]| time_of(timed).is_some_and(|time_ms| expiry.may_drop(time_ms));
        match self {
            Self::Values => expired(value),
            Self::Lists => elements(value).all(|element| element.is_ok_and(expired)),
        }
    }
}

/// Lists stand behind each other as their elements do, so that nothing is decoded.
fn concatenated(_: &[u8], list: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let added: usize = operands.iter().map(<[u8]>::len).sum();
    let list = list.unwrap_or_default();
    let mut all = Vec::with_capacity(list.len() + added);
    all.extend_from_slice(list);
    operands.iter().for_each(|operand| all.extend_from_slice(operand));
    Some(all)
}

/// Drops what has expired. A list is dropped as a whole, once the last of its elements has expired;
/// operands that are not merged yet are passed over.
#[derive(Clone)]
struct Expired {
    content: Content,
    expiry: Arc<Expiry>,
}

const NAME: &CStr = c"esker-expired";

impl CompactionFilterFactory for Expired {
    type Filter = Self;

    fn create(&mut self, _: CompactionFilterContext) -> Self {
        self.clone()
    }

    fn name(&self) -> &CStr {
        NAME
    }
}

impl CompactionFilter for Expired {
    fn filter(&mut self, _level: u32, _key: &[u8], value: &[u8]) -> CompactionDecision {
        match self.content.has_expired(value, &self.expiry) {
            true => CompactionDecision::Remove,
            false => CompactionDecision::Keep,
        }
    }

    fn name(&self) -> &CStr {
        NAME
    }
}
