//! What can be watched of a database.

use super::{backend_with, options};
use crate::backend::{Backend, ValueCalls};
use crate::state::ValueDescriptor;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// The last value of each metric, by its name and labels.
#[derive(Default)]
struct Last(Mutex<BTreeMap<String, Arc<Value>>>);

#[derive(Default)]
struct Value(AtomicU64);

impl Last {
    fn of(&self, key: &Key) -> Arc<Value> {
        let labels = key.labels().map(|label| format!(" {}={}", label.key(), label.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    /// The value of a metric of the backend of these tests.
    fn get(&self, name: &str) -> Option<u64> {
        let all = self.0.lock().unwrap();
        let value = all.get(&format!("esker_rocksdb_{name} operator=all groups=0-65535"))?;
        Some(value.0.load(Ordering::Relaxed))
    }
}

impl CounterFn for Value {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl GaugeFn for Value {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {}

    fn set(&self, value: f64) {
        self.0.store(value as u64, Ordering::Relaxed);
    }
}

impl Recorder for Last {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.of(key))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn captures_publish_what_the_database_holds() {
    let last = Last::default();
    metrics::with_local_recorder(&last, || {
        let (mut backend, _folder) = backend_with(&options());
        let values = backend.open(ValueDescriptor::<u64, u64>::new("values")).unwrap();
        let put = |backend: &mut super::RocksBackend| {
            for key in 0..1000 {
                backend.state(values).unwrap().update(&key, &(), key).unwrap();
            }
        };
        put(&mut backend);
        let capture = backend.capture().unwrap();
        assert_eq!(last.get("snapshots"), Some(1));
        assert_eq!(last.get("files"), Some(0));
        assert!(last.get("unwritten_bytes").unwrap() > 1000 * 14);
        assert_eq!(last.get("writes_stopped"), Some(0));
        assert_eq!(last.get("flushed_bytes_total"), None, "no statistics");
        drop(capture);
        // Native ones write what is in memory.
        backend.capture_native().unwrap().unwrap().files().unwrap();
        backend.publish_metrics();
        assert_eq!(last.get("snapshots"), Some(0));
        assert_eq!(last.get("files"), Some(1));
        let first = last.get("file_bytes").unwrap();
        assert!(first > 1000, "{first}");
        assert!(last.get("unwritten_bytes").unwrap() < 1000 * 14);
        let all = last.0.lock().unwrap();
        for of_budget in ["cache_bytes", "write_buffer_bytes"] {
            let value = all[&format!("esker_rocksdb_{of_budget}")].0.load(Ordering::Relaxed);
            assert!((1..8 << 20).contains(&value), "{of_budget}: {value}");
        }
    });
}

#[test]
fn statistics_count_what_the_database_does() {
    let last = Last::default();
    metrics::with_local_recorder(&last, || {
        let (mut backend, _folder) = backend_with(&options().with_statistics());
        let values = backend.open(ValueDescriptor::<u64, u64>::new("values")).unwrap();
        for round in 0..2 {
            for key in 0..1000 {
                backend.state(values).unwrap().update(&key, &(), round).unwrap();
            }
            backend.capture_native().unwrap().unwrap().files().unwrap();
            backend.publish_metrics();
        }
        let flushed = last.get("flushed_bytes_total").unwrap();
        // A compaction may have made them smaller since.
        assert!(flushed >= last.get("file_bytes").unwrap(), "{flushed}");
        let before = last.get("cache_hits_total").unwrap();
        let missed = last.get("cache_misses_total").unwrap();
        for _ in 0..10 {
            assert_eq!(backend.state(values).unwrap().get(&7, &()).unwrap(), Some(1));
        }
        backend.publish_metrics();
        assert!(last.get("cache_hits_total").unwrap() > before + 8);
        assert!(last.get("cache_misses_total").unwrap() > missed, "the block was not read yet");
        let id = backend.infos()[0].id;
        backend.database.family_of(id).unwrap().compact();
        backend.publish_metrics();
        let written = last.get("compaction_written_bytes_total").unwrap();
        assert!(written >= last.get("file_bytes").unwrap(), "{written}");
        assert!(last.get("compaction_read_bytes_total").unwrap() > 1000);
        assert_eq!(last.get("stalled_microseconds_total"), Some(0));
    });
}
