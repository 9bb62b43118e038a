//! All of a snapshot, from its manifest down: whatever is wrong is named, and checking goes on.
//! Memory: one run.

use super::check_run::{CheckedRun, check_run};
use super::find::SnapshotAt;
use super::harm::Harm;
use super::lines::part_harms;
use esker::format::canonical::{Canonical, Expired};
use esker::format::composite::CompositeKey;
use esker::format::manifest::{Manifest, Operator, StateInfo, StateKind};
use esker::format::part::{NativeFile, Part, PartState, RunRef};
use esker::format::run::{Entry, StateStats};
use esker::format::{Digest, FormatError, FormatErrorKind, KeyGroupRange, RelativeName, list};
use esker::snapshot::{ChainReader, Lost, MANIFEST_NAME, manifest_folder, read_manifest};
use esker::{Error, ErrorKind, Store, block_on};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// What was checked, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) manifest: Option<Manifest>,
    /// Files that the snapshot names, its manifest included.
    pub(crate) files: u64,
    /// Their bytes, as far as they are said; manifest and parts aside.
    pub(crate) run_len_bytes: u64,
    /// Values, list elements, map entries, timers and elements of operator state.
    pub(crate) entries: u64,
    pub(crate) harms: Vec<Harm>,
}

type RunId = (RelativeName, Digest, Digest, KeyGroupRange);

/// Checks snapshots; runs that they share once.
#[derive(Default)]
pub(crate) struct Checker {
    runs: HashMap<RunId, Rc<CheckedRun>>,
    /// What is wrong with files of databases.
    native: HashMap<(RelativeName, Digest), Option<String>>,
}

impl Checker {
    /// Checks the snapshot at `at`; `progress` is told of bytes of runs, now and then.
    ///
    /// # Errors
    /// The store's that are no damage.
    pub(crate) fn check(
        &mut self,
        at: &SnapshotAt,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Checked, Error> {
        let mut checked = Checked { files: 1, ..Checked::default() };
        let opened =
            block_on(read_manifest(&at.store, &at.manifest, at.digest)).and_then(|_| at.open());
        let snapshot = match opened {
            Ok(snapshot) => snapshot,
            Err(error) if error.kind() == ErrorKind::Retry => return Err(error),
            Err(error) => {
                checked.harms.push(Harm::of(&error));
                return Ok(checked);
            }
        };
        let manifest = &snapshot.manifest;
        if let Some(message) = wrong_place(manifest, &at.manifest)? {
            checked.harms.push(Harm::of(&damaged(message, at.manifest.as_str())));
        }
        checked.harms.extend(part_harms(&snapshot));
        let mut names = BTreeSet::new();
        for (operator, parts) in manifest.operators.iter().zip(&snapshot.parts) {
            let groups: u32 = (0..parts.len())
                .map(|subtask| operator.range(subtask).map(KeyGroupRange::count))
                .sum::<Result<u32, _>>()?;
            if groups != KeyGroupRange::ALL.count() {
                let message = format!("the parts of {} leave key groups out", operator.uid);
                checked.harms.push(Harm::of(&damaged(message, at.manifest.as_str())));
            }
            for (subtask, part) in parts.iter().enumerate() {
                let name = operator.parts.get(subtask).map(|part| part.name()).transpose()?;
                let name = name.map(|name| name.to_string()).unwrap_or_default();
                let Some(part) = part else { continue };
                let range = operator.range(subtask)?;
                let mut work = PartCheck { operator, part, name: &name, range, harms: Vec::new() };
                work.check(self, &at.store, progress)?;
                checked.entries += part.states.iter().map(|state| state.entries).sum::<u64>();
                checked.harms.append(&mut work.harms);
            }
            let parts = operator.parts.iter().map(|part| part.name());
            names.extend(parts.collect::<Result<Vec<_>, _>>()?);
        }
        let files = snapshot.files();
        checked.run_len_bytes = files.values().sum();
        checked.files += (names.len() + files.len()) as u64;
        checked.manifest = Some(snapshot.manifest);
        Ok(checked)
    }

    /// What is wrong with a file of a database; such files are as a rule shared by many checkpoints.
    fn native(&mut self, store: &Store, file: &NativeFile) -> Result<Option<Error>, Error> {
        let id = (file.file.clone(), file.digest);
        if let Some(checked) = self.native.get(&id) {
            return Ok(checked.clone().map(|message| damaged(message, file.file.as_str())));
        }
        let wrong = match block_on(store.get_within(&file.file, file.len_bytes)) {
            Ok(Some(bytes)) if bytes.len() as u64 != file.len_bytes => {
                Some(format!("{} bytes, its part says {}", bytes.len(), file.len_bytes))
            }
            Ok(Some(bytes)) if Digest::of(&bytes) != file.digest => {
                Some("the file's digest is not the one that its part names it by".to_owned())
            }
            Ok(Some(_)) => None,
            Ok(None) => Some("the file is missing".to_owned()),
            Err(error) if error.kind() == ErrorKind::Retry => return Err(error),
            Err(error) => Some(Harm::of(&error).message),
        };
        self.native.insert(id, wrong.clone());
        Ok(wrong.map(|message| damaged(message, file.file.as_str())))
    }

    fn run(&mut self, store: &Store, run: &RunRef, keyed: bool) -> Result<Rc<CheckedRun>, Error> {
        let id = (run.file.clone(), run.digest, run.index.digest, run.range);
        if let Some(checked) = self.runs.get(&id) {
            return Ok(Rc::clone(checked));
        }
        let checked = match block_on(store.get_within(&run.file, run.len_bytes)) {
            Ok(Some(bytes)) => check_run(&bytes, run, keyed),
            found => {
                let error = match found {
                    Err(error) if error.kind() == ErrorKind::Retry => return Err(error),
                    Err(error) => error,
                    Ok(_) => damaged("the file is missing", run.file.as_str()),
                };
                let mut checked = CheckedRun::default();
                checked.whole(error, run);
                checked
            }
        };
        let checked = Rc::new(checked);
        self.runs.insert(id, Rc::clone(&checked));
        Ok(checked)
    }
}

/// A manifest that says of itself what its folder does not.
fn wrong_place(manifest: &Manifest, name: &RelativeName) -> Result<Option<String>, Error> {
    let named = match manifest_folder(manifest)? {
        Some(folder) => format!("{folder}/{MANIFEST_NAME}"),
        None => MANIFEST_NAME.to_owned(),
    };
    Ok((named != name.as_str()).then(|| format!("the manifest is that of another: {named}")))
}

fn damaged(message: impl Into<String>, file: &str) -> Error {
    Error::new(ErrorKind::Corrupt, message).at_path(file)
}

/// One part, and what it names.
struct PartCheck<'a> {
    operator: &'a Operator,
    part: &'a Part,
    name: &'a str,
    range: KeyGroupRange,
    harms: Vec<Harm>,
}

