use super::*;
use crate::FormatErrorKind;
use proptest::prelude::*;

fn name(text: &str) -> RelativeName {
    text.parse().unwrap()
}

fn record(decision: Decision) -> Record {
    Record { generation: u64::MAX, nonce: Nonce(0xab), decision, extra: Extra::new() }
}

fn published() -> Published {
    Published {
        checkpoint: 7,
        manifest_path: name("chk-7-3/_metadata"),
        manifest_digest: Digest::of(b"manifest"),
        extra: Extra::new(),
    }
}

fn decisions() -> Vec<Decision> {
    let hold = Hold { checkpoint: 7, name: "audit \"a\"".into(), extra: Extra::new() };
    vec![
        Decision::Claim(Extra::new()),
        Decision::Publish(published()),
        Decision::Retire(Retire {
            checkpoints: [5, 6].into(),
            condemned: [name("shared/2/5-0-ab.run")].into(),
            extra: Extra::new(),
        }),
        Decision::Hold(hold.clone()),
        Decision::Release(hold),
        Decision::Base(Base {
            claim_generation: 3,
            claim_nonce: Nonce(1),
            checkpoint_last: 8,
            checkpoints: vec![published()],
            holds: [(7, ["a".to_owned()].into())].into(),
            condemned: [name("shared/2/5-0-ab.run")].into(),
            extra: Extra::new(),
        }),
    ]
}

fn decode_json(json: &str) -> Result<Record> {
    Record::decode(&frame::seal("log", 1, json.as_bytes()))
}

#[test]
fn every_decision_comes_back() {
    for decision in decisions() {
        let record = record(decision);
        assert_eq!(Record::decode(&record.encode().unwrap()), Ok(record));
    }
}

#[test]
fn the_json_of_version_1_is_as_specified() {
    let bytes = record(Decision::Publish(published())).encode().unwrap();
    let (_, json) = frame::open("log", 1, &bytes).unwrap();
    let digest = Digest::of(b"manifest");
    let expected = format!(
        "{{\"generation\":18446744073709551615,\"nonce\":\"000000000000000000000000000000ab\",\
         \"decision\":{{\"publish\":{{\"checkpoint\":7,\"manifestPath\":\"chk-7-3/_metadata\",\
         \"manifestDigest\":\"{digest}\"}}}}}}"
    );
    assert_eq!(std::str::from_utf8(json).unwrap(), expected);
}

#[test]
fn unknown_fields_are_kept_at_every_level() {
    let nonce = "00".repeat(16);
    let digest = Digest::of(b"");
    let json = format!(
        "{{\"generation\":1,\"nonce\":\"{nonce}\",\"decision\":{{\"base\":{{\
         \"claimGeneration\":1,\"claimNonce\":\"{nonce}\",\"checkpointLast\":2,\"checkpoints\":[{{\
         \"checkpoint\":2,\"manifestPath\":\"m\",\"manifestDigest\":\"{digest}\",\"new1\":[1.5]}}],\
         \"holds\":{{\"2\":[\"x\"]}},\"condemned\":[],\"new2\":{{\"a\":null}}}}}},\"new3\":-1}}"
    );
    let record = decode_json(&json).unwrap();
    let bytes = record.encode().unwrap();
    let (_, again) = frame::open("log", 1, &bytes).unwrap();
    assert_eq!(std::str::from_utf8(again).unwrap(), json);
}

#[test]
fn what_is_not_a_record_is_refused() {
    let nonce = "00".repeat(16);
    let digest = Digest::of(b"");
    let of = |decision: &str| {
        format!("{{\"generation\":1,\"nonce\":\"{nonce}\",\"decision\":{decision}}}")
    };
    assert!(decode_json(&of("{\"claim\":{}}")).is_ok());
    let escape = format!(
        "{{\"publish\":{{\"checkpoint\":1,\"manifestPath\":\"../m\",\"manifestDigest\":\"{digest}\"}}}}"
    );
    let bad = [
        "{}",
        "\"claim\"",
        "{\"unheard-of\":{}}",
        "{\"claim\":{},\"base\":{}}",
        "{\"hold\":{\"checkpoint\":-1,\"name\":\"a\"}}",
        "{\"retire\":{\"checkpoints\":[],\"condemned\":[\"/etc\"]}}",
        &escape,
    ];
    for decision in bad {
        let error = decode_json(&of(decision)).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Corrupt, "{decision}");
    }
    let deep = "[".repeat(100_000);
    assert!(decode_json(&of(&format!("{{\"claim\":{{\"a\":{deep}"))).is_err());
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let newer = frame::seal("log", 2, b"{\"a shape of the future\":1}");
    assert_eq!(Record::decode(&newer).unwrap_err().kind, FormatErrorKind::UnsupportedVersion);
}

proptest! {
    #[test]
    fn arbitrary_json_never_panics(json: String) {
        let _ = decode_json(&json);
        let _ = decode_json(&format!("{{\"generation\":1,\"decision\":{{\"publish\":{json}"));
    }
}
