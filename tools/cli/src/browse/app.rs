//! What is on the screen, and what keys make of it.

use super::pages::{Pages, Source};
use crate::snapshot::{Harm, OperatorSizes};
use esker::format::canonical::Expired;
use esker::format::{Value, encode_value};
use esker::snapshot::OpenSnapshot;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// One screen, and which of its lines is chosen; of an entry, how far it is scrolled.
pub(super) struct Screen<'a> {
    pub(super) chosen: usize,
    pub(super) content: Content<'a>,
}

pub(super) enum Content<'a> {
    Operators,
    /// Of the operator of this number.
    States(usize),
    Entries(Box<Pages<'a>>),
    /// A canonical line.
    Entry(String),
}

/// A walk through a snapshot.
pub(super) struct App<'a> {
    pub(super) name: String,
    snapshot: &'a OpenSnapshot,
    pub(super) operators: Vec<OperatorSizes<'a>>,
    expired: Expired,
    /// From the operators to what is seen; never empty.
    screens: Vec<Screen<'a>>,
    /// What is typed of a key to go to.
    pub(super) asked: Option<String>,
    /// Why the last key did nothing.
    pub(super) said: Option<String>,
    pub(super) harms: Vec<Harm>,
    /// How many lines a screen has; drawing knows.
    pub(super) height: usize,
}

impl<'a> App<'a> {
    pub(super) fn new(
        name: &str,
        snapshot: &'a OpenSnapshot,
        operators: Vec<OperatorSizes<'a>>,
        include_expired: bool,
    ) -> Self {
        let expired = if include_expired { Expired::Shown } else { Expired::Hidden };
        let screens = vec![Screen { chosen: 0, content: Content::Operators }];
        let (asked, said, harms, height) = (None, None, Vec::new(), 1);
        let name = name.to_owned();
        Self { name, snapshot, operators, expired, screens, asked, said, harms, height }
    }

    pub(super) fn into_harms(self) -> Vec<Harm> {
        self.harms
    }

    pub(super) fn screens(&self) -> &[Screen<'a>] {
        &self.screens
    }

    pub(super) fn screen(&mut self) -> Option<&mut Screen<'a>> {
        self.screens.last_mut()
    }

    /// What a key does; false if it was the last.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        self.said = None;
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return false;
        }
        if let Some(asked) = &mut self.asked {
            match key.code {
                KeyCode::Char(char) => asked.push(char),
                KeyCode::Backspace => drop(asked.pop()),
                KeyCode::Enter => self.go_to_key(),
                KeyCode::Esc => self.asked = None,
                _ => {}
            }
            return true;
        }
        let page = self.height.max(2) as isize - 1;
        match key.code {
            KeyCode::Char('q') => return false,
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.step(page),
            KeyCode::PageUp => self.step(-page),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Enter | KeyCode::Right | KeyCode::Char('l') => self.open(),
            KeyCode::Esc | KeyCode::Left | KeyCode::Backspace | KeyCode::Char('h')
                if self.screens.len() > 1 =>
            {
                self.screens.pop();
            }
            KeyCode::Char('/') => self.ask(),
            _ => {}
        }
        true
    }

    /// How many lines the screen has to choose from, or to scroll by.
    fn len(&self) -> usize {
        match self.screens.last().map(|screen| &screen.content) {
            Some(Content::Operators) => self.operators.len(),
            Some(Content::States(operator)) => {
                self.operators.get(*operator).map_or(0, |sizes| sizes.states.len())
            }
            Some(Content::Entries(pages)) => pages.lines.len(),
            Some(Content::Entry(line)) => super::view::pretty(line).lines().count(),
            None => 0,
        }
    }

    /// Moves by so many lines; over the end of a page of entries to the next one.
    fn step(&mut self, lines: isize) {
        let last = self.len().saturating_sub(1);
        let Some(Screen { chosen, content }) = self.screens.last_mut() else { return };
        let to = chosen.saturating_add_signed(lines);
        if let Content::Entries(pages) = content {
            if to > last && pages.forward(&mut self.harms) {
                *chosen = 0;
                return;
            }
            if lines < 0 && *chosen == 0 && pages.back(&mut self.harms) {
                *chosen = pages.lines.len().saturating_sub(1);
                return;
            }
        }
        *chosen = to.min(last);
    }

    /// Opens what is chosen.
    fn open(&mut self) {
        let Some(Screen { chosen, content }) = self.screens.last() else { return };
        let chosen = *chosen;
        let opened = match content {
            Content::Operators if chosen < self.operators.len() => Content::States(chosen),
            Content::States(operator) => {
                let source = self.source(*operator, chosen);
                let Some(source) = source else { return };
                Content::Entries(Box::new(Pages::open(source, &mut self.harms)))
            }
            Content::Entries(pages) => match pages.lines.get(chosen) {
                Some(line) => Content::Entry(line.clone()),
                None => return,
            },
            Content::Operators | Content::Entry(_) => return,
        };
        self.screens.push(Screen { chosen: 0, content: opened });
    }

    /// What the state of this number of the operator of that number is read from.
    fn source(&self, operator: usize, state: usize) -> Option<Source<'a>> {
        let parts = self.snapshot.parts.get(operator)?;
        let OperatorSizes { operator, states, .. } = self.operators.get(operator)?;
        let (info, expired) = (states.get(state)?.info, self.expired);
        Some(Source { snapshot: self.snapshot, operator, parts, info, expired, key: None })
    }

    fn ask(&mut self) {
        match self.screens.last().map(|screen| &screen.content) {
            Some(Content::Entries(pages)) if pages.source.info.kind.is_keyed() => {
                self.asked = Some(String::new());
            }
            Some(Content::Entries(_)) => self.said = Some("operator state has no keys".to_owned()),
            _ => self.said = Some("open a state first: / goes to one of its keys".to_owned()),
        }
    }

    /// Shows what the state holds under the key that was typed.
    fn go_to_key(&mut self) {
        let asked = self.asked.take().unwrap_or_default();
        let Some(Screen { content: Content::Entries(pages), .. }) = self.screens.last() else {
            return;
        };
        let Some(info) = &pages.source.operator.key else { return };
        let key = Value::parse_json(&info.schema, &asked)
            .and_then(|key| encode_value(&info.codec, &info.schema, &key));
        match key {
            Ok(key) => {
                let source = Source { key: Some(key), ..pages.source.clone() };
                let pages = Pages::open(source, &mut self.harms);
                if pages.lines.is_empty() {
                    self.said = Some(format!("nothing under {asked}"));
                    return;
                }
                let content = Content::Entries(Box::new(pages));
                self.screens.push(Screen { chosen: 0, content });
            }
            Err(error) => self.said = Some(format!("{asked}: {error}; text is written \"…\"")),
        }
    }
}
