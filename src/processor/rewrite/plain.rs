//! Expressions that compare, compute with and choose between what entries hold, evaluated over their values as they are.
//!
//! CEL's evaluator looks names up in maps that are made for each entry, and boxes what it finds: that took half
//! the time of a rewrite. What is answered here is what CEL answers. Errors are CEL's alone: whatever would be
//! one, and whatever is no number, truth, text or null, has no answer here.

use super::fields::{Fields, Uses};
use crate::format::Value;
use cel::common::ast::{Expr, LiteralValue, operators};
use cel::{IdedExpr, Program};
use std::cmp::Ordering;

/// An expression of that kind.
#[derive(Debug)]
pub(super) enum Plain {
    Literal(Literal),
    /// A field of the entry, and names of struct fields on the way from there.
    Path(Root, Vec<String>),
    Not(Box<Plain>),
    Negative(Box<Plain>),
    Of(Operator, Box<[Plain; 2]>),
    /// What the second is if the first holds, and otherwise the third.
    Choice(Box<[Plain; 3]>),
}

#[derive(Debug)]
pub(super) enum Literal {
    Is(Scalar<'static>),
    Text(String),
}

/// Where a path begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum Root {
    Key,
    Namespace,
    UserKey,
    Value,
    Ttl,
    Now,
    It,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Operator {
    And,
    Or,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// A value that has no parts, by CEL's types.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(&'a str),
}

/// What an expression is evaluated over.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) fields: &'a Fields,
    /// The part that is set.
    pub(super) it: Option<&'a Value>,
}

impl Plain {
    /// The same expression, if it is of that kind.
    pub(super) fn of(program: &Program) -> Option<Self> {
        Self::expression(program.expression())
    }

