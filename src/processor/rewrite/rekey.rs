//! Keyed state under other keys: entries sorted anew, outside of memory, and dealt out by the key groups of
//! their new keys.

use super::changes::{Changed, Of, OperatorChanges};
#[cfg(feature = "expressions")]
use super::expression::Expression;
use super::fields::{Fields, Uses};
use super::invalid;
#[cfg(not(feature = "expressions"))]
use super::no_expression::Expression;
use super::step::{RekeyStep, Winner};
use super::steps::{NOW, STATE, plain};
use crate::backend::EntrySink;
use crate::format::composite::CompositeKey;
use crate::format::list::{elements, put_encoded};
use crate::format::manifest::{Operator, StateInfo, StateKind, TypeInfo};
use crate::format::part::{Part, RunRef};
use crate::format::run::{Entry, KEY_LEN_BYTES_MAX, Op};
use crate::format::{CodecId, KeyGroup, KeyGroupRange, Ordered, decode_value, encode_value};
use crate::processor::{Fold, Spool, Spooled};
use crate::snapshot::{ChainReader, EntrySource};
use crate::store::blocking;
use crate::{Error, ErrorKind, Result, Store, block_on};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Length of the length of the old key, before it and the value.
const LEN_LEN_BYTES: usize = 4;
/// Stored bytes are thought to be so many times fewer than those of keys and values.
const COMPRESSION: u64 = 3;

/// How the keyed states of one operator get other keys.
pub(super) struct Rekey {
    to: Expression,
    old: TypeInfo,
    /// The type of the new keys.
    pub(super) new: TypeInfo,
    wins: Option<Winner>,
    states: Vec<StateInfo>,
}

impl Rekey {
    /// # Errors
    /// `Invalid` for what is no expression, an operator without keyed state, and a type that no key has.
    pub(super) fn new(step: &RekeyStep, operator: &Operator, now_ms: Option<i64>) -> Result<Self> {
        let Some(old) = &operator.key else { return invalid("it has no keyed state") };
        let to = Expression::compile(&step.to, &[STATE, NOW])?;
        if to.uses().now && now_ms.is_none() {
            return invalid("it names now, and no time is given: give now_ms");
        }
        let schema = step.of.as_ref().unwrap_or(&old.schema);
        schema.check_names()?;
        schema.require_deterministic("key")?;
        let is_known = [CodecId::ORDERED, CodecId::BINCODE2].contains(&old.codec);
        let codec = match () {
            () if *schema == old.schema && is_known => old.codec.clone(),
            () if step.of.is_none() => {
                let message =
                    format!("keys have codec={}, not one of esker's: give type", old.codec);
                return invalid(message);
            }
            () if Ordered::has(schema) => CodecId::ORDERED,
            () => CodecId::BINCODE2,
        };
        let new = TypeInfo { codec, schema: schema.clone() };
        let (old, states) = (old.clone(), operator.states.clone());
        Ok(Self { to, old, new, wins: step.wins, states })
    }

    /// What it has to know of an entry.
    pub(super) fn uses(&self) -> Uses {
        self.to.uses()
    }

    /// Puts the composite key of an entry under its new key into `key`, and its old key and value into `value`.
    fn put(
        &self,
        entry: Entry<'_>,
        fields: &Fields,
        key: &mut Vec<u8>,
        value: &mut Vec<u8>,
    ) -> Result<()> {
        let found = self.to.each(fields, |evaluate| evaluate(&crate::format::Value::Unit))?;
        let found = found.fit(&self.new.schema)?;
        let bytes = encode_value(&self.new.codec, &self.new.schema, &found)?;
        let parts = CompositeKey::decode(entry.key)?;
        let group = KeyGroup::of(&bytes);
        CompositeKey::new(parts.state, group, &bytes, &parts.namespace, &parts.user_key)
            .encode_into(key);
        if key.len() > KEY_LEN_BYTES_MAX {
            let message = format!(
                "the new key with its namespace has {} bytes, the limit is {KEY_LEN_BYTES_MAX}",
                key.len()
            );
            return invalid(message);
        }
        let long = |_| Error::new(ErrorKind::Invalid, "its key is too long");
        let len = u32::try_from(parts.key.len()).map_err(long)?;
        value.extend_from_slice(&len.to_be_bytes());
        value.extend_from_slice(&parts.key);
        value.extend_from_slice(entry.value);
        let (len_bytes, max) = (key.len() + value.len(), Spool::<Arc<Self>>::ENTRY_LEN_BYTES_MAX);
        if len_bytes > max {
            let message =
                format!("both keys and the value have {len_bytes} bytes, the limit is {max}");
            return invalid(message);
        }
        Ok(())
    }

