//! When the job is killed: drawn by seed, spread over the rows of the file.

use super::event::Activity;
use super::fate::Hold;
use super::guarantee::Guarantee;
use std::fmt;

/// What a kill kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Victim {
    /// A thread of the job; all others are restored with it, in the same process
    Worker,
    /// The whole process (SIGKILL); another one takes its place
    Process,
    /// The owner, taken for dead: another process claims the job, and fences the old one when that wakes
    Coordinator,
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worker => "worker",
            Self::Process => "process",
            Self::Coordinator => "coordinator",
        })
    }
}

/// One kill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kill {
    /// From this row on.
    pub(crate) row: u64,
    pub(crate) moment: Moment,
    pub(crate) victim: Victim,
    /// Which worker is drawn from this.
    pub(crate) drawn: u64,
    /// With how many subtasks per operator the job goes on.
    pub(crate) parallelism: u32,
}

impl Kill {
    /// The call that is to wait for it.
    pub(super) fn hold(&self) -> Option<Hold> {
        match self.moment {
            Moment::During { activity, done } => Some(Hold { row: self.row, activity, done }),
            Moment::After { .. } => None,
        }
    }
}

/// The moment of a kill, once its row is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// After so many milliseconds, whatever is going on.
    After { delay_ms: u64 },
    /// In the next call of this kind, before or after it took effect.
    During { activity: Activity, done: bool },
}

/// The subtasks per operator at the start, and after the kill in the middle.
pub(crate) const PARALLELISM: [u32; 2] = [2, 3];

/// `kills` kills over `rows` rows: of the first three, or more, one is in an upload, one in a publish
/// and one in a sweep; every other third of those behind too. Where there are no checkpoints there is
/// none of that. `victims` take turns.
pub(crate) fn plan(
    seed: u64,
    kills: u32,
    rows: u64,
    victims: &[Victim],
    guarantee: Guarantee,
) -> Vec<Kill> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut activities = [Activity::Upload, Activity::Publish, Activity::Sweep];
    random.shuffle(&mut activities);
    let mut moments: Vec<Moment> = (0..kills as usize)
        .map(|number| match activities.get(number) {
            Some(activity) => Moment::During { activity: *activity, done: random.bool() },
            None if random.u8(..3) == 0 => {
                let activity = activities[random.usize(..activities.len())];
                Moment::During { activity, done: random.bool() }
            }
            None => Moment::After { delay_ms: random.u64(..200) },
        })
        .collect();
    random.shuffle(&mut moments);
    if guarantee == Guarantee::None {
        moments.fill_with(|| Moment::After { delay_ms: random.u64(..200) });
    }
    let mut victims = victims.iter().copied().cycle();
    let slice = rows / (u64::from(kills) + 1);
    let mut kills: Vec<_> = (0_u64..)
        .zip(moments)
        .map(|(number, moment)| {
            let row = slice / 2 + slice * number + random.u64(..=slice / 2);
            let victim = victims.next().unwrap_or(Victim::Process);
            Kill { row, moment, victim, drawn: random.u64(..), parallelism: PARALLELISM[0] }
        })
        .collect();
    let middle = kills.len() / 2;
    for kill in &mut kills[middle..] {
        kill.parallelism = PARALLELISM[1];
    }
    kills
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64, kills: u32, rows: u64) -> Vec<Kill> {
        super::plan(seed, kills, rows, &[Victim::Process], Guarantee::ExactlyOnce)
    }

    #[test]
    fn victims_take_turns_and_without_checkpoints_no_kill_waits_for_one() {
        let victims = [Victim::Worker, Victim::Coordinator];
        let kills = super::plan(3, 5, 10_000, &victims, Guarantee::None);
        let of: Vec<_> = kills.iter().map(|kill| kill.victim).collect();
        assert_eq!(of, [victims[0], victims[1], victims[0], victims[1], victims[0]]);
        assert!(kills.iter().all(|kill| kill.hold().is_none()));
        assert!(kills.is_sorted_by_key(|kill| kill.row));
    }

    #[test]
    fn every_plan_has_each_activity_and_keeps_the_order_of_rows() {
        for seed in 0..100 {
            let kills = plan(seed, 5, 336_776);
            assert_eq!(kills.len(), 5);
            assert!(kills.is_sorted_by_key(|kill| kill.row));
            assert!(kills.last().unwrap().row < 336_776);
            for activity in [Activity::Upload, Activity::Publish, Activity::Sweep] {
                let is_it = |kill: &Kill| match kill.moment {
                    Moment::During { activity: found, .. } => found == activity,
                    Moment::After { .. } => false,
                };
                assert!(kills.iter().any(is_it), "seed {seed}: {activity}");
            }
            let rescaled = |kill: &Kill| kill.parallelism != PARALLELISM[0];
            assert!(kills.iter().any(rescaled) && !kills.iter().all(rescaled));
            assert_eq!(kills, plan(seed, 5, 336_776));
        }
        assert_ne!(plan(1, 5, 336_776), plan(2, 5, 336_776));
        assert!(plan(1, 0, 10).is_empty());
        assert_eq!(plan(1, 30, 10).len(), 30);
    }
}
