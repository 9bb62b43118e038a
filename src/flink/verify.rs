//! Whether a snapshot is whole: its files are there, every key group can be read, and keys lie where Flink looks for them.

use super::damage::FlinkDamage;
use super::entry::{Element, FlinkEntry, FlinkValue, Of, Raw, Visitor};
use super::filter::FlinkFilter;
use super::ordered::ordered;
use super::refusal::Refusals;
use super::snapshot::FlinkSnapshot;
use super::state::FlinkState;
use super::walk::{Plan, Unit, Walk, is_passing};
use crate::format::manifest::StateKind;
use crate::{Error, ErrorKind, Result};
use esker_flink::channel;
use esker_flink::key_group::key_group;
use esker_flink::metadata::{Site, Slot, StreamHandle, StreamKind};
use esker_flink::{FormatError, FormatErrorKind, Input, Serializer};
use std::collections::BTreeSet;

/// What [`FlinkSnapshot::verify`] found.
#[derive(Debug, Default)]
pub struct FlinkVerified {
    /// How many files the snapshot refers to.
    pub files: u64,
    /// How many bytes of them count.
    pub len_bytes: u64,
    /// How many entries, timers and elements of operator state were read.
    pub entries: u64,
    /// What is wrong.
    pub damage: Vec<FlinkDamage>,
}

/// What workers find.
enum Found {
    Damage(FlinkDamage),
    Done { entries: u64, steps: u64 },
}

impl FlinkSnapshot {
    /// Checks that every file that `_metadata` names is there and as long as it says, that every key group and every element
    /// of operator state decodes to its last byte, and that each key lies in the key group of its hash, as far as Java's hash of
    /// its type is known; of records in flight that every buffer is there. `progress` is told of
    /// [`steps`](Self::steps). Coordinators' state is looked at by length alone.
    ///
    /// # Errors
    /// The stores' that are no damage.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<FlinkVerified> {
        let mut verified = FlinkVerified::default();
        self.verify_files(&mut verified)?;
        self.verify_in_flight(&mut verified)?;
        let filter = FlinkFilter::default();
        let plan = Plan::every_copy(self, &filter);
        let work = |unit: &Unit, give: &mut dyn FnMut(Found) -> Result<()>| {
            let max_parallelism =
                plan.parts.get(unit.part).map_or(1, |part| part.operator.max_parallelism);
            let mut check = Check { max_parallelism, entries: 0, refused: Refusals::default() };
            let mut found = Vec::new();
            let mut harm = |damage| found.push(damage);
            Walk { filter: &filter, visitor: &mut check, harm: &mut harm }.unit(&plan, unit)?;
            let refused = check.refused.into_damage(&plan, unit);
            found.into_iter().chain(refused).try_for_each(|damage| give(Found::Damage(damage)))?;
            give(Found::Done { entries: check.entries, steps: unit.steps() })
        };
        // A file that is missing was told of above.
        let missing: BTreeSet<String> = verified.damage.iter().filter_map(path_of).collect();
        ordered(&plan.units, work, &mut |found| {
            match found {
                Found::Damage(damage) => {
                    if path_of(&damage).is_none_or(|path| !missing.contains(&path)) {
                        verified.damage.push(damage);
                    }
                }
                Found::Done { entries, steps } => {
                    verified.entries += entries;
                    progress(steps);
                }
            }
            Ok(())
        })?;
        Ok(verified)
    }

    fn verify_files(&self, verified: &mut FlinkVerified) -> Result<()> {
        let (mut files, mut refused) = (BTreeSet::new(), BTreeSet::new());
        self.metadata().visit_streams(|site, handle| -> Result<()> {
            let Some(path) = handle.path() else { return Ok(()) };
            if files.insert(path.to_owned()) {
                verified.files += 1;
            }
            match self.whole(site.slot, handle) {
                Ok(len_bytes) => verified.len_bytes = verified.len_bytes.saturating_add(len_bytes),
                Err(error) if is_passing(&error) => return Err(error),
                Err(error) if refused.insert(path.to_owned()) => {
                    verified.damage.push(self.of_site(site, error));
                }
                Err(_) => {}
            }
            Ok(())
        })
    }

    /// That every buffer of records in flight is where its handle says, and their bytes are as many.
    fn verify_in_flight(&self, verified: &mut FlinkVerified) -> Result<()> {
        let operators = self.operators().iter().zip(&self.metadata().operators);
        for (operator, subtask) in
            operators.flat_map(|(one, stored)| stored.subtasks.iter().map(move |s| (one, s)))
        {
            let Some(state) = subtask.state.as_deref() else { continue };
            for handle in state.inputs.iter().chain(&state.outputs) {
                // A file that is missing was told of.
                let Ok(stream) = self.stream(&handle.stream) else { continue };
                let checked = stream.read(0..stream.len_bytes()).and_then(|bytes| {
                    channel::check(&bytes, handle).map_err(|error| stream.refused(error))
                });
                match checked {
                    Err(error) if is_passing(&error) => return Err(error),
                    Err(error) => verified.damage.push(FlinkDamage {
                        operator: operator.label.clone(),
                        subtask: Some(subtask.index),
                        state: None,
                        key_groups: None,
                        entries: None,
                        error,
                    }),
                    Ok(_) => {}
                }
            }
        }
        Ok(())
    }

    /// The length of a stream whose file is there, as long as it should be.
    fn whole(&self, slot: Slot, handle: &StreamHandle) -> Result<u64> {
        if slot == Slot::KeyedChanges {
            // How long it is unpacked is looked at by who reads it.
            return self.log_stream(handle).map(|stream| stream.len_bytes());
        }
        let stream = self.stream(handle)?;
        let (StreamKind::File { len_bytes, .. } | StreamKind::Relative { len_bytes, .. }) =
            &handle.kind
        else {
            return Ok(stream.len_bytes());
        };
        match (stream.file(), len_bytes) {
            (Some(file), Some(stated)) if file.len_bytes != *stated => {
                let message =
                    format!("the file has {} bytes, and _metadata says {stated}", file.len_bytes);
                Err(Error::new(ErrorKind::Corrupt, message).at_path(&*file.path))
            }
            _ => Ok(stream.len_bytes()),
        }
    }

    fn of_site(&self, site: Site<'_>, error: Error) -> FlinkDamage {
        let operator = self.operators().get(site.operator);
        FlinkDamage {
            operator: operator.map(|operator| operator.label.clone()).unwrap_or_default(),
            subtask: site.subtask,
            state: None,
            key_groups: None,
            entries: None,
            error,
        }
    }
}

