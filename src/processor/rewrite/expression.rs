//! Expressions of a plan: CEL, evaluated over the fields of an entry
//! (`docs/decisions/0004-expressions.md`).

use super::fields::{Fields, Uses};
use super::plain::{Plain, Scope, are_known, is_known};
use super::syntax::{DEPTH_MAX, FIELDS, Names, TooDeep};
use crate::format::Value;
use crate::{Error, ErrorKind, Result};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::objects::{Key, OptionalValue};
use cel::{Context, Env, Program};
use std::collections::HashMap;
use std::sync::Arc;

/// The longest expression, in bytes.
const TEXT_LEN_BYTES_MAX: usize = 16 << 10;
/// The parser goes deep: an expression as nested as it allows takes some MiB in a debug build.
const PARSER_STACK_LEN_BYTES: usize = 64 << 20;

/// A compiled expression.
pub(super) struct Expression {
    program: Program,
    /// The same, if it is of that kind: asked first.
    pub(super) plain: Option<Plain>,
    env: Arc<Env>,
    uses: Uses,
}

impl Expression {
    /// It may name the fields of an entry, and `more`.
    ///
    /// # Errors
    /// `Invalid` if it is none, with the place; if it is too deep; and if it names what there is not.
    pub(super) fn compile(text: &str, more: &[&'static str]) -> Result<Self> {
        if text.len() > TEXT_LEN_BYTES_MAX {
            return Err(invalid(format!("longer than {TEXT_LEN_BYTES_MAX} bytes")));
        }
        let parser = std::thread::Builder::new().stack_size(PARSER_STACK_LEN_BYTES);
        let compiled = std::thread::scope(|scope| {
            let thread = parser.spawn_scoped(scope, || Self::parse(text, more));
            thread.map(|thread| thread.join())
        });
        let Ok(Ok(compiled)) = compiled else {
            return Err(invalid("it is too much for the parser".to_owned()));
        };
        compiled
    }

    /// Takes much stack, also to drop what is refused.
    fn parse(text: &str, more: &[&'static str]) -> Result<Self> {
        let program = Program::compile(text).map_err(|errors| invalid(errors.to_string()))?;
        let env = Arc::new(Env::stdlib());
        let Names { uses, unknown } = Names::of(program.expression(), &env, more)
            .map_err(|TooDeep| invalid(format!("it is deeper than {DEPTH_MAX} levels")))?;
        if !unknown.is_empty() {
            let known: Vec<_> = FIELDS.iter().chain(more).collect();
            let message = format!("it names {unknown:?}, and an entry has {known:?} alone");
            return Err(invalid(message));
        }
        let plain = Plain::of(&program);
        Ok(Self { program, plain, env, uses })
    }

    /// What it has to know of an entry.
    pub(super) fn uses(&self) -> Uses {
        self.uses
    }

    /// What it says of an entry: yes or no.
    ///
    /// # Errors
    /// `Invalid` if it is neither, or cannot be evaluated.
    pub(super) fn holds(&self, fields: &Fields) -> Result<bool> {
        let plain = self.plain.as_ref().filter(|_| !self.uses.it && are_known(fields, self.uses));
        let answer = plain.and_then(|plain| plain.evaluate(Scope { fields, it: None })?.truth());
        match answer {
            Some(holds) => Ok(holds),
            None => self.holds_by_cel(fields),
        }
    }

    fn holds_by_cel(&self, fields: &Fields) -> Result<bool> {
        match self.value(&Variables::of(fields, self.uses)?)? {
            cel::Value::Bool(holds) => Ok(holds),
            other => {
                let message = format!("it gives {}, not true or false", other.type_of());
                Err(invalid(message))
            }
        }
    }

    /// Gives `work` a function that evaluates it for an entry, with another `it` each time: the result is a
    /// value of no type, to be [fitted](Value::fit).
    ///
    /// # Errors
    /// Those of `work`; of the function, `Invalid` if it cannot be evaluated, or gives what no state holds.
    pub(super) fn each<R>(
        &self,
        fields: &Fields,
        work: impl FnOnce(&mut dyn FnMut(&Value) -> Result<Value>) -> Result<R>,
    ) -> Result<R> {
        let plain = self.plain.as_ref().filter(|_| are_known(fields, self.uses));
        let mut variables = match plain {
            Some(_) => None,
            None => Some(Variables::of(fields, self.uses)?),
        };
        work(&mut |it| {
            let plain = plain.filter(|_| !self.uses.it || is_known(it));
            let answer = plain.and_then(|plain| plain.evaluate(Scope { fields, it: Some(it) }));
            if let Some(answer) = answer {
                return Ok(answer.loose());
            }
            let others = match &mut variables {
                Some(variables) => variables,
                none => none.insert(Variables::of(fields, self.uses)?),
            };
            // It may hold what no expression can look at, and this one need not.
            let it = if self.uses.it { val(it)? } else { null() };
            loose(self.value(&WithIt { it: &*it, others })?)
        })
    }

    fn value(&self, variables: &dyn VariableResolver) -> Result<cel::Value> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.set_variable_resolver(variables);
        self.program.execute(&context).map_err(|error| invalid(error.to_string()))
    }
}

/// The fields of an entry by name; what there is none of is null.
struct Variables<'a> {
    key: Box<dyn Val + 'a>,
    namespace: Box<dyn Val + 'a>,
    user_key: Box<dyn Val + 'a>,
    value: Box<dyn Val + 'a>,
    ttl: Box<dyn Val + 'a>,
    now: Box<dyn Val + 'a>,
    state: Box<dyn Val + 'a>,
    key_group: Box<dyn Val + 'a>,
}

