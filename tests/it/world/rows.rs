//! What a row does: a pure function of the seed and its number.

use esker_test_support::soak::hash;

/// Keys are below this number.
pub(crate) const KEYS: u64 = 1200;
/// Every other row has a key below this number.
const HOT_KEYS: u64 = 48;
/// The keys below this number have large maps.
const LARGE_MAPS: u64 = 2;
/// The rows between watermarks.
const WATERMARK_ROWS: u64 = 50;

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Set(u64, String),
    Unset(u64),
    Append(u64, u64),
    Replace(u64, u64),
    Drop(u64),
    Put(u64, u64, u64),
    Remove(u64, u64),
    ClearMap(u64),
    Register(i64, u64),
    Unregister(i64, u64),
    Add(u64, u64),
    /// Of all keys: timers up to this time fire.
    Watermark(i64),
}

impl Change {
    /// The key that it changes, unless it is for all.
    pub(crate) fn key(&self) -> Option<u64> {
        match self {
            Self::Set(key, _) | Self::Unset(key) | Self::Append(key, _) => Some(*key),
            Self::Replace(key, _) | Self::Drop(key) | Self::Put(key, ..) => Some(*key),
            Self::Remove(key, _) | Self::ClearMap(key) | Self::Add(key, _) => Some(*key),
            Self::Register(_, key) | Self::Unregister(_, key) => Some(*key),
            Self::Watermark(_) => None,
        }
    }
}

/// The changes of row `number`, in order.
pub(crate) fn changes(seed: u64, number: u64) -> Vec<Change> {
    let drawn = hash(seed, number);
    let of = |part: u32, count: u64| (hash(drawn, u64::from(part))) % count;
    let key = if of(0, 2) == 0 { of(1, HOT_KEYS) } else { of(1, KEYS) };
    let mut changes = vec![
        match of(2, 12) {
            0 => Change::Unset(key),
            _ => Change::Set(
                key,
                format!("row {number} {drawn:x} {}", "x".repeat(of(3, 40) as usize)),
            ),
        },
        match of(4, 60) {
            0 => Change::Drop(key),
            1 => Change::Replace(key, number),
            _ => Change::Append(key, number),
        },
        Change::Add(key, of(5, 100)),
    ];
    let user_key = of(6, if key < LARGE_MAPS { 1500 } else { 24 });
    changes.push(match of(7, 400) {
        0 => Change::ClearMap(key),
        1..100 => Change::Remove(key, user_key),
        _ => Change::Put(key, user_key, drawn),
    });
    let time_ms = (number + of(8, 3000)) as i64;
    changes.push(Change::Register(time_ms, key));
    if of(9, 4) == 0 {
        changes.push(Change::Unregister(time_ms, key));
    }
    if number.is_multiple_of(WATERMARK_ROWS) {
        changes.push(Change::Watermark(number as i64));
    }
    changes
}
