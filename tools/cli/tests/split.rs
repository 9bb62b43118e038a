//! `esker split` as its users meet it: what it says, what it leaves, and what it refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod run;
mod world;

use run::esker;
use serde_json::{Value, json};
use std::path::Path;
use world::*;

const BY: &str = "keyGroup < 20000 ? 'low' : 'high'";

fn ok(folder: &Path, args: &[&str]) -> String {
    let (code, out, err) = esker(folder, args);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    out
}

/// The dump without operator state, which all targets have.
fn keyed(folder: &Path, name: &str) -> Vec<String> {
    let out = ok(folder, &["dump", "--sorted", name]);
    out.lines().filter(|line| !line.contains(r#""kind":"operator-"#)).map(str::to_owned).collect()
}

#[test]
fn every_entry_goes_to_one_and_what_is_said_tells_it() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let out = ok(folder, &["split", "job", "low=a", "high=b", "--by", BY]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    for (line, said) in lines.iter().zip(["ok a: low of", "ok b: high of"]) {
        let rest = line.strip_prefix(said).unwrap();
        assert!(
            rest.starts_with(" checkpoint 2 of job: linked 0 files, 0 bytes; written "),
            "{line}"
        );
        assert!(rest.ends_with("; there already 0 files, 0 bytes"), "{line}");
    }
    let (low, high) = (keyed(folder, "a"), keyed(folder, "b"));
    assert!(!low.is_empty() && !high.is_empty());
    let mut both = [low, high].concat();
    both.sort();
    let mut all = keyed(folder, "job");
    all.sort();
    assert_eq!(both, all);
    ok(folder, &["verify", "--deep", "a", "b"]);
    // The same again writes nothing.
    let again = ok(folder, &["split", "job", "low=a", "high=b", "--by", BY]);
    assert!(again.lines().all(|line| line.contains("; written 0 files, 0 bytes; ")), "{again}");
}

#[test]
fn a_plan_deals_whole_operators_out_which_are_linked() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    let plan = "by = \"'rest'\"\noperator.airports.to = 'one'\n";
    std::fs::write(folder.join("plan.toml"), plan).unwrap();
    let args = ["split", "--json", "job", "one=a", "rest=b", "--plan", "plan.toml"];
    let (code, out, err) = esker(folder, &args);
    assert_eq!((code, err.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["source"], &report["status"]), (&json!("job"), &json!("ok")));
    assert_eq!((&report["job"], &report["checkpoint"]), (&json!("flights"), &json!(2)));
    assert_eq!(report["damage"], json!([]));
    let names = report["targets"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|target| (&target["name"], &target["target"])).collect();
    assert_eq!(names, [(&json!("one"), &json!("a")), (&json!("rest"), &json!("b"))]);
    assert!(report["targets"][0]["linked"]["files"].as_u64() > Some(0), "{report}");
    let of = |name: &str, has: bool| {
        keyed(folder, name).iter().all(|line| line.contains(r#""operator":"airports""#) == has)
    };
    assert!(of("a", true) && of("b", false));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_made() {
    let (folder, _world) = made(2);
    let folder = folder.path();
    std::fs::write(folder.join("bad.toml"), "from = 1").unwrap();
    let all: [(&[&str], i32, &str); 7] = [
        (&["job", "low=a"], 1, "esker: refused job: operator=airports state="),
        (
            &["job", "low=a", "high=b", "--by", "1 +"],
            1,
            "esker: refused job: operator=airports by=\"1 +\": ",
        ),
        (
            &["job", "low=a", "high=b", "--by", "'mid'"],
            1,
            "esker: refused job: target=low: operator=",
        ),
        (
            &["job", "low=a", "low=b", "--by", BY],
            1,
            "esker: refused job: two targets are called \"low\"",
        ),
        (&["job", "a", "--by", BY], 2, "esker: unreadable job: \"a\" is not of the form NAME=DST"),
        (&["job", "low=a", "--plan", "bad.toml"], 2, "esker: unreadable job: bad.toml: plan: "),
        (&["nowhere", "low=a", "--by", BY], 2, "esker: unreadable nowhere: "),
    ];
    for (args, expected, said) in all {
        let (code, out, err) = esker(folder, &[&["split"], args].concat());
        assert_eq!((code, out.as_str()), (expected, ""), "{args:?}: {err}");
        assert!(err.starts_with(said), "{args:?}: {err}");
        let is_of_the_plan = said.starts_with("esker: refused job: operator=");
        assert!(!is_of_the_plan || !folder.join("a").exists(), "before any folder is made");
        assert!(!folder.join("a/_metadata").exists() && !folder.join("b/_metadata").exists());
    }
    let (code, out, err) = esker(folder, &["split", "--json", "job", "low=a"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["status"], &report["targets"]), (1, &json!("refused"), &json!([])));
    assert!(err.contains("nothing says where it goes"), "{err}");
    assert_eq!(report["damage"].as_array().unwrap().len(), 1);

    // What is damaged is of the source, and what is in a target of that.
    std::fs::create_dir_all(folder.join("a")).unwrap();
    std::fs::write(folder.join("a/notes"), b"mine").unwrap();
    let (code, _, err) = esker(folder, &["split", "job", "low=a", "high=b", "--by", BY]);
    assert!(code == 1 && err.contains("notes for one"), "{err}");
    assert_eq!(std::fs::read(folder.join("a/notes")).unwrap(), b"mine");
    let (code, _, err) = esker(folder, &["split", "job"]);
    assert!(code == 2 && err.contains("Usage: esker split"), "{err}");
}
