//! Snapshots as the tool sees them.

use esker::format::RelativeName;
use esker::format::canonical::Canonical;
use esker::format::composite::CompositeKey;
use esker::format::run::{Entry, Op};
use esker::format::{KeyGroup, KeyGroupRange};
use esker::snapshot::{ChainReader, MANIFEST_NAME, open_snapshot, read_operator_state};
use esker::{Error, Store, block_on};

/// All canonical lines of the savepoint at `url`.
pub(crate) fn lines(url: &str) -> Result<Vec<String>, Error> {
    let store = Store::open(url)?;
    let snapshot = block_on(open_snapshot(&store, &RelativeName::new(MANIFEST_NAME)?))?;
    let mut lines = Vec::new();
    for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
        let state_of = |id| operator.states.iter().find(|state| state.id == id);
        for part in parts {
            let part = part.as_ref().ok_or_else(|| {
                Error::new(esker::ErrorKind::Corrupt, "a part of the savepoint is damaged")
            })?;
            let chain = block_on(ChainReader::open(&store, &part.runs))?;
            for id in chain.states() {
                let Some(state) = state_of(id) else { continue };
                let canonical = Canonical::new(&operator.uid, operator.key.as_ref(), state);
                chain.merge(KeyGroupRange::ALL, Some(id), &mut |entry| {
                    let mut line = String::new();
                    if canonical.write(entry, &mut line)? {
                        lines.push(line);
                    }
                    Ok(())
                })?;
            }
        }
        for element in block_on(read_operator_state(&store, operator))? {
            let Some(state) = state_of(element.state) else { continue };
            let mut key = Vec::new();
            CompositeKey::new(element.state, KeyGroup(0), &element.key, &[], &[])
                .encode_into(&mut key);
            let canonical = Canonical::new(&operator.uid, None, state);
            let mut line = String::new();
            canonical.write(Entry { key: &key, op: Op::Put, value: &element.value }, &mut line)?;
            lines.push(line);
        }
    }
    Ok(lines)
}
