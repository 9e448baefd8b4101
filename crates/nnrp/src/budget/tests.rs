use proptest::prelude::*;

use super::*;

fn tolerances() -> impl Strategy<Value = LossTolerance> {
    prop_oneof![
        Just(LossTolerance::Strict),
        Just(LossTolerance::BestEffort),
        Just(LossTolerance::LowLatency),
        Just(LossTolerance::FireAndForget),
    ]
}

fn times() -> impl Strategy<Value = Duration> {
    (0_u64..200).prop_map(Duration::from_millis)
}

prop_compose! {
    fn budgets()(
        latency in proptest::option::of(1_u64..200),
        tolerance in tolerances(),
        allowed in 0_u8..16,
    ) -> FrameBudget {
        FrameBudget {
            latency: latency.map(Duration::from_millis),
            tolerance,
            allowed: BudgetPolicy::from_bits_truncate(allowed),
        }
    }
}

prop_compose! {
    fn outlooks()(
        spent in times(),
        needed in proptest::option::of(times()),
        round_trip in proptest::option::of(times()),
    ) -> Outlook {
        Outlook { spent, needed, round_trip }
    }
}

proptest! {
    #[test]
    fn past_the_budget_all_are_dropped(budget in budgets(), outlook in outlooks()) {
        let is_over = budget.latency.is_some_and(|latency| outlook.spent >= latency);
        prop_assert_eq!(budget.verdict(&outlook) == Verdict::Over, is_over);
        prop_assert_eq!(budget.left(outlook.spent) == Some(Duration::ZERO), is_over);
    }

    #[test]
    fn without_a_budget_nothing_is_late(budget in budgets(), outlook in outlooks()) {
        let budget = FrameBudget { latency: None, ..budget };
        prop_assert_eq!(budget.verdict(&outlook), Verdict::Go);
        prop_assert_eq!(budget.left(outlook.spent), None);
    }

    #[test]
    fn strict_is_never_dropped_early(budget in budgets(), outlook in outlooks()) {
        let budget = FrameBudget { tolerance: LossTolerance::Strict, ..budget };
        prop_assert_ne!(budget.verdict(&outlook), Verdict::MayDrop);
    }

    /// Once a frame may be dropped, waiting does not make it better.
    #[test]
    fn a_verdict_never_gets_better(budget in budgets(), outlook in outlooks(), more in times()) {
        let later = Outlook { spent: outlook.spent + more, ..outlook };
        let rank = |verdict| match verdict {
            Verdict::Go => 0,
            Verdict::MayDrop => 1,
            Verdict::Over => 2,
        };
        prop_assert!(rank(budget.verdict(&later)) >= rank(budget.verdict(&outlook)));
    }

    /// More tolerance never drops less.
    #[test]
    fn low_latency_drops_all_that_best_effort_does(budget in budgets(), outlook in outlooks()) {
        let with = |tolerance| FrameBudget { tolerance, ..budget }.verdict(&outlook);
        if with(LossTolerance::BestEffort) != Verdict::Go {
            prop_assert_ne!(with(LossTolerance::LowLatency), Verdict::Go);
        }
        if with(LossTolerance::Strict) != Verdict::Go {
            prop_assert_ne!(with(LossTolerance::BestEffort), Verdict::Go);
        }
    }

    #[test]
    fn a_frame_goes_before_its_session(session in tolerances(), frame in tolerances()) {
        let class = Some(FrameClass::Delta);
        let inherits = effective_tolerance(session, FrameLossTolerance(None), class);
        prop_assert_eq!(inherits, session);
        let overrides = effective_tolerance(session, FrameLossTolerance(Some(frame)), class);
        prop_assert_eq!(overrides, frame);
    }

    #[test]
    fn key_frames_are_not_forgotten(session in tolerances(), frame in proptest::option::of(tolerances())) {
        let class = Some(FrameClass::Keyframe);
        let tolerance = effective_tolerance(session, FrameLossTolerance(frame), class);
        prop_assert_ne!(tolerance, LossTolerance::FireAndForget);
    }

    #[test]
    fn a_result_may_apply_what_is_allowed(budget in budgets(), applied in 0_u8..16) {
        let applied = BudgetPolicy::from_bits_truncate(applied);
        let is_subset = applied.bits() & !budget.allowed.bits() == 0;
        prop_assert_eq!(budget.allows(applied), is_subset);
    }
}

fn budget(tolerance: LossTolerance) -> FrameBudget {
    FrameBudget {
        latency: Some(Duration::from_millis(50)),
        tolerance,
        allowed: BudgetPolicy::empty(),
    }
}

#[test]
fn low_latency_gives_up_when_the_way_takes_more_than_half_of_the_budget() {
    let outlook = |round_trip_ms| Outlook {
        round_trip: Some(Duration::from_millis(round_trip_ms)),
        ..Outlook::default()
    };
    let low = budget(LossTolerance::LowLatency);
    assert_eq!(low.verdict(&outlook(25)), Verdict::Go);
    assert_eq!(low.verdict(&outlook(26)), Verdict::MayDrop);
    let best = budget(LossTolerance::BestEffort);
    assert_eq!(best.verdict(&outlook(26)), Verdict::Go);
}

#[test]
fn what_will_be_late_may_be_dropped_unless_it_is_strict() {
    let outlook = |needed_ms| Outlook {
        spent: Duration::from_millis(20),
        needed: Some(Duration::from_millis(needed_ms)),
        ..Outlook::default()
    };
    for tolerance in [
        LossTolerance::BestEffort,
        LossTolerance::LowLatency,
        LossTolerance::FireAndForget,
    ] {
        assert_eq!(budget(tolerance).verdict(&outlook(30)), Verdict::Go);
        assert_eq!(budget(tolerance).verdict(&outlook(31)), Verdict::MayDrop);
    }
    let strict = budget(LossTolerance::Strict);
    assert_eq!(strict.verdict(&outlook(31)), Verdict::Go);
}

#[test]
fn times_are_filled_in_where_there_are_none() {
    let result = nnrp_wire::ResultPush::builder(nnrp_wire::build::ResultWorth::COMPLETE);
    let mut metadata = result.build().unwrap().metadata;
    metadata.inference_ms = 7;
    let timings = Timings {
        queued: Duration::from_millis(3),
        computed: Duration::from_secs(100),
    };
    timings.fill(&mut metadata);
    assert_eq!((metadata.queue_ms, metadata.inference_ms), (3, 7));
    assert_eq!(metadata.server_total_ms, u16::MAX);
}
