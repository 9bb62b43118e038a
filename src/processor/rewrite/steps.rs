//! The steps of a state, ready for its entries, and what they make of its types.

#[cfg(feature = "expressions")]
use super::expression::Expression;
use super::fields::{Fields, Uses, expired_until_ms};
use super::invalid;
#[cfg(not(feature = "expressions"))]
use super::no_expression::Expression;
use super::step::{AddFieldStep, EntryStep, SetStep, TtlStep};
use crate::format::codec::CodecId;
use crate::format::manifest::{StateInfo, StateKind, Ttl, TtlUpdate, TypeInfo};
use crate::format::schema::{FieldEdit, Place};
use crate::format::{Ordered, Schema, Value};
use crate::{Error, ErrorKind, Result};

/// Names that expressions of steps have besides those of an entry.
pub(super) const NOW: &str = "now";
/// The name of the state, where several have one expression.
pub(super) const STATE: &str = "state";
/// The number of an entry's key group, where entries are dealt out.
pub(super) const KEY_GROUP: &str = "keyGroup";
const IT: &str = "it";
/// What to say of a type that the codec `ordered` has none of.
const ORDERED_HAS: &str =
    "the codec \"ordered\" has integers, bool, char, strings, bytes, () and tuples of them alone";

/// The steps of one state, in order.
#[derive(Default)]
pub(super) struct Steps {
    all: Vec<(String, Step)>,
    /// What they have to know of an entry.
    pub(super) uses: Uses,
    /// Whether they change more of an entry than whether it stays.
    pub(super) changes_entries: bool,
    /// Whether values are other ones.
    pub(super) changes_values: bool,
    /// The type of values and the TTL once they are done.
    pub(super) value: Option<TypeInfo>,
    pub(super) ttl: Option<Ttl>,
    /// The time of capture of a state that had no TTL.
    pub(super) now_ms: Option<i64>,
}

enum Step {
    Filter(Expression),
    Set(Place, Expression),
    Delete(FieldEdit),
    Add(FieldEdit, Expression),
    Ttl { duration_ms: u64, last_update: Option<Expression> },
    RemoveTtl,
    Codec,
}