fn path_of(damage: &FlinkDamage) -> Option<String> {
    damage.error.path().map(str::to_owned)
}

/// Reads every entry to its last byte.
struct Check {
    max_parallelism: u32,
    entries: u64,
    refused: Refusals,
}

type Checked = std::result::Result<(), FormatError>;

impl Visitor for Check {
    fn entry(&mut self, of: Of<'_>, key_group: u16, raw: Raw<'_>, offset: u64) -> Result<()> {
        self.entries += 1;
        let checked = raw.parts(of, key_group).and_then(|entry| self.check(of.state, &entry));
        match checked {
            // What nothing can read is no damage.
            Err(error) if error.kind == FormatErrorKind::Incompatible => {}
            Err(error) => {
                // Its own offset counts within the entry.
                let error = FormatError { offset: Some(offset), ..error };
                self.refused.add(of.state, key_group, error);
            }
            Ok(()) => {}
        }
        Ok(())
    }

    fn element(&mut self, state: &FlinkState, element: Element<'_>, offset: u64) -> Result<()> {
        self.entries += 1;
        let check = || {
            match (element.user_key, state.kind) {
                (Some(user_key), _) => all(state.user_key.as_deref(), user_key)?,
                // All of a map that cannot be read.
                (None, StateKind::OperatorBroadcast) => return Ok(()),
                (None, _) => {}
            }
            all(state.value.as_deref(), element.value)
        };
        if let Err(error) = check() {
            self.refused.add(state, 0, FormatError { offset: Some(offset), ..error });
        }
        Ok(())
    }
}

impl Check {
    fn check(&self, state: &FlinkState, entry: &FlinkEntry<'_>) -> Checked {
        self.check_key(state, entry)?;
        all(state.namespace.as_deref(), entry.namespace)?;
        if let Some(user_key) = entry.user_key {
            all(state.user_key.as_deref(), user_key)?;
        }
        match entry.value {
            FlinkValue::One(bytes) => {
                let mut input = Input::new("value", bytes);
                if state.has_ttl {
                    input.i64()?;
                }
                all(state.value.as_deref(), input.rest())
            }
            FlinkValue::Joined(bytes) | FlinkValue::Counted(_, bytes) => {
                check_list(state, &entry.value, bytes)
            }
            FlinkValue::Null | FlinkValue::Timer(_) | FlinkValue::Whole(_) => Ok(()),
        }
    }

    /// That the key can be read and is in its key group.
    fn check_key(&self, state: &FlinkState, entry: &FlinkEntry<'_>) -> Checked {
        let Some(key) = state.key.as_deref().filter(|key| key.opaque().is_none()) else {
            return Ok(());
        };
        let mut input = Input::new("key", entry.key);
        let hash = match key.hash_bytes(&mut input) {
            Ok(hash) => hash,
            // A class of the user's decides: nothing can be said.
            Err(error) if error.kind == FormatErrorKind::Incompatible => {
                return all(Some(key), entry.key);
            }
            Err(error) => return Err(error),
        };
        input.end()?;
        let expected = key_group(hash, self.max_parallelism);
        if expected == entry.key_group {
            return Ok(());
        }
        let message = format!(
            "an entry in key group {}, where its key belongs in {expected}",
            entry.key_group
        );
        Err(FormatError::corrupt("key", message))
    }
}

/// That `bytes` are one value of `serializer`.
fn all(serializer: Option<&Serializer>, bytes: &[u8]) -> Checked {
    let Some(serializer) = serializer.filter(|serializer| serializer.opaque().is_none()) else {
        return Ok(());
    };
    let mut input = Input::new("value", bytes);
    serializer.check(&mut input)?;
    input.end()
}

fn check_list(state: &FlinkState, value: &FlinkValue<'_>, bytes: &[u8]) -> Checked {
    let Some(element) = state.value.as_deref().filter(|element| element.opaque().is_none()) else {
        return Ok(());
    };
    let mut input = Input::new("list", bytes);
    let mut number = 0;
    loop {
        let is_done = match value {
            FlinkValue::Counted(count, _) => number == *count,
            _ => input.is_empty(),
        };
        if is_done {
            return input.end();
        }
        if number > 0 && matches!(value, FlinkValue::Joined(_)) {
            super::lines::take_delimiter(&mut input)?;
        }
        if state.has_ttl {
            input.i64()?;
        }
        element.check(&mut input)?;
        number += 1;
    }
}
