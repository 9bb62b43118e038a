//! What the state allows and refuses, record by record.

use super::super::*;
use crate::format::record::{Base, Decision, Extra, Hold, Nonce, Published, Record, Retire};
use crate::format::{Digest, RelativeName};
use std::collections::BTreeSet;

fn name(text: &str) -> RelativeName {
    text.parse().unwrap()
}

fn published(checkpoint: u64) -> Published {
    Published {
        checkpoint,
        manifest_path: name(&format!("chk-{checkpoint}")),
        manifest_digest: Digest::of(&checkpoint.to_le_bytes()),
        extra: Extra::new(),
    }
}

fn retire(checkpoints: &[u64], condemned: &[&str]) -> Retire {
    Retire {
        checkpoints: checkpoints.iter().copied().collect(),
        condemned: condemned.iter().map(|text| name(text)).collect(),
        extra: Extra::new(),
    }
}

fn hold(checkpoint: u64) -> Hold {
    Hold { checkpoint, name: "audit".into(), extra: Extra::new() }
}

fn record(generation: u64, decision: Decision) -> Record {
    Record { generation, nonce: Nonce(u128::from(generation)), decision, extra: Extra::new() }
}

fn apply(state: &mut LogState, generation: u64, decision: Decision) -> Result<Applied, LogError> {
    state.apply(state.next(), &record(generation, decision))
}

/// Generation 1 with checkpoints 1, 2 and 3, of which 1 is held.
fn state() -> LogState {
    let mut state = LogState::default();
    apply(&mut state, 1, Decision::Claim(Extra::new())).unwrap();
    for checkpoint in 1..=3 {
        apply(&mut state, 1, Decision::Publish(published(checkpoint))).unwrap();
    }
    apply(&mut state, 1, Decision::Hold(hold(1))).unwrap();
    state
}

#[test]
fn a_record_of_an_older_generation_has_no_effect() {
    let mut state = state();
    apply(&mut state, 2, Decision::Claim(Extra::new())).unwrap();
    let before = state.clone();
    let stale = apply(&mut state, 1, Decision::Publish(published(4)));
    assert_eq!(stale, Ok(Applied::Stale));
    assert_eq!((state.retained(), state.claim()), (before.retained(), before.claim()));
    assert_eq!(state.next(), before.next().next());
}

#[test]
fn records_that_break_the_rules_are_refused_and_change_nothing() {
    let bad = [
        (1, Decision::Claim(Extra::new())),
        (2, Decision::Publish(published(4))),
        (1, Decision::Publish(published(3))),
        (1, Decision::Retire(retire(&[1], &[]))),
        (1, Decision::Retire(retire(&[9], &[]))),
        (1, Decision::Retire(retire(&[2], &["chk-3"]))),
        (1, Decision::Hold(hold(9))),
    ];
    for (generation, decision) in bad {
        let mut after = state();
        assert!(apply(&mut after, generation, decision.clone()).is_err(), "{decision:?}");
        assert_eq!(after, state());
    }
    let claim = record(2, Decision::Claim(Extra::new()));
    for sequence in [0, 1, 5, 7] {
        assert!(state().apply(Sequence(sequence), &claim).is_err(), "{sequence}");
    }
}

#[test]
fn the_last_restorable_checkpoint_stays() {
    let mut state = state();
    apply(&mut state, 1, Decision::Release(hold(1))).unwrap();
    let all = retire(&[1, 2, 3], &[]);
    assert_eq!(state.check_retire(&all), Err(Refusal::LastRestorable(3)));
    apply(&mut state, 1, Decision::Retire(retire(&[1, 2], &["f"]))).unwrap();
    assert_eq!(state.check_retire(&retire(&[3], &[])), Err(Refusal::LastRestorable(3)));
    let names = [name("f")].into();
    let refused = state.check_publish(&published(4), &names);
    assert_eq!(refused, Err(Refusal::Condemned(name("f"))));
}

#[test]
fn a_base_stands_for_everything_before_it() {
    let mut state = state();
    apply(&mut state, 1, Decision::Retire(retire(&[2], &["f", "g"]))).unwrap();
    let base = state.to_base(&[name("g")].into()).unwrap();
    let mut fresh = LogState::default();
    let at = state.next();
    fresh.apply(at, &record(1, Decision::Base(base.clone()))).unwrap();
    apply(&mut state, 1, Decision::Base(base)).unwrap();
    assert_eq!(fresh, state);
    assert_eq!(fresh.condemned(), &BTreeSet::from([name("f")]));
    assert_eq!((fresh.first(), fresh.next()), (at, at.next()));
}

