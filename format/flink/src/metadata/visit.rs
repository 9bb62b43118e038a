//! Every stream that a snapshot refers to, and where in it the reference stands.

use super::{KeyedHandle, Metadata, Operator, StreamHandle, SubtaskState};

/// Where a handle of a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site<'a> {
    /// The operator, by its place in [`Metadata::operators`].
    pub operator: usize,
    /// The subtask's number; `None` for the coordinator.
    pub subtask: Option<u32>,
    /// What the stream holds.
    pub slot: Slot,
    /// The name of a RocksDB's file in the folder of its database.
    pub file_name: Option<&'a str>,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// The state of an operator's coordinator.
    Coordinator,
    /// Operator state.
    Operator,
    /// Raw operator state.
    OperatorRaw,
    /// Keyed state: canonical, or of the heap's own format.
    Keyed,
    /// The header of a RocksDB.
    KeyedMeta,
    /// A file of a RocksDB that checkpoints share.
    KeyedShared,
    /// A file of a RocksDB that belongs to one checkpoint.
    KeyedPrivate,
    /// Changes of keyed state.
    KeyedChanges,
    /// Raw keyed state.
    KeyedRaw,
    /// Records in flight towards a subtask.
    Input,
    /// Records in flight from a subtask.
    Output,
}

/// Both forms of the visit, which differ in how they borrow.
macro_rules! visits {
    ($metadata:ident, $operator:ident, $subtask:ident, $keyed:ident, $leaf:ident, $iter:ident $(, $mutable:tt)?) => {
        fn $metadata<E>(
            metadata: &$($mutable)? Metadata,
            visit: &mut dyn FnMut(Site<'_>, &$($mutable)? StreamHandle) -> Result<(), E>,
        ) -> Result<(), E> {
            for (number, operator) in metadata.operators.$iter().enumerate() {
                $operator(operator, number, visit)?;
            }
            Ok(())
        }

        fn $operator<E>(
            operator: &$($mutable)? Operator,
            number: usize,
            visit: &mut dyn FnMut(Site<'_>, &$($mutable)? StreamHandle) -> Result<(), E>,
        ) -> Result<(), E> {
            let site = Site { operator: number, subtask: None, slot: Slot::Coordinator, file_name: None };
            if let Some(stream) = & $($mutable)? operator.coordinator {
                visit(site, stream.$leaf())?;
            }
            for subtask in operator.subtasks.$iter() {
                let site = Site { subtask: Some(subtask.index), ..site };
                if let Some(state) = & $($mutable)? subtask.state {
                    $subtask(state, site, visit)?;
                }
            }
            Ok(())
        }

        fn $subtask<E>(
            state: &$($mutable)? SubtaskState,
            site: Site<'_>,
            visit: &mut dyn FnMut(Site<'_>, &$($mutable)? StreamHandle) -> Result<(), E>,
        ) -> Result<(), E> {
            if let Some(handle) = & $($mutable)? state.operator {
                visit(Site { slot: Slot::Operator, ..site }, handle.stream.$leaf())?;
            }
            if let Some(handle) = & $($mutable)? state.operator_raw {
                visit(Site { slot: Slot::OperatorRaw, ..site }, handle.stream.$leaf())?;
            }
            if let Some(handle) = & $($mutable)? state.keyed {
                $keyed(handle, Site { slot: Slot::Keyed, ..site }, visit)?;
            }
            if let Some(handle) = & $($mutable)? state.keyed_raw {
                $keyed(handle, Site { slot: Slot::KeyedRaw, ..site }, visit)?;
            }
            for handle in state.inputs.$iter() {
                visit(Site { slot: Slot::Input, ..site }, handle.stream.$leaf())?;
            }
            for handle in state.outputs.$iter() {
                visit(Site { slot: Slot::Output, ..site }, handle.stream.$leaf())?;
            }
            Ok(())
        }

        fn $keyed<E>(
            handle: &$($mutable)? KeyedHandle,
            site: Site<'_>,
            visit: &mut dyn FnMut(Site<'_>, &$($mutable)? StreamHandle) -> Result<(), E>,
        ) -> Result<(), E> {
            match handle {
                KeyedHandle::KeyGroups(handle) => visit(site, handle.stream.$leaf()),
                KeyedHandle::Incremental(handle) => {
                    visit(Site { slot: Slot::KeyedMeta, ..site }, handle.meta.$leaf())?;
                    for (slot, files) in [
                        (Slot::KeyedShared, & $($mutable)? handle.shared),
                        (Slot::KeyedPrivate, & $($mutable)? handle.private),
                    ] {
                        for file in files.$iter() {
                            let file_name = Some(file.name.as_str());
                            visit(Site { slot, file_name, ..site }, file.stream.$leaf())?;
                        }
                    }
                    Ok(())
                }
                KeyedHandle::Changelog(handle) => {
                    for nested in handle.materialized.$iter() {
                        $keyed(nested, site, visit)?;
                    }
                    for nested in handle.changes.$iter() {
                        $keyed(nested, site, visit)?;
                    }
                    Ok(())
                }
                KeyedHandle::ChangelogBytes(_) => Ok(()),
                KeyedHandle::ChangelogFiles(handle) => {
                    for file in handle.files.$iter() {
                        visit(Site { slot: Slot::KeyedChanges, ..site }, file.stream.$leaf())?;
                    }
                    Ok(())
                }
            }
        }
    };
}

visits!(all, of_operator, of_subtask, of_keyed, leaf, iter);
visits!(all_mut, of_operator_mut, of_subtask_mut, of_keyed_mut, leaf_mut, iter_mut, mut);

impl Metadata {
    /// Calls `visit` with every handle of a stream, in the order of the file; ends with its first error.
    ///
    /// # Errors
    /// Those of `visit`.
    pub fn visit_streams<E>(
        &self,
        mut visit: impl FnMut(Site<'_>, &StreamHandle) -> Result<(), E>,
    ) -> Result<(), E> {
        all(self, &mut visit)
    }

    /// The same, for who changes handles: paths, or where the bytes are. A handle of operator state that lies in merged files names
    /// their folders too ([`OperatorHandle::folders`](super::OperatorHandle::folders)).
    ///
    /// # Errors
    /// Those of `visit`.
    pub fn visit_streams_mut<E>(
        &mut self,
        mut visit: impl FnMut(Site<'_>, &mut StreamHandle) -> Result<(), E>,
    ) -> Result<(), E> {
        all_mut(self, &mut visit)
    }
}
