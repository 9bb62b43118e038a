//! Which new subtask gets what of the old ones' operator state.

/// Deals the elements of a list state out: element *i*, counted over all old subtasks in order, goes
/// to the new subtask *i* mod `parallelism`. No lists at all for a parallelism of 0.
pub fn split_round_robin<E>(
    elements: impl IntoIterator<Item = E>,
    parallelism: usize,
) -> Vec<Vec<E>> {
    let mut lists: Vec<Vec<E>> = (0..parallelism).map(|_| Vec::new()).collect();
    for (i, element) in elements.into_iter().enumerate() {
        if let Some(list) = i.checked_rem(parallelism).and_then(|subtask| lists.get_mut(subtask)) {
            list.push(element);
        }
    }
    lists
}

/// The old subtask whose broadcast state the new subtask `subtask` starts with; `None` if there was
/// no old one. All hold the same, so this only spreads the reading.
pub fn broadcast_source(subtask: usize, old_parallelism: usize) -> Option<usize> {
    subtask.checked_rem(old_parallelism)
}
