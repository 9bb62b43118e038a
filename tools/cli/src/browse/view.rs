//! Drawing: a head that says where one is, a table or a value, and a foot.

use super::app::{App, Content};
use super::pages::Pages;
use crate::snapshot::{OperatorSizes, Type};
use esker::format::canonical;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState, Wrap};

const HELP: &str = "↑↓ move  Enter open  Esc back  / key  q leave";
/// No more of a text stands in a cell, whatever the screen's width.
const CELL_CHARS_MAX: usize = 400;

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App<'_>) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Line::styled(path(app), Modifier::BOLD), head);
    // The names of columns take a line.
    app.height = usize::from(body.height).saturating_sub(1);
    let foot_text = foot_of(app);
    let names = |sizes: &OperatorSizes<'_>| operator_cells(sizes);
    let operators: Vec<_> = app.operators.iter().map(names).collect();
    let states = match app.screens().last().map(|screen| &screen.content) {
        Some(Content::States(operator)) => app.operators.get(*operator).map(state_cells),
        _ => None,
    };
    if let Some(screen) = app.screen() {
        match &screen.content {
            Content::Operators => {
                table(frame, body, OPERATOR_HEAD, operators, &mut screen.chosen);
            }
            Content::States(_) => {
                table(frame, body, STATE_HEAD, states.unwrap_or_default(), &mut screen.chosen);
            }
            Content::Entries(pages) => {
                let entries = pages.lines.iter().map(|line| entry_cells(line)).collect();
                table(frame, body, ENTRY_HEAD, entries, &mut screen.chosen);
            }
            Content::Entry(line) => {
                let down = u16::try_from(screen.chosen).unwrap_or(u16::MAX);
                let text = Paragraph::new(pretty(line)).wrap(Wrap { trim: false });
                frame.render_widget(text.scroll((down, 0)), body);
            }
        }
    }
    frame.render_widget(Line::styled(foot_text, Modifier::DIM), foot);
}

/// A canonical line as indented JSON, its numbers as they are; itself if it is none.
pub(super) fn pretty(line: &str) -> String {
    let mut text = String::with_capacity(line.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = line.chars().peekable();
    let next_line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(char) = chars.next() {
        if in_text {
            text.push(char);
            in_text = escaped || char != '"';
            escaped = !escaped && char == '\\';
            continue;
        }
        match char {
            '{' | '[' => {
                text.push(char);
                if !matches!(chars.peek(), Some('}' | ']')) {
                    depth += 1;
                    next_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                if !text.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    next_line(&mut text, depth);
                }
                text.push(char);
            }
            ',' => {
                text.push(char);
                next_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                in_text = char == '"';
                text.push(char);
            }
        }
    }
    text
}

/// Where one is.
fn path(app: &App<'_>) -> String {
    let mut path = format!("esker browse  {}", app.name);
    for screen in app.screens() {
        match &screen.content {
            Content::Operators | Content::Entry(_) => {}
            Content::States(operator) => {
                let uid = app.operators.get(*operator).map(|sizes| sizes.operator.uid.as_str());
                path.push_str(&format!("  >  {}", uid.unwrap_or_default()));
            }
            Content::Entries(pages) if pages.source.key.is_some() => path.push_str("  >  one key"),
            Content::Entries(pages) => path.push_str(&format!("  >  {}", pages.source.info.name)),
        }
    }
    path
}

fn foot_of(app: &App<'_>) -> String {
    if let Some(asked) = &app.asked {
        return format!("key, in JSON: {asked}_");
    }
    if let Some(said) = &app.said {
        return said.clone();
    }
    let page = match app.screens().last().map(|screen| &screen.content) {
        Some(Content::Entries(pages)) => page_of(pages),
        _ => String::new(),
    };
    let harm = app.harms.last().map(|harm| format!("  {harm}")).unwrap_or_default();
    format!("{HELP}{page}{harm}")
}

fn page_of(pages: &Pages<'_>) -> String {
    let more = if pages.has_next() { ", more below" } else { "" };
    format!("  page {}: {} entries{more}", pages.number(), pages.lines.len())
}

type Head = &'static [(&'static str, Constraint)];

const OPERATOR_HEAD: Head = &[
    ("operator", Constraint::Fill(1)),
    ("parallelism", Constraint::Length(11)),
    ("states", Constraint::Length(6)),
    ("files", Constraint::Length(8)),
    ("bytes", Constraint::Length(15)),
];
const STATE_HEAD: Head = &[
    ("state", Constraint::Fill(1)),
    ("kind", Constraint::Length(18)),
    ("namespace", Constraint::Fill(1)),
    ("value", Constraint::Fill(2)),
    ("entries", Constraint::Length(12)),
];
const ENTRY_HEAD: Head = &[
    ("key", Constraint::Fill(2)),
    ("namespace", Constraint::Fill(1)),
    ("user key", Constraint::Fill(1)),
    ("value", Constraint::Fill(4)),
];

fn operator_cells(sizes: &OperatorSizes<'_>) -> Vec<String> {
    let OperatorSizes { operator, runs, run_len_bytes, states } = sizes;
    let counts = [operator.parts.len(), states.len(), *runs].map(|count| count.to_string());
    [operator.uid.clone()].into_iter().chain(counts).chain([run_len_bytes.to_string()]).collect()
}

fn state_cells(sizes: &OperatorSizes<'_>) -> Vec<Vec<String>> {
    let cells = sizes.states.iter().map(|state| {
        let info = state.info;
        let types = [&info.namespace, &info.value].map(|info| Type::text(info.as_ref()));
        let head = [info.name.clone(), info.kind.to_string()];
        head.into_iter().chain(types).chain([state.entries.to_string()]).collect()
    });
    cells.collect()
}

fn entry_cells(line: &str) -> Vec<String> {
    let Ok(parts) = canonical::Line::parse(line) else { return vec![line.to_owned()] };
    let canonical::Line { key, namespace, user_key, value, .. } = parts;
    let cell = |json: Option<&str>| {
        let shown = json.filter(|json| *json != "null");
        shown.map(|json| json.chars().take(CELL_CHARS_MAX).collect()).unwrap_or_default()
    };
    [key, namespace, user_key, value].map(cell).into()
}

/// A table with a chosen line, which is kept in view.
fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    head: Head,
    rows: Vec<Vec<String>>,
    chosen: &mut usize,
) {
    *chosen = (*chosen).min(rows.len().saturating_sub(1));
    let names = Row::new(head.iter().map(|(name, _)| Cell::from(*name)));
    let widths = head.iter().map(|(_, width)| *width);
    let rows = rows.into_iter().map(|cells| Row::new(cells.into_iter().map(Cell::from)));
    let table = Table::new(rows, widths)
        .header(names.style(Style::new().add_modifier(Modifier::UNDERLINED)))
        .row_highlight_style(Modifier::REVERSED);
    let mut state = TableState::default().with_selected(*chosen);
    frame.render_stateful_widget(table, area, &mut state);
}