    fn expression(expression: &IdedExpr) -> Option<Self> {
        Some(match &expression.expr {
            Expr::Literal(literal) => Self::Literal(Literal::of(literal)?),
            Expr::Ident(name) => Self::Path(Root::of(name)?, Vec::new()),
            Expr::Select(select) if !select.test => {
                let Self::Path(root, mut names) = Self::expression(&select.operand)? else {
                    return None;
                };
                names.push(select.field.clone());
                Self::Path(root, names)
            }
            Expr::Call(call) if call.target.is_none() => {
                let all: Option<Vec<Self>> = call.args.iter().map(Self::expression).collect();
                match (call.func_name.as_str(), <[Self; 1]>::try_from(all?)) {
                    (operators::LOGICAL_NOT, Ok([of])) => Self::Not(Box::new(of)),
                    (operators::NEGATE, Ok([of])) => Self::Negative(Box::new(of)),
                    (operators::CONDITIONAL, Err(of)) => {
                        Self::Choice(Box::new(of.try_into().ok()?))
                    }
                    (name, Err(of)) => Self::Of(Operator::of(name)?, Box::new(of.try_into().ok()?)),
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    /// What CEL makes of it; none if that is to be asked.
    pub(super) fn evaluate<'a>(&'a self, scope: Scope<'a>) -> Option<Scalar<'a>> {
        Some(match self {
            Self::Literal(Literal::Is(scalar)) => *scalar,
            Self::Literal(Literal::Text(text)) => Scalar::Text(text),
            Self::Path(root, names) => {
                let Some(mut value) = root.find(scope) else {
                    return names.is_empty().then_some(Scalar::Null);
                };
                for name in names {
                    value = member(value, name)?;
                }
                return Scalar::of(value);
            }
            Self::Not(of) => Scalar::Bool(!of.evaluate(scope)?.truth()?),
            Self::Negative(of) => match of.evaluate(scope)? {
                Scalar::Int(of) => Scalar::Int(of.checked_neg()?),
                Scalar::Double(of) => Scalar::Double(-of),
                _ => return None,
            },
            // What decides alone is asked first; the other may be an error then.
            Self::Of(Operator::And, of) => {
                let holds = of[0].evaluate(scope)?.truth()?;
                Scalar::Bool(holds && of[1].evaluate(scope)?.truth()?)
            }
            Self::Of(Operator::Or, of) => {
                let holds = of[0].evaluate(scope)?.truth()?;
                Scalar::Bool(holds || of[1].evaluate(scope)?.truth()?)
            }
            Self::Of(operator, of) => {
                operator.apply(of[0].evaluate(scope)?, of[1].evaluate(scope)?)?
            }
            Self::Choice(of) => {
                let chosen = if of[0].evaluate(scope)?.truth()? { &of[1] } else { &of[2] };
                return chosen.evaluate(scope);
            }
        })
    }
}

impl Literal {
    fn of(literal: &LiteralValue) -> Option<Self> {
        Some(Self::Is(match literal {
            LiteralValue::Null => Scalar::Null,
            LiteralValue::Boolean(value) => Scalar::Bool(*value.inner()),
            LiteralValue::Int(value) => Scalar::Int(*value.inner()),
            LiteralValue::UInt(value) => Scalar::Uint(*value.inner()),
            LiteralValue::Double(value) => Scalar::Double(*value.inner()),
            LiteralValue::String(value) => return Some(Self::Text(value.inner().to_owned())),
            LiteralValue::Bytes(_) => return None,
        }))
    }
}

impl Root {
    /// An absolute name is the same: there are no others around.
    fn of(name: &str) -> Option<Self> {
        Some(match name.strip_prefix('.').unwrap_or(name) {
            "key" => Self::Key,
            "ns" => Self::Namespace,
            "userKey" => Self::UserKey,
            "value" => Self::Value,
            "ttl" => Self::Ttl,
            "now" => Self::Now,
            "it" => Self::It,
            _ => return None,
        })
    }

    #[inline]
    fn find<'a>(self, Scope { fields, it }: Scope<'a>) -> Option<&'a Value> {
        match self {
            Self::Key => fields.key.as_ref(),
            Self::Namespace => fields.namespace.as_ref(),
            Self::UserKey => fields.user_key.as_ref(),
            Self::Value => fields.value.as_ref(),
            Self::Ttl => fields.ttl.as_ref(),
            Self::Now => fields.now.as_ref(),
            Self::It => it,
        }
    }
}

impl Operator {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            operators::LOGICAL_AND => Self::And,
            operators::LOGICAL_OR => Self::Or,
            operators::EQUALS => Self::Equal,
            operators::NOT_EQUALS => Self::NotEqual,
            operators::LESS => Self::Less,
            operators::LESS_EQUALS => Self::LessOrEqual,
            operators::GREATER => Self::Greater,
            operators::GREATER_EQUALS => Self::GreaterOrEqual,
            operators::ADD => Self::Add,
            operators::SUBSTRACT => Self::Subtract,
            operators::MULTIPLY => Self::Multiply,
            operators::DIVIDE => Self::Divide,
            operators::MODULO => Self::Modulo,
            _ => return None,
        })
    }

    fn apply<'a>(self, a: Scalar<'a>, b: Scalar<'a>) -> Option<Scalar<'a>> {
        let is = |is: bool| Some(Scalar::Bool(is));
        match self {
            Self::And | Self::Or => None,
            Self::Equal => is(a.is_equal(b)),
            Self::NotEqual => is(!a.is_equal(b)),
            Self::Less => is(a.order(b)? == Ordering::Less),
            Self::LessOrEqual => is(a.order(b)? != Ordering::Greater),
            Self::Greater => is(a.order(b)? == Ordering::Greater),
            Self::GreaterOrEqual => is(a.order(b)? != Ordering::Less),
            _ => self.compute(a, b),
        }
    }

    /// Numbers of one type; of text, what `+` gives is new.
    fn compute<'a>(self, a: Scalar<'a>, b: Scalar<'a>) -> Option<Scalar<'a>> {
        Some(match (a, b) {
            (Scalar::Int(a), Scalar::Int(b)) => Scalar::Int(match self {
                Self::Add => a.checked_add(b)?,
                Self::Subtract => a.checked_sub(b)?,
                Self::Multiply => a.checked_mul(b)?,
                Self::Divide => a.checked_div(b)?,
                Self::Modulo => a.checked_rem(b)?,
                _ => return None,
            }),
            (Scalar::Uint(a), Scalar::Uint(b)) => Scalar::Uint(match self {
                Self::Add => a.checked_add(b)?,
                Self::Subtract => a.checked_sub(b)?,
                Self::Multiply => a.checked_mul(b)?,
                Self::Divide => a.checked_div(b)?,
                Self::Modulo => a.checked_rem(b)?,
                _ => return None,
            }),
            (Scalar::Double(a), Scalar::Double(b)) => Scalar::Double(match self {
                Self::Add => a + b,
                Self::Subtract => a - b,
                Self::Multiply => a * b,
                Self::Divide => a / b,
                // CEL has no remainder of these.
                _ => return None,
            }),
            _ => return None,
        })
    }
}

