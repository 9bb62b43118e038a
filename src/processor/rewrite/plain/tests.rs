use crate::Result;
use crate::format::Value;
use crate::processor::rewrite::expression::Expression;
use crate::processor::rewrite::fields::Fields;
use esker_test_support::soak;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Names that an expression of a step has besides those of an entry.
const MORE: [&str; 2] = ["it", "now"];

const LEAVES: [&str; 34] = [
    "key",
    "ns",
    "userKey",
    "value",
    "ttl",
    "it",
    "now",
    ".key",
    "value.a",
    "value.b",
    "value.c.a",
    ".value.c",
    "it.a",
    "key.a",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "0u",
    "1u",
    "3u",
    "18446744073709551615u",
    "0.0",
    "-0.0",
    "1.5",
    "1e300",
    "true",
    "false",
    "null",
    "''",
    "'a'",
    "'b'",
    "b'a'",
];

const OPERATORS: [&str; 13] =
    ["&&", "||", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%"];

fn text() -> impl Strategy<Value = String> {
    let leaf = select(LEAVES.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(4, 16, 3, |inner| {
        let binary = (inner.clone(), select(OPERATORS.to_vec()), inner.clone());
        prop_oneof![
            6 => binary.prop_map(|(a, operator, b)| format!("({a}) {operator} ({b})")),
            1 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => inner.clone().prop_map(|a| format!("-({a})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
        ]
    })
}

/// Boxed, as all that it can be would lie on the stack at once.
fn scalar() -> BoxedStrategy<Value> {
    let wide = u128::from(u64::MAX);
    prop_oneof![
        1 => Just(Value::Unit),
        2 => any::<bool>().prop_map(Value::Bool),
        6 => select(vec![0, 1, 2, 3, wide / 2, wide]).prop_map(Value::Unsigned),
        6 => select(vec![0, 1, 3, -1, i128::from(i64::MIN), i128::from(i64::MAX)]).prop_map(Value::Signed),
        3 => select(vec![0.0, -0.0, 1.0, 1.5, 1e300, 9.3e18, f64::INFINITY, f64::NAN]).prop_map(Value::F64),
        1 => select(vec![0.0, 1.5, f32::NAN]).prop_map(Value::F32),
        3 => select(vec!["", "a", "b"]).prop_map(|text| Value::String(text.into())),
        1 => select(vec!['a', 'b']).prop_map(Value::Char),
        1 => Just(Value::Bytes(b"a".to_vec())),
        1 => select(vec!["a", "b"]).prop_map(|name| Value::Variant(name.into(), None)),
    ]
    .boxed()
}

fn structure(of: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec(of, 3).prop_map(|parts| {
        let names = ["a", "b", "c"].into_iter().map(Into::into);
        Value::Struct(names.zip(parts).collect())
    })
}

fn value() -> BoxedStrategy<Value> {
    let some = |value| Value::Option(Some(Box::new(value)));
    let part = prop_oneof![3 => scalar(), 1 => structure(scalar()), 1 => scalar().prop_map(some)];
    // What CEL has no value for, and other parts than those that are named.
    let wide = select(vec![Value::Unsigned(1 << 64), Value::Signed(-1 << 100)]);
    let odd = prop_oneof![
        wide,
        vec(scalar(), 0..3).prop_map(Value::Seq),
        scalar().prop_map(|value| Value::Map(vec![(Value::String("a".into()), value)])),
        scalar().prop_map(|value| Value::Variant("a".into(), Some(Box::new(value)))),
        Just(some(Value::Option(None))),
        Just(some(Value::Unit)),
    ];
    let odd = odd.boxed();
    prop_oneof![
        8 => scalar(),
        4 => structure(part),
        1 => structure(scalar()).prop_map(some),
        1 => scalar().prop_map(some),
        1 => odd.clone(),
        1 => structure(odd),
    ]
    .boxed()
}

fn fields() -> impl Strategy<Value = (Fields, Value)> {
    let some = || option::weighted(0.8, value());
    (some(), some(), some(), some(), some(), some(), value()).prop_map(
        |(key, namespace, user_key, value, ttl, now, it)| {
            let fields = Fields { key, namespace, user_key, value, ttl, now, ..Fields::default() };
            (fields, it)
        },
    )
}

/// As text, in which even what is no number is the same as itself.
fn told<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => {
            // CEL tells of a map in whatever order it has its keys.
            let mut letters: Vec<char> = error.to_string().chars().collect();
            letters.sort_unstable();
            format!("{:?} {}", error.kind(), String::from_iter(letters))
        }
    }
}

fn answers(expression: &Expression, entries: &[(Fields, Value)]) -> Vec<[String; 2]> {
    let of = |(fields, it): &(Fields, Value)| {
        let holds = expression.holds(fields);
        [told(holds), told(expression.each(fields, |evaluate| evaluate(it)))]
    };
    entries.iter().map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(soak::count(6000)))]

    /// Of errors and overflows too, and whatever CEL makes of an error beside what decides alone.
    #[test]
    fn answers_are_those_of_cel(text in text(), entries in vec(fields(), 12)) {
        let mut expression = Expression::compile(&text, &MORE).unwrap();
        let plain = expression.plain.take();
        let expected = answers(&expression, &entries);
        prop_assert_eq!(plain.is_some(), !text.contains("b'a'"), "{}", text);
        expression.plain = plain;
        prop_assert_eq!(answers(&expression, &entries), expected, "{}", text);
    }
}