impl<'a> Variables<'a> {
    /// Those that are used.
    fn of(fields: &'a Fields, uses: Uses) -> Result<Self> {
        let val = |is_used: bool, value: &'a Option<Value>| {
            value.as_ref().filter(|_| is_used).map_or(Ok(null()), val)
        };
        Ok(Self {
            key: val(uses.key, &fields.key)?,
            namespace: val(uses.namespace, &fields.namespace)?,
            user_key: val(uses.user_key, &fields.user_key)?,
            value: val(uses.value, &fields.value)?,
            ttl: val(uses.ttl, &fields.ttl)?,
            now: val(uses.now, &fields.now)?,
            state: val(uses.state, &fields.state)?,
            key_group: val(uses.key_group, &fields.key_group)?,
        })
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        Some(CowVal::Borrowed(match variable {
            "key" => &*self.key,
            "ns" => &*self.namespace,
            "userKey" => &*self.user_key,
            "value" => &*self.value,
            "ttl" => &*self.ttl,
            "now" => &*self.now,
            "state" => &*self.state,
            "keyGroup" => &*self.key_group,
            _ => return None,
        }))
    }
}

/// The variables of an entry, and the part of it that is set.
struct WithIt<'a> {
    it: &'a (dyn Val + 'a),
    others: &'a Variables<'a>,
}

impl VariableResolver for WithIt<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        match variable {
            "it" => Some(CowVal::Borrowed(self.it)),
            _ => self.others.resolve(variable),
        }
    }
}

fn null<'a>() -> Box<dyn Val + 'a> {
    Box::new(CelNull)
}

