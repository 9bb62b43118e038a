//! Through the column families of a RocksDB of Flink's.

use super::{Walk, ends, formats, is_passing};
use crate::Result;
use crate::flink::entry::{Of, Raw};
use crate::flink::header::KeyedStates;
use crate::flink::part::Part;
use crate::flink::rocksdb::Database;
use esker_flink::key_group::prefix_len_bytes;
use esker_flink::keys::{put_key_group, split_key_group};
use std::ops::Range;

impl Walk<'_> {
    pub(super) fn database(
        &mut self,
        part: &Part<'_>,
        database: &Database,
        states: &KeyedStates,
        groups: Range<u16>,
    ) -> Result<()> {
        let prefix_len = prefix_len_bytes(part.operator.max_parallelism);
        let prefix = |group: u16| {
            let mut bytes = Vec::new();
            put_key_group(group, prefix_len, &mut bytes);
            bytes
        };
        let (from, to) = (prefix(groups.start), prefix(groups.end));
        let formats = formats(states);
        for (state, format) in states.states.iter().zip(&formats) {
            if !self.filter.wants_state(state) {
                continue;
            }
            let of = Of { state, format: format.as_ref() };
            let visitor = &mut *self.visitor;
            // What the visitor says is told from what the database does.
            let mut stopped = None;
            let read = database.each(&state.name, (&from, Some(&to)), &mut |key, value| {
                let (group, key) = split_key_group(key, prefix_len)?;
                let visited = visitor.entry(of, group, Raw::Composite { key, value }, 0);
                stopped = visited.err();
                Ok(stopped.is_none())
            });
            if let Some(error) = stopped {
                return Err(error);
            }
            match read {
                Err(error) if is_passing(&error) => return Err(error),
                Err(error) => {
                    self.harm(part, Some(state.name.clone()), ends(groups.clone()), error);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }
}
