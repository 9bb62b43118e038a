//! Native checkpoints for whoever looks at them: entries in the order of runs, out of a database that
//! was fetched for the while.

use super::db::Parent;
use super::filter::Content;
use super::keys::{ID_LEN_BYTES, bounds};
use super::native::{ENGINE, is_timer};
use super::timer::write_sorted;
use crate::backend::EntrySink;
use crate::format::composite::CompositeKey;
use crate::format::manifest::{StateInfo, StateKind};
use crate::format::part::{Native, NativeFile};
use crate::format::run::{Entry, Op};
use crate::format::{KeyGroup, KeyGroupRange};
use crate::snapshot::{Damage, Lost, SnapshotSettings, fetch_sound};
use crate::store::blocking;
use crate::{Error, ErrorKind, Result, Store};
use std::collections::BTreeSet;
use std::error::Error as _;
use std::path::Path;

/// The database of one part of a native checkpoint, open to be read. It is fetched as a whole, but for
/// files of states that nobody asks for; [`ChainReader`](crate::snapshot::ChainReader) is the same for
/// runs.
///
/// The disk has to have room for the files: they go with the reader. Memory: one block of RocksDB's for
/// each file that is read, and 64 MiB while timers are sorted, as for their captures.
pub struct NativeReader {
    parent: Option<Parent>,
    /// The key groups of the part.
    range: KeyGroupRange,
    /// The states that can be read: the id, and whether they are timers.
    states: Vec<(u32, bool)>,
    damage: Vec<Damage>,
}

impl NativeReader {
    /// Fetches what `native` has of `states` into the folder `dir`, which is empty and goes with the
    /// reader, and opens it. `range` is the key groups of the part.
    ///
    /// Every file is verified by its digest (I3). What is missing or damaged is no error, but stands in
    /// [`take_damage`](Self::take_damage): of a state, one file of which is, nothing is read, as its entries lie
    /// across files; without a file that holds no entries, nothing at all.
    ///
    /// # Errors
    /// `Unsupported` for another database than RocksDB's; the store's; `Retry` if the disk is full or
    /// fails, or if RocksDB cannot open what is there.
    pub async fn open<'a>(
        store: &Store,
        native: &Native,
        states: impl IntoIterator<Item = &'a StateInfo>,
        range: KeyGroupRange,
        dir: &Path,
        settings: &SnapshotSettings,
    ) -> Result<Self> {
        if native.engine != ENGINE {
            let message = format!("a database of {}, which is not {ENGINE}", native.engine);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let keyed = states.into_iter().filter(|info| info.kind.is_keyed());
        let infos: Vec<StateInfo> = keyed.cloned().collect();
        let asked: BTreeSet<u32> = infos.iter().map(|info| info.id).collect();
        let wanted = |file: &&NativeFile| file.holds.is_none_or(|(id, _)| asked.contains(&id));
        let files: Vec<NativeFile> = native.files.iter().filter(wanted).cloned().collect();
        let mut damage = fetch_sound(store, (&files, &infos), range, dir, settings).await?;
        let lost: BTreeSet<Option<u32>> =
            damage.iter().flat_map(|damage| &damage.lost).map(|lost| lost.state).collect();
        if lost.contains(&None) {
            return Ok(Self { parent: None, range, states: Vec::new(), damage });
        }
        let sound = || infos.iter().filter(|info| !lost.contains(&Some(info.id)));
        let content = |info: &StateInfo| match info.kind {
            StateKind::List => Content::Lists,
            _ => Content::Values,
        };
        let families: Vec<_> = sound().map(|info| (info.id, content(info))).collect();
        let mut states: Vec<_> = sound().map(|info| (info.id, is_timer(info))).collect();
        states.sort_unstable();
        let at = dir.to_owned();
        let parent = match blocking(move || Parent::open_alone(&at, &families)).await? {
            Ok(parent) => Some(parent),
            // As it was written, and no database all the same.
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let why = error.source().map(ToString::to_string).unwrap_or_default();
                let message = format!("RocksDB does not open the files of the part: {why}");
                let error = Error::new(ErrorKind::Corrupt, message);
                let lost = vec![Lost { state: None, range }];
                damage.push(Damage { error, entries: None, lost });
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self { parent, range, states, damage })
    }

    /// What could not be read, given out once.
    pub fn take_damage(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damage)
    }

    /// Calls `f` with the entries of the part in the key groups of `range`, of `state` or of all that
    /// were asked for, in run order. Entries with TTL are there as the database has them: what had
    /// expired may be, or not. Blocks the thread while it reads.
    ///
    /// # Errors
    /// Those of RocksDB and of `f`.
    pub fn merge(
        &self,
        range: KeyGroupRange,
        state: Option<u32>,
        f: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<()> {
        let (Some(parent), Some(range)) = (&self.parent, self.range.intersect(range)) else {
            return Ok(());
        };
        for (id, is_timer) in self.states.iter().filter(|(id, _)| state.is_none_or(|s| s == *id)) {
            if *is_timer {
                let read = |f: &mut dyn FnMut(&[u8]) -> Result<bool>| {
                    parent.for_each(*id, (&[], &[]), |key, _| f(key))
                };
                write_sorted(&read, *id, range, &mut Each(f))?;
            } else {
                let (from, to) = bounds(range);
                between(parent, *id, (&from, &to), f)?;
            }
        }
        Ok(())
    }

    /// As [`merge`](Self::merge), of the entries whose composite keys begin with `prefix`, as
    /// [`ChainReader::get`](crate::snapshot::ChainReader::get) has it; of timers all are looked at.
    ///
    /// # Errors
    /// As for [`merge`](Self::merge), and `Invalid` if `prefix` is no composite key.
    pub fn get(&self, prefix: &[u8], f: &mut dyn FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
        let invalid = |_| Error::new(ErrorKind::Invalid, "a prefix that is no composite key");
        let key = CompositeKey::decode(prefix).map_err(invalid)?;
        let Some((id, is_timer)) = self.states.iter().find(|(id, _)| *id == key.state) else {
            return Ok(());
        };
        let KeyGroup(group) = key.group;
        let (Some(parent), false) = (&self.parent, *is_timer) else {
            let range = KeyGroupRange::new(group, group)?;
            return self.merge(range, Some(*id), &mut |entry| {
                if entry.key.starts_with(prefix) { f(entry) } else { Ok(()) }
            });
        };
        let from = prefix.get(ID_LEN_BYTES..).unwrap_or_default();
        // It ends with the two zeros that end a namespace.
        let mut to = from.to_vec();
        if let Some(last) = to.last_mut() {
            *last = 1;
        }
        between(parent, *id, (from, &to), f)
    }
}

/// The entries of state `id` between two keys of the database, as runs have them.
fn between(
    parent: &Parent,
    id: u32,
    keys: (&[u8], &[u8]),
    f: &mut dyn FnMut(Entry<'_>) -> Result<()>,
) -> Result<()> {
    let mut composite = id.to_be_bytes().to_vec();
    parent.for_each(id, keys, |key, value| {
        composite.truncate(ID_LEN_BYTES);
        composite.extend_from_slice(key);
        f(Entry { key: &composite, op: Op::Put, value })?;
        Ok(true)
    })
}

/// A sink that is a call.
struct Each<'a>(&'a mut dyn FnMut(Entry<'_>) -> Result<()>);

impl EntrySink for Each<'_> {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        (self.0)(entry)
    }
}
