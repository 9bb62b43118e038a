//! Expected lines, computed from those of a golden snapshot.

/// Canonical lines, as `{"operator":"…","state":"…",…}`.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines(Vec<String>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        Self(text.lines().map(str::to_owned).collect())
    }

    pub(super) fn text(&self) -> String {
        self.0.iter().flat_map(|line| [line, "\n"]).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The same, an operator being called otherwise.
    pub(super) fn renamed(self, from: &str, to: &str) -> Self {
        let (from, to) =
            (format!("{{\"operator\":\"{from}\","), format!("{{\"operator\":\"{to}\","));
        let each = |line: String| match line.strip_prefix(&from) {
            Some(rest) => format!("{to}{rest}"),
            None => line,
        };
        Self(self.0.into_iter().map(each).collect())
    }

    /// The same, a state being called otherwise.
    pub(super) fn renamed_state(self, operator: &str, from: &str, to: &str) -> Self {
        let (from, to) = (of_state(operator, from), of_state(operator, to));
        let each = |line: String| match line.strip_prefix(&from) {
            Some(rest) => format!("{to}{rest}"),
            None => line,
        };
        Self(self.0.into_iter().map(each).collect())
    }

    /// Those of other states.
    pub(super) fn without_state(self, operator: &str, state: &str) -> Self {
        self.filtered(operator, state, |_| false)
    }

    /// Those of other operators.
    pub(super) fn without_operator(mut self, operator: &str) -> Self {
        let of = format!("{{\"operator\":\"{operator}\",");
        self.0.retain(|line| !line.starts_with(&of));
        self
    }

    /// Those of other states, and of this one those whose value `holds`.
    pub(super) fn filtered(
        mut self,
        operator: &str,
        state: &str,
        holds: impl Fn(&str) -> bool,
    ) -> Self {
        let of = of_state(operator, state);
        self.0.retain(|line| !line.starts_with(&of) || holds(value(line).1));
        self
    }

    /// Those of which this much is to be found in the line.
    pub(super) fn kept(mut self, holds: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|line| holds(line));
        self
    }

    /// The same, values of a state being other ones.
    pub(super) fn edited(self, operator: &str, state: &str, edit: impl Fn(&str) -> String) -> Self {
        let of = of_state(operator, state);
        let each = |line: String| {
            if !line.starts_with(&of) {
                return line;
            }
            let (before, value, after) = value(&line);
            format!("{before}{}{after}", edit(value))
        };
        Self(self.0.into_iter().map(each).collect())
    }
}

fn of_state(operator: &str, state: &str) -> String {
    format!("{{\"operator\":\"{operator}\",\"state\":\"{state}\",")
}

/// What is before a line's value, the value, and what is after it. No golden value has such text in it.
fn value(line: &str) -> (&str, &str, &str) {
    const NAME: &str = "\"value\":";
    let start = line.find(NAME).map_or(line.len(), |at| at + NAME.len());
    let (before, rest) = line.split_at(start);
    let end = rest.rfind(",\"ttl\":").unwrap_or(rest.len().saturating_sub(1));
    let (value, after) = rest.split_at(end);
    (before, value, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = r#"{"operator":"users","state":"long","kind":"value","key":"a","namespace":null,"value":7}
{"operator":"users","state":"seen","kind":"value","key":"a","namespace":null,"value":[7,"x"],"ttl":12}
{"operator":"orders","state":"long","kind":"value","key":1,"namespace":null,"value":8}
"#;

    #[test]
    fn lines_change_as_the_state_would() {
        let lines = || Lines::of(LINES);
        assert_eq!(lines().text(), LINES);
        assert_eq!(
            lines().renamed("users", "people").text(),
            LINES.replace("\"users\"", "\"people\"")
        );
        let renamed = lines().renamed_state("orders", "long", "count").text();
        assert_eq!(renamed.matches("\"count\"").count(), 1);
        assert_eq!(lines().without_state("users", "long").len(), 2);
        assert_eq!(lines().without_operator("users").len(), 1);
        assert_eq!(lines().filtered("users", "long", |value| value == "7").len(), 3);
        let edited = lines().edited("users", "seen", |value| value.replace('7', "14")).text();
        assert!(edited.contains(r#""value":[14,"x"],"ttl":12}"#), "{edited}");
        assert!(edited.contains(r#""value":7}"#), "{edited}");
    }
}
