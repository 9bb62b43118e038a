use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

type Set = Tree<u32>;

fn insert(tree: &mut Set, wanted: u32) -> bool {
    tree.insert(|entry| entry.cmp(&wanted), || wanted)
}

fn remove(tree: &mut Set, wanted: u32) -> Option<u32> {
    tree.remove(|entry| entry.cmp(&wanted))
}

fn leaves(tree: &Set, changed: bool) -> Vec<u32> {
    let mut all = Vec::new();
    tree.for_leaves(changed, &mut |leaf| all.extend(leaf.entries.iter().copied()));
    all
}

/// How many nodes there are on the way to a leaf, once all bounds, depths and fills are right.
fn check(link: &Link<u32>, root: bool, low: Option<u32>, high: Option<u32>) -> usize {
    match link {
        Link::Leaf(leaf) => {
            assert!(root || !leaf.entries.is_empty());
            assert!(leaf.entries.is_sorted());
            for entry in &leaf.entries {
                assert!(low.is_none_or(|low| *entry >= low));
                assert!(high.is_none_or(|high| *entry < high));
            }
            1
        }
        Link::Inner(inner) => {
            assert!(inner.children.len() >= if root { 2 } else { 1 });
            assert_eq!(inner.bounds.len() + 1, inner.children.len());
            let depths: Vec<usize> = (inner.children.iter().enumerate())
                .map(|(i, child)| {
                    let below = i.checked_sub(1).map(|i| inner.bounds[i]).or(low);
                    check(child, false, below, inner.bounds.get(i).copied().or(high))
                })
                .collect();
            assert!(depths.windows(2).all(|pair| pair[0] == pair[1]));
            depths[0] + 1
        }
    }
}

fn depth(tree: &Set) -> usize {
    check(&tree.root, true, None, None)
}

#[derive(Debug, Clone)]
enum Call {
    /// Many at once, so that trees are several levels deep.
    Insert(u32, u32, u32),
    Remove(u32, u32, u32),
    TakeFirst(u32),
    Freeze,
}

fn call() -> impl Strategy<Value = Call> {
    let many = (0..40_000_u32, 1..3_000_u32, prop_oneof![Just(1_u32), Just(3), Just(7919)]);
    prop_oneof![
        4 => many.clone().prop_map(|(from, count, step)| Call::Insert(from, count, step)),
        4 => many.prop_map(|(from, count, step)| Call::Remove(from, count, step)),
        1 => (1..40_u32).prop_map(Call::TakeFirst),
        2 => Just(Call::Freeze),
    ]
}

fn steps(from: u32, count: u32, step: u32) -> impl Iterator<Item = u32> {
    (0..count).map(move |i| (from + i * step) % 40_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The tree is a set, what was frozen stays so (I4), and the leaves changed since the freeze
    /// before hold all that was inserted since.
    #[test]
    fn it_is_a_set(calls in proptest::collection::vec(call(), 1..24)) {
        let (mut tree, mut model) = (Set::new(), BTreeSet::new());
        let mut frozen: Vec<(Set, BTreeSet<u32>)> = Vec::new();
        let mut inserted = BTreeSet::new();
        for call in calls {
            match call {
                Call::Insert(from, count, step) => {
                    for entry in steps(from, count, step) {
                        let new = model.insert(entry);
                        prop_assert_eq!(insert(&mut tree, entry), new);
                        if new {
                            inserted.insert(entry);
                        }
                    }
                }
                Call::Remove(from, count, step) => {
                    for entry in steps(from, count, step) {
                        prop_assert_eq!(remove(&mut tree, entry).is_some(), model.remove(&entry));
                    }
                }
                Call::TakeFirst(count) => {
                    for _ in 0..count {
                        let taken = tree.take_first();
                        prop_assert_eq!(taken.is_empty(), model.is_empty());
                        for entry in taken {
                            prop_assert_eq!(model.pop_first(), Some(entry));
                        }
                    }
                }
                Call::Freeze => {
                    let capture = tree.freeze();
                    let changed = leaves(&capture, true);
                    let live = inserted.iter().filter(|entry| model.contains(entry));
                    for entry in live {
                        prop_assert!(changed.binary_search(entry).is_ok());
                    }
                    inserted.clear();
                    frozen.push((capture, model.clone()));
                }
            }
            depth(&tree);
            prop_assert_eq!(tree.len(), model.len());
            prop_assert_eq!(tree.first(), model.first());
        }
        frozen.push((tree, model));
        for (tree, model) in frozen {
            prop_assert!(leaves(&tree, false).into_iter().eq(model));
        }
    }
}

#[test]
fn a_write_after_a_freeze_copies_its_path_alone() {
    let mut tree = Set::new();
    for entry in 0..300_000 {
        insert(&mut tree, entry * 2);
    }
    assert_eq!(tree.nodes_copied(), 0, "nothing is shared before the first freeze");
    let depth = depth(&tree) as u64;
    assert_eq!(depth, 4);
    let frozen = tree.freeze();
    assert!(leaves(&frozen, true).len() == 300_000);
    insert(&mut tree, 301);
    assert_eq!(tree.nodes_copied(), depth);
    insert(&mut tree, 303);
    remove(&mut tree, 302);
    assert_eq!(tree.nodes_copied(), depth, "the path is its own now");
    insert(&mut tree, 300_001);
    assert!(tree.nodes_copied() < 2 * depth, "the root is its own now");
    let next = tree.freeze();
    assert!(leaves(&next, true).len() <= 4 * FAN_OUT, "two leaves, split perhaps");
    drop((frozen, next));
    insert(&mut tree, 77);
    assert!(tree.nodes_copied() < 2 * depth, "what no capture holds is taken over");
}

#[test]
fn ascending_entries_fill_leaves() {
    let mut tree = Set::new();
    for entry in 0..100_000 {
        insert(&mut tree, entry);
    }
    let mut count = 0;
    tree.for_leaves(false, &mut |_| count += 1);
    assert_eq!(count, 100_000_usize.div_ceil(FAN_OUT));
}
