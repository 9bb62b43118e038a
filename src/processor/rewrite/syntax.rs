//! What a parsed expression names, and how deep it is.

use super::fields::Uses;
use cel::common::ast::{EntryExpr, Expr};
use cel::{Env, IdedExpr};
use std::collections::BTreeSet;

/// The deepest expression, in levels of its tree: evaluation calls itself for each, on threads of 2 MiB,
/// which end a debug build at some 50. Chains of `&&` and `||` are balanced, and take few; each term of `1 + 1 + …` takes one.
pub(super) const DEPTH_MAX: usize = 32;

/// The names of an entry's fields, as an expression has them.
pub(super) const FIELDS: [&str; 5] = ["key", "ns", "userKey", "value", "ttl"];

/// An expression is deeper than [`DEPTH_MAX`].
#[derive(Debug)]
pub(super) struct TooDeep;

/// What an expression names.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The fields, also one whose name is a variable of a macro.
    pub(super) uses: Uses,
    /// Names that are no field, no variable of a macro around them and no type.
    pub(super) unknown: BTreeSet<String>,
}

impl Names {
    /// What `expression` names, to be evaluated with `env`, where there are `more` names than those of an
    /// entry.
    pub(super) fn of(
        expression: &IdedExpr,
        env: &Env,
        more: &[&'static str],
    ) -> Result<Self, TooDeep> {
        let mut walk = Walk { env, more, scopes: Vec::new(), depth: 0, names: Self::default() };
        walk.expression(expression)?;
        Ok(walk.names)
    }
}

struct Walk<'e> {
    env: &'e Env,
    more: &'e [&'static str],
    /// The variables of the macros around.
    scopes: Vec<&'e str>,
    depth: usize,
    names: Names,
}

impl<'e> Walk<'e> {
    fn expression(&mut self, expression: &'e IdedExpr) -> Result<(), TooDeep> {
        if self.depth == DEPTH_MAX {
            return Err(TooDeep);
        }
        self.depth += 1;
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.expression(&select.operand)?,
            Expr::List(list) => self.all(&list.elements)?,
            Expr::Call(call) => {
                self.all(call.target.as_deref())?;
                self.all(&call.args)?;
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr))?,
            Expr::Struct(of) => of.entries.iter().try_for_each(|entry| self.entry(&entry.expr))?,
            Expr::Comprehension(of) => {
                self.all([&of.iter_range, &of.accu_init])?;
                let outer = self.scopes.len();
                self.scopes.push(&of.accu_var);
                self.expression(&of.result)?;
                self.scopes.push(&of.iter_var);
                self.scopes.extend(of.iter_var2.as_deref());
                self.all([&of.loop_cond, &of.loop_step])?;
                self.scopes.truncate(outer);
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn all(&mut self, of: impl IntoIterator<Item = &'e IdedExpr>) -> Result<(), TooDeep> {
        of.into_iter().try_for_each(|expression| self.expression(expression))
    }

    fn entry(&mut self, entry: &'e EntryExpr) -> Result<(), TooDeep> {
        match entry {
            EntryExpr::StructField(field) => self.expression(&field.value),
            EntryExpr::MapEntry(entry) => self.all([&entry.key, &entry.value]),
        }
    }

    /// `.name` is `name` whatever variables are around.
    fn name(&mut self, name: &str) {
        let (plain, is_absolute) = match name.strip_prefix('.') {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let uses = &mut self.names.uses;
        match plain {
            "key" => uses.key = true,
            "ns" => uses.namespace = true,
            "userKey" => uses.user_key = true,
            "value" => uses.value = true,
            "ttl" => uses.ttl = true,
            _ if self.more.contains(&plain) => {
                uses.now |= plain == "now";
                uses.it |= plain == "it";
                uses.state |= plain == "state";
                uses.key_group |= plain == "keyGroup";
            }
            _ if !is_absolute && self.scopes.contains(&plain) => {}
            // `optional.of(x)` is a function.
            _ if plain == "optional" || self.env.types().find_type(plain).is_some() => {}
            _ => {
                self.names.unknown.insert(name.to_owned());
            }
        }
    }
}
