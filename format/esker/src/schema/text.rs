//! JSON as text, read token by token: a schema says what comes next, so that no tree is built, no digit
//! is lost, and an error knows its place.

use std::borrow::Cow;

/// Why text was refused: where, on the way to what, and what would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Bytes from the start of the text.
    pub(super) at: usize,
    /// Steps from the whole to the part, the last one first.
    pub(super) steps: Vec<String>,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, steps: Vec::new(), message: message.into() }
    }

    pub(super) fn below(mut self, step: impl FnOnce() -> String) -> Self {
        self.steps.push(step());
        self
    }
}

pub(super) type Read<T> = Result<T, Wrong>;

/// How much of what was found is shown, in characters.
const SHOWN_CHARS: usize = 40;

/// A place in JSON text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    all: &'a str,
    at: usize,
}

impl<'a> Text<'a> {
    pub(super) fn new(all: &'a str) -> Self {
        Self { all, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.all.get(self.at..).unwrap_or_default()
    }

    /// Goes to the next token; its first byte, if there is one.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        let blank = rest.bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.at += blank;
        rest.as_bytes().get(blank).copied()
    }

    /// Where the next token begins.
    pub(super) fn at(&mut self) -> usize {
        self.peek();
        self.at
    }

    /// Passes `byte` if it is next.
    pub(super) fn passes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes `word` if it is next.
    pub(super) fn passes_word(&mut self, word: &str) -> bool {
        self.peek();
        let is_next = self.rest().starts_with(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// That `what` was expected of what is next.
    pub(super) fn expected(mut self, what: impl std::fmt::Display) -> Wrong {
        let at = self.at();
        let rest = self.rest();
        let mut shown: String = rest.chars().take(SHOWN_CHARS).collect();
        if shown.len() < rest.len() {
            shown.push('…');
        }
        let found = if shown.is_empty() { "the end".to_owned() } else { shown };
        Wrong::new(at, format!("expected {what}, found {found}"))
    }

    /// That nothing is left.
    pub(super) fn finish(mut self) -> Read<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("nothing more")),
        }
    }

    /// The digits of a number, with its sign, point and exponent, as JSON allows them.
    pub(super) fn number(&mut self) -> Option<&'a str> {
        self.peek();
        let bytes = self.rest().as_bytes();
        let digits = |from: usize| {
            let rest = bytes.get(from..).unwrap_or_default();
            rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
        let mut end = usize::from(is(0, b"-"));
        let whole = digits(end);
        if whole == 0 || (whole > 1 && is(end, b"0")) {
            return None;
        }
        end += whole;
        if is(end, b".") {
            let fraction = digits(end + 1);
            end += if fraction == 0 { return None } else { fraction + 1 };
        }
        if is(end, b"eE") {
            let sign = usize::from(is(end + 1, b"+-"));
            let exponent = digits(end + 1 + sign);
            end += if exponent == 0 { return None } else { 1 + sign + exponent };
        }
        let found = self.rest().get(..end)?;
        self.at += end;
        Some(found)
    }

    /// The string that is next, its escapes resolved; `what` is what one expects of it.
    pub(super) fn string(&mut self, what: &str) -> Read<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected(what));
        }
        let (start, mut out) = (self.at, String::new());
        let mut from = start + 1;
        loop {
            let rest = self.all.get(from..).unwrap_or_default();
            let plain = rest.bytes().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f));
            let Some(plain) = plain else {
                return Err(Wrong::new(start, "a string does not end"));
            };
            let (text, at) = (rest.get(..plain).unwrap_or_default(), from + plain);
            match rest.as_bytes().get(plain) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(match out.is_empty() {
                        true => Cow::Borrowed(text),
                        false => Cow::Owned(out + text),
                    });
                }
                Some(b'\\') => {
                    out.push_str(text);
                    let (c, len) = escape(self.all.get(at + 1..).unwrap_or_default())
                        .ok_or_else(|| Wrong::new(at, "an escape that JSON does not know"))?;
                    out.push(c);
                    from = at + 1 + len;
                }
                _ => return Err(Wrong::new(at, "a control character that is not escaped")),
            }
        }
    }

    /// Calls `each` before every item of a list or object, which `open` and `close` enclose.
    pub(super) fn items(
        &mut self,
        (open, close): (u8, u8),
        what: &dyn std::fmt::Display,
        each: &mut dyn FnMut(&mut Self, usize) -> Read<()>,
    ) -> Read<()> {
        if !self.passes(open) {
            return Err(self.expected(what));
        }
        if self.passes(close) {
            return Ok(());
        }
        for number in 0.. {
            each(self, number)?;
            if self.passes(close) {
                break;
            }
            if !self.passes(b',') {
                return Err(self.expected(format_args!("',' or '{}'", char::from(close))));
            }
        }
        Ok(())
    }

    /// The name of a member, and the colon behind it.
    pub(super) fn name(&mut self) -> Read<Cow<'a, str>> {
        let name = self.string("a name in quotes")?;
        match self.passes(b':') {
            true => Ok(name),
            false => Err(self.expected("':'")),
        }
    }
}

/// What an escape stands for, and the length of `text` that it takes.
fn escape(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let plain = |c| Some((c, 1));
    match text.as_bytes().first()? {
        b'"' => plain('"'),
        b'\\' => plain('\\'),
        b'/' => plain('/'),
        b'b' => plain('\u{8}'),
        b'f' => plain('\u{c}'),
        b'n' => plain('\n'),
        b'r' => plain('\r'),
        b't' => plain('\t'),
        b'u' => match unit(1)? {
            // Two halves of one character.
            high @ 0xd800..0xdc00 => {
                let low = unit(7).filter(|low| (0xdc00..0xe000).contains(low))?;
                let is_pair = text.get(5..7) == Some("\\u");
                let c = char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?;
                is_pair.then_some((c, 11))
            }
            single => Some((char::from_u32(single)?, 5)),
        },
        _ => None,
    }
}
