//! Which process is killed when: drawn by seed, spread over the rows of the file.

use std::time::Duration;

/// One start of the cluster, and how it is killed; the last one is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) processes: u32,
    pub(super) kill: Option<Kill>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kill {
    /// Which process.
    pub(super) process: u32,
    /// From this row on; none: whatever they are doing, which may be to begin.
    pub(super) row: Option<u64>,
    /// So long after that, or after the start.
    pub(super) delay: Duration,
}

/// A plan of `kills` kills over `rows` rows. After a kill there is one process fewer, after the next one more than
/// `processes`, then as many, and so on.
pub(super) fn plan(seed: u64, kills: u32, rows: u64, processes: u32) -> Vec<Life> {
    let mut random = fastrand::Rng::with_seed(seed);
    let slice = rows / (u64::from(kills) + 1);
    let mut lives = Vec::new();
    for number in 0..u64::from(kills) {
        let processes = processes_of(number, processes);
        let row = slice / 2 + slice * number + random.u64(..=slice / 2);
        // One in four while they find each other, claim, restore.
        let row = (number == 0 || random.u8(..4) > 0).then_some(row);
        let delay = Duration::from_millis(random.u64(..200));
        let kill = Some(Kill { process: random.u32(..processes), row, delay });
        lives.push(Life { processes, kill });
    }
    lives.push(Life { processes: processes_of(kills.into(), processes), kill: None });
    lives
}

fn processes_of(life: u64, processes: u32) -> u32 {
    match life % 3 {
        1 => processes.saturating_sub(1).max(1),
        2 => processes + 1,
        _ => processes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_has_its_kills_and_other_numbers_of_processes_among_them() {
        for seed in 0..100 {
            let lives = plan(seed, 10, 336_776, 3);
            let found: Vec<u32> = lives.iter().map(|life| life.processes).collect();
            assert_eq!(found, [3, 2, 4, 3, 2, 4, 3, 2, 4, 3, 2]);
            let kills: Vec<_> = lives.iter().filter_map(|life| life.kill.as_ref()).collect();
            assert_eq!((kills.len(), lives.last().unwrap().kill.is_none()), (10, true));
            let rows: Vec<u64> = kills.iter().filter_map(|kill| kill.row).collect();
            assert!(rows.is_sorted() && rows.iter().all(|row| *row < 336_776));
            let victims = lives
                .iter()
                .all(|life| life.kill.as_ref().is_none_or(|kill| kill.process < life.processes));
            assert!(victims);
            assert_eq!(lives, plan(seed, 10, 336_776, 3));
        }
        assert_ne!(plan(1, 5, 336_776, 3), plan(2, 5, 336_776, 3));
        assert_eq!(plan(1, 0, 10, 3).len(), 1);
        assert_eq!(plan(1, 2, 10, 1).iter().map(|life| life.processes).sum::<u32>(), 4);
    }
}
