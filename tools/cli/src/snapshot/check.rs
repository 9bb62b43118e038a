//! All of a snapshot, from its manifest down: whatever is wrong is named, and checking goes on. Files are
//! checked on all processors at once, entries too. Memory: the parts, the statistics of runs, and for
//! each processor the index, the filter, a span and a block of a run.

use super::at_once::at_once;
use super::check_run::{CheckedRun, check_run};
use super::count::count;
use super::find::SnapshotAt;
use super::harm::{Harm, is_passing};
use super::lines::part_harms;
use esker::format::manifest::{Manifest, Operator, StateInfo};
use esker::format::part::{NativeFile, Part, RunRef};
use esker::format::run::StateStats;
use esker::format::{Digest, KeyGroupRange, RelativeName};
use esker::snapshot::{Lost, MANIFEST_NAME, OpenSnapshot, manifest_folder, read_manifest};
use esker::{Error, ErrorKind, Store, block_on};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// How far down a snapshot is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Down to every byte of every file, by digests: whether all is what was written.
    #[default]
    Files,
    /// Down to every entry: whether what was written is a snapshot.
    Entries,
}

/// What was checked, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) depth: Depth,
    pub(crate) manifest: Option<Manifest>,
    /// Files that the snapshot names, its manifest included.
    pub(crate) files: u64,
    /// Their bytes, as far as they are said; manifest and parts aside.
    pub(crate) run_len_bytes: u64,
    /// Values, list elements, map entries, timers and elements of operator state, as parts count them.
    pub(crate) entries: u64,
    pub(crate) harms: Vec<Harm>,
    /// Files that were not what they should be when they were read, and were when they were read again; why.
    pub(crate) doubts: Vec<(RelativeName, String)>,
}

type RunId = (RelativeName, Digest, Digest, KeyGroupRange);
type NativeId = (RelativeName, Digest);

/// Checks snapshots; files that they share once.
#[derive(Default)]
pub(crate) struct Checker {
    depth: Depth,
    runs: HashMap<RunId, CheckedRun>,
    /// What is wrong with files of databases.
    natives: HashMap<NativeId, Option<String>>,
    doubts: Vec<(RelativeName, String)>,
}

