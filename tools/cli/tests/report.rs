//! The page of `esker report`: what it says, and what a browser makes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use esker::format::manifest::Manifest;
use esker_test_support::tool::{self, BROWSERS};
use run::esker;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use world::*;

fn report(folder: &Path, args: &[&str]) -> String {
    let args = [&["report", "--html", "page.html"], args].concat();
    let (code, _, err) = esker(folder, &args);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    std::fs::read_to_string(folder.join("page.html")).unwrap()
}

#[test]
fn the_page_says_what_the_snapshot_holds_and_names_nothing_else() {
    let (folder, _world) = made(3);
    let folder = folder.path();
    let (code, out, err) = esker(folder, &["report", "job", "--html", "page.html"]);
    let said = "wrote page.html: checkpoint 3 of flights, 2 operators, 7 states, 3 checkpoints\n";
    assert_eq!((code, out.as_str(), err.as_str()), (0, said, ""));
    let page = std::fs::read_to_string(folder.join("page.html")).unwrap();
    for (what, times) in [
        ("<svg class=\"treemap\"", 1),
        ("<rect class=\"operator\"", 2),
        ("<rect class=\"state\"", 7),
        ("<h4>Bytes by key group</h4>", 6),
        ("<h4>Sizes of values</h4>", 7),
        ("<h2>Checkpoints that the job retains</h2>", 1),
        ("<script", 0),
        ("http://", 0),
        ("https://", 0),
        ("class=\"warn\"", 0),
    ] {
        assert_eq!(page.matches(what).count(), times, "{what}");
    }
    assert!(page.contains("delays/routes: "), "{page}");
    // A savepoint has no history.
    let page = report(folder, &["save"]);
    assert!(page.contains("<title>savepoint 3 of flights</title>"));
    assert!(page.contains("treemap") && !page.contains("Checkpoints that the job"), "{page}");
    let page = report(folder, &["job", "--checkpoint", "1"]);
    assert!(page.contains("<title>checkpoint 1 of flights</title>"));
}

#[test]
fn damage_is_on_the_page_and_what_cannot_be_tried_is_told_apart() {
    let (folder, _world) = made(1);
    let folder = folder.path();
    let part = files(&folder.join("job"))
        .into_iter()
        .find(|file| file.extension().is_some_and(|extension| extension == "part"));
    std::fs::remove_file(part.unwrap()).unwrap();
    let (code, out, err) = esker(folder, &["report", "job", "--html", "page.html"]);
    assert_eq!(code, 1);
    assert!(out.starts_with("wrote page.html") && err.starts_with("esker: damaged "), "{err}");
    let page = std::fs::read_to_string(folder.join("page.html")).unwrap();
    assert!(page.contains("<p class=\"warn\">damaged "), "{page}");
    for (args, code, reason) in [
        (&["job-9", "--html", "new.html"][..], 2, "unreadable job-9: No such file"),
        (&["save/parts", "--html", "new.html"], 1, "absent save/parts: neither a snapshot"),
        (&["save", "--html", "none/new.html"], 2, "unreadable none/new.html: No such file"),
    ] {
        let (found, out, err) = esker(folder, &[&["report"], args].concat());
        assert_eq!((found, out.as_str()), (code, ""), "{err}");
        assert!(err.starts_with(&format!("esker: {reason}")), "{err}");
    }
    assert!(!folder.join("new.html").exists());
    let (code, _, err) = esker(folder, &["report", "save"]);
    assert!(code == 2 && err.contains("--html"), "{err}");
}

