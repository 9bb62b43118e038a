//! Values as JSON, without a tree in between.

use super::kind::Constant;
use super::number;
use super::sink::{Group, Keys, Sink};
use crate::{Input, Result};
use esker_format::schema::{Name, write_json_char, write_json_string};

/// How much text a value may be: so much always, and more for one of many bytes.
const LEN_BYTES_ALWAYS: usize = 20 << 20;
const LEN_BYTES_PER_BYTE: usize = 64;
/// What of the second is behind the first.
const LEN_BYTES_OFFSET: usize = 40 << 20;

/// Appends what it is given to a text.
pub(crate) struct JsonSink<'o> {
    out: &'o mut String,
    len_bytes_max: usize,
    /// Where entries of maps begin and where their keys end, and where fields begin that will be put in order: of
    /// those that are open, the innermost last.
    marks: Vec<(usize, usize)>,
}

impl<'o> JsonSink<'o> {
    pub(crate) fn new(input: &Input<'_>, out: &'o mut String) -> Self {
        let of_bytes = input.remaining().saturating_mul(LEN_BYTES_PER_BYTE);
        let more = of_bytes.saturating_sub(LEN_BYTES_OFFSET).max(LEN_BYTES_ALWAYS);
        let len_bytes_max = out.len().saturating_add(more);
        Self { out, len_bytes_max, marks: Vec::new() }
    }

    /// Puts the last `count` marked pieces, with one character between them, in the order of `order`.
    fn reorder(&mut self, count: usize, order: impl Iterator<Item = usize>) {
        let first = self.marks.len() - count;
        let pieces = self.marks.get(first..).unwrap_or_default();
        let Some((start, _)) = pieces.first().copied() else { return };
        let mut sorted = String::with_capacity(self.out.len() - start);
        for (i, at) in order.enumerate() {
            let end = pieces.get(at + 1).map_or(self.out.len(), |(next, _)| next - 1);
            let from = pieces.get(at).map_or(end, |(from, _)| *from);
            if i > 0 {
                sorted.push(',');
            }
            sorted.push_str(self.out.get(from..end).unwrap_or_default());
        }
        self.out.truncate(start);
        self.out.push_str(&sorted);
    }

    fn number(&mut self, is_finite: bool, wide: f64, push: impl FnOnce(&mut String)) {
        if is_finite {
            push(self.out);
        } else if wide.is_nan() {
            self.out.push_str("\"NaN\"");
        } else {
            self.out.push_str(if wide > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
        }
    }
}

impl Sink for JsonSink<'_> {
    fn fits(&self) -> bool {
        self.out.len() <= self.len_bytes_max
    }

    fn null(&mut self) {
        self.out.push_str("null");
    }

    fn unit(&mut self) {
        self.out.push_str("null");
    }

    fn empty(&mut self) {
        self.out.push_str("{}");
    }

    fn boolean(&mut self, value: bool) {
        self.out.push_str(if value { "true" } else { "false" });
    }

    fn integer(&mut self, value: i64) {
        number::push_integer(value, self.out);
    }

    fn float(&mut self, value: f32) {
        self.number(value.is_finite(), value.into(), |out| number::push_single(value, out));
    }

    fn double(&mut self, value: f64) {
        self.number(value.is_finite(), value, |out| number::push_double(value, out));
    }

    fn char(&mut self, unit: u16) {
        let c = char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
        write_json_string(c.encode_utf8(&mut [0; 4]), self.out);
    }

    fn text(&mut self, input: &mut Input<'_>, len: usize) -> Result<()> {
        if let Some(text) = crate::text::ascii(input, len) {
            write_json_string(text, self.out);
            return Ok(());
        }
        self.out.push('"');
        crate::text::for_each_char(input, len, |c| write_json_char(c, self.out))?;
        self.out.push('"');
        Ok(())
    }

    fn utf8(&mut self, text: &str) {
        write_json_string(text, self.out);
    }

    fn made(&mut self, push: impl FnOnce(&mut String)) {
        self.out.push('"');
        push(self.out);
        self.out.push('"');
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out.push('"');
        push_hex(bytes, self.out);
        self.out.push('"');
    }

    fn constant(&mut self, constant: &Constant) {
        self.out.push_str(&constant.json);
    }

    fn open(&mut self) {
        self.out.push('[');
    }

    fn item(&mut self, index: usize) {
        if index > 0 {
            self.out.push(',');
        }
    }

    fn close(&mut self, _: Group, _: usize) {
        self.out.push(']');
    }

    fn open_map(&mut self) {
        self.out.push('[');
    }

    fn key(&mut self, index: usize) {
        self.out.push_str(if index > 0 { "],[" } else { "[" });
        self.marks.push((self.out.len() - 1, 0));
    }

    fn value(&mut self) {
        if let Some((_, key_end)) = self.marks.last_mut() {
            *key_end = self.out.len();
        }
        self.out.push(',');
    }

    /// Entries come in the order of their keys' text.
    fn close_map(&mut self, count: usize, _: Keys<'_>) {
        if count > 0 {
            self.out.push(']');
        }
        let first = self.marks.len() - count;
        let pieces = self.marks.get(first..).unwrap_or_default();
        let key = |piece: &(usize, usize)| self.out.get(piece.0 + 1..piece.1).unwrap_or_default();
        if !pieces.is_sorted_by(|a, b| key(a) <= key(b)) {
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by_key(|at| pieces.get(*at).map(key));
            self.reorder(count, order.into_iter());
        }
        self.marks.truncate(first);
        self.out.push(']');
    }

    fn open_struct(&mut self) {
        self.out.push('{');
    }

    fn field(&mut self, index: usize, name: &Constant, reordered: bool) {
        if index > 0 {
            self.out.push(',');
        }
        if reordered {
            self.marks.push((self.out.len(), 0));
        }
        self.out.push_str(&name.json);
        self.out.push(':');
    }

    fn close_struct<'n>(
        &mut self,
        _: impl ExactSizeIterator<Item = &'n Name>,
        by_name: Option<&[usize]>,
    ) {
        if let Some(by_name) = by_name {
            self.reorder(by_name.len(), by_name.iter().copied());
            self.marks.truncate(self.marks.len() - by_name.len());
        }
        self.out.push('}');
    }

    fn open_variant(&mut self, name: &str) {
        self.out.push('{');
        write_json_string(name, self.out);
        self.out.push(':');
    }

    fn close_variant(&mut self, _: &str) {
        self.out.push('}');
    }
}

/// Appends `bytes` in hex.
pub(crate) fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}
