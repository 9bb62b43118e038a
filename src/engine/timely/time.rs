//! Times of the job's dataflow: the epoch in the high half, a source's batch within it in the low half.
//!
//! A frontier in a later epoch says that no record of an earlier one is to come, which is the barrier; one at a
//! later batch says that a batch was handled everywhere, which is what bounds how far a source runs ahead.

/// A time of the job's dataflow.
pub type Time = u64;

const BATCH_BITS: u32 = 32;

/// The epoch that a time is of.
pub(super) fn epoch_of(time: Time) -> u64 {
    time >> BATCH_BITS
}

/// The first time of an epoch.
pub(super) fn begin_of(epoch: u64) -> Time {
    epoch << BATCH_BITS
}

/// The next time of the same epoch; the same where there is none, four thousand million batches on.
pub(super) fn next_batch(time: Time) -> Time {
    match epoch_of(time.wrapping_add(1)) == epoch_of(time) {
        true => time + 1,
        false => time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_stay_within_their_epoch() {
        assert_eq!(begin_of(0), 0);
        let last = begin_of(8) - 1;
        assert_eq!((epoch_of(last), next_batch(last)), (7, last));
        assert_eq!(next_batch(begin_of(7)), begin_of(7) + 1);
        assert_eq!(epoch_of(next_batch(begin_of(7))), 7);
    }
}
