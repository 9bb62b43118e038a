//! Drawing: how far the job is, how fast, its checkpoints, and what was killed.

use super::model::{Entry, Model, Tone};
use crate::page::units::{bytes, count, seconds};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, LineGauge, Paragraph, Row, Sparkline, Table};
use std::time::Duration;

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let [head, gauge, middle, checkpoints, log, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(6),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title(model), head);
    progress(frame, gauge, model);
    let [throughput, state] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(34)]).areas(middle);
    rates(frame, throughput, model);
    state_size(frame, state, model);
    checkpoint_rows(frame, checkpoints, model);
    log_lines(frame, log, model);
    frame.render_widget(Line::styled("q leave", Modifier::DIM), foot);
}

fn title(model: &Model) -> Line<'_> {
    let state = match model.down {
        Some(victim) => format!("{victim} down").red(),
        None if model.generation == 0 => "starting".into(),
        None => "running".green(),
    };
    let owner =
        format!("  generation {}, {} subtasks an operator", model.generation, model.parallelism);
    let head = Span::styled(format!("esker demo  {}  ", model.title), Modifier::BOLD);
    Line::from(vec![head, state, owner.into()])
}

fn progress(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let ratio = model.row as f64 / model.rows.max(1) as f64;
    let label = format!(
        "{} of {} rows, {:.1} s ",
        count(model.row),
        count(model.rows),
        model.now.as_secs_f64()
    );
    let gauge = LineGauge::default()
        .ratio(ratio.clamp(0.0, 1.0))
        .label(label)
        .filled_symbol("━")
        .unfilled_symbol("─")
        .filled_style(Style::new().fg(Color::Green));
    frame.render_widget(gauge, area);
}

fn rates(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let now = model.rates.back().copied().unwrap_or(0);
    let block = Block::bordered().title(format!(" {} rows a second ", count(now)));
    // The newest, as many as there is room for.
    let room = usize::from(area.width.saturating_sub(2));
    let from = model.rates.len().saturating_sub(room);
    let line = Sparkline::default().data(model.rates.iter().skip(from).copied());
    frame.render_widget(line.block(block).style(Style::new().fg(Color::Cyan)), area);
}

fn state_size(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let last = model.completed.back();
    let of_last = |of: fn(&crate::demo::event::CheckpointRow) -> u64| {
        last.map_or_else(|| "-".to_owned(), |last| bytes(of(last) as f64))
    };
    let line = |name: &'static str, value: String| {
        Line::from(vec![Span::styled(format!("{name:<17}"), Modifier::DIM), value.into()])
    };
    let lines = vec![
        line("entries", count(model.entries)),
        line("last checkpoint", of_last(|row| row.bytes_referenced)),
        line("written for it", of_last(|row| row.bytes_written)),
    ];
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" state ")), area);
}

fn checkpoint_rows(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let title = format!(
        " checkpoints: {} complete, {} in flight ",
        model.completed_count,
        model.open.len()
    );
    let head = ["", "kind", "align", "capture", "write", "entries", "bytes"];
    let open = model.open.iter().rev().map(|(checkpoint, since)| {
        let time = seconds(model.now.saturating_sub(*since).as_secs_f64());
        let cells =
            [checkpoint.to_string(), "in flight".to_owned(), String::new(), String::new(), time];
        Row::new(cells.map(Cell::from)).style(Style::new().fg(Color::Yellow))
    });
    let completed = model.completed.iter().rev().map(|row| {
        let millis = |millis: u64| seconds(Duration::from_millis(millis).as_secs_f64());
        Row::new([
            row.id.to_string(),
            if row.full { "full" } else { "incremental" }.to_owned(),
            millis(row.align_ms),
            seconds(Duration::from_micros(row.capture_us).as_secs_f64()),
            millis(row.write_ms),
            row.entries_changed.map_or_else(|| "-".to_owned(), count),
            bytes(row.bytes_written as f64),
        ])
    });
    let widths = [6, 11, 8, 8, 8, 9, 9].map(Constraint::Length);
    let table = Table::new(open.chain(completed), widths)
        .header(Row::new(head).style(Style::new().add_modifier(Modifier::UNDERLINED)))
        .block(Block::bordered().title(title));
    frame.render_widget(table, area);
}

fn log_lines(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let title = format!(" kills and recoveries: {} of {} ", model.killed, model.kills);
    let room = usize::from(area.height.saturating_sub(2));
    let from = model.log.len().saturating_sub(room);
    let lines = model.log.iter().skip(from).map(log_line);
    let text = Paragraph::new(lines.collect::<Vec<_>>());
    frame.render_widget(text.block(Block::bordered().title(title)), area);
}

