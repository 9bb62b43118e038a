//! I8: restore(snapshot(s)) = s, at other parallelisms, of every kind of state, between two backends.
//!
//! Each takes two factories: one makes what is captured first, the other what is restored from it;
//! then back again. With the same one twice it is about one backend. A savepoint goes from any
//! backend to any other; a checkpoint may be of a backend's own files.

use crate::every::{Call, Program, call, settings};
use crate::harness::for_cases;
use crate::lines;
use crate::store::new_store;
use esker::backend::{Backend, BackendFactory};
use esker::engine::LocalJob;
use esker::format::RelativeName;
use esker::format::manifest::Manifest;
use esker::snapshot::{MANIFEST_NAME, SnapshotSettings, read_manifest};
use esker::{Settings, Store, block_on};
use proptest::collection::vec;
use proptest::prelude::*;

fn epochs() -> impl Strategy<Value = Vec<Vec<Call>>> {
    vec(vec(call(34), 0..200), 1..5)
}

/// Opens many backends, so it runs less often.
fn cases(before: u32, after: u32) -> u32 {
    if before.max(after) > 16 { 20 } else { 60 }
}

fn job(store: &Store) -> LocalJob {
    let snapshot = SnapshotSettings { runs_max: 5, ..settings() };
    let settings = Settings { snapshot, ..Settings::default() };
    block_on(LocalJob::open(store.clone(), "identity")).unwrap().with(&settings)
}

#[track_caller]
fn same(what: &str, found: &[String], expected: &[String]) {
    let difference = lines::difference(found, expected);
    assert!(difference.is_empty(), "{what}: {difference:#?}");
}

/// Makes the calls of each epoch, and a checkpoint after each.
fn run<B: Backend>(job: &mut LocalJob, program: &mut Program<B>, epochs: Vec<Vec<Call>>) {
    for calls in epochs {
        calls.into_iter().for_each(|call| program.call(call));
        block_on(job.checkpoint(&mut program.backends)).unwrap();
    }
}

/// What a chain of checkpoints by `a` restores to by `b` is what `a` held, and goes on: checkpoints by
/// `b` restore by `a`.
pub fn checkpoints<A: BackendFactory, B: BackendFactory>(
    a: &A,
    b: &B,
    (before, after): (u32, u32),
) {
    for_cases(cases(before, after), (epochs(), epochs()), |(first, second)| {
        let store = new_store();
        let model = {
            let mut job = job(&store);
            let mut program = Program::of_job(&mut job, a, before, Default::default()).unwrap();
            run(&mut job, &mut program, first);
            program.model
        };
        let model = {
            let mut job = job(&store);
            let mut program = Program::of_job(&mut job, b, after, model).unwrap();
            run(&mut job, &mut program, second);
            same("restored, and gone on", &program.lines().unwrap(), &program.model.lines());
            program.model
        };
        let mut restored = Program::of_job(&mut job(&store), a, before, model).unwrap();
        same("restored twice", &restored.lines().unwrap(), &restored.model.lines());
    });
}

/// A savepoint of all of `program`.
fn savepoint<B: Backend>(program: &mut Program<B>) -> (Store, Manifest) {
    let aside = new_store();
    block_on(job(&new_store()).savepoint(&mut program.backends, &aside)).unwrap();
    let name = RelativeName::new(MANIFEST_NAME).unwrap();
    let manifest = block_on(read_manifest(&aside, &name, None)).unwrap();
    (aside, manifest)
}

/// A savepoint by `a` has the lines of what `a` held; restored by `b` and saved again, it has them
/// still, and so by `a` again.
pub fn savepoints<A: BackendFactory, B: BackendFactory>(a: &A, b: &B, (before, after): (u32, u32)) {
    let calls = || vec(call(34), 0..400);
    for_cases(cases(before, after), (calls(), calls()), |(first, second)| {
        let mut program = Program::empty(a, before).unwrap();
        first.into_iter().for_each(|call| program.call(call));
        let (store, manifest) = savepoint(&mut program);
        let saved = lines::of(&store, &manifest);
        same("saved", &saved, &program.model.lines());

        let from = (&store, &manifest);
        let mut restored = Program::of_snapshot(from, b, after, program.model).unwrap();
        let (store, manifest) = savepoint(&mut restored);
        same("restored and saved again", &lines::of(&store, &manifest), &saved);
        second.into_iter().for_each(|call| restored.call(call));
        same("gone on", &restored.lines().unwrap(), &restored.model.lines());

        let (store, manifest) = savepoint(&mut restored);
        let from = (&store, &manifest);
        let mut again = Program::of_snapshot(from, a, before, restored.model).unwrap();
        same("restored twice", &again.lines().unwrap(), &again.model.lines());
    });
}