/// A file to check.
enum Due<'a> {
    Run(RunId, &'a RunRef, bool),
    Native(NativeId, &'a NativeFile),
}

enum Done {
    Run(CheckedRun),
    Native(Option<String>),
}

impl Checker {
    pub(crate) fn new(depth: Depth) -> Self {
        Self { depth, ..Self::default() }
    }

    /// Checks the snapshot at `at`; `progress` is told of the bytes of files, once they are checked.
    ///
    /// # Errors
    /// The store's that are no damage.
    pub(crate) fn check(
        &mut self,
        at: &SnapshotAt,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Checked, Error> {
        let mut checked = Checked { depth: self.depth, files: 1, ..Checked::default() };
        let opened =
            block_on(read_manifest(&at.store, &at.manifest, at.digest)).and_then(|_| at.open());
        let snapshot = match opened {
            Ok(snapshot) => snapshot,
            Err(error) if is_passing(&error) => return Err(error),
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
        self.files(&snapshot, progress)?;
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
                if work.check(self) && self.depth == Depth::Entries {
                    work.harms.extend(count(&at.store, operator, (part, &name), range)?);
                }
                checked.entries += part.states.iter().map(|state| state.entries).sum::<u64>();
                checked.harms.append(&mut work.harms);
            }
            let parts = operator.parts.iter().map(|part| part.name());
            names.extend(parts.collect::<Result<Vec<_>, _>>()?);
        }
        let files = snapshot.files();
        checked.run_len_bytes = files.values().sum();
        checked.files += (names.len() + files.len()) as u64;
        checked.doubts = std::mem::take(&mut self.doubts);
        checked.manifest = Some(snapshot.manifest);
        Ok(checked)
    }

    /// Checks the files of `snapshot` that were not yet.
    fn files(
        &mut self,
        snapshot: &OpenSnapshot,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Error> {
        let (mut due, mut runs, mut natives) = (Vec::new(), HashSet::new(), HashSet::new());
        for part in snapshot.parts.iter().flatten().flatten() {
            let keyed = part.runs.iter().map(|run| (run, true));
            for (run, keyed) in keyed.chain(part.operator_run.iter().map(|run| (run, false))) {
                let id = run_id(run);
                if !self.runs.contains_key(&id) && runs.insert(id.clone()) {
                    due.push((run.len_bytes, Due::Run(id, run, keyed)));
                }
            }
            for file in part.native.iter().flat_map(|native| &native.files) {
                let id = (file.file.clone(), file.digest);
                if !self.natives.contains_key(&id) && natives.insert(id.clone()) {
                    due.push((file.len_bytes, Due::Native(id, file)));
                }
            }
        }
        let total: u64 = snapshot.files().values().sum();
        let left: u64 = due.iter().map(|(len_bytes, _)| len_bytes).sum();
        progress(total.saturating_sub(left));
        // The longest first, so that all processors end at about one time.
        due.sort_by_key(|(len_bytes, _)| Reverse(*len_bytes));
        let (store, depth) = (&snapshot.store, self.depth);
        let done = at_once(&due, |(len_bytes, due)| {
            let done = match due {
                Due::Run(_, run, keyed) => check_run(store, run, *keyed, depth).map(Done::Run),
                Due::Native(_, file) => check_native(store, file).map(Done::Native),
            };
            progress(*len_bytes);
            done
        })?;
        for ((_, due), done) in due.into_iter().zip(done) {
            match (due, done) {
                (Due::Run(id, ..), Done::Run(mut checked)) => {
                    self.doubts.extend(checked.doubt.take().map(|why| (id.0.clone(), why)));
                    self.runs.insert(id, checked);
                }
                (Due::Native(id, _), Done::Native(wrong)) => drop(self.natives.insert(id, wrong)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn run_id(run: &RunRef) -> RunId {
    (run.file.clone(), run.digest, run.index.digest, run.range)
}

/// What is wrong with a file of a database.
///
/// # Errors
/// The store's that are no damage.
fn check_native(store: &Store, file: &NativeFile) -> Result<Option<String>, Error> {
    let other = "the file's digest is not the one that its part names it by";
    Ok(match block_on(store.digest_within(&file.file, file.len_bytes)) {
        Ok(Some(digest)) if digest == file.digest => None,
        Ok(Some(_)) => match block_on(store.head(&file.file))? {
            Some(len_bytes) if len_bytes != file.len_bytes => {
                Some(format!("{len_bytes} bytes, its part says {}", file.len_bytes))
            }
            _ => Some(other.to_owned()),
        },
        Ok(None) => Some("the file is missing".to_owned()),
        Err(error) if is_passing(&error) => return Err(error),
        Err(error) => Some(Harm::of(&error).message),
    })
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
    /// Checks it against its files, which were checked; whether its runs are sound.
    fn check(&mut self, checker: &Checker) -> bool {
        let mut sums: BTreeMap<u32, StateStats> = BTreeMap::new();
        let (mut summed, mut sound) = (true, true);
        let keyed = self.part.runs.iter().map(|run| (run, true));
        let all = keyed.chain(self.part.operator_run.iter().map(|run| (run, false)));
        for (run, keyed) in all {
            let Some(checked) = checker.runs.get(&run_id(run)) else { continue };
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
            let id = (file.file.clone(), file.digest);
            if let Some(wrong) = checker.natives.get(&id).and_then(Option::as_ref) {
                let error = damaged(wrong.as_str(), file.file.as_str());
                let (state, range) =
                    file.holds.map_or((None, self.range), |(id, range)| (Some(id), range));
                let lost = [Lost { state, range }];
                let keyed = |info: &StateInfo| info.kind.is_keyed();
                self.harms.push(Harm::of(&error).losing(self.operator, &lost, keyed));
            }
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
        sound
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
}