fn compiled(text: &str) -> Expression {
    Expression::compile(text, &MORE).unwrap()
}

#[test]
fn what_filters_ask_for_is_answered_without_cel() {
    let parts = [("count", Value::Unsigned(3)), ("carrier", Value::String("UA".into()))];
    let parts = parts.into_iter().map(|(name, value)| (name.into(), value)).collect();
    let fields = Fields {
        key: Some(Value::Unsigned(u64::MAX.into())),
        value: Some(Value::Struct(parts)),
        ttl: Some(Value::Signed(1000)),
        ..Fields::default()
    };
    for (text, expected) in [
        ("key % 2u == 0", false),
        ("key > 5 && key != 7", true),
        ("ns == null || ns > 1000", true),
        ("value.count * 2u >= 6u ? value.carrier == 'UA' : ttl < 0", true),
        ("!(value.carrier < 'UA') && ttl / 7 - 1 == 141", true),
    ] {
        let expression = compiled(text);
        let scope = super::Scope { fields: &fields, it: None };
        let answer = expression.plain.as_ref().and_then(|plain| plain.evaluate(scope));
        assert_eq!(answer, Some(super::Scalar::Bool(expected)), "{text}");
        assert_eq!(expression.holds(&fields).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_is_of_another_kind_is_left_to_cel() {
    for text in [
        "value.all(x, x > 1)",
        "size(value) > 1",
        "has(value.count)",
        "type(value) == uint",
        "value[0] == 1",
        "key in ['UA', 'AA']",
        "value.startsWith('a')",
        "{'a': 1}.a == 1",
        "b'a' == b'a'",
    ] {
        assert!(compiled(text).plain.is_none(), "{text}");
    }
}

#[test]
fn errors_are_those_of_cel() {
    let key = Some(Value::Unsigned(1));
    let fields = Fields { key, value: Some(Value::Unsigned(1 << 64)), ..Fields::default() };
    for (text, part) in [
        ("key / 0u == 0", "Division by zero"),
        ("key + 18446744073709551615u > 0", "Overflow"),
        ("key % 2 == 0", "Unsupported binary operator"),
        ("key + 1u", "it gives uint, not true or false"),
        ("true || value == 1", "more than 64 bits"),
    ] {
        let error = compiled(text).holds(&fields).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!(compiled("key / 0u == 0 || true").holds(&fields).unwrap());
}
