use crate::backend::heap::ValueState;
use esker_format::{KeyGroupRange, Ordered};
use metrics::{
    Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sums all counters of one name.
struct Sum {
    name: &'static str,
    total: Arc<Total>,
}

#[derive(Default)]
struct Total(AtomicU64);

impl CounterFn for Total {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Recorder for Sum {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let counts = key.name() == self.name;
        if counts { Counter::from_arc(Arc::clone(&self.total)) } else { Counter::noop() }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn bytes_are_counted_that_a_write_copies_under_a_capture() {
    let total = Arc::new(Total::default());
    let recorder = Sum { name: "esker_copied_bytes_total", total: Arc::clone(&total) };
    let copied = || total.0.load(Ordering::Relaxed);
    metrics::with_local_recorder(&recorder, || {
        let mut state = ValueState::<u64, (), u64>::new(1, KeyGroupRange::ALL, Ordered).unwrap();
        for key in 0..100 {
            state.update(&key, &(), 1).unwrap();
        }
        assert_eq!(copied(), 0, "nothing is shared");
        let capture = state.capture();
        state.update(&7, &(), 2).unwrap();
        let page = copied();
        assert!((100 * 16..8192).contains(&page), "one page of 100 entries: {page}");
        state.update(&8, &(), 2).unwrap();
        assert_eq!(copied(), page, "the page is the table's own by now");
        drop(capture);
    });
}