/// A value as CEL has it: an integer is `int` or `uint` as its type is, whatever its value; a struct is a
/// map by names of fields, and an enum and an option are as in canonical JSON. A map with keys that CEL
/// has none of is a list of pairs.
fn val<'a>(value: &'a Value) -> Result<Box<dyn Val + 'a>> {
    let wide = |digits: String| invalid(format!("{digits} has more than 64 bits"));
    Ok(match value {
        Value::Unit | Value::Option(None) => null(),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Unsigned(value) => {
            let value = u64::try_from(*value).map_err(|_| wide(value.to_string()))?;
            Box::new(CelUInt::from(value))
        }
        Value::Signed(value) => {
            let value = i64::try_from(*value).map_err(|_| wide(value.to_string()))?;
            Box::new(CelInt::from(value))
        }
        Value::F32(value) => Box::new(CelDouble::from(f64::from(*value))),
        Value::F64(value) => Box::new(CelDouble::from(*value)),
        Value::Char(value) => Box::new(CelString::from(value.to_string())),
        Value::String(value) => Box::new(CelString::from(value.as_str())),
        Value::Bytes(value) => Box::new(CelBytes::from(value.as_slice())),
        Value::Option(Some(value)) => match &**value {
            Value::Unit | Value::Option(_) => map([(CelMapKey::from("some"), val(value)?)]),
            _ => val(value)?,
        },
        Value::Seq(values) | Value::Tuple(values) => list(values.iter().map(val))?,
        Value::Map(entries) => {
            let keys: Option<Vec<_>> = entries.iter().map(|(key, _)| map_key(key)).collect();
            match keys {
                Some(keys) => {
                    let pairs = keys.into_iter().zip(entries);
                    let pairs = pairs.map(|(key, (_, value))| Ok((key, val(value)?)));
                    map(pairs.collect::<Result<Vec<_>>>()?)
                }
                None => {
                    let pair =
                        |(key, value): &'a (Value, Value)| list([key, value].into_iter().map(val));
                    list(entries.iter().map(pair))?
                }
            }
        }
        Value::Struct(fields) => {
            let pairs =
                fields.iter().map(|(name, value)| Ok((CelMapKey::from(&**name), val(value)?)));
            map(pairs.collect::<Result<Vec<_>>>()?)
        }
        Value::Variant(name, None) => Box::new(CelString::from(&**name)),
        Value::Variant(name, Some(value)) => map([(CelMapKey::from(&**name), val(value)?)]),
        other => {
            return Err(invalid(format!("a value that CEL does not know: {}", other.to_json())));
        }
    })
}

fn list<'a>(values: impl Iterator<Item = Result<Box<dyn Val + 'a>>>) -> Result<Box<dyn Val + 'a>> {
    Ok(Box::new(CelList::from(values.collect::<Result<Vec<_>>>()?)))
}

fn map<'a>(
    pairs: impl IntoIterator<Item = (CelMapKey<'a>, Box<dyn Val + 'a>)>,
) -> Box<dyn Val + 'a> {
    Box::new(CelMap::from(pairs.into_iter().collect::<HashMap<_, _>>()))
}

/// A key of a map of CEL, which knows no others.
fn map_key(key: &Value) -> Option<CelMapKey<'_>> {
    Some(match key {
        Value::Bool(key) => CelMapKey::from(*key),
        Value::String(key) => CelMapKey::from(key.as_str()),
        Value::Signed(key) => CelMapKey::from(i64::try_from(*key).ok()?),
        Value::Unsigned(key) => match i64::try_from(*key) {
            Ok(key) => CelMapKey::from(key),
            Err(_) => CelMapKey::from(u64::try_from(*key).ok()?),
        },
        _ => return None,
    })
}

/// What an expression gives, as a value of no type: what [`val`] makes of it is the same again.
fn loose(value: cel::Value) -> Result<Value> {
    Ok(match value {
        cel::Value::Null => Value::Unit,
        cel::Value::Bool(value) => Value::Bool(value),
        cel::Value::Int(value) => Value::Signed(value.into()),
        cel::Value::UInt(value) => Value::Unsigned(value.into()),
        cel::Value::Float(value) => Value::F64(value),
        cel::Value::String(value) => Value::String(Arc::unwrap_or_clone(value)),
        cel::Value::Bytes(value) => Value::Bytes(Arc::unwrap_or_clone(value)),
        cel::Value::List(values) => {
            let values = Arc::unwrap_or_clone(values).into_iter();
            Value::Seq(values.map(loose).collect::<Result<_>>()?)
        }
        cel::Value::Map(entries) => {
            let mut entries: Vec<_> = Arc::unwrap_or_clone(entries.map).into_iter().collect();
            // Of several wrong ones always the same is told.
            entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            let entry = |(key, value)| Ok((loose_key(key), loose(value)?));
            Value::Map(entries.into_iter().map(entry).collect::<Result<_>>()?)
        }
        other => match <&OptionalValue>::try_from(&other) {
            Ok(optional) => optional.value().cloned().map_or(Ok(Value::Unit), loose)?,
            Err(_) => {
                return Err(invalid(format!("it gives {}, which no state holds", other.type_of())));
            }
        },
    })
}

