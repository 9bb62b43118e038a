//! Searches the model: every interleaving of small worlds, and seeded walks through larger ones.

use super::world::{Fault, Move, Step, World};
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

const OWNER: &[Step] = &[
    Step::Claim,
    Step::Publish,
    Step::Publish,
    Step::Base,
    Step::Retire,
    Step::PublishOld,
    Step::Base,
    Step::Retire,
];
const TOOL: &[Step] = &[Step::Attach, Step::Hold];
const EXPIRES: &[Step] = &[Step::Attach, Step::Retire, Step::Hold, Step::Retire];

/// Every state that can be reached, `state_count_max` at most; how many there were.
fn search(start: World, state_count_max: usize) -> Result<usize, String> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut known = HashSet::new();
    let mut open = vec![start];
    while let Some(world) = open.pop() {
        for next in world.moves() {
            let mut after = world.clone();
            after.make(next)?;
            after.seen = [0; 3];
            if known.insert(hasher.hash_one(&after)) {
                open.push(after);
            }
        }
        assert!(known.len() <= state_count_max, "more states than {state_count_max}");
    }
    Ok(known.len())
}

/// One walk through `world`; the moves are drawn from `seed`.
fn walk(mut world: World, seed: u64) -> Result<[u32; 3], String> {
    let mut random = seed;
    for _ in 0..400 {
        let mut moves = world.moves();
        // Deletes are made likely: they are what late puts need to land.
        if random & 1 == 0 && moves.iter().any(|next| matches!(next, Move::Delete(_))) {
            moves.retain(|next| matches!(next, Move::Delete(_)));
        }
        if moves.is_empty() {
            break;
        }
        // SplitMix64.
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = random;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        world.make(moves[((x ^ (x >> 31)) % moves.len() as u64) as usize])?;
    }
    Ok(world.seen)
}

fn walks(fault: Fault, count: u64) -> Result<[u32; 3], String> {
    let mut seen = [0; 3];
    for seed in 0..count {
        let owners = [(OWNER, fault), (OWNER, fault), (OWNER, fault)];
        let scripts = [&owners[..], &[(TOOL, fault), (EXPIRES, Fault::None)]].concat();
        let more =
            walk(World::new(&scripts, 3, 2), seed).map_err(|e| format!("seed={seed}: {e}"))?;
        for (total, more) in seen.iter_mut().zip(more) {
            *total += more;
        }
    }
    Ok(seen)
}

#[test]
fn two_claimants_that_publish() {
    let script: &[Step] = &[Step::Claim, Step::Publish];
    let world = World::new(&[(script, Fault::None), (script, Fault::None)], 1, 0);
    let count = search(world, 500_000).unwrap();
    assert!(count > 100, "{count}");
}

#[test]
fn a_claimant_against_an_owner_that_writes_bases() {
    let owner: &[Step] = &[Step::Claim, Step::Base, Step::Base];
    let world = World::new(&[(owner, Fault::None), (&[Step::Claim], Fault::None)], 1, 0);
    let count = search(world, 2_000_000).unwrap();
    assert!(count > 100, "{count}");
}

#[test]
fn a_tool_that_holds_beside_an_owner_that_writes_a_base() {
    let owner: &[Step] = &[Step::Claim, Step::Publish, Step::Base];
    let world = World::new(&[(owner, Fault::None), (TOOL, Fault::None)], 1, 0);
    let count = search(world, 2_000_000).unwrap();
    assert!(count > 100, "{count}");
}

#[test]
fn a_tool_that_retires_beside_a_new_owner_that_builds_on_what_is_retired() {
    let old: &[Step] = &[Step::Claim, Step::Publish, Step::Publish, Step::Publish];
    let new: &[Step] = &[Step::Claim, Step::PublishOld];
    let tool: &[Step] = &[Step::Attach, Step::Retire];
    let scripts = [(old, Fault::None), (new, Fault::None), (tool, Fault::None)];
    // All of it is more than a million states.
    for seed in 0..3000 {
        walk(World::new(&scripts, 0, 0), seed)
            .unwrap_or_else(|error| panic!("seed={seed}: {error}"));
    }
}

#[test]
fn seeded_walks_of_five_writers_and_two_readers() {
    let seen = walks(Fault::None, 1000).unwrap();
    assert!(seen.iter().all(|count| *count > 10), "the model gets nowhere: {seen:?}");
}

#[test]
fn the_model_catches_a_writer_that_does_not_read_what_exists() {
    assert!(walks(Fault::SkipRead, 1000).is_err());
}

#[test]
fn the_model_catches_a_writer_that_does_not_list_after_an_append() {
    assert!(walks(Fault::SkipList, 1000).is_err());
}
