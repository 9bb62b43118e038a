//! Serializers said in a word, for whoever knows what a snapshot does not: `map<string,list<long>>`.

use super::Serializer;
use super::kind::{Scalar, Simple};
use crate::{FormatError, Result};

/// Names of types without parameters.
const SIMPLE: &[(&str, Simple)] = &[
    ("boolean", Simple::Scalar(Scalar::Boolean)),
    ("byte", Simple::Scalar(Scalar::Byte)),
    ("short", Simple::Scalar(Scalar::Short)),
    ("int", Simple::Scalar(Scalar::Int)),
    ("long", Simple::Scalar(Scalar::Long)),
    ("char", Simple::Scalar(Scalar::Char)),
    ("float", Simple::Scalar(Scalar::Float)),
    ("double", Simple::Scalar(Scalar::Double)),
    ("boolean[]", Simple::Array(Scalar::Boolean)),
    ("byte[]", Simple::Array(Scalar::Byte)),
    ("short[]", Simple::Array(Scalar::Short)),
    ("int[]", Simple::Array(Scalar::Int)),
    ("long[]", Simple::Array(Scalar::Long)),
    ("char[]", Simple::Array(Scalar::Char)),
    ("float[]", Simple::Array(Scalar::Float)),
    ("double[]", Simple::Array(Scalar::Double)),
    ("string[]", Simple::StringArray),
    ("string", Simple::String),
    ("bigint", Simple::BigInteger),
    ("decimal", Simple::BigDecimal),
    ("date", Simple::Date),
    ("sqldate", Simple::SqlDate),
    ("sqltime", Simple::SqlTime),
    ("sqltimestamp", Simple::SqlTimestamp),
    ("localdate", Simple::LocalDate),
    ("localtime", Simple::LocalTime),
    ("localdatetime", Simple::LocalDateTime),
    ("instant", Simple::Instant),
    ("void", Simple::Void),
    ("voidnamespace", Simple::VoidNamespace),
    ("timewindow", Simple::TimeWindow),
    ("globalwindow", Simple::GlobalWindow),
];

/// How long a word may be, in bytes, and so how deep it nests.
const LEN_BYTES_MAX: usize = 4096;
const DEPTH_MAX: usize = 32;

impl Serializer {
    /// The serializer that a word says: `long`, `string`, `byte[]`, `decimal`, `localdate`, …; `list<string>`,
    /// `set<long>`, `map<string,long>`, `tuple<string,long>`, `row<string,long>`, `nullable<long>`,
    /// `either<string,long>`, `ttl<long>`. Case and spaces do not matter.
    ///
    /// # Errors
    /// `Invalid`, with what was not understood and the types there are.
    pub fn parse_spec(spec: &str) -> Result<Self> {
        if spec.len() > LEN_BYTES_MAX {
            let message = format!("{} bytes, where {LEN_BYTES_MAX} are allowed", spec.len());
            return Err(FormatError::invalid("type", message));
        }
        let word: String = spec.chars().filter(|c| !c.is_whitespace()).collect();
        parse(&word.to_lowercase(), DEPTH_MAX)
    }
}

fn parse(word: &str, depth: usize) -> Result<Serializer> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(FormatError::invalid("type", format!("nests deeper than {DEPTH_MAX}")));
    };
    if let Some((_, simple)) = SIMPLE.iter().find(|(name, _)| *name == word) {
        return Ok(Serializer::simple(*simple));
    }
    let parameters = word.strip_suffix('>').and_then(|word| word.split_once('<'));
    let (name, parameters) = parameters.ok_or_else(|| unknown(word))?;
    let parts = split(parameters).ok_or_else(|| unknown(word))?;
    let parts: Vec<Serializer> =
        parts.into_iter().map(|part| parse(part, depth)).collect::<Result<_>>()?;
    let parts: Vec<&Serializer> = parts.iter().collect();
    match (name, parts.as_slice()) {
        ("list", [element]) => Serializer::list_of(element),
        ("set", [element]) => Serializer::set_of(element),
        ("map", [key, value]) => Serializer::map_of(key, value),
        ("nullable", [inner]) => Serializer::nullable_of(inner),
        ("either", [left, right]) => Serializer::either_of(left, right),
        ("ttl", [inner]) => inner.with_ttl(),
        ("tuple", fields) => Serializer::tuple_of(fields),
        ("row", fields) => Serializer::row_of(fields),
        _ => Err(unknown(word)),
    }
}

/// The parts between the commas that are in no brackets.
fn split(parameters: &str) -> Option<Vec<&str>> {
    let (mut parts, mut open, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in parameters.char_indices() {
        match c {
            '<' => open += 1,
            '>' => open = open.checked_sub(1)?,
            ',' if open == 0 => {
                parts.push(parameters.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(parameters.get(start..)?);
    Some(parts)
}

fn unknown(word: &str) -> FormatError {
    let names: Vec<&str> = SIMPLE.iter().map(|(name, _)| *name).collect();
    let message = format!(
        "{word:?} is none; there are {}, list<T>, set<T>, map<K,V>, tuple<…>, row<…>, nullable<T>, either<L,R> \
         and ttl<T>",
        names.join(", ")
    );
    FormatError::invalid("type", message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::Schema;

    #[test]
    fn words_are_read() {
        let serializer = Serializer::parse_spec("Map<string, tuple<long,list<byte[]>>>").unwrap();
        let (key, value) = serializer.entry().unwrap();
        assert_eq!(key.schema(), Schema::String);
        let list = Schema::Seq(Box::new(Schema::Bytes));
        assert_eq!(value.schema(), Schema::Tuple(vec![Schema::I64, list]));
        for (name, simple) in SIMPLE {
            assert_eq!(Serializer::parse_spec(name).unwrap(), Serializer::simple(*simple));
        }
        assert!(Serializer::parse_spec("ttl<long>").unwrap().without_ttl().is_some());
    }

    #[test]
    fn what_is_no_word_is_said() {
        for wrong in
            ["", "lng", "list<>", "list<long", "list<long,long>", "map<long>", "list<>>", "<>"]
        {
            let error = Serializer::parse_spec(wrong).unwrap_err();
            assert!(error.message.contains("localdate"), "{wrong}: {error}");
        }
        assert!(Serializer::parse_spec(&"list<".repeat(800)).is_err());
        let deep = format!("{}long{}", "list<".repeat(40), ">".repeat(40));
        assert!(Serializer::parse_spec(&deep).unwrap_err().message.contains("deeper"));
    }
}
