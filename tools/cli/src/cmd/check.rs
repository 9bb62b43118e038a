//! `esker check`: what becomes of a snapshot when a program restores it.

use super::{schema, write_json_line};
use crate::flink::FlinkArgs;
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Harm, Pick};
use esker::format::schema::{Change, Fate};
use esker::format::schema_file::{SCHEMA_FILE_LEN_BYTES_MAX, SchemaFile, Stands, Verdict};
use esker::{Error, ErrorKind};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read, Write};

/// Tell what becomes of a snapshot when a program restores it, before the program is deployed
///
/// The program's states are those of a schema file (`esker::state::ProgramSchema` writes it, `esker schema` one
/// of another snapshot). Of the snapshot its manifest alone is read. One line for each state says that it
/// is compatible, migratable (its values are migrated, and nothing is lost), lossy (something is lost),
/// unknown (values are for a codec of the program's own, and whether that migrates what is there only a restore
/// tells), impossible (the restore refuses it, or some of its values), missing (the program does not have it, which a
/// restore refuses) or new (it begins empty); the lines below say how, what, or why, by the path in the
/// type. Types are judged, not values: an integer that becomes narrower is impossible, whatever there is.
///
/// Exit code 0: the program can be deployed. 1: it cannot, as a state is impossible, missing, lossy (unless with
/// `--allow-lossy`) or unknown (unless with `--allow-unknown`: try a restore first).
///
/// Without `reads` in the file, as in that of a snapshot, nothing is known of defaults and other names (serde's
/// `default` and `alias`): an added field is then impossible unless it is an option, and a renamed one is an
/// added and a removed one.
///
/// With `--json` one object: `snapshot`, `schema`, `status` (`ok`; `refused`, `damaged`, `absent` or
/// `unreadable`, of what `damage` says, as `verify` has it), `deployable` (null where the status is not `ok`) and
/// `states`: `operator`, `state` (null for the operator's keys), `stands` (`both`, `snapshot`, `program`),
/// `fate` (`compatible`, `migratable`, `lossy`, `unknown`, `impossible`) and `changes`: `path`, `fate`, `what`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker check /data/job --schema esker-schema.json
  esker check --json save --schema new.json | jq '.states[] | select(.fate == \"lossy\")'
  esker schema new-save > new.json && esker check save --schema new.json")]
pub(crate) struct Args {
    /// The snapshot: a folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    /// The schema file of the program; - for standard input
    #[arg(long, value_name = "FILE")]
    schema: String,
    #[command(flatten)]
    pick: Pick,
    /// Deploy although something is lost
    #[arg(long)]
    allow_lossy: bool,
    /// Deploy although a codec of the program's own decides, which may refuse what is there
    #[arg(long)]
    allow_unknown: bool,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    snapshot: &'a str,
    schema: &'a str,
    status: Status,
    deployable: Option<bool>,
    states: Vec<State<'a>>,
    damage: &'a [Harm],
}

#[derive(Serialize)]
struct State<'a> {
    operator: &'a str,
    state: Option<&'a str>,
    stands: &'static str,
    fate: &'static str,
    changes: Vec<Told<'a>>,
}

#[derive(Serialize)]
struct Told<'a> {
    path: &'a str,
    fate: &'static str,
    what: &'a str,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let verdicts = match verdicts(args) {
        Ok(verdicts) => verdicts,
        Err((name, harm)) => {
            if args.json {
                let (status, damage) = (harm.status, std::slice::from_ref(&harm));
                let states = Vec::new();
                let (snapshot, schema) = (&*args.snapshot, &*args.schema);
                let report = Report { snapshot, schema, status, deployable: None, states, damage };
                write_json_line(out, &report)?;
            }
            say(format_args!("{}", harm.within(name)));
            return Ok(harm.status.outcome());
        }
    };
    let is_allowed = |change: &Change| match change.fate {
        Fate::Compatible | Fate::Migratable => true,
        Fate::Lossy => args.allow_lossy,
        Fate::Unknown => args.allow_unknown,
        Fate::Impossible => false,
    };
    let deployable = verdicts.iter().flat_map(|verdict| &verdict.changes).all(is_allowed);
    if args.json {
        let report = Report {
            snapshot: &args.snapshot,
            schema: &args.schema,
            status: Status::Ok,
            deployable: Some(deployable),
            states: verdicts.iter().map(told).collect(),
            damage: &[],
        };
        write_json_line(out, &report)?;
    } else {
        show(&verdicts, deployable, out)?;
    }
    Ok(if deployable { Outcome::Yes } else { Outcome::No })
}

