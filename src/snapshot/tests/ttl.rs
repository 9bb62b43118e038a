//! What had expired is decided by the time of the part that holds it.

use super::world::{UID, info};
use crate::backend::KeyedState;
use crate::backend::heap::TtlValueState;
use crate::snapshot::*;
use crate::state::TtlConfig;
use crate::{Store, block_on};
use esker_format::manifest::{Manifest, Operator, SnapshotKind};
use esker_format::{Key, KeyGroup, KeyGroupRange, Ordered};

#[test]
fn parts_of_different_times_are_merged_each_by_its_own() {
    let (store, settings) = (Store::open("memory://").unwrap(), SnapshotSettings::default());
    let config = TtlConfig { clean_full_snapshots: false, ..TtlConfig::new(10) };
    let mut parts = Vec::new();
    for (subtask, time_ms) in [(0, 5), (1, 100)] {
        let range = KeyGroupRange::of_subtask(subtask, 2).unwrap();
        let mut state = TtlValueState::<u64, (), u64>::new(1, range, Ordered, config).unwrap();
        let owned = (0..100_u64).filter(|key| range.contains(key.with_encoded(KeyGroup::of)));
        owned.take(20).for_each(|key| assert!(state.update(&key, &(), key).unwrap().is_none()));
        assert_eq!(state.len(), 20);
        state.set_time_ms(time_ms);
        let (kind, captures) = (SnapshotKind::Checkpoint, vec![vec![state.capture_state()]]);
        let id = PartId { kind, checkpoint: 1, generation: 1, operator: 0, subtask };
        let input = PartInput { id, range, captures, operator: None, chain: Chain::default() };
        parts.push((block_on(write_part(&store, input, &settings)).unwrap().chain.part, None));
    }
    let mut stored = info(1);
    stored.ttl = Some(config.ttl());
    let operator = Operator {
        uid: UID.into(),
        key: stored.value.clone(),
        states: vec![stored.clone()],
        dropped: Vec::new(),
        parts: Vec::new(),
        extra: Default::default(),
    };
    let manifest = Manifest {
        job: "flights".into(),
        kind: SnapshotKind::Checkpoint,
        checkpoint: 1,
        generation: 1,
        operators: Vec::new(),
        extra: Default::default(),
    };
    let operators = vec![NewOperator { operator, parts }];
    let manifest = block_on(write_manifest(&store, manifest, operators)).unwrap().manifest;

    let all = KeyGroupRange::ALL;
    let mut state = TtlValueState::<u64, (), u64>::new(1, all, Ordered, config).unwrap();
    let targets = &mut [Target { stored, state: &mut state }];
    block_on(restore(&store, &manifest, UID, all, targets, &settings)).unwrap();
    assert_eq!(state.len(), 20, "those of the first part alone, as a dump has it");
    // The clock is that of the newest part.
    let capture = state.capture_state();
    assert_eq!(capture.ttl_time_ms(), Some(100));
}
