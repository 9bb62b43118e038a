//! The lists of states that a header has: one, or two behind each other.

use super::recover::recover;
use super::{Lost, Role, StateKind, StateMeta};
use crate::serializer::Gap;
use crate::{FormatErrorKind, Input, Result};

/// The states of each list, as far as they can be read.
pub(super) struct StateLists {
    lists: Vec<Vec<StateMeta>>,
    pub(super) lost: Option<Lost>,
}

impl StateLists {
    /// Reads `number` lists, up to the end of `input`.
    pub(super) fn read(input: &mut Input<'_>, number: usize) -> Result<Self> {
        let mut lists: Vec<Vec<StateMeta>> = Vec::new();
        while lists.len() < number {
            let count = read_count(input)?;
            let mut states = Vec::new();
            while states.len() < count {
                let start = input.clone();
                let mut name = None;
                let left = (count - states.len(), number - lists.len() - 1);
                match StateMeta::read_over(input, &[], &mut name) {
                    Ok(state) => states.push(state),
                    Err(reason) if reason.kind == FormatErrorKind::UnsupportedVersion => {
                        let rest =
                            recover(&start, &|input, gaps| rest(input, gaps, left.0, left.1));
                        let lost = match &rest {
                            Some(_) => None,
                            None => Some(Lost { first: name, count: left.0, reason }),
                        };
                        let mut rest = rest.unwrap_or_default().into_iter();
                        states.extend(rest.next().unwrap_or_default());
                        lists.push(states);
                        lists.extend(rest);
                        return Ok(Self { lists, lost });
                    }
                    Err(error) => return Err(error),
                }
            }
            lists.push(states);
        }
        input.end()?;
        Ok(Self { lists, lost: None })
    }

    /// The same, passing over what `gaps` name; no other class may be unknown.
    pub(super) fn whole(input: &mut Input<'_>, gaps: &[Gap], number: usize) -> Result<Self> {
        let count = read_count(input)?;
        Ok(Self { lists: rest(input, gaps, count, number.saturating_sub(1))?, lost: None })
    }

    /// The states of the list of this number, which must be of kinds that fit there.
    pub(super) fn take(
        &mut self,
        number: usize,
        header: &Input<'_>,
        fits: impl Fn(StateKind) -> bool,
    ) -> Result<Vec<StateMeta>> {
        let states = self.lists.get_mut(number).map(std::mem::take).unwrap_or_default();
        match states.iter().find(|state| !fits(state.kind)) {
            None => Ok(states),
            Some(StateMeta { name, kind, .. }) => Err(header
                .corrupt(format!("state {name:?} is of kind {kind:?}, which has no place here"))),
        }
    }
}

/// `left` states of a list and `lists` lists behind it, up to the end of `input`.
fn rest(
    input: &mut Input<'_>,
    gaps: &[Gap],
    left: usize,
    lists: usize,
) -> Result<Vec<Vec<StateMeta>>> {
    let mut found = vec![known_states(input, gaps, left)?];
    for _ in 0..lists {
        let count = read_count(input)?;
        found.push(known_states(input, gaps, count)?);
    }
    input.end()?;
    Ok(found)
}

/// States whose serializers play roles that are known: what is read behind a wrong length does not.
fn known_states(input: &mut Input<'_>, gaps: &[Gap], count: usize) -> Result<Vec<StateMeta>> {
    let state = |input: &mut Input<'_>| {
        let state = StateMeta::read_over(input, gaps, &mut None)?;
        let known = |name: &str| Role::ALL.iter().any(|role| role.name() == name);
        match state.serializers.iter().find(|(name, _)| !known(name)) {
            None => Ok(state),
            Some((name, _)) => Err(input.corrupt(format!("a serializer for {name:?}"))),
        }
    };
    (0..count).map(|_| state(input)).collect()
}

fn read_count(input: &mut Input<'_>) -> Result<usize> {
    let at = input.clone();
    usize::try_from(input.i16()?).map_err(|_| at.corrupt("the number of states is negative"))
}