/// What becomes of each state, or why that is not known, and of which argument.
fn verdicts(args: &Args) -> Result<Vec<Verdict>, (&String, Harm)> {
    let program = program(&args.schema).map_err(|harm| (&args.schema, harm))?;
    let stored = schema::of_snapshot(&args.pick, &args.flink, &args.snapshot);
    let stored = stored.map_err(|error| (&args.snapshot, Harm::of(&error)))?;
    Ok(stored.restored_by(&program))
}

/// The schema file of the program.
fn program(name: &str) -> Result<SchemaFile, Harm> {
    // One that is none cannot be tried, as any argument that is wrong.
    let unreadable = |message: String| Harm::of(&Error::new(ErrorKind::Retry, message));
    let read = |from: &mut dyn Read| {
        let mut text = String::new();
        let most = SCHEMA_FILE_LEN_BYTES_MAX as u64 + 1;
        from.take(most).read_to_string(&mut text).map(|_| text)
    };
    let text = match name {
        "-" => read(&mut io::stdin().lock()),
        path => File::open(path).and_then(|mut file| read(&mut file)),
    };
    let text = text.map_err(|error| unreadable(error.to_string()))?;
    SchemaFile::parse(&text).map_err(|error| {
        let error = Error::from(error);
        match error.kind() {
            ErrorKind::Unsupported => Harm::of(&error),
            _ => unreadable(error.to_string()),
        }
    })
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Compatible => "compatible",
        Fate::Migratable => "migratable",
        Fate::Lossy => "lossy",
        Fate::Unknown => "unknown",
        Fate::Impossible => "impossible",
    }
}

fn told(verdict: &Verdict) -> State<'_> {
    State {
        operator: &verdict.operator,
        state: verdict.state.as_deref(),
        stands: match verdict.stands {
            Stands::Both => "both",
            Stands::Snapshot => "snapshot",
            Stands::Program => "program",
        },
        fate: fate(verdict.fate),
        changes: verdict
            .changes
            .iter()
            .map(|change| Told { path: &change.path, fate: fate(change.fate), what: &change.what })
            .collect(),
    }
}

/// The word for what becomes of a state.
fn word(verdict: &Verdict) -> &'static str {
    match verdict.stands {
        Stands::Both => fate(verdict.fate),
        Stands::Snapshot => "missing",
        Stands::Program => "new",
    }
}

fn show(verdicts: &[Verdict], deployable: bool, out: &mut impl Write) -> io::Result<()> {
    for verdict in verdicts {
        let Verdict { operator, state, changes, .. } = verdict;
        let name = state.as_ref().map_or("(keys)", |state| state);
        writeln!(out, "{:<10}  {operator}/{name}", word(verdict))?;
        for Change { path, fate: of_change, what } in changes {
            writeln!(out, "            {path}: {what} ({})", fate(*of_change))?;
        }
    }
    let count = |wanted: &str| verdicts.iter().filter(|verdict| word(verdict) == wanted).count();
    let words = ["compatible", "migratable", "lossy", "unknown", "impossible", "missing", "new"];
    let counts = words.map(|word| (word, count(word)));
    let counts: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let counts = if counts.is_empty() { "no states".to_owned() } else { counts.join(", ") };
    writeln!(out, "{}: {counts}", if deployable { "deployable" } else { "not deployable" })
}