#[test]
fn a_base_that_contradicts_itself_is_refused() {
    let good = state().to_base(&BTreeSet::new()).unwrap();
    let of = |change: &dyn Fn(&mut Base)| {
        let mut base = good.clone();
        change(&mut base);
        LogState::default().apply(Sequence(9), &record(1, Decision::Base(base)))
    };
    assert!(of(&|_| {}).is_ok());
    assert!(of(&|base| base.claim_generation = 2).is_err());
    assert!(of(&|base| base.checkpoint_last = 2).is_err());
    assert!(of(&|base| base.checkpoints.push(published(1))).is_err());
    assert!(of(&|base| drop(base.holds.insert(9, ["a".into()].into()))).is_err());
    assert!(of(&|base| base.condemned.extend([name("chk-1")])).is_err());
}

/// Answers a writer or reader from a store that nobody else uses.
fn run(
    store: &mut Vec<Vec<u8>>,
    mut action: Action,
    mut step: impl FnMut(Fact) -> Result<Action, LogError>,
) -> Action {
    loop {
        let fact = match action {
            Action::List => Fact::Listed((1..=store.len()).map(|n| Sequence(n as u64)).collect()),
            Action::Read(n) => {
                store.get(n.0 as usize - 1).map_or(Fact::NotFound, |b| Fact::ReadOk(b.clone()))
            }
            Action::Create(n, _) if n.0 as usize <= store.len() => Fact::AlreadyExists,
            Action::Create(_, bytes) => {
                store.push(bytes);
                Fact::Created
            }
            ended => return ended,
        };
        action = step(fact).unwrap();
    }
}

#[test]
fn a_writer_refuses_what_would_lose_data() {
    let mut store = Vec::new();
    let (mut writer, action) = Writer::claim(Nonce(1));
    assert_eq!(run(&mut store, action, |fact| writer.step(fact)), Action::Done);
    let mut nonce = 1;
    let mut decide = |intent| {
        nonce += 1;
        let action = writer.begin(intent, Nonce(nonce)).unwrap();
        run(&mut store, action, |fact| writer.step(fact))
    };
    for checkpoint in 1..=2 {
        let names = [name("shared")].into();
        let intent = Intent::Publish { published: published(checkpoint), names };
        assert_eq!(decide(intent), Action::Done);
    }
    let of =
        |references: References| Intent::Retire { retire: retire(&[1], &["shared"]), references };
    assert_eq!(decide(of(References::new())), Action::Refused(Refusal::ReferencesUnknown(2)));
    let refused = Refusal::Referenced { checkpoint: 2, name: name("shared") };
    assert_eq!(decide(of([(2, [name("shared")].into())].into())), Action::Refused(refused));
    assert_eq!(decide(of([(2, BTreeSet::new())].into())), Action::Done);
    let again = Intent::Publish { published: published(3), names: [name("shared")].into() };
    assert_eq!(decide(again), Action::Refused(Refusal::Condemned(name("shared"))));
    assert_eq!(store.len(), 4);
}

#[test]
fn a_newer_claim_stops_a_writer_for_ever_and_an_attached_one_never_publishes() {
    let mut store = Vec::new();
    let (mut old, action) = Writer::claim(Nonce(1));
    assert_eq!(run(&mut store, action, |fact| old.step(fact)), Action::Done);
    let (mut new, action) = Writer::claim(Nonce(2));
    assert_eq!(run(&mut store, action, |fact| new.step(fact)), Action::Done);
    let intent = || Intent::Publish { published: published(1), names: BTreeSet::new() };
    let action = old.begin(intent(), Nonce(3)).unwrap();
    assert_eq!(run(&mut store, action, |fact| old.step(fact)), Action::Fenced);
    assert_eq!(old.begin(intent(), Nonce(4)), Ok(Action::Fenced));
    let (mut tool, action) = Writer::attach();
    assert_eq!(run(&mut store, action, |fact| tool.step(fact)), Action::Done);
    assert_eq!(tool.begin(intent(), Nonce(5)), Err(LogError::Unexpected("begin")));
    assert_eq!(store.len(), 2);
}

#[test]
fn a_log_with_a_hole_is_not_read() {
    let claim = record(1, Decision::Claim(Extra::new())).encode().unwrap();
    let mut reader = Reader::default();
    let mut action = Ok(reader.start());
    while let Ok(next) = action {
        action = reader.step(match next {
            Action::List => Fact::Listed(vec![Sequence(1), Sequence(3)]),
            _ => Fact::ReadOk(claim.clone()),
        });
    }
    assert!(matches!(action, Err(LogError::Missing(_))), "{action:?}");
}
