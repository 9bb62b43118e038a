//! In the place of expressions, where the feature `expressions` is not on.

use super::fields::{Fields, Uses};
use crate::format::Value;
use crate::{Error, ErrorKind, Result};

/// There is none.
pub(super) enum Expression {}

impl Expression {
    /// # Errors
    /// `Unsupported`, always.
    pub(super) fn compile(_text: &str, _more: &[&'static str]) -> Result<Self> {
        let message = "expressions need the feature `expressions`, which this build lacks";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    pub(super) fn uses(&self) -> Uses {
        match *self {}
    }

    pub(super) fn holds(&self, _fields: &Fields) -> Result<bool> {
        match *self {}
    }

    pub(super) fn each<R>(
        &self,
        _fields: &Fields,
        _work: impl FnOnce(&mut dyn FnMut(&Value) -> Result<Value>) -> Result<R>,
    ) -> Result<R> {
        match *self {}
    }
}
