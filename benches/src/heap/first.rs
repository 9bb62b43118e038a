//! The first write to a large collection after a capture, which copies a page or an element of it.
//!
//! Each figure is of many captures, each held while one write is timed; before the next, a thousand
//! others change the collection, so that no two captures are of the same pages.

use super::{list, map};
use crate::keys;
use crate::machine::waited_ns;
use crate::measure::seconds;
use crate::report::{Question, Report};

const ENTRIES: u64 = 1_000_000;
const KEY: u64 = 42;
const LIMIT_US: f64 = 20.0;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let rounds = report.rounds(300);
    let name = "heap.collection.first-put";
    if report.wants(name) {
        let mut maps = map::empty()?;
        for user in 0..ENTRIES {
            maps.put(&KEY, &(), &keys::mixed(user), 0.0).map_err(|e| e.to_string())?;
        }
        let drawn = |n: usize| keys::mixed(keys::mixed(n as u64) % ENTRIES);
        let times = (0..rounds).map(|round| {
            let capture = maps.capture();
            let user = drawn(round);
            let time = unpreempted(|| _ = maps.put(&KEY, &(), &user, 1.0));
            for n in 0..1000 {
                let _ = maps.put(&KEY, &(), &drawn(round * 1000 + n), 2.0);
            }
            drop(capture);
            time
        });
        rows(report, name, times.collect());
    }
    let name = "heap.collection.first-append";
    if report.wants(name) {
        let mut lists = list::empty()?;
        lists.append_all(&KEY, &(), 0..ENTRIES).map_err(|e| e.to_string())?;
        let times = (0..rounds).map(|_| {
            let capture = lists.capture();
            let time = unpreempted(|| _ = lists.append(&KEY, &(), 1));
            list::append(&mut lists, &[KEY; 1000], 0..);
            drop(capture);
            time
        });
        rows(report, name, times.collect());
    }
    Ok(())
}

/// Seconds, less what the thread waited for a processor meanwhile.
fn unpreempted(f: impl FnOnce()) -> f64 {
    let waited = waited_ns();
    let time = seconds(f);
    time - (waited_ns() - waited) as f64 * 1e-9
}

/// The median of all captures, and what one in a hundred exceeds.
fn rows(report: &mut Report, name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let rounds = times.len();
    for (suffix, unit, at) in
        [("", "us, median", rounds / 2), (".p99", "us, p99", rounds * 99 / 100)]
    {
        let name = format!("{name}{suffix}");
        let question = Question::less(&name, unit, 1.0, ENTRIES as usize, rounds);
        report.limit(question, times.get(at).map_or(f64::NAN, |time| time * 1e6), LIMIT_US);
    }
}