#[test]
fn damage_in_the_history_is_on_the_page_and_in_the_exit_code() {
    let (folder, _world) = made(3);
    let folder = folder.path();
    let args = ["report", "job", "--html", "page.html"];
    let said = "wrote page.html: checkpoint 3 of flights, 2 operators, 7 states, 3 checkpoints\n";
    let reported = |status: &str| {
        let (code, out, err) = esker(folder, &args);
        assert_eq!((code, out.as_str()), (1, said), "{err}");
        let page = std::fs::read_to_string(folder.join("page.html")).unwrap();
        assert_eq!(page.matches(&format!("<p class=\"warn\">{status}")).count(), 1, "{page}");
        assert_eq!(page.matches("class=\"warn\"").count(), 1, "{page}");
        err
    };
    let manifest = folder.join("job/chk-1-1/_metadata");
    let whole = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &whole[..whole.len() - 1]).unwrap();
    let damaged = "damaged chk-1-1/_metadata: ";
    let err = reported(damaged);
    assert!(err.starts_with(&format!("esker: {damaged}")) && err.lines().count() == 1, "{err}");
    std::fs::remove_file(&manifest).unwrap();
    let gone = "damaged chk-1-1/_metadata: the file is missing, and a snapshot names it";
    assert_eq!(reported(gone), format!("esker: {gone}\n"));
    std::fs::write(&manifest, whole).unwrap();
    let (code, _, err) = esker(folder, &args);
    assert_eq!((code, err.as_str()), (0, ""));
    // A part of an older checkpoint alone.
    let parts = |name: &str| {
        let bytes = std::fs::read(folder.join("job").join(name).join("_metadata")).unwrap();
        let operators = Manifest::decode(&bytes).unwrap().operators;
        let parts = operators.iter().flat_map(|operator| &operator.parts);
        parts.map(|part| part.name().unwrap()).collect::<Vec<_>>()
    };
    let newer = [parts("chk-2-1"), parts("chk-3-1")].concat();
    let of_first = parts("chk-1-1").into_iter().find(|part| !newer.contains(part)).unwrap();
    std::fs::remove_file(folder.join("job").join(of_first.as_str())).unwrap();
    let gone = format!("damaged {of_first}: the file is missing");
    let err = reported(&gone);
    assert!(err.starts_with(&format!("esker: {gone}")) && err.lines().count() == 1, "{err}");
    // A snapshot that is asked for by itself is of a job nevertheless.
    let (code, _, err) = esker(folder, &["report", "job/chk-3-1", "--html", "page.html"]);
    assert!(code == 1 && err.starts_with(&format!("esker: {gone}")), "{err}");
    let (code, _, err) = esker(folder, &["report", "save", "--html", "page.html"]);
    assert_eq!((code, err.as_str()), (0, ""));
}

/// What a browser makes of a page: the document as it is in the end, and what it says on the console.
fn browsed(browser: &str, folder: &Path, page: &str) -> (String, Vec<String>) {
    std::fs::write(folder.join("browsed.html"), page).unwrap();
    let url = format!("file://{}", folder.canonicalize().unwrap().join("browsed.html").display());
    let profile = format!("--user-data-dir={}", folder.join("profile").display());
    let mut command = Command::new(browser);
    let fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
    let logged = ["--enable-logging=stderr", "--dump-dom", "--window-size=1280,900"];
    let output = command.args(fixed).args(logged).args([&profile, &url]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{err}");
    let console = err.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned);
    (String::from_utf8(output.stdout).unwrap(), console.collect())
}

/// Says on the console how large the areas of the treemap are as they are shown.
const MEASURE: &str = "<script>
const areas = [...document.querySelectorAll('.treemap rect.state')];
const sizes = areas.map(area => area.getBoundingClientRect());
const map = document.querySelector('.treemap').getBoundingClientRect();
const inside = sizes.filter(size => size.left > map.left - 1 && size.right < map.right + 1
  && size.top > map.top - 1 && size.bottom < map.bottom + 1);
const area = sizes.reduce((sum, size) => sum + size.width * size.height, 0);
console.log('areas=' + inside.length + ' wide=' + (map.width > 600)
  + ' filled=' + (area > map.width * map.height * 0.8));
</script></body>";

#[test]
fn a_browser_shows_the_treemap_of_the_demos_job_without_an_error() {
    let Some(browser) = tool::first_of(&BROWSERS, "the page of the report in a browser").unwrap()
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let packed: &[u8] = include_bytes!("../../../examples/data/flights-2013.csv.zst");
    let mut csv = String::new();
    zstd::Decoder::new(packed).unwrap().read_to_string(&mut csv).unwrap();
    let few: String = csv.split_inclusive('\n').take(20_000).collect();
    std::fs::write(folder.join("flights.csv"), few).unwrap();
    let demo =
        ["demo", "--input", "flights.csv", "--kills", "0", "--rate", "20000", "--dir", "demo"];
    let (code, _, err) = esker(folder, &demo);
    assert_eq!(code, 0, "{err}");
    let page = report(folder, &["demo/job"]);
    let (document, console) = browsed(browser, folder, &page);
    assert_eq!(console, Vec::<String>::new());
    assert!(document.contains("<svg class=\"treemap\""), "{document}");
    let states = document.matches("<rect class=\"state\"").count();
    assert!(states > 3, "{document}");

    // The same with a script, which says what is to be seen; so the console is heard, too.
    let policy = page.lines().find(|line| line.contains("Content-Security-Policy")).unwrap();
    let measured = page.replace(policy, "").replace("</body>", MEASURE);
    let (_, console) = browsed(browser, folder, &measured);
    let said = format!("areas={states} wide=true filled=true");
    assert!(console.len() == 1 && console[0].contains(&said), "{said}: {console:?}");
}
