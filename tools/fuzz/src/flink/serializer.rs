//! Serializer snapshots of Flink, and values of them.

use crate::decoding;
use esker_flink::text::write_utf;
use esker_flink::{FormatError, FormatErrorKind, Input, Output, Serializer};
use std::sync::LazyLock;

const VECTORS: &str = include_str!("../../../../format/flink/golden/serializers/2.3.0.tsv");

/// Snapshots, and a value of each.
static SEEDS: LazyLock<Vec<(Vec<u8>, Vec<u8>)>> = LazyLock::new(|| {
    let mut seeds: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for line in VECTORS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let snapshot = match fields[2] {
            "=" => seeds.last().unwrap().0.clone(),
            hex => unhex(hex),
        };
        seeds.push((snapshot, unhex(fields[3])));
    }
    seeds
});

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// A snapshot, and behind it a value.
pub(crate) fn serializer(bytes: &[u8]) {
    let mut input = Input::new("snapshot", bytes);
    let Ok(serializer) = decoding(bytes, || Serializer::read(&mut input)) else { return };
    let mut again = Vec::new();
    serializer.write(&mut again);
    assert_eq!(again, &bytes[..input.position()], "a snapshot is written as it was read");
    let schema = decoding(bytes, || serializer.schema());
    schema.check_references().unwrap();
    let _ = (serializer.length(), Serializer::of_schema(&schema));
    value_of(&serializer, input.rest());
}

pub(crate) fn serializer_seeds() -> Vec<Vec<u8>> {
    let small = SEEDS.iter().map(|(snapshot, value)| [snapshot.as_slice(), value].concat());
    small.chain(large_seeds()).chain(super::hostile::serializers()).collect()
}

/// A byte that chooses a snapshot, and a value.
pub(crate) fn value(bytes: &[u8]) {
    let Some((choice, value)) = bytes.split_first() else { return };
    let (snapshot, _) = &SEEDS[usize::from(*choice) % SEEDS.len()];
    value_of(&Serializer::read(&mut Input::new("snapshot", snapshot)).unwrap(), value);
}

pub(crate) fn value_seeds() -> Vec<Vec<u8>> {
    let seeds = SEEDS.iter().take(256).enumerate();
    seeds.map(|(i, (_, value))| [&[i as u8], value.as_slice()].concat()).collect()
}

fn value_of(serializer: &Serializer, bytes: &[u8]) {
    let mut checked = Input::new("value", bytes);
    let is_sound = decoding(bytes, || serializer.check(&mut checked)).is_ok();
    let mut skipped = Input::new("value", bytes);
    let is_skipped = decoding(bytes, || serializer.skip(&mut skipped)).is_ok();
    assert!(is_skipped || !is_sound, "what is checked is skipped");
    let mut text = String::new();
    let input = || Input::new("value", bytes);
    let is_shown = decoding(bytes, || serializer.write_json(&mut input(), &mut text)).is_ok();
    assert!(is_sound || !is_shown, "what is shown is sound");
    let value = decoding(bytes, || serializer.decode(&mut input()));
    assert!(is_sound || value.is_err(), "what is decoded is sound");
    let _ = decoding(bytes, || serializer.hash_bytes(&mut input()));
    // Text and trees may be larger than their bytes justify, and are refused then.
    let (true, Ok(value)) = (is_shown, value) else { return };
    assert_eq!(skipped.position(), checked.position());
    let mut again = Vec::new();
    match serializer.encode(&value, &mut again) {
        Ok(()) => {
            let found = serializer.check(&mut Input::new("value", &again));
            // Values without bytes are justified by others', of which there may be fewer now.
            let is_refused = |error: FormatError| error.message.contains("than its bytes justify");
            assert!(found.map_or_else(is_refused, |()| true), "what is encoded is sound");
        }
        // More digits than a type has are read, as Flink does.
        Err(error) => assert_eq!(error.kind, FormatErrorKind::Invalid, "{error}"),
    }
}

/// A snapshot, a count, and as many times `each`.
fn repeated(serializer: &Serializer, each: &[u8], len_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    serializer.write(&mut bytes);
    let count = len_bytes / each.len();
    bytes.put_i32(count as i32);
    bytes.extend(each.repeat(count));
    bytes
}

/// What few bytes could make much of.
fn large_seeds() -> Vec<Vec<u8>> {
    const LEN_BYTES: usize = 900 << 10;
    let of = |spec: &str| Serializer::parse_spec(spec).unwrap();
    let list = |element: &Serializer| Serializer::list_of(element).unwrap();
    let long_name = "n".repeat(60_000);
    let pojo = Serializer::pojo_of("com.example.Thing", &[(&long_name, &of("long"))]).unwrap();
    let constants = Serializer::enum_of("com.example.Kind", &[&long_name]).unwrap();
    let deep = (0..30).fold(of("boolean"), |inner, _| Serializer::tuple_of(&[&inner]).unwrap());
    let mut avro = Vec::new();
    write_utf("org.apache.flink.formats.avro.typeutils.AvroSerializerSnapshot", &mut avro).unwrap();
    avro.put_i32(1);
    write_utf(r#"{"type":"array","items":"null"}"#, &mut avro).unwrap();
    avro.extend([0xff, 0xff, 0xff, 0xff, 0x7f]);
    vec![
        repeated(&list(&pojo), &[2, 1], LEN_BYTES),
        repeated(&list(&constants), &[0; 4], LEN_BYTES),
        repeated(&list(&deep), &[1], LEN_BYTES),
        repeated(&list(&of("tuple<byte,byte>")), &[1, 2], LEN_BYTES),
        repeated(&of("map<byte,boolean>"), &[1, 0, 1], LEN_BYTES),
        repeated(&list(&of("string")), &[0], LEN_BYTES),
        repeated(&list(&of("list<void>")), &[0; 4], LEN_BYTES),
        repeated(&of("boolean[]"), &[1], LEN_BYTES),
        avro,
        shared_text(LEN_BYTES),
    ]
}

/// An array of SQL whose elements are all the same bytes.
fn shared_text(len_bytes: usize) -> Vec<u8> {
    let of_text = VECTORS.lines().find(|line| line.starts_with("arraydata of text\t")).unwrap();
    let mut bytes = unhex(of_text.split('\t').nth(2).unwrap());
    let count = len_bytes / 16;
    let header = 4 + count.div_ceil(32) * 4;
    let text_at = (header + count * 8).next_multiple_of(8);
    let mut array = vec![0; header];
    array[..4].copy_from_slice(&(count as u32).to_le_bytes());
    let slot = (text_at as u64) << 32 | (count * 8) as u64;
    array.extend(slot.to_le_bytes().repeat(count));
    array.resize(text_at, 0);
    array.resize(text_at + count * 8, b'x');
    bytes.put_i32(array.len() as i32);
    bytes.extend(array);
    bytes
}
