//! Rows come out in run order, whatever the keys.

use super::*;
use proptest::prelude::*;
use std::sync::LazyLock;

#[derive(Default)]
struct Seen(Vec<(Vec<u8>, Op)>);

impl EntrySink for Seen {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        assert_eq!(entry.value, if entry.op == Op::Put { &[1][..] } else { &[] });
        self.0.push((entry.key.to_vec(), entry.op));
        Ok(())
    }
}

/// Zeros, as they are escaped, and beginnings that are alike.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[\\x00a]{0,3}", "aaaaaaaa[\\x00-\\x02]{0,3}", "[a-z]{0,12}"]
}

/// Keys of a few key groups, so that entries are counted by key group first.
static NEAR: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let near = |key: &u64| KeyGroup::of(&key.to_be_bytes()).0 < 16;
    (0..400_000).filter(near).collect()
});

/// Adds an entry, and tells what should come out.
fn add<K: Key>(rows: &mut Rows, key: &K, namespace: &String, clear: bool) -> (Vec<u8>, Op) {
    let mut encoded = (Vec::new(), Vec::new(), Vec::new());
    key.encode_into(&mut encoded.0);
    namespace.encode_into(&mut encoded.1);
    let group = KeyGroup::of(&encoded.0);
    CompositeKey::new(7, group, &encoded.0, &encoded.1, &[]).encode_into(&mut encoded.2);
    let op = if clear { Op::Clear } else { Op::Put };
    rows.add(key, namespace, op, |out| {
        out.extend_from_slice(if clear { &[] } else { &[1] });
        Ok(())
    });
    (encoded.2, op)
}

proptest! {
    #[test]
    fn entries_come_in_run_order(
        keys in proptest::collection::btree_set((text(), text(), any::<bool>()), 0..60),
        near in proptest::collection::btree_set((0..90_usize, text(), any::<bool>()), 60..90),
    ) {
        let mut rows = Rows::new(7);
        // The same rows twice: nothing is left of the first ones.
        for _ in 0..2 {
            let of_texts = keys.iter().map(|(key, name, clear)| add(&mut rows, key, name, *clear));
            let mut expected: Vec<_> = of_texts.collect();
            expected.sort();
            let mut seen = Seen::default();
            rows.flush(&mut seen).unwrap();
            prop_assert_eq!(&seen.0, &expected);

            let of_near = near.iter().map(|(at, name, clear)| {
                add(&mut rows, &NEAR[at % NEAR.len()], name, *clear)
            });
            let mut expected: Vec<_> = of_near.collect();
            expected.sort();
            let mut seen = Seen::default();
            rows.flush(&mut seen).unwrap();
            prop_assert_eq!(&seen.0, &expected);
        }
    }
}
