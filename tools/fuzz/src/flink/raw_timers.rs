//! Timers as raw keyed state.

use super::golden;
use crate::decoding;
use esker_flink::Input;
use esker_flink::metadata::KeyedHandle;
use esker_flink::raw_timers::RawTimers;

/// The data of a key group.
pub(crate) fn raw_timers(bytes: &[u8]) {
    decoding(bytes, || {
        let Ok(mut timers) = RawTimers::new(7, Input::new("timers", bytes)) else { return };
        while let Ok(Some(timer)) = timers.next() {
            assert!(timer.entry.timestamp_ms.is_some());
            assert!(timer.service.state_name(timer.event_time).ends_with(&timer.service.name));
        }
        assert!(!matches!(timers.next(), Ok(Some(_))), "nothing follows an end or an error");
    });
}

pub(crate) fn raw_timers_seeds() -> Vec<Vec<u8>> {
    let mut seeds = super::hostile::raw_timers();
    for (_, state) in golden::subtasks() {
        let Some(KeyedHandle::KeyGroups(handle)) = &state.keyed_raw else { continue };
        let stream = golden::stream(&handle.stream);
        let extents = handle.extents(stream.len() as u64, true).unwrap();
        seeds.extend(
            extents
                .into_iter()
                .take(16)
                .map(|(_, extent)| stream[extent.start as usize..extent.end as usize].to_vec()),
        );
    }
    seeds
}
