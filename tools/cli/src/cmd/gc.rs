//! `esker gc`: files of jobs that nothing needs any more.

mod amount;

use super::{progress, say_harms, say_refused, write_json_line};
use crate::outcome::Outcome;
use crate::snapshot::{Harm, find_jobs};
use esker::checkpoint::orphan::Verdict;
use esker::checkpoint::{Collection, File, Rate, Which};
use esker::snapshot::ManifestReferences;
use esker::{Error, Store, block_on};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) use amount::duration;

/// Delete the files of jobs that nothing needs any more
///
/// Jobs remove such files by themselves; this is for what dead ones left, and works beside live ones too. A file goes
/// if a record of the job's log condemned it, if it was written under an older generation and no
/// retained checkpoint reaches it, which none ever will again, or if it is a record below the log's base. What
/// nobody names of the generation that owns the job stays: its owner may be writing it, and sweeps it when it
/// starts anew. What is not esker's is listed as foreign and stays.
///
/// While a retained checkpoint cannot be read, only what is condemned goes, and the exit code is 1. URL is a
/// job's root, or a folder with jobs anywhere below.
///
/// With `--json` an object for each file that went or stays though no checkpoint reaches it: `job`, `file`,
/// `bytes`, `halfWritten`, `does` (`deleted`, `wouldDelete`, `kept`), `why` (`condemned`, `orphan`, `superseded`:
/// a record below the base; `young`: by --older-than; `owners`, `undecided`: a checkpoint cannot be read; `foreign`),
/// `record` that condemned it and `generation` that wrote it, where these say why; then one for the job: `job`, `generation`,
/// `retained`, `unread`, `deleted`, `wouldDelete`, `kept` and `needed`, each `{"files":…,"bytes":…}`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker gc --dry-run /data/job        what would go, and why
  esker gc /data                      of all jobs below
  esker gc /data/job --older-than 1d --rate 50MiB
  esker gc --dry-run --json /data/job | jq -r 'select(.does == \"wouldDelete\") | .file'")]
pub(crate) struct Args {
    /// A job's root, or a folder with jobs below; a path or URL
    #[arg(value_name = "URL")]
    url: String,
    /// Delete nothing, and say what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Delete only what was written longer ago than this: 90s, 15m, 12h, 7d, 2w
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<Duration>,
    /// Delete at most so much per second: 100 files, or 50MiB of them
    #[arg(long, value_name = "FILES|BYTES", value_parser = amount::rate)]
    rate: Option<Rate>,
    /// Write one JSON object per file and job
    #[arg(long)]
    json: bool,
}

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
enum Does {
    Deleted,
    WouldDelete,
    Kept,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    job: &'a str,
    file: &'a str,
    bytes: u64,
    half_written: bool,
    does: Does,
    why: &'static str,
    record: Option<u64>,
    generation: Option<u64>,
}

/// Files, and their bytes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Count {
    files: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, file: &File) {
        *self = Self { files: self.files + 1, bytes: self.bytes.saturating_add(file.len_bytes) };
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    job: &'a str,
    generation: u64,
    retained: Vec<u64>,
    /// Retained checkpoints that cannot be read.
    unread: Vec<u64>,
    deleted: Count,
    would_delete: Count,
    kept: Count,
    needed: Count,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let jobs = match find_jobs(&args.url) {
        Ok(jobs) => jobs,
        Err(error) => return Ok(say_refused(&args.url, &error)),
    };
    let mut worst = Outcome::Yes;
    for (path, store) in &jobs {
        let outcome = of_job(args, (path, store), out)?;
        worst = worst.max(outcome);
    }
    Ok(worst)
}

fn of_job(args: &Args, (path, store): (&str, &Store), out: &mut impl Write) -> io::Result<Outcome> {
    let found = match block_on(Collection::of(store, &ManifestReferences)) {
        Ok(found) => found,
        Err(error) => return Ok(say_refused(path, &error)),
    };
    let before = args.older_than.map(|age| now_ms().saturating_sub(millis(age)));
    let which = Which { modified_before_ms: before, rate: args.rate };
    let mut report = Report { args, path, counts: BTreeMap::new(), needed: Count::default() };
    for file in found.files() {
        if !which.takes(file) {
            report.stays(file, out)?;
        } else if args.dry_run {
            report.tell(file, Does::WouldDelete, out)?;
        }
    }
    let done = match args.dry_run {
        true => Ok(()),
        false => delete(&found, which, &mut report, out)?,
    };
    report.end(&found, out)?;
    out.flush()?;
    let harms = found.unread().iter().map(|unread| Harm::of(&unread.error));
    let harms: Vec<_> = harms.chain(done.err().as_ref().map(Harm::of_target)).collect();
    Ok(say_harms(&harms))
}

