use super::*;
use proptest::prelude::*;

fn last(count: u32) -> Retention {
    Retention::last(NonZeroU32::new(count).unwrap())
}

/// Checkpoints of these times, numbered from 1.
fn at(times_ms: &[i64]) -> BTreeMap<u64, Option<i64>> {
    (1..).zip(times_ms.iter().map(|at_ms| Some(*at_ms))).collect()
}

fn kept(policy: Retention, checkpoints: &BTreeMap<u64, Option<i64>>) -> Vec<u64> {
    policy.kept(checkpoints).into_iter().collect()
}

#[test]
fn each_rule_keeps_what_it_says_and_any_of_them_is_enough() {
    let minute = HOUR_MS / 60;
    // Two in each of hours 0, 1 and 5 of a Monday, one on the Tuesday, one on the Monday after it.
    // The first Monday there was is the 5th of January 1970.
    let monday = 4 * DAY_MS + 2900 * WEEK_MS;
    let hours = [0, HOUR_MS, 5 * HOUR_MS];
    let mut times: Vec<_> = hours
        .iter()
        .flat_map(|hour| [monday + hour + minute, monday + hour + 2 * minute])
        .collect();
    times.extend([monday + DAY_MS, monday + WEEK_MS]);
    let all = at(&times);
    assert_eq!(kept(last(2), &all), [7, 8]);
    assert_eq!(kept(Retention { hours: 3, ..last(1) }, &all), [6, 7, 8]);
    assert_eq!(kept(Retention { hours: 9, ..last(1) }, &all), [2, 4, 6, 7, 8]);
    assert_eq!(kept(Retention { days: 2, ..last(1) }, &all), [7, 8]);
    assert_eq!(kept(Retention { days: 3, ..last(1) }, &all), [6, 7, 8]);
    assert_eq!(kept(Retention { weeks: 2, ..last(1) }, &all), [7, 8]);
    let within_ms = (WEEK_MS - 5 * HOUR_MS - 2 * minute) as u64;
    assert_eq!(kept(Retention { within_ms, ..last(1) }, &all), [6, 7, 8]);
    assert_eq!(kept(Retention { within_ms: 1, ..last(1) }, &all), [8]);
    let both = Retention { hours: 4, weeks: 2, ..last(3) };
    assert_eq!(kept(both, &all), [4, 6, 7, 8]);
    let weeks = Retention { weeks: 2, ..last(1) };
    assert_eq!(kept(weeks, &at(&[monday - 1, monday])), [1, 2], "Sunday and Monday");
    assert_eq!(kept(weeks, &at(&[monday, monday + WEEK_MS - 1])), [2], "Monday and Sunday");
    // Whose time is not known, stays; where nobody asks for times, it does not matter.
    let mut unknown = all.clone();
    unknown.insert(1, None);
    assert_eq!(kept(Retention { weeks: 1, ..last(1) }, &unknown), [1, 8]);
    assert_eq!(kept(last(1), &unknown), [8]);
    assert_eq!(kept(last(1), &BTreeMap::new()), Vec::<u64>::new());
}

fn policies() -> impl Strategy<Value = Retention> {
    let span = prop_oneof![Just(0), 1..3 * WEEK_MS as u64, Just(u64::MAX)];
    (1..4_u32, span, 0..4_u32, 0..4_u32, 0..4_u32).prop_map(
        |(count, within_ms, hours, days, weeks)| Retention {
            within_ms,
            hours,
            days,
            weeks,
            ..last(count)
        },
    )
}

/// Times in no order, some not known, the ends of what there is among them.
fn checkpoints() -> impl Strategy<Value = BTreeMap<u64, Option<i64>>> {
    let time = prop_oneof![
        20 => (0..6 * WEEK_MS).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(-1)].prop_map(Some),
    ];
    proptest::collection::btree_map(1..1000_u64, time, 0..40)
}

proptest! {
    #[test]
    fn the_newest_stays_and_each_period_has_its_newest(
        policy in policies(),
        checkpoints in checkpoints(),
    ) {
        let kept = policy.kept(&checkpoints);
        prop_assert!(kept.iter().all(|number| checkpoints.contains_key(number)));
        let newest: BTreeSet<_> =
            checkpoints.keys().rev().take(policy.last_count.get() as usize).copied().collect();
        prop_assert!(newest.is_subset(&kept));
        // By a second way: a checkpoint is the newest of its period, and few periods have a newer one.
        let timed: BTreeMap<u64, i64> =
            checkpoints.iter().filter_map(|(number, at_ms)| Some((*number, (*at_ms)?))).collect();
        let keeps = |number: u64, at_ms: i64| {
            let periods = [(policy.hours, HOUR_MS, 0), (policy.days, DAY_MS, 0), (policy.weeks, WEEK_MS, MONDAY_MS)];
            let is_first = periods.into_iter().any(|(count, len_ms, begin_ms)| {
                let period = |at_ms: i64| at_ms.saturating_add(begin_ms).div_euclid(len_ms);
                let newer = timed.range(number + 1..).map(|(_, at_ms)| period(*at_ms));
                let newer: BTreeSet<_> = newer.collect();
                !newer.contains(&period(at_ms)) && newer.len() < count as usize
            });
            let newest_ms = timed.last_key_value().map_or(i64::MIN, |(_, at_ms)| *at_ms);
            let age = i128::from(newest_ms) - i128::from(at_ms);
            let is_young = policy.within_ms > 0 && age <= i128::from(policy.within_ms);
            is_first || is_young
        };
        for (number, at_ms) in &checkpoints {
            let expected = newest.contains(number) || match at_ms {
                Some(at_ms) => keeps(*number, *at_ms),
                None => policy.asks_times(),
            };
            prop_assert_eq!(kept.contains(number), expected, "checkpoint={}", number);
        }
    }

    #[test]
    fn a_rule_more_gives_nothing_up_and_what_was_given_up_is_not_missed(
        policy in policies(),
        more in policies(),
        checkpoints in checkpoints(),
    ) {
        let Retention { last_count, within_ms, hours, days, weeks } = more;
        let both = Retention {
            last_count: policy.last_count.max(last_count),
            within_ms: policy.within_ms.max(within_ms),
            hours: policy.hours.max(hours),
            days: policy.days.max(days),
            weeks: policy.weeks.max(weeks),
        };
        let kept = policy.kept(&checkpoints);
        prop_assert!(kept.is_subset(&both.kept(&checkpoints)));
        // Applied again to what it has left, it changes nothing.
        let left = checkpoints.into_iter().filter(|(number, _)| kept.contains(number)).collect();
        prop_assert_eq!(policy.kept(&left), kept);
    }
}
