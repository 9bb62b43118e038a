use super::*;
use crate::run::{FOOTER_LEN_BYTES, RunReader};
use crate::{Record, frame};

const RUN: &[u8] = include_bytes!("../../golden/v1/sample.run");
const PART: &[u8] = include_bytes!("../../golden/v1/sample.part");
const MANIFEST: &[u8] = include_bytes!("../../golden/v1/_metadata");
const CLAIM: &[u8] = include_bytes!("../../golden/v1/claim.log");

/// Fields that hold no others, in order of their offset.
fn leaves(layout: &Layout) -> Vec<&Field> {
    let next = layout.fields.iter().skip(1).map(|field| field.depth).chain([0]);
    let pairs = layout.fields.iter().zip(next);
    let mut leaves: Vec<_> = pairs.filter(|(f, next)| *next <= f.depth).map(|(f, _)| f).collect();
    leaves.sort_by_key(|field| field.offset);
    leaves
}

#[test]
fn every_byte_of_a_run_lies_in_one_field() {
    let layout = describe(RUN);
    assert_eq!((layout.kind.as_str(), &layout.problems), ("run", &vec![]));
    let mut next = 0;
    for field in leaves(&layout) {
        assert_eq!(field.offset, next, "{field:?}");
        next += field.len_bytes;
    }
    assert_eq!(next, RUN.len() as u64);
}

#[test]
fn sealed_files_are_listed_down_to_their_values() {
    for (kind, file) in [("part", PART), ("metadata", MANIFEST), ("log", CLAIM)] {
        let layout = describe(file);
        assert_eq!((layout.kind.as_str(), &layout.problems), (kind, &vec![]));
        for field in leaves(&layout).iter().filter(|field| field.len_bytes < 64) {
            let at = field.offset as usize;
            let text = std::str::from_utf8(&file[at..at + field.len_bytes as usize]).unwrap();
            assert_eq!(field.value, text);
        }
    }
    let layout = describe(CLAIM);
    let nonce = layout.fields.iter().find(|field| field.name == "nonce").unwrap();
    assert_eq!(nonce.value, "\"0123456789abcdef0123456789abcdef\"");
}

#[test]
fn damage_is_described() {
    for file in [RUN, PART, CLAIM] {
        for bit in (0..file.len() * 8).step_by(5) {
            let mut bad = file.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            let layout = describe(&bad);
            assert!(!layout.problems.is_empty(), "bit {bit}");
            assert!(!layout.to_string().is_empty());
        }
        for len in 0..file.len() {
            assert!(!describe(&file[..len]).problems.is_empty(), "cut at {len}");
        }
    }
    let mut flipped = RUN.to_vec();
    flipped[30] ^= 1;
    let layout = describe(&flipped);
    assert_eq!(layout.problems[0].message, "block 0: its digest differs from the index");
    assert_eq!(layout.problems[0].offset, Some(16));
    // All the same, what is there is listed.
    let names = |layout: &Layout| layout.fields.iter().filter(|f| f.depth == 0).count();
    assert_eq!(names(&layout), names(&describe(RUN)));
}

#[test]
fn an_index_of_another_length_is_no_reason_to_stop() {
    let mut bad = RUN.to_vec();
    let footer_at = bad.len() - FOOTER_LEN_BYTES;
    bad[footer_at + 8] ^= 1;
    let layout = describe(&bad);
    assert!(RunReader::open_file(&bad).is_err());
    assert!(layout.fields.iter().any(|field| field.name == "block 3"));
    assert!(layout.problems.iter().any(|p| p.message.contains("does not lie before the footer")));
}

#[test]
fn json_that_breaks_off_is_found() {
    let sealed = frame::seal("log", 1, b"{\"generation\":}");
    let layout = describe(&sealed);
    let at = sealed.len() - 1;
    assert_eq!(layout.problems[0].offset, Some(at as u64), "{layout}");
    assert!(Record::decode(&sealed).is_err());
}