impl<'a> Scalar<'a> {
    /// As `val` in `expression.rs` has it.
    #[inline]
    fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Unit | Value::Option(None) => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Unsigned(value) => Self::Uint(u64::try_from(*value).ok()?),
            Value::Signed(value) => Self::Int(i64::try_from(*value).ok()?),
            Value::F32(value) => Self::Double(f64::from(*value)),
            Value::F64(value) => Self::Double(*value),
            Value::String(value) => Self::Text(value),
            Value::Variant(name, None) => Self::Text(name),
            Value::Option(Some(value)) => Self::of(inside(value)?)?,
            _ => return None,
        })
    }

    pub(super) fn truth(self) -> Option<bool> {
        match self {
            Self::Bool(holds) => Some(holds),
            _ => None,
        }
    }

    /// As a value of no type.
    pub(super) fn loose(self) -> Value {
        match self {
            Self::Null => Value::Unit,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Signed(value.into()),
            Self::Uint(value) => Value::Unsigned(value.into()),
            Self::Double(value) => Value::F64(value),
            Self::Text(value) => Value::String(value.to_owned()),
        }
    }

    /// Values of types that have no order between them differ.
    fn is_equal(self, other: Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    /// Numbers are in order whatever their types; next to a double each is one.
    fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(&b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (Self::Uint(a), Self::Uint(b)) => Some(a.cmp(&b)),
            (Self::Int(a), Self::Uint(b)) => Some(i128::from(a).cmp(&i128::from(b))),
            (Self::Uint(a), Self::Int(b)) => Some(i128::from(a).cmp(&i128::from(b))),
            (a, b) => a.double()?.partial_cmp(&b.double()?),
        }
    }

    fn double(self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(value as f64),
            Self::Uint(value) => Some(value as f64),
            Self::Double(value) => Some(value),
            _ => None,
        }
    }
}

/// What CEL has in the place of `Some(value)`, unless that is a map of its own.
fn inside(value: &Value) -> Option<&Value> {
    (!matches!(value, Value::Unit | Value::Option(_))).then_some(value)
}

/// A field of a struct.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Struct(fields) => {
            fields.iter().rev().find(|(of, _)| **of == *name).map(|(_, value)| value)
        }
        Value::Option(Some(value)) => member(inside(value)?, name),
        _ => None,
    }
}

/// Whether CEL has a value of its own for all that is used of an entry: it refuses the others before it evaluates.
#[inline]
pub(super) fn are_known(fields: &Fields, uses: Uses) -> bool {
    let of = |is_used: bool, value: &Option<Value>| !is_used || value.as_ref().is_none_or(is_known);
    of(uses.key, &fields.key)
        && of(uses.namespace, &fields.namespace)
        && of(uses.user_key, &fields.user_key)
        && of(uses.value, &fields.value)
        && of(uses.ttl, &fields.ttl)
        && of(uses.now, &fields.now)
}

/// Whether CEL has such a value.
pub(super) fn is_known(value: &Value) -> bool {
    match value {
        Value::Unsigned(value) => u64::try_from(*value).is_ok(),
        Value::Signed(value) => i64::try_from(*value).is_ok(),
        Value::Option(Some(value)) | Value::Variant(_, Some(value)) => is_known(value),
        Value::Seq(values) | Value::Tuple(values) => values.iter().all(is_known),
        Value::Map(entries) => entries.iter().all(|(key, value)| is_known(key) && is_known(value)),
        Value::Struct(fields) => fields.iter().all(|(_, value)| is_known(value)),
        Value::Unit | Value::Bool(_) | Value::F32(_) | Value::F64(_) => true,
        Value::Char(_) | Value::String(_) | Value::Bytes(_) => true,
        Value::Option(None) | Value::Variant(_, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
