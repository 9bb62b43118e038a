//! A snapshot on a terminal's screen: operators, their states, the entries of one, one entry.

mod app;
mod pages;
mod view;

use crate::snapshot::{Harm, OperatorSizes};
use app::App;
use esker::snapshot::OpenSnapshot;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::io;

/// Shows `snapshot` until its user has seen enough; what was found damaged on the way.
///
/// # Errors
/// Those of the terminal, which is left as it was.
pub(crate) fn show(
    name: &str,
    snapshot: &OpenSnapshot,
    sizes: Vec<OperatorSizes<'_>>,
    include_expired: bool,
) -> io::Result<Vec<Harm>> {
    let mut app = App::new(name, snapshot, sizes, include_expired);
    let mut terminal = ratatui::try_init()?;
    let done = loop {
        if let Err(error) = terminal.draw(|frame| view::draw(frame, &mut app)) {
            break Err(error);
        }
        match event::read() {
            // Some terminals tell of keys that are let go too.
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                if !app.press(key) {
                    break Ok(());
                }
            }
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    let restored = ratatui::try_restore();
    done.and(restored)?;
    Ok(app.into_harms())
}
