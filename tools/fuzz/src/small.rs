//! Composite keys, list values, names.

use esker_format::composite::CompositeKey;
use esker_format::{RelativeName, Result, list};

pub(crate) fn composite_key(bytes: &[u8]) {
    if let Ok(key) = CompositeKey::decode(bytes) {
        let mut again = Vec::new();
        key.encode_into(&mut again);
        assert_eq!(again, bytes, "a composite key has one form");
    }
}

pub(crate) fn list(bytes: &[u8]) {
    let Ok(elements) = list::elements(bytes).collect::<Result<Vec<_>>>() else { return };
    let mut again = Vec::new();
    for element in &elements {
        list::put_encoded(&mut again, element);
    }
    assert!(again.len() <= bytes.len(), "a varint in its shortest form is no longer");
    let back = list::elements(&again).collect::<Result<Vec<_>>>().unwrap();
    assert_eq!(back, elements);
}

pub(crate) fn list_seeds() -> Vec<Vec<u8>> {
    let long = [&[200, 1][..], &[5; 200], &[0, 1, 9]].concat();
    vec![vec![], vec![2, 7, 8, 0, 1, 9], long]
}

pub(crate) fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = RelativeName::new(text) {
        assert_eq!(name.as_str(), text);
        let path = std::path::Path::new(text);
        let inside = |part| matches!(part, std::path::Component::Normal(_));
        assert!(path.components().all(inside), "{text:?} leaves its root");
        let json = serde_json::to_string(&name).unwrap();
        assert_eq!(serde_json::from_str::<RelativeName>(&json).unwrap(), name);
    }
}

pub(crate) fn name_seeds() -> Vec<Vec<u8>> {
    let names = ["a", "chk-7-3/_metadata", "shared/3/7-0-ab.run", "..a/b..", "../a", "ü/…"];
    names.map(|name| name.as_bytes().to_vec()).to_vec()
}