fn loose_key(key: Key) -> Value {
    match key {
        Key::Int(key) => Value::Signed(key.into()),
        Key::Uint(key) => Value::Unsigned(key.into()),
        Key::Bool(key) => Value::Bool(key),
        Key::String(key) => Value::String(Arc::unwrap_or_clone(key)),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, fields: &Fields) -> bool {
        Expression::compile(text, &[]).unwrap().holds(fields).unwrap()
    }

    fn refused(text: &str) -> String {
        let error = Expression::compile(text, &[]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    }

    #[test]
    fn an_absolute_name_is_a_field_within_a_macro_and_without() {
        let seq = Value::Seq(vec![Value::Unsigned(1), Value::Unsigned(7)]);
        let fields =
            Fields { key: Some(Value::Unsigned(7)), value: Some(seq), ..Fields::default() };
        for (text, [key, value]) in [
            ("value.exists(key, key == .key)", [true, true]),
            (".value.exists(x, x == 1u) && key == 7u", [true, true]),
            (".key == 7u", [true, false]),
            (".ns == null && .userKey == null && .ttl == null", [false, false]),
        ] {
            let uses = Expression::compile(text, &[]).unwrap().uses();
            assert_eq!([uses.key, uses.value], [key, value], "{text}");
            assert!(holds(text, &fields), "{text}");
        }
        let uses = Expression::compile(".ns == .userKey || .ttl == null", &[]).unwrap().uses();
        assert!(uses.namespace && uses.user_key && uses.ttl);
    }

    #[test]
    fn a_name_that_nothing_has_is_refused_even_if_no_entry_gets_there() {
        for (text, unknown) in [
            ("true || valu > 1", r#"{"valu"}"#),
            ("value.all(x, x > y) && namespac == 1", r#"{"namespac", "y"}"#),
            ("value.all(x, x > 1) || x > 1", r#"{"x"}"#),
            ("value.all(x, .x > 1)", r#"{".x"}"#),
            ("{'a': other}.a == 1", r#"{"other"}"#),
        ] {
            let said = format!("it names {unknown}, and an entry has {FIELDS:?} alone");
            assert_eq!(refused(text), said, "{text}");
        }
        let fields = Fields::default();
        for text in [
            "type(key) == null_type || type(key) == .uint || type(key) == list",
            "[1, 2].all(x, [x].exists(y, y == x)) && [3].map(x, x + 1) == [4]",
            "has({'a': key}.a) && [1, 2].exists_one(x, x == 2) && [1].filter(x, x > 0) == [1]",
        ] {
            assert!(holds(text, &fields), "{text}");
        }
    }

    #[test]
    fn what_is_deep_is_refused_and_what_is_not_is_evaluated_on_a_small_stack() {
        let too_deep = format!("it is deeper than {DEPTH_MAX} levels");
        let terms = |count: usize, term: &str| vec![term; count].join("+") + " > 0";
        assert_eq!(refused(&terms(8000, "1")), too_deep);
        assert_eq!(refused(&format!("value{} > 0", ".a".repeat(8000))), too_deep);
        assert_eq!(refused(&format!("value{} > 0", "[0]".repeat(5000))), too_deep);
        assert_eq!(refused(&terms(DEPTH_MAX, "1")), too_deep);

        let fields = Fields { value: Some(Value::Unsigned(1)), ..Fields::default() };
        let mut macros = "true".to_owned();
        for number in 0..DEPTH_MAX / 2 - 2 {
            macros = format!("[1].all(x{number}, {macros})");
        }
        let deepest = [terms(DEPTH_MAX - 1, "1"), macros, vec!["value == 1u"; 900].join(" && ")];
        let evaluated = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
            for text in deepest {
                assert!(holds(&text, &fields), "{text}");
            }
        });
        evaluated.unwrap().join().unwrap();
    }
}