impl Steps {
    /// # Errors
    /// `Invalid` for what is no expression or path, or does not go with the state; `Incompatible` for
    /// values to be changed whose codec is not one of esker's.
    pub(super) fn new(steps: &[EntryStep], info: &StateInfo, now_ms: Option<i64>) -> Result<Self> {
        let (value, ttl) = (info.value.clone(), info.ttl);
        let mut new = Self { value, ttl, now_ms, ..Self::default() };
        for (number, step) in (1..).zip(steps) {
            let place = format!("step={number} {}", step.name());
            let step = new.step(step, info).map_err(|error| plain(error).of(&place))?;
            new.all.push((place, step));
        }
        // Of a list there is no telling an element's time from its bytes but by taking it apart.
        new.uses.as_written = new.changes_entries;
        new.uses.value |= new.changes_values || new.changes_entries && info.kind == StateKind::List;
        Ok(new)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn step(&mut self, step: &EntryStep, info: &StateInfo) -> Result<Step> {
        let is_list = info.kind == StateKind::List;
        if !matches!(step, EntryStep::Filter(_)) {
            self.changes_entries = true;
        }
        Ok(match step {
            EntryStep::Filter(text) => Step::Filter(self.expression(text, &[NOW])?),
            EntryStep::Set(SetStep { field, to }) => {
                let schema = self.schema(is_list)?;
                Step::Set(Place::find(&schema, field)?, self.expression(to, &[IT, NOW])?)
            }
            EntryStep::DeleteField(field) => {
                let edit = FieldEdit::delete(&self.schema(is_list)?, field)?;
                self.edited(&edit, is_list);
                Step::Delete(edit)
            }
            EntryStep::AddField(AddFieldStep { field, of, to }) => {
                let edit = FieldEdit::add(&self.schema(is_list)?, field, of.clone())?;
                self.edited(&edit, is_list);
                Step::Add(edit, self.expression(to, &[IT, NOW])?)
            }
            EntryStep::Ttl(step) => self.ttl_step(step, info)?,
            EntryStep::RemoveTtl {} => match self.ttl.take() {
                Some(_) => Step::RemoveTtl,
                None => return invalid("it has no TTL"),
            },
            EntryStep::Codec(codec) => {
                self.schema(is_list)?;
                let Some(value) = &mut self.value else { return invalid("it has no values") };
                value.codec = codec.clone();
                match codec.as_str() {
                    "bincode2" => Step::Codec,
                    "ordered" if Ordered::has(&value.schema) => Step::Codec,
                    "ordered" => return invalid(ORDERED_HAS),
                    other => return invalid(format!("{other:?} is not one of esker's codecs")),
                }
            }
        })
    }

    fn ttl_step(&mut self, step: &TtlStep, info: &StateInfo) -> Result<Step> {
        let TtlStep { duration_ms, update, last_update } = step;
        if !info.kind.is_keyed() || info.value.is_none() {
            return invalid("timers and operator state have no TTL");
        }
        if *duration_ms == 0 {
            return invalid("duration_ms is 0: every entry would expire at once");
        }
        if self.ttl.is_none() && last_update.is_none() {
            return invalid("it has no TTL so far: last_update says when entries were updated");
        }
        if info.ttl.is_none() && self.now_ms.is_none() {
            let message =
                "the snapshot does not tell when a state without TTL was captured: give now_ms";
            return invalid(message);
        }
        let before = self.ttl.map_or(TtlUpdate::Write, |ttl| ttl.update);
        let update = update.unwrap_or(before);
        self.ttl = Some(Ttl { duration_ms: Some(*duration_ms), update });
        let last_update = last_update.as_ref().map(|text| self.expression(text, &[NOW]));
        Ok(Step::Ttl { duration_ms: *duration_ms, last_update: last_update.transpose()? })
    }

    /// The type that values have after the steps so far; of a list it is that of all elements together.
    fn schema(&mut self, is_list: bool) -> Result<Schema> {
        let Some(TypeInfo { codec, schema }) = &self.value else {
            return invalid("timers hold no values");
        };
        if ![CodecId::ORDERED, CodecId::BINCODE2].contains(codec) {
            let message =
                format!("codec={codec} is not one of esker's, and its values stay as they are");
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        self.changes_values = true;
        let schema = schema.clone();
        Ok(if is_list { Schema::Seq(Box::new(schema)) } else { schema })
    }

    fn edited(&mut self, edit: &FieldEdit, is_list: bool) {
        let schema = match edit.schema() {
            Schema::Seq(element) if is_list => element,
            schema => schema,
        };
        if let Some(value) = &mut self.value {
            value.schema = schema.clone();
        }
    }

    fn expression(&mut self, text: &str, more: &[&'static str]) -> Result<Expression> {
        let of = |error: Error| error.of(format_args!("{text:?}"));
        let compiled = Expression::compile(text, more).map_err(of)?;
        let uses = compiled.uses();
        if uses.now && self.now_ms.is_none() {
            return invalid("it names now, and no time is given: give now_ms").map_err(of);
        }
        self.uses = self.uses.and(uses);
        Ok(compiled)
    }

    /// Makes of the fields of an entry, captured at `time_ms`, what the steps make of it; `false` if it goes.
    ///
    /// # Errors
    /// `Invalid`, with the step, if an expression cannot be evaluated, or what it gives does not fit.
    pub(super) fn apply(&self, fields: &mut Fields, time_ms: Option<i64>) -> Result<bool> {
        for (place, step) in &self.all {
            let stays = step.apply(fields, time_ms.or(self.now_ms));
            if !stays.map_err(|error| plain(error).of(place))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Step {
    fn apply(&self, fields: &mut Fields, time_ms: Option<i64>) -> Result<bool> {
        match self {
            Self::Filter(filter) => return filter.holds(fields),
            Self::Set(place, to) => {
                let mut value = fields.value.clone().ok_or_else(no_value)?;
                to.each(fields, |evaluate| place.set(&mut value, evaluate))?;
                return fields.put(value);
            }
            Self::Delete(edit) => {
                let value = fields.value.as_mut().ok_or_else(no_value)?;
                edit.apply(value, &mut |_| invalid("nothing is put in"))?;
            }
            Self::Add(edit, to) => {
                let mut value = fields.value.clone().ok_or_else(no_value)?;
                to.each(fields, |evaluate| edit.apply(&mut value, evaluate))?;
                fields.value = Some(value);
            }
            Self::Ttl { duration_ms, last_update } => {
                if let Some(last_update) = last_update {
                    let times = last_update.each(fields, |evaluate| evaluate(&Value::Unit))?;
                    fields.ttl = Some(times_of(times, fields)?);
                }
                let until = expired_until_ms(time_ms, Some(*duration_ms));
                return Ok(until.is_none_or(|until| fields.lives(until)));
            }
            Self::RemoveTtl => fields.ttl = None,
            // It is what values are encoded by in the end.
            Self::Codec => {}
        }
        Ok(true)
    }
}

/// The times that an expression gives for the elements of a list, or for another value.
fn times_of(loose: Value, fields: &Fields) -> Result<Value> {
    let of = |error: Error| error.of("last_update");
    let one = |loose: Value| loose.fit(&Schema::I64).map_err(|error| of(error.into()));
    let Some(Value::Seq(elements)) = fields.value.as_ref().filter(|_| fields.is_list) else {
        return one(loose);
    };
    match loose {
        Value::Seq(times) if times.len() == elements.len() => {
            Ok(Value::Seq(times.into_iter().map(one).collect::<Result<_>>()?))
        }
        Value::Seq(times) => {
            let (times, elements) = (times.len(), elements.len());
            let message = format!("last_update: {times} times for {elements} elements");
            invalid(message)
        }
        loose => Ok(Value::Seq(vec![one(loose)?; elements.len()])),
    }
}

impl Fields {
    /// Puts another value in the place of the one there is; `false` if it is a list that now has no elements,
    /// which is none.
    fn put(&mut self, value: Value) -> Result<bool> {
        let len = |value: Option<&Value>| match value {
            Some(Value::Seq(values)) => values.len(),
            _ => 0,
        };
        let (now, before) = (len(Some(&value)), len(self.value.as_ref()));
        if self.is_list && self.ttl.is_some() && now != before {
            let message = format!(
                "a list with TTL keeps a time for each element: {now} elements instead of {before}"
            );
            return invalid(message);
        }
        let is_gone = self.is_list && now == 0 && before > 0;
        self.value = Some(value);
        Ok(!is_gone)
    }

    /// Leaves what was last updated after `until_ms`, of a list those elements; `false` if nothing is left.
    fn lives(&mut self, until_ms: i64) -> bool {
        let is_live =
            |time: &Value| !matches!(time, Value::Signed(time) if *time <= until_ms.into());
        match (&mut self.ttl, &mut self.value) {
            (Some(Value::Seq(times)), Some(Value::Seq(values))) => {
                let before = times.len();
                let live: Vec<bool> = times.iter().map(is_live).collect();
                let mut keep = live.iter();
                times.retain(|_| keep.next().copied().unwrap_or(true));
                let mut keep = live.iter();
                values.retain(|_| keep.next().copied().unwrap_or(true));
                before == 0 || !times.is_empty()
            }
            (Some(time), _) => is_live(time),
            (None, _) => true,
        }
    }
}

/// The same error without a source, which those of a store have: a step is refused.
pub(super) fn plain(error: Error) -> Error {
    Error::new(error.kind(), error.to_string())
}

fn no_value() -> Error {
    Error::new(ErrorKind::Invalid, "the entry has no value")
}
