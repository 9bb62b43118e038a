//! Keyed state as Flink's heap backend writes it into checkpoints and native savepoints (SPEC.md, "Heap state").
//!
//! Every key group holds every state, and nothing says how long anything is: only serializers know. Where one of them cannot be read,
//! the borders of its values are those that fit all that is around them, if there is one way alone.

mod entries;
mod segment;
mod solve;
#[cfg(test)]
mod tests;

pub use entries::HeapEntries;

use crate::header::{KeyedHeader, Role, StateKind, StateMeta};
use crate::keys::KeyFormat;
use crate::{FormatError, FormatErrorKind, Input, Result, Serializer};
use std::ops::Range;

const WHAT: &str = "heap state";
/// Timestamps are stored so that the order of bytes is that of time.
const SIGN: i64 = i64::MIN;

/// How the entries of each state of a stream are put together.
#[derive(Debug)]
pub struct HeapFormat<'h> {
    header: &'h KeyedHeader,
    max_parallelism: u32,
    states: Vec<StateFormat<'h>>,
}

impl<'h> HeapFormat<'h> {
    /// That of the states of `header`, of an operator with `max_parallelism`.
    pub fn new(header: &'h KeyedHeader, max_parallelism: u32) -> Self {
        let format = |state| StateFormat::of(header, state).unwrap_or_else(StateFormat::Unreadable);
        let states = header.states.iter().map(format).collect();
        Self { header, max_parallelism, states }
    }

    /// The entries of `key_group`, whose data is all of `input`: from its offset to that of the next key group, or to the end of the stream.
    ///
    /// # Errors
    /// `Corrupt` if another key group is there.
    pub fn entries<'f, 'a>(
        &'f self,
        key_group: u16,
        mut input: Input<'a>,
    ) -> Result<HeapEntries<'f, 'h, 'a>> {
        let at = input.clone();
        let found = input.i32()?;
        if found != i32::from(key_group) {
            return Err(at.corrupt(format!("key group {found} where {key_group} should be")));
        }
        let data = input.part(input.remaining())?;
        Ok(HeapEntries::new(self, key_group, data))
    }

    fn state(&self, id: u16) -> Option<&StateFormat<'h>> {
        self.states.get(usize::from(id))
    }

    /// `error` with the state's name.
    fn naming(&self, id: u16, mut error: FormatError) -> FormatError {
        if let Some(state) = self.header.state(id) {
            error.message = format!("state {:?}: {}", state.name, error.message);
        }
        error
    }

    /// Why entries of a state cannot be told apart, if they cannot.
    fn refusal(&self, id: u16) -> Option<FormatError> {
        match (self.state(id), &self.header.lost) {
            (Some(StateFormat::Unreadable(error)), _) => Some(error.clone()),
            (Some(_), _) => None,
            (None, Some(lost)) => Some(lost.reason.clone()),
            (None, None) => Some(FormatError::corrupt(WHAT, format!("there is no state {id}"))),
        }
    }
}

/// How the entries of one state are put together.
#[derive(Debug)]
enum StateFormat<'h> {
    Entries { namespace: &'h Serializer, key: &'h Serializer, value: &'h Serializer },
    Timers { namespace: &'h Serializer, key: &'h Serializer },
    Unreadable(FormatError),
}

/// Where the parts of an entry stand.
struct Located {
    key: Range<usize>,
    namespace: Range<usize>,
    value: Range<usize>,
    timestamp_ms: Option<i64>,
}

impl<'h> StateFormat<'h> {
    fn of(header: &'h KeyedHeader, state: &'h StateMeta) -> Result<Self> {
        let format = KeyFormat::of(header, state)?;
        let (key, namespace) = (format.key(), format.namespace());
        if let Some(class) = key.opaque().or(namespace.opaque()) {
            let message = format!("keys or namespaces that {class} wrote, which cannot be read");
            return Err(FormatError::new(FormatErrorKind::Incompatible, WHAT, message));
        }
        match state.kind {
            StateKind::PriorityQueue => Ok(Self::Timers { namespace, key }),
            _ => Ok(Self::Entries { namespace, key, value: state.needed(Role::Value)? }),
        }
    }

    /// What wrote its values, if that cannot be read.
    fn opaque(&self) -> Option<&'h str> {
        match self {
            Self::Entries { value, .. } => value.opaque(),
            _ => None,
        }
    }

    /// Reads past an entry. Its value ends at `border` where that is given. What was read and looked at is added to `cost`.
    fn entry(
        &self,
        input: &mut Input<'_>,
        border: Option<usize>,
        cost: &mut usize,
    ) -> Result<Located> {
        match self {
            Self::Entries { namespace, key, value } => {
                let namespace = skip(namespace, input, cost)?;
                let key = skip(key, input, cost)?;
                let value = match border {
                    Some(end) => {
                        let start = input.position();
                        input.take(end.saturating_sub(start))?;
                        start..end
                    }
                    None => skip(value, input, cost)?,
                };
                Ok(Located { key, namespace, value, timestamp_ms: None })
            }
            Self::Timers { namespace, key } => {
                let timestamp_ms = Some(input.i64()? ^ SIGN);
                let key = skip(key, input, cost)?;
                let namespace = skip(namespace, input, cost)?;
                Ok(Located { key, namespace, value: 0..0, timestamp_ms })
            }
            Self::Unreadable(error) => Err(error.clone()),
        }
    }
}

fn skip(serializer: &Serializer, input: &mut Input<'_>, cost: &mut usize) -> Result<Range<usize>> {
    let start = input.position();
    serializer.skip_counting(input, cost)?;
    Ok(start..input.position())
}

/// What stands before the entries of a state: which it is, one that was not `seen` before, and how many there are.
fn read_state(input: &mut Input<'_>, seen: &[bool]) -> Result<(u16, usize)> {
    let at = input.clone();
    let state = input.u16()?;
    match seen.get(usize::from(state)) {
        Some(false) => {}
        Some(true) => return Err(at.corrupt(format!("state {state} comes twice"))),
        None => return Err(at.corrupt(format!("state {state} of {}", seen.len()))),
    }
    Ok((state, input.count(1)?))
}