/// Deletes what `which` takes; the first error is of writing to `out`.
fn delete(
    found: &Collection,
    which: Which,
    report: &mut Report<'_>,
    out: &mut impl Write,
) -> io::Result<Result<(), Error>> {
    let count = found.files().iter().filter(|file| which.takes(file)).count();
    let bar = progress(count as u64, "files");
    let mut told = Ok(());
    let done = block_on(found.delete(which, |file| {
        bar.inc(1);
        // What went has gone, whoever reads of it.
        if told.is_ok() {
            told = report.tell(file, Does::Deleted, out);
        }
    }));
    bar.finish_and_clear();
    told.map(|()| done)
}

struct Report<'a> {
    args: &'a Args,
    path: &'a str,
    counts: BTreeMap<Does, Count>,
    needed: Count,
}

impl Report<'_> {
    fn stays(&mut self, file: &File, out: &mut impl Write) -> io::Result<()> {
        match file.verdict {
            Verdict::Record | Verdict::Reached(_) => {
                self.needed.add(file);
                Ok(())
            }
            _ => self.tell(file, Does::Kept, out),
        }
    }

    fn tell(&mut self, file: &File, does: Does, out: &mut impl Write) -> io::Result<()> {
        self.counts.entry(does).or_default().add(file);
        let File { name, len_bytes, is_half_written, verdict, .. } = file;
        let why = Why::of(*verdict, does);
        if self.args.json {
            let line = Line {
                job: self.path,
                file: name.as_str(),
                bytes: *len_bytes,
                half_written: *is_half_written,
                does,
                why: why.word,
                record: why.record,
                generation: why.generation,
            };
            return write_json_line(out, &line);
        }
        let does = match does {
            Does::Deleted => "deleted",
            Does::WouldDelete => "would delete",
            Does::Kept => "kept",
        };
        let half = if *is_half_written { "half-written, " } else { "" };
        writeln!(out, "{does} {}/{name}: {len_bytes} bytes, {half}{}", self.path, why.text)
    }

    fn end(&self, found: &Collection, out: &mut impl Write) -> io::Result<()> {
        let count = |does| self.counts.get(&does).copied().unwrap_or_default();
        let state = found.judge().state();
        let (generation, path) = (state.generation(), self.path);
        if self.args.json {
            let summary = Summary {
                job: path,
                generation,
                retained: state.retained().keys().copied().collect(),
                unread: found.unread().iter().map(|unread| unread.checkpoint).collect(),
                deleted: count(Does::Deleted),
                would_delete: count(Does::WouldDelete),
                kept: count(Does::Kept),
                needed: self.needed,
            };
            return write_json_line(out, &summary);
        }
        let (does, gone) = match self.args.dry_run {
            true => ("would delete", count(Does::WouldDelete)),
            false => ("deleted", count(Does::Deleted)),
        };
        let (kept, needed) = (count(Does::Kept), self.needed);
        writeln!(
            out,
            "{path}: generation {generation}, {} retained: {does} {} files, {} bytes; kept {} files, {} bytes; \
             needed {} files, {} bytes",
            state.retained().len(),
            gone.files,
            gone.bytes,
            kept.files,
            kept.bytes,
            needed.files,
            needed.bytes,
        )
    }
}

/// Why a file goes or stays, as words and as text.
pub(super) struct Why {
    pub(super) word: &'static str,
    pub(super) text: String,
    pub(super) record: Option<u64>,
    pub(super) generation: Option<u64>,
}

impl Why {
    fn of(verdict: Verdict, does: Does) -> Self {
        let why = Self::of_verdict(verdict);
        match verdict.may_go() && does == Does::Kept {
            true => Self { word: "young", text: format!("{}; written lately", why.text), ..why },
            false => why,
        }
    }

    pub(super) fn of_verdict(verdict: Verdict) -> Self {
        let (mut record, mut generation) = (None, None);
        let (word, text) = match verdict {
            Verdict::Condemned { by } => {
                record = Some(by.0);
                ("condemned", format!("condemned by record {}", by.0))
            }
            Verdict::Orphan { generation: of } => {
                generation = Some(of);
                ("orphan", format!("of generation {of}, and no retained checkpoint reaches it"))
            }
            Verdict::Superseded => ("superseded", "a record that a later one replaces".to_owned()),
            Verdict::Owners { generation: of } => {
                generation = Some(of);
                let text =
                    format!("of generation {of}, whose owner may need it: it sweeps it itself");
                ("owners", text)
            }
            Verdict::Undecided { generation: of } => {
                generation = Some(of);
                let text = format!(
                    "of generation {of}, and a retained checkpoint that cannot be read may reach it"
                );
                ("undecided", text)
            }
            Verdict::Foreign => ("foreign", "none of esker's".to_owned()),
            Verdict::Record => ("record", "a record of the job's log".to_owned()),
            Verdict::Reached(count) => {
                ("reached", format!("{count} retained checkpoints reach it"))
            }
            // What a newer library knows besides.
            _ => ("unknown", "not known".to_owned()),
        };
        Self { word, text, record, generation }
    }
}

/// The time, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
