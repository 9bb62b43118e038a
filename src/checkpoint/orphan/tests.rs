use super::*;
use crate::format::Digest;
use crate::format::record::{Base, Extra, Nonce, Published, Retire};
use std::collections::BTreeSet;

fn name(text: &str) -> RelativeName {
    RelativeName::new(text).unwrap()
}

fn names(texts: &[&str]) -> BTreeSet<RelativeName> {
    texts.iter().map(|text| name(text)).collect()
}

fn published(checkpoint: u64, generation: u64) -> Published {
    let manifest_path = name(&format!("chk-{checkpoint}-{generation}/_metadata"));
    let manifest_digest = Digest::of(manifest_path.as_str().as_bytes());
    Published { checkpoint, manifest_path, manifest_digest, extra: Extra::new() }
}

/// A log of these decisions, each by its generation.
fn log(decisions: Vec<(u64, Decision)>) -> (LogState, BTreeMap<Sequence, Record>) {
    let (mut state, mut records) = (LogState::default(), BTreeMap::new());
    for (number, (generation, decision)) in (1..).zip(decisions) {
        let nonce = Nonce(u128::from(number));
        let record = Record { generation, nonce, decision, extra: Extra::new() };
        state.apply(Sequence(number), &record).unwrap();
        if matches!(record.decision, Decision::Base(_)) {
            records.clear();
        }
        records.insert(Sequence(number), record);
    }
    (state, records)
}

fn retire(checkpoint: u64, condemned: &[&str]) -> Decision {
    let checkpoints = BTreeSet::from([checkpoint]);
    Decision::Retire(Retire { checkpoints, condemned: names(condemned), extra: Extra::new() })
}

/// Two generations: the first left checkpoints 1, retired, and 2; the second has published 3.
fn decisions() -> Vec<(u64, Decision)> {
    vec![
        (1, Decision::Claim(Extra::new())),
        (1, Decision::Publish(published(1, 1))),
        (1, Decision::Publish(published(2, 1))),
        (1, retire(1, &["chk-1-1/_metadata", "shared/1/1-0-gone.run"])),
        (2, Decision::Claim(Extra::new())),
        (2, Decision::Publish(published(3, 2))),
    ]
}

fn references() -> References {
    References::from([
        (2, names(&["shared/1/2-0-both.run"])),
        (3, names(&["shared/1/2-0-both.run", "shared/2/3-0-new.run"])),
    ])
}

#[test]
fn every_name_has_its_verdict() {
    let (state, records) = log(decisions());
    let judge = Judge::new(state, &records, references()).unwrap();
    for (text, verdict) in [
        ("log/00000000000000000001", Verdict::Record),
        ("log/00000000000000000099", Verdict::Record),
        ("log/7", Verdict::Foreign),
        ("chk-2-1/_metadata", Verdict::Reached(1)),
        ("shared/1/2-0-both.run", Verdict::Reached(2)),
        ("chk-1-1/_metadata", Verdict::Condemned { by: Sequence(4) }),
        ("shared/1/1-0-gone.run", Verdict::Condemned { by: Sequence(4) }),
        ("shared/1/2-0-never.run", Verdict::Orphan { generation: 1 }),
        ("chk-9-1/0.part", Verdict::Orphan { generation: 1 }),
        ("chk-4-2/_metadata", Verdict::Owners { generation: 2 }),
        ("shared/2/3-0-unnamed.run", Verdict::Owners { generation: 2 }),
        ("shared/3/4-0-newer.run", Verdict::Owners { generation: 3 }),
        ("shared/1/odd", Verdict::Foreign),
        ("savepoint/_metadata", Verdict::Foreign),
        ("notes.txt", Verdict::Foreign),
    ] {
        assert_eq!(judge.file(&name(text)), verdict, "{text}");
        let goes = matches!(verdict, Verdict::Condemned { .. } | Verdict::Orphan { .. });
        assert_eq!(verdict.may_go(), goes, "{text}");
    }
    for (text, verdict) in [
        ("log/00000000000000000006", Verdict::Superseded),
        ("log/00000000000000000007", Verdict::Owners { generation: 2 }),
        ("shared/1/2-0-both.run", Verdict::Orphan { generation: 1 }),
        ("shared/2/4-0-x.run", Verdict::Owners { generation: 2 }),
        ("notes.txt", Verdict::Foreign),
    ] {
        assert_eq!(judge.half_written(&name(text)), verdict, "half-written {text}");
    }
    let left = ["chk-1-1", "shared/1", "chk-4-2", "shared/2", "shared", "log", "savepoint"];
    assert_eq!(
        left.map(|folder| judge.is_left(folder)),
        [true, true, false, false, false, false, false]
    );
}

#[test]
fn a_base_condemns_what_the_records_below_it_did() {
    let mut all = decisions();
    let (state, _) = log(all.clone());
    let deleted = names(&["chk-1-1/_metadata"]);
    all.push((2, Decision::Base(state.to_base(&deleted).unwrap())));
    let (state, records) = log(all);
    let judge = Judge::new(state, &records, references()).unwrap();
    assert_eq!(judge.file(&name("log/00000000000000000006")), Verdict::Superseded);
    assert_eq!(judge.file(&name("log/00000000000000000007")), Verdict::Record);
    let by = Sequence(7);
    assert_eq!(judge.file(&name("shared/1/1-0-gone.run")), Verdict::Condemned { by });
    // Forgotten, and still nobody's.
    assert_eq!(judge.file(&name("chk-1-1/_metadata")), Verdict::Orphan { generation: 1 });
}

#[test]
fn while_a_checkpoint_cannot_be_read_what_nobody_names_stays() {
    let (state, records) = log(decisions());
    let known = References::from([(3, names(&[]))]);
    let judge = Judge::new(state, &records, known).unwrap();
    for text in ["shared/1/2-0-both.run", "shared/1/2-0-never.run"] {
        assert_eq!(judge.file(&name(text)), Verdict::Undecided { generation: 1 }, "{text}");
    }
    assert!(judge.file(&name("shared/1/1-0-gone.run")).may_go());
    assert_eq!(judge.file(&name("chk-2-1/_metadata")), Verdict::Reached(1));
}

#[test]
fn a_log_that_condemns_what_is_retained_is_refused() {
    let (state, records) = log(decisions());
    let mut references = references();
    references.insert(3, names(&["shared/1/1-0-gone.run"]));
    let refusal = Judge::new(state, &records, references).unwrap_err();
    let name = name("shared/1/1-0-gone.run");
    assert_eq!(refusal, Refusal::Referenced { checkpoint: 3, name });
}

#[test]
fn condemned_names_that_are_none_of_esker_s_stay() {
    let mut all = decisions();
    let condemned = names(&["notes.txt", "log/00000000000000000006", "shared/1/odd"]);
    let (state, _) = log(all.clone());
    let base = state.to_base(&BTreeSet::new()).unwrap();
    all.push((2, Decision::Base(Base { condemned, ..base })));
    let (state, records) = log(all);
    let judge = Judge::new(state, &records, references()).unwrap();
    assert_eq!(judge.file(&name("notes.txt")), Verdict::Foreign);
    assert_eq!(judge.file(&name("shared/1/odd")), Verdict::Foreign);
    // Not by that, but by the base itself.
    assert_eq!(judge.file(&name("log/00000000000000000006")), Verdict::Superseded);
}
