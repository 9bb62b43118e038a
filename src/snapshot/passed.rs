//! Damage that is passed over by whoever reads on behind it.

use super::merge::Damage;
use super::source::{Source, Span};
use crate::Error;
use esker_format::RelativeName;
use std::collections::VecDeque;

/// So many runs are read side by side, that blocks of one which follow each other are found among the last ones.
const RUNS_MAX: usize = 64;

/// What was passed over so far, in order. Blocks that a device cannot give back and that follow each other are
/// one damage.
#[derive(Debug, Default)]
pub(super) struct PassedOver {
    all: Vec<Damage>,
    unread: VecDeque<Unread>,
}

#[derive(Debug)]
struct Unread {
    /// Its number among all.
    at: usize,
    file: RelativeName,
    span: Span,
    /// What the device said of the first.
    error: Error,
}

impl PassedOver {
    pub(super) fn push(&mut self, damage: Damage) {
        self.all.push(damage);
    }

    /// Takes note that `span` of `source` cannot be read.
    pub(super) fn push_unread(&mut self, source: &Source, span: Span, error: Error) {
        let file = &source.run().file;
        let follows =
            |unread: &&mut Unread| unread.file == *file && unread.span.follows_with(&span);
        let known = self.unread.iter_mut().find(follows);
        let (at, whole, first) = match known {
            Some(known) => {
                (known.span.blocks.end, known.span.bytes.end) = (span.blocks.end, span.bytes.end);
                (known.at, known.span.clone(), known.error.again())
            }
            None => {
                let (at, whole, first) = (self.all.len(), span.clone(), error.again());
                self.unread.truncate(RUNS_MAX - 1);
                self.unread.push_front(Unread { at, file: file.clone(), span, error });
                (at, whole, first)
            }
        };
        let (entries, lost) = source.loss(whole.blocks.clone());
        let error = whole.unreadable(first).at_path(file.as_str());
        let damage = Damage { error, entries: Some(entries), lost };
        match self.all.get_mut(at) {
            Some(before) => *before = damage,
            None => self.all.push(damage),
        }
    }

    pub(super) fn into_all(self) -> Vec<Damage> {
        self.all
    }
}