fn log_line(entry: &Entry) -> Line<'_> {
    let color = match entry.tone {
        Tone::Kill | Tone::Failure => Color::Red,
        Tone::Recovery => Color::Green,
        Tone::Fence => Color::Magenta,
    };
    let time = Span::styled(format!("{:>6.1} s  ", entry.at.as_secs_f64()), Modifier::DIM);
    Line::from(vec![time, Span::styled(entry.text.as_str(), Style::new().fg(color))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::event::{CheckpointRow, Event};
    use crate::demo::guarantee::Rows;
    use crate::demo::parent::Killed;
    use crate::demo::plan::Victim;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn drawn(model: &Model, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, model)).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| row(y).trim_end().to_owned()).collect()
    }

    fn row(id: u64, full: bool) -> CheckpointRow {
        CheckpointRow {
            id,
            full,
            capture_us: 42,
            align_ms: 20,
            early: Rows::default(),
            write_ms: 88,
            entries_changed: Some(12_345),
            bytes_written: 65_536,
            bytes_referenced: 4 << 20,
        }
    }

    fn running(generation: u64, row: u64) -> Event {
        Event::Running { generation, checkpoint: None, row, swept: 0, parallelism: 2 }
    }

    /// A job that was killed once, is back, and has a checkpoint in flight.
    fn killed_once() -> Model {
        let mut model = Model::new("exactly-once, seed 3".to_owned(), 100_000, 5);
        model.heard(&running(1, 0), at(10));
        model.heard(&Event::Row { row: 5_000, entries: 777 }, at(200));
        model.tick(at(250));
        model.heard(&Event::Begun(1), at(300));
        model.heard(&Event::Complete(row(1, true)), at(400));
        model.heard(&Event::Row { row: 25_000, entries: 4_321 }, at(490));
        model.tick(at(500));
        let killed = Killed {
            victim: Victim::Coordinator,
            row: 25_000,
            during: "a publish (not yet done): log/00000000000000000018".to_owned(),
            resumed: Some(1),
            resumed_row: 9_000,
            generation: 2,
            swept: 3,
            parallelism: 3,
        };
        model.struck(1, &killed, at(500));
        assert_eq!(model.down, Some(Victim::Coordinator));
        model.heard(&running(2, 9_000), at(700));
        model.back(&killed, at(700));
        model.fenced(1, at(800));
        model.heard(&Event::Row { row: 10_000, entries: 2_000 }, at(900));
        model.heard(&Event::Begun(2), at(910));
        model.tick(at(1_000));
        model
    }

    #[test]
    fn a_run_is_drawn_as_it_is_known() {
        let expected = "\
esker demo  exactly-once, seed 3  running  generation 2, 2 subtasks an operator
10,000 of 100,000 rows, 1.0 s  ━━━━─────────────────────────────────────────────
┌ 2,000 rows a second ───────────────────────┐┌ state ─────────────────────────┐
│ █                                          ││entries          2,000          │
│ █                                          ││last checkpoint  4 MiB          │
│ █                                          ││written for it   64 KiB         │
│██                                          ││                                │
└────────────────────────────────────────────┘└────────────────────────────────┘
┌ checkpoints: 1 complete, 1 in flight ────────────────────────────────────────┐
│       kind        align    capture  write    entries   bytes                 │
│2      in flight                     90 ms                                    │
│1      full        20 ms    42 µs    88 ms    12,345    64 KiB                │
│                                                                              │
│                                                                              │
│                                                                              │
└──────────────────────────────────────────────────────────────────────────────┘
┌ kills and recoveries: 1 of 5 ────────────────────────────────────────────────┐
│   0.5 s  coordinator killed after row 25,000: a publish (not yet done)       │
│   0.7 s  back from checkpoint 1 at row 9,000, 3 subtasks an operator         │
│   0.8 s  generation 1 woke up and was fenced                                 │
│                                                                              │
│                                                                              │
└──────────────────────────────────────────────────────────────────────────────┘
q leave";
        let drawn = drawn(&killed_once(), 80, 24);
        assert_eq!(drawn, expected.lines().collect::<Vec<_>>(), "\n{}", drawn.join("\n"));
    }

    #[test]
    fn the_newest_stands_where_there_is_not_room_for_all() {
        let mut model = killed_once();
        for number in 3..60 {
            model.heard(&Event::Complete(row(number, false)), at(1_000));
            model.fenced(number, at(number * 1_000));
        }
        for (width, height) in [(80, 24), (120, 40), (40, 12), (3, 2), (1, 1)] {
            let screen = drawn(&model, width, height).join("\n");
            if height >= 24 {
                assert!(screen.contains("58 complete, 1 in flight"), "{screen}");
                assert!(screen.contains("│59     incremental"), "{screen}");
                assert!(screen.contains("generation 59 woke up"), "{screen}");
                assert!(!screen.contains("generation 3 woke up"), "{screen}");
            }
        }
    }

    #[test]
    fn what_is_down_is_said_and_rows_that_come_again_count_as_throughput_once_they_are_read() {
        let mut model = killed_once();
        let killed = Killed {
            victim: Victim::Worker,
            row: 10_000,
            during: "rows only, between checkpoints".to_owned(),
            resumed: None,
            resumed_row: 10_000,
            generation: 2,
            swept: 0,
            parallelism: 2,
        };
        model.struck(2, &killed, at(1_100));
        let screen = drawn(&model, 80, 24).join("\n");
        assert!(screen.contains("worker down") && screen.contains("2 of 5"), "{screen}");
        model.heard(&running(2, 9_000), at(1_200));
        assert!(model.open.is_empty(), "what was in flight is given up");
        model.back(&killed, at(1_200));
        model.heard(&Event::Row { row: 9_500, entries: 1 }, at(1_240));
        model.tick(at(1_250));
        assert_eq!(model.rates.back(), Some(&2_000));
        let screen = drawn(&model, 80, 24).join("\n");
        assert!(screen.contains("on at row 10,000, without any state"), "{screen}");
    }
}