    /// Whether of two values, each behind its old key, the second one stays.
    fn settle(&self, key: &[u8], first: &[u8], second: &[u8]) -> Result<bool> {
        let parts = CompositeKey::decode(key)?;
        let info = self.states.iter().find(|info| info.id == parts.state);
        let is_timer = info.is_some_and(|info| {
            matches!(info.kind, StateKind::TimerEvent | StateKind::TimerProcessing)
        });
        // Two timers of one key and time are one.
        if is_timer {
            return Ok(false);
        }
        let ((a, _), (b, _)) = (split(first)?, split(second)?);
        match self.wins {
            Some(Winner::LowestKey) => return Ok(b < a),
            Some(Winner::HighestKey) => return Ok(b > a),
            None => {}
        }
        let json = |of: &TypeInfo, bytes: &[u8]| {
            let value = decode_value(&of.codec, &of.schema, bytes);
            value.map_or_else(|error| error.to_string(), |value| value.to_json())
        };
        let mut keys = [a, b];
        keys.sort_unstable();
        let [a, b] = keys.map(|bytes| json(&self.old, bytes));
        let namespace = info.and_then(|info| info.namespace.as_ref());
        let namespace = namespace
            .map_or(String::new(), |of| format!(" namespace={}", json(of, &parts.namespace)));
        let message = format!(
            "state={}: two entries would have the key={}{namespace}: those of key={a} and key={b}; say which \
             wins, or give them different ones",
            info.map_or("", |info| &info.name),
            json(&self.new, &parts.key),
        );
        invalid(message)
    }

    /// The value that stays of those of a key, each behind its old key.
    fn one<'v>(
        &self,
        key: &[u8],
        values: &mut dyn Iterator<Item = Result<&'v [u8]>>,
    ) -> Result<&'v [u8]> {
        let mut kept = None;
        for value in values {
            let value = value?;
            kept = Some(match kept {
                Some(before) if !self.settle(key, before, value)? => before,
                _ => value,
            });
        }
        kept.ok_or_else(damaged)
    }
}

impl Fold for Arc<Rekey> {
    type Lane = ();

    fn fold(
        &self,
        (): (),
        key: &[u8],
        values: &mut dyn Iterator<Item = Result<&[u8]>>,
        list: &mut Vec<u8>,
    ) -> Result<()> {
        put_encoded(list, self.one(key, values)?);
        Ok(())
    }
}

/// The old key, and the value behind it.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<LEN_LEN_BYTES>().ok_or_else(damaged)?;
    rest.split_at_checked(u32::from_be_bytes(*len) as usize).ok_or_else(damaged)
}

/// The keyed state of an operator under its new keys, in order.
pub(super) struct Rekeyed {
    chain: ChainReader,
    /// With the files that are read.
    sorted: Spooled<Arc<Rekey>>,
    /// About how many bytes one subtask gets.
    len_bytes: u64,
}

impl Rekeyed {
    /// What changes leave of all parts, of which `operator` is, under new keys.
    ///
    /// # Errors
    /// Those of reading, of expressions and of the temporary folder; `Invalid` for two entries of one key.
    pub(super) async fn of(
        store: &Store,
        operator: &Operator,
        parts: &[Option<Part>],
        changes: &OperatorChanges,
        rekey: &Arc<Rekey>,
    ) -> Result<Self> {
        // What stays is judged as of the time that the result will say, whichever part it comes from.
        let mut latest_ms = BTreeMap::new();
        for state in parts.iter().flatten().flat_map(|part| &part.states) {
            if let Some(time_ms) = state.ttl_time_ms {
                let latest = latest_ms.entry(state.id).or_insert(time_ms);
                *latest = time_ms.max(*latest);
            }
        }
        let mut all = Vec::new();
        for (subtask, part) in parts.iter().enumerate() {
            let Some(part) = part.as_ref().filter(|part| !part.runs.is_empty()) else { continue };
            all.push((operator.range(subtask)?, part.runs.clone()));
        }
        let (store, operator, changes) = (store.clone(), operator.clone(), changes.clone());
        let (rekey, parallelism) = (Arc::clone(rekey), parts.len() as u64);
        blocking(move || {
            let open = |runs: &[RunRef]| {
                let chain = block_on(ChainReader::open(&store, runs))?;
                Ok(Changed::new(chain, &operator, &changes, &latest_ms))
            };
            Self::sorted(&rekey, &all, open, parallelism)
        })
        .await?
    }

    /// Each part is opened once it is its turn: of one alone the indexes are in memory.
    fn sorted(
        rekey: &Arc<Rekey>,
        all: &[(KeyGroupRange, Vec<RunRef>)],
        open: impl Fn(&[RunRef]) -> Result<Changed>,
        parallelism: u64,
    ) -> Result<Self> {
        let mut spool = Spool::new(Arc::clone(rekey))?;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (range, runs) in all {
            open(runs)?.visit(*range, &mut |entry, left: Option<(&Of, &Fields)>| {
                let Some((of, fields)) = left else { return Ok(()) };
                key.clear();
                value.clear();
                let named = |error: Error| of.named(plain(error).of("rekey"), entry);
                rekey.put(entry, fields, &mut key, &mut value).map_err(named)?;
                spool.add((), &key, &value)
            })?;
        }
        let sorted = spool.finish()?;
        let (chain, raw_len_bytes) = sorted.open(&[()])?;
        let len_bytes = raw_len_bytes / COMPRESSION / parallelism.max(1);
        Ok(Self { chain, sorted, len_bytes })
    }
}

impl EntrySource for Rekeyed {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let rekey = self.sorted.fold();
        self.chain.merge(range, None, &mut |entry| {
            let mut values = elements(entry.value).map(|value| Ok(value?));
            let (_, value) = split(rekey.one(entry.key, &mut values)?)?;
            sink.add(Entry { key: entry.key, op: Op::Put, value })
        })
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::Retry, "a run of the temporary folder is damaged")
}