impl PartCheck<'_> {
    fn check(
        &mut self,
        checker: &mut Checker,
        store: &Store,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let mut sums: BTreeMap<u32, StateStats> = BTreeMap::new();
        let (mut summed, mut sound) = (true, true);
        let keyed = self.part.runs.iter().map(|run| (run, true));
        let all = keyed.chain(self.part.operator_run.iter().map(|run| (run, false)));
        for (run, keyed) in all {
            let checked = checker.run(store, run, keyed)?;
            progress(run.len_bytes);
            sound &= checked.faults.is_empty();
            let holds = |info: &StateInfo| info.kind.is_keyed() == keyed;
            for fault in &checked.faults {
                let harm = Harm { entries: fault.entries, ..Harm::of(&fault.error) };
                self.harms.push(harm.losing(self.operator, &fault.lost, holds));
            }
            if keyed && run.range.intersect(self.range) != Some(run.range) {
                let (first, last) = (run.range.first(), run.range.last());
                self.wrong(None, format!("{}: key groups {first}-{last} are not its", run.file));
            }
            match &checked.stats {
                Some(stats) => {
                    stats.iter().for_each(|(id, found)| sums.entry(*id).or_default().merge(found));
                }
                None => summed = false,
            }
        }
        for file in self.part.native.iter().flat_map(|native| &native.files) {
            if let Some(error) = checker.native(store, file)? {
                let (state, range) =
                    file.holds.map_or((None, self.range), |(id, range)| (Some(id), range));
                let lost = [Lost { state, range }];
                let keyed = |info: &StateInfo| info.kind.is_keyed();
                self.harms.push(Harm::of(&error).losing(self.operator, &lost, keyed));
            }
            progress(file.len_bytes);
        }
        for state in &self.part.states {
            if self.info(state.id).is_none() {
                self.wrong(None, format!("state {} is not in the manifest", state.id));
            }
            if sums.remove(&state.id).unwrap_or_default() != state.stats && summed {
                self.wrong(Some(state.id), "statistics are not the sums of its runs'".into());
            }
        }
        for id in sums.into_keys() {
            if self.info(id).is_none() && self.operator.dropped.binary_search(&id).is_err() {
                let message = format!("its runs hold state {id}, which is not in the manifest");
                self.wrong(None, message);
            }
        }
        if sound { self.count(store) } else { Ok(()) }
    }

    fn info(&self, id: u32) -> Option<&StateInfo> {
        self.operator.states.iter().find(|info| info.id == id)
    }

    /// Something wrong with the part itself, or with what it says of a state.
    fn wrong(&mut self, state: Option<u32>, message: String) {
        let harm = Harm::of(&damaged(message, self.name));
        let lost = state.map(|id| Lost { state: Some(id), range: self.range });
        self.harms.push(harm.losing(self.operator, lost.as_slice(), |_| true));
    }

    /// What is live once runs are merged, against what the part says.
    fn count(&mut self, store: &Store) -> Result<(), Error> {
        let mut found: BTreeMap<u32, (u64, Option<i64>)> = BTreeMap::new();
        let states = self.operator.states.iter().map(|info| {
            let (uid, key) = (&self.operator.uid, self.operator.key.as_ref());
            let mut canonical = Canonical::new(uid, key, info);
            canonical.at(None, Expired::Shown);
            (info.id, canonical)
        });
        let canonical: BTreeMap<u32, Canonical<'_>> = states.collect();
        // By state: a value that its type does not fit is as a rule not alone.
        let mut unread: BTreeMap<u32, (FormatError, u64)> = BTreeMap::new();
        let mut line = String::new();
        let operator_run = self.part.operator_run.as_slice();
        for (runs, range) in [(&self.part.runs[..], self.range), (operator_run, KeyGroupRange::ALL)]
        {
            let chain = block_on(ChainReader::open(store, runs))?;
            let chain = chain.of_states(self.operator.states.iter().map(|info| info.id));
            let counted = chain.merge(range, None, &mut |entry| {
                let key = CompositeKey::decode(entry.key)?;
                let Some(info) = self.info(key.state) else { return Ok(()) };
                let (entries, earliest_ms) = found.entry(key.state).or_default();
                *entries += live(info, entry)?;
                line.clear();
                let written =
                    canonical.get(&info.id).map(|canonical| canonical.write(entry, &mut line));
                // A codec that is not esker's cannot be read here, and may be sound.
                if let Some(Err(error)) = written
                    && error.kind == FormatErrorKind::Corrupt
                {
                    unread.entry(info.id).or_insert((error, 0)).1 += 1;
                }
                if matches!(info.kind, StateKind::TimerEvent | StateKind::TimerProcessing) {
                    let time_ms = time_ms(&key.user_key);
                    *earliest_ms = (*earliest_ms).into_iter().chain(time_ms).min();
                }
                Ok(())
            });
            match counted {
                Err(error) if error.kind() == ErrorKind::Retry => return Err(error),
                Err(error) => self.harms.push(Harm::of(&error)),
                Ok(()) => {}
            }
        }
        for (id, (error, entries)) in unread {
            self.wrong(
                Some(id),
                format!("{entries} entries do not read as the state's types: {error}"),
            );
        }
        let mut said: BTreeMap<u32, &PartState> = BTreeMap::new();
        said.extend(self.part.states.iter().map(|state| (state.id, state)));
        let ids: BTreeSet<u32> = said.keys().chain(found.keys()).copied().collect();
        for id in ids {
            // Of a state with TTL, what is live depends on the time of the capture; of one in a
            // database, only that knows.
            let native = self.part.native.is_some();
            if self.info(id).is_none_or(|info| info.ttl.is_some() || native && info.kind.is_keyed())
            {
                continue;
            }
            let (entries, earliest_ms) = found.get(&id).copied().unwrap_or_default();
            let state = said.get(&id);
            let (claimed, claimed_ms) =
                state.map_or((0, None), |state| (state.entries, state.earliest_timer_ms));
            if entries != claimed {
                self.wrong(Some(id), format!("entries={claimed}, its runs have {entries}"));
            } else if earliest_ms != claimed_ms {
                self.wrong(Some(id), format!("earliest timer {claimed_ms:?} is {earliest_ms:?}"));
            }
        }
        Ok(())
    }
}

/// How much an entry counts for: the elements of a list, else one.
fn live(info: &StateInfo, entry: Entry<'_>) -> Result<u64, Error> {
    if info.kind != StateKind::List {
        return Ok(1);
    }
    let mut elements = 0;
    for element in list::elements(entry.value) {
        element?;
        elements += 1;
    }
    Ok(elements)
}

/// A timer's time in milliseconds, as its user key has it: ordered, with the sign bit flipped.
fn time_ms(user_key: &[u8]) -> Option<i64> {
    let time = u64::from_be_bytes(user_key.try_into().ok()?);
    Some((time ^ 1 << 63).cast_signed())
}
