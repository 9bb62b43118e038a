//! Through the key groups of a canonical stream.

use super::{Walk, formats};
use crate::Result;
use crate::flink::entry::{Of, Raw};
use crate::flink::feed::Feed;
use crate::flink::part::{Keyed, Part};
use esker_flink::FormatError;
use esker_flink::canonical::Entries;
use std::ops::Range;

impl Walk<'_> {
    pub(super) fn canonical(
        &mut self,
        part: &Part<'_>,
        keyed: &Keyed<'_>,
        groups: Range<u16>,
    ) -> Result<()> {
        let formats = formats(&keyed.states);
        let of: Vec<(Of<'_>, bool)> = keyed
            .states
            .states
            .iter()
            .zip(&formats)
            .map(|(state, format)| {
                (Of { state, format: format.as_ref() }, self.filter.wants_state(state))
            })
            .collect();
        let groups = keyed.groups(groups);
        let end = groups.last().map_or(0, |(_, range)| range.end);
        let mut feed = Feed::new(&keyed.stream, end);
        for (group, range) in groups {
            feed.limit(range);
            let mut damage = None;
            let max_parallelism = part.operator.max_parallelism;
            let entries = Entries::of(&mut feed, &keyed.states.header, max_parallelism);
            match entries {
                Ok(mut entries) => loop {
                    let offset = entries.offset();
                    let entry = match entries.next() {
                        Ok(Some(entry)) => entry,
                        Ok(None) => break,
                        Err(error) => {
                            damage = Some(error);
                            break;
                        }
                    };
                    if entry.key_group != group {
                        let message = format!(
                            "an entry of key group {} among those of {group}",
                            entry.key_group
                        );
                        damage.get_or_insert(FormatError::corrupt("key", message).at(offset));
                    }
                    let Some((of, true)) = of.get(usize::from(entry.state)) else { continue };
                    let raw = Raw::Composite { key: entry.key, value: entry.value };
                    self.visitor.entry(*of, entry.key_group, raw, offset)?;
                },
                Err(error) => damage = Some(error),
            }
            if let Some(error) = damage {
                let error = feed.refused(error);
                if super::is_passing(&error) {
                    return Err(error);
                }
                self.harm(part, None, Some((group, group)), error);
            }
        }
        Ok(())
    }
}
