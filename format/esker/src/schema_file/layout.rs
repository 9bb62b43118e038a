//! One layout of JSON text: a line for each operator, state, field and variant, so that a change of one is
//! a change of its lines; what else fits into a line stays there.

/// No line is longer than this, in characters, if it can be broken.
const LINE_CHARS_MAX: usize = 100;
/// Lists that have a line for each item, however short they are.
const LISTS: [&str; 5] =
    ["\"operators\"", "\"states\"", "\"fields\"", "\"variants\"", "\"struct\""];

/// A value of compact JSON text.
struct Node<'a> {
    /// The name of the member that it is, with its quotes.
    name: Option<&'a str>,
    held: Held<'a>,
    /// Its length on one line, name included; none if it has more than one in any case.
    chars: Option<usize>,
}

enum Held<'a> {
    /// A string, number or word.
    Text(&'a str),
    /// An array or object, by its brackets.
    Items([char; 2], Vec<Node<'a>>),
}

/// The same JSON, `compact` being without white space, laid out; with a newline at its end.
pub(super) fn lay_out(compact: &str) -> String {
    let mut rest = compact;
    let node = read(&mut rest, None);
    let mut out = String::with_capacity(compact.len() * 2);
    write(&node, 0, false, &mut out);
    out.push('\n');
    out
}

/// Takes the value at the front of `rest`.
fn read<'a>(rest: &mut &'a str, name: Option<&'a str>) -> Node<'a> {
    let brackets = match rest.as_bytes().first() {
        Some(b'[') => ['[', ']'],
        Some(b'{') => ['{', '}'],
        _ => {
            let text = scalar(rest);
            return Node { name, held: Held::Text(text), chars: Some(chars(name, text)) };
        }
    };
    let mut items = Vec::new();
    *rest = rest.get(1..).unwrap_or_default();
    while !rest.is_empty() && !rest.starts_with(brackets[1]) {
        let name = (brackets[0] == '{').then(|| {
            let name = scalar(rest);
            *rest = rest.strip_prefix(':').unwrap_or(rest);
            name
        });
        items.push(read(rest, name));
        *rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    *rest = rest.get(1..).unwrap_or_default();
    let is_list = name.is_some_and(|name| LISTS.contains(&name)) && brackets[0] == '[';
    let commas = 2 * items.len().saturating_sub(1);
    let one_line = items.iter().try_fold(0, |sum, item| Some(sum + item.chars?));
    let one_line = one_line.filter(|_| !is_list || items.is_empty());
    let chars = one_line.map(|sum| sum + commas + chars(name, "[]"));
    Node { name, held: Held::Items(brackets, items), chars }
}

/// How long a member of this name and value is.
fn chars(name: Option<&str>, text: &str) -> usize {
    name.map_or(0, |name| name.chars().count() + 2) + text.chars().count()
}

/// Takes the string, number or word at the front of `rest`.
fn scalar<'a>(rest: &mut &'a str) -> &'a str {
    let mut escaped = false;
    let end = match rest.starts_with('"') {
        true => rest.char_indices().skip(1).find_map(|(at, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends.then_some(at + 1)
        }),
        false => rest.find([',', ':', ']', '}']),
    };
    let (text, left) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = left;
    text
}

/// Appends a value; `indent` is that of its line, and `one_line` says that it stays on it.
fn write(node: &Node<'_>, indent: usize, one_line: bool, out: &mut String) {
    if let Some(name) = node.name {
        out.push_str(name);
        out.push_str(": ");
    }
    match &node.held {
        Held::Text(text) => out.push_str(text),
        Held::Items([open, close], items) => {
            // One more for the comma behind it.
            let fits = node.chars.is_some_and(|chars| indent + chars < LINE_CHARS_MAX);
            let one_line = one_line || fits || items.is_empty();
            out.push(*open);
            for (number, item) in items.iter().enumerate() {
                match (one_line, number) {
                    (true, 0) => {}
                    (true, _) => out.push_str(", "),
                    (false, 0) => line(indent + 2, out),
                    (false, _) => {
                        out.push(',');
                        line(indent + 2, out);
                    }
                }
                write(item, indent + 2, one_line, out);
            }
            if !one_line {
                line(indent, out);
            }
            out.push(*close);
        }
    }
}

fn line(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}
