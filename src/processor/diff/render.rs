//! Entries as lines, on both sides; what no line can be made of is kept as damage.

use super::{OnSide, States};
use crate::Error;
use crate::snapshot::{Damage, Lost};
use esker_format::KeyGroupRange;
use esker_format::canonical::{Canonical, Expired};
use esker_format::manifest::StateInfo;
use esker_format::part::Part;
use esker_format::run::{Entry, Op};

/// A state on one side, as lines.
pub(super) struct Lines<'a> {
    state: u32,
    canonical: Canonical<'a>,
    key: Vec<u8>,
    line: String,
    /// What no line could be made of: the first error, and how many entries.
    refused: Option<(Error, u64)>,
}

impl<'a> Lines<'a> {
    /// The lines of `info`, in the part whose capture was at its time.
    pub(super) fn new(on: &OnSide<'a>, info: &'a StateInfo, part: &Part, expired: Expired) -> Self {
        let mut canonical = Canonical::new(&on.operator.uid, on.operator.key.as_ref(), info);
        canonical.at(part.ttl_time_ms(info.id), expired);
        let (key, line) = (Vec::new(), String::new());
        Self { state: info.id, canonical, key, line, refused: None }
    }

    /// The line of a key, which goes without the state, and its value; none if it is expired, or if none
    /// can be made.
    pub(super) fn of(&mut self, key: &[u8], value: &[u8]) -> Option<&str> {
        self.key.clear();
        self.key.extend_from_slice(&self.state.to_be_bytes());
        self.key.extend_from_slice(key);
        self.line.clear();
        match self.canonical.write(Entry { key: &self.key, op: Op::Put, value }, &mut self.line) {
            Ok(true) => Some(&self.line),
            Ok(false) => None,
            Err(error) => {
                self.refused.get_or_insert_with(|| (error.into(), 0)).1 += 1;
                None
            }
        }
    }

    /// The entries of the key groups in `range` that no line could be made of.
    pub(super) fn refused(self, range: KeyGroupRange) -> Option<Damage> {
        let (error, entries) = self.refused?;
        let lost = vec![Lost { state: Some(self.state), range }];
        Some(Damage { error, entries: Some(entries), lost })
    }
}

/// Whether entries of both sides that are the same to the byte are the same lines: types are, and what is
/// expired.
pub(super) fn are_twins(
    states: States<'_>,
    sides: [Option<&OnSide<'_>>; 2],
    parts: [Option<&Part>; 2],
    expired: Expired,
) -> bool {
    let ([Some(a), Some(b)], [Some(on_a), Some(on_b)], [Some(part_a), Some(part_b)]) =
        (states, sides, parts)
    else {
        // There is nothing on the other side.
        return true;
    };
    let types = |info: &StateInfo| {
        (info.kind, info.namespace.clone(), info.user_key.clone(), info.value.clone(), info.ttl)
    };
    let never_expires =
        expired == Expired::Shown || a.ttl.is_none_or(|ttl| ttl.duration_ms.is_none());
    on_a.operator.key == on_b.operator.key
        && types(a) == types(b)
        && (never_expires || part_a.ttl_time_ms(a.id) == part_b.ttl_time_ms(b.id))
}
