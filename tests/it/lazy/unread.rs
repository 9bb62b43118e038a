//! What cannot be read is an error, and no miss.

use super::{KEYS, UID, all, files, open, settings, stored, values};
use esker::backend::Backend;
use esker::format::schema::Schema;
use esker::format::{CodecId, FormatError, FormatErrorKind, KeyGroupRange, Ordered, ValueCodec};
use esker::state::ValueDescriptor;
use esker::store::fault::When;
use esker::{ErrorKind, Store, block_on};

#[test]
fn what_cannot_be_read_is_an_error_and_no_miss() {
    let (fault, store) = stored();
    let mut job = open(&store, &settings());
    let (mut backend, value) = values(&mut job).unwrap();
    fault.fail_always(true);
    for _ in 0..2 {
        assert!(backend.state(value).unwrap().get(&7, &()).is_err());
        assert!(backend.state(value).unwrap().update(&7, &(), 1).is_err());
        assert!(backend.state(value).unwrap().clear(&7, &()).is_err());
        assert!(backend.hydrate_waiting(1).is_err());
    }
    fault.fail_always(false);
    assert_eq!(backend.state(value).unwrap().get(&7, &()).unwrap(), Some(8));
    // One that fails once is tried again by the next call.
    fault.fail_at(fault.call_count() + 1, When::Before);
    assert!(backend.state(value).unwrap().get(&9, &()).is_err());
    all(&mut backend, value);
    assert!(backend.hydrate_waiting(1).unwrap());
}

#[test]
fn damage_is_named_and_no_miss() {
    let (_, store) = stored();
    for name in files(&store) {
        let bytes = block_on(store.get(&name)).unwrap().unwrap();
        let mut bytes = bytes.to_vec();
        // Of the first block.
        bytes[40] ^= 1;
        block_on(store.delete(&name)).unwrap();
        block_on(store.put(&name, bytes.into())).unwrap();
    }
    let mut job = open(&store, &settings());
    let (mut backend, value) = values(&mut job).unwrap();
    let mut damaged = 0;
    for key in 0..KEYS {
        match backend.state(value).unwrap().get(&key, &()) {
            Ok(found) => assert_eq!(found, Some(key + 1)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt);
                assert!(error.to_string().contains("state=value"), "{error}");
                damaged += 1;
            }
        }
    }
    assert!((1..KEYS).contains(&damaged), "{damaged}");
    assert_eq!(backend.hydrate_waiting(usize::MAX).unwrap_err().kind(), ErrorKind::Corrupt);
    let error = block_on(job.checkpoint(&mut [backend]));
    // What did not change is not read.
    error.unwrap();
}

/// Encodes as `Ordered` does, and fails or panics at one value when it is read.
struct Fails {
    at: u64,
    panics: bool,
}

impl ValueCodec<u64> for Fails {
    fn id(&self) -> CodecId {
        ValueCodec::<u64>::id(&Ordered)
    }

    fn schema(&self) -> esker::format::Result<Schema> {
        ValueCodec::<u64>::schema(&Ordered)
    }

    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> esker::format::Result<()> {
        Ordered.encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> esker::format::Result<u64> {
        let value: u64 = Ordered.decode(bytes)?;
        assert!(value != self.at || !self.panics);
        if value == self.at {
            return Err(FormatError::new(FormatErrorKind::Corrupt, "value", "not that one"));
        }
        Ok(value)
    }
}

#[test]
fn a_key_group_that_is_there_in_part_stops_its_state() {
    for panics in [false, true] {
        let store = Store::open("memory://").unwrap();
        let open_values = |codec: Fails| {
            let mut job = open(&store, &settings());
            let mut backend = job.backend(UID, KeyGroupRange::ALL).lazily(1);
            let descriptor = ValueDescriptor::<u64, u64>::with_codec("value", codec);
            let value = backend.open(descriptor).unwrap();
            block_on(job.restore(&mut backend)).unwrap();
            (job, backend, value)
        };
        let (mut job, mut backend, value) = open_values(Fails { at: 0, panics });
        for key in 0..KEYS {
            backend.state(value).unwrap().update(&key, &(), key + 1).unwrap();
        }
        block_on(job.checkpoint(&mut [backend])).unwrap();

        let (mut job, mut backend, value) = open_values(Fails { at: 1234, panics });
        let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            backend.state(value).unwrap().get(&1233, &()).map_err(|error| error.kind())
        }));
        match first {
            Ok(found) => assert_eq!((found, panics), (Err(ErrorKind::Corrupt), false)),
            Err(_) => assert!(panics),
        }
        for key in [7, 1233, KEYS] {
            let state = backend.state(value).unwrap();
            assert_eq!(state.get(&key, &()).unwrap_err().kind(), ErrorKind::Poisoned);
            assert_eq!(state.update(&key, &(), 1).unwrap_err().kind(), ErrorKind::Poisoned);
        }
        let error = block_on(job.checkpoint(&mut [backend])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned);
    }
}
