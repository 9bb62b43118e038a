//! `esker browse` as its users meet it: on a terminal's screen, by keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod terminal;
mod world;

use run::esker;
use terminal::Terminal;
use world::*;

const DOWN: &str = "\x1b[B";
const HOME: &str = "\x1b[H";
const END: &str = "\x1b[F";
const ENTER: &str = "\r";

#[test]
fn operators_states_entries_and_one_entry_are_walked_through() {
    let (folder, _world) = made(2);
    let mut terminal = Terminal::open(folder.path(), "browse save");
    let screen = terminal.shows("delays");
    assert!(screen.contains("esker browse  save"), "{screen}");
    assert!(screen.contains("parallelism"), "{screen}");
    assert!(!screen.contains("count"), "{screen}");
    // The second operator, its first state.
    terminal.press(&[DOWN, ENTER].concat());
    let screen = terminal.shows("routes");
    assert!(screen.contains("save  >  delays"), "{screen}");
    assert!(screen.contains("timer-event"), "{screen}");
    terminal.press(ENTER);
    let screen = terminal.shows("delays  >  count");
    assert!(screen.contains("carrier-"), "{screen}");
    assert!(screen.contains("page 1: 80 entries"), "{screen}");
    // One key, and all that stands under it.
    terminal.press("/carrier-7");
    terminal.shows("key, in JSON: carrier-7_");
    terminal.press(ENTER);
    terminal.shows("text is written");
    terminal.press("/\"carrier-nowhere\"\r");
    terminal.shows("nothing under \"carrier-nowhere\"");
    terminal.press("/\"carrier-7\"\r");
    let screen = terminal.shows("one key");
    assert!(screen.contains("page 1: 1 entries"), "{screen}");
    terminal.press(ENTER);
    terminal.shows("\"key\": \"carrier-7\"");
    // Back to the operators, and out.
    terminal.press("hhhh");
    let screen = terminal.shows("parallelism");
    assert!(screen.contains("airports"), "{screen}");
    terminal.press("q");
    assert_eq!(terminal.ended(), 0);
}

#[test]
fn pages_go_on_where_the_last_one_ended_and_back() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let (code, lines, err) = esker(folder, &["dump", "save"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let one = lines.lines().find(|line| line.contains("\"count\"")).unwrap();
    let mut made = String::new();
    for number in 0..600 {
        made += &one.replace(&key_of(one), &format!("\"many-{number:03}\""));
        made.push('\n');
    }
    std::fs::write(folder.join("lines"), made).unwrap();
    let (code, _, err) = esker(folder, &["load", "--like", "save", "many", "lines"]);
    assert_eq!((code, err.as_str()), (0, ""));

    let (_, lines, _) = esker(folder, &["dump", "many", "--state", "count"]);
    let keys: Vec<_> = lines.lines().map(key_of).collect();
    assert_eq!(keys.len(), 600);

    let mut terminal = Terminal::open(folder, "browse many");
    terminal.shows("delays");
    terminal.press(&[DOWN, ENTER].concat());
    terminal.shows("routes");
    terminal.press(ENTER);
    let shown = |screen: &str, row: usize| screen.lines().nth(2 + row).unwrap().to_owned();
    for (page, entries, first) in [(1, "256 entries, more", 0), (2, "256", 256), (3, "88", 512)] {
        let screen = terminal.shows(&format!("page {page}: {entries}"));
        assert!(shown(&screen, 0).contains(&keys[first]), "{screen}");
        terminal.press(&[END, "j"].concat());
    }
    // Behind the last entry there is nothing; before the first one of a page is the page before.
    terminal.shows(&keys[599]);
    terminal.press(&[HOME, "k"].concat());
    let screen = terminal.shows("page 2");
    let last = screen.lines().nth(18).unwrap();
    assert!(last.contains(&keys[511]), "{screen}");
    terminal.press("q");
    assert_eq!(terminal.ended(), 0);
}

/// The key of a canonical line, as JSON.
fn key_of(line: &str) -> String {
    serde_json::from_str::<serde_json::Value>(line).unwrap()["key"].to_string()
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let (folder, _world) = made(1);
    let (code, out, err) = esker(folder.path(), &["browse", "save"]);
    let said = "esker: browse needs a terminal; inspect, dump and get write to pipes and files\n";
    assert_eq!((code, out.as_str(), err.as_str()), (2, "", said));
    let (code, out, err) = esker(folder.path(), &["browse", "nowhere"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("nowhere"), "{err}");
}
