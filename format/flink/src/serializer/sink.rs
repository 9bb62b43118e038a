//! What becomes of a value while it is read: nothing, JSON or a tree. One code reads values; it is compiled for each.

use super::Serializer;
use super::kind::Constant;
use super::logical::Logical;
use crate::{Input, Result};
use esker_format::schema::Name;

/// What elements stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Seq,
    Tuple,
}

/// What the keys of a map or the elements of a set are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keys<'k> {
    Of(&'k Serializer),
    /// The same, or null.
    Optional(&'k Serializer),
    Sql(&'k Logical),
    Text,
}

/// Where a value goes.
pub(crate) trait Sink {
    /// Whether nothing is made of values, so that those of a known length can be passed over.
    const SKIPS: bool = false;

    /// Whether what was made so far is not too much for its bytes.
    fn fits(&self) -> bool {
        true
    }

    /// An optional value that is not there.
    fn null(&mut self);
    /// What was given last is an optional value that is there.
    fn some(&mut self) {}
    /// The one value of its type, as null.
    fn unit(&mut self);
    /// The same, of a type that is an object.
    fn empty(&mut self);
    fn boolean(&mut self, value: bool);
    fn integer(&mut self, value: i64);
    fn float(&mut self, value: f32);
    fn double(&mut self, value: f64);
    fn char(&mut self, unit: u16);
    /// Text of `len` units, which come next.
    fn text(&mut self, input: &mut Input<'_>, len: usize) -> Result<()>;
    fn utf8(&mut self, text: &str);
    /// A string that needs no escapes, made only where it is wanted.
    fn made(&mut self, push: impl FnOnce(&mut String));
    fn bytes(&mut self, bytes: &[u8]);
    /// The constant of an enum.
    fn constant(&mut self, constant: &Constant);

    fn open(&mut self) {}
    /// The next of the group's elements, the one at `index`, follows.
    fn item(&mut self, _index: usize) {}
    /// The kind of a row is its last element, and not shown.
    fn row_kind(&mut self, _kind: usize) {}
    fn close(&mut self, _group: Group, _count: usize) {}
    /// Ends a group whose elements have no order.
    fn close_set(&mut self, count: usize, _elements: Keys<'_>) {
        self.close(Group::Seq, count);
    }

    fn open_map(&mut self) {}
    fn key(&mut self, _index: usize) {}
    fn value(&mut self) {}
    fn close_map(&mut self, _count: usize, _keys: Keys<'_>) {}

    fn open_struct(&mut self) {}
    /// The next field; `reordered` if fields come in another order than is wanted.
    fn field(&mut self, _index: usize, _name: &Constant, _reordered: bool) {}
    /// `by_name` is the order in which the fields are wanted, where that is another one.
    fn close_struct<'n>(
        &mut self,
        _names: impl ExactSizeIterator<Item = &'n Name>,
        _by_name: Option<&[usize]>,
    ) {
    }

    /// One of several alternatives follows.
    fn open_variant(&mut self, _name: &str) {}
    fn close_variant(&mut self, _name: &str) {}
    /// What was given last is of one of several classes or types, which its text does not say.
    fn of_class(&mut self, _name: &Name) {}
}

/// Passes over values; `FAST`, without looking at what is not needed to find where they end.
pub(crate) struct Skip<const FAST: bool>;

impl<const FAST: bool> Sink for Skip<FAST> {
    const SKIPS: bool = FAST;

    fn null(&mut self) {}
    fn unit(&mut self) {}
    fn empty(&mut self) {}
    fn boolean(&mut self, _: bool) {}
    fn integer(&mut self, _: i64) {}
    fn float(&mut self, _: f32) {}
    fn double(&mut self, _: f64) {}
    fn char(&mut self, _: u16) {}
    fn text(&mut self, input: &mut Input<'_>, len: usize) -> Result<()> {
        crate::text::skip_units(input, len)
    }
    fn utf8(&mut self, _: &str) {}
    fn made(&mut self, _: impl FnOnce(&mut String)) {}
    fn bytes(&mut self, _: &[u8]) {}
    fn constant(&mut self, _: &Constant) {}
}
