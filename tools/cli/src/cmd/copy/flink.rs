//! A snapshot of Flink's to a folder where it stands alone.

use super::{Args, Files, Report};
use crate::cmd::{progress, write_json_line};
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Harm, open_store};
use esker::flink::{FlinkCopied, FlinkSnapshot};
use esker::{Error, block_on};
use std::io::{self, Write};

pub(super) fn run(
    args: &Args,
    snapshot: &FlinkSnapshot,
    out: &mut impl Write,
) -> io::Result<Outcome> {
    let Args { source, target, .. } = args;
    match copied(args, snapshot) {
        Ok(FlinkCopied { checkpoint, copied, present }) => {
            let (copied, present): (Files, Files) = (copied.into(), present.into());
            if args.json {
                let report = Report {
                    source,
                    target,
                    status: Status::Ok,
                    job: None,
                    checkpoint: u64::try_from(checkpoint).ok(),
                    copied: Some(copied),
                    present: Some(present),
                    damage: &[],
                };
                write_json_line(out, &report)?;
                return Ok(Outcome::Yes);
            }
            let count = |files: Files| format!("{} files, {} bytes", files.files, files.bytes);
            writeln!(
                out,
                "ok {target}: checkpoint {checkpoint} of {source}: copied {}; there already {}",
                count(copied),
                count(present)
            )?;
            Ok(Outcome::Yes)
        }
        Err(error) => refused(args, &error, out),
    }
}

/// Why nothing was copied.
pub(super) fn refused(args: &Args, error: &Error, out: &mut impl Write) -> io::Result<Outcome> {
    let Args { source, target, .. } = args;
    let harm = Harm::of_target(error);
    let status = harm.status;
    if args.json {
        let (job, checkpoint, copied, present) = (None, None, None, None);
        let damage = std::slice::from_ref(&harm);
        let report = Report { source, target, status, job, checkpoint, copied, present, damage };
        write_json_line(out, &report)?;
        out.flush()?;
    }
    say(format_args!("{}", harm.within(source)));
    Ok(status.outcome())
}

fn copied(args: &Args, snapshot: &FlinkSnapshot) -> Result<FlinkCopied, Error> {
    let len_bytes = snapshot.copy_len_bytes()?;
    let target = open_store(&args.target)?;
    let bar = progress(len_bytes, "bytes");
    let transfers_max = args.transfers.settings().transfers_max;
    let done = block_on(snapshot.copy(&target, transfers_max, &|bytes| bar.inc(bytes)));
    bar.finish_and_clear();
    done
}
