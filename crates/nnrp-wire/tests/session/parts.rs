//! The small machines, rule by rule.

use bytes::Bytes;
use nnrp_wire::body::ObjectReference;
use nnrp_wire::metadata::{
    CacheInvalidateMetadata, CachePutMetadata, ProfilePatch, SessionPatchMetadata,
    TransportProbeAckMetadata,
};
use nnrp_wire::session::{
    CacheClient, CacheLimits, CacheStore, CreditUpdate, CreditWindow, Degraded, FrameKey,
    FrameOutcome, FrameSlots, FrameState, MigrationMonitor, MonitorOptions, NoCredit, OrderOptions,
    OrderRefusal, PatchRules, Patching, PathSample, Probe, ProbeSample, ProbeSummary, PutRefusal,
    ResultOrder, SlotRefusal,
};
use nnrp_wire::{
    BackpressureLevel, CacheFlags, CachePut, CacheStatus, FlowFlags, FlowReason, FlowScope,
    InvalidateScope, ObjectKind, ObjectKinds, PatchAckStatus, PatchMask, PatchRejectReason,
    Reserved, SessionPatch, TransportId, WideObjectKind,
};

use crate::make::{ack, flow, ms};

const SESSION: FlowScope = FlowScope::Session;

#[test]
fn frames_go_through_their_states_once() {
    // spec: nnrp-session 5.4, frame slot
    let mut slots = FrameSlots::new(3, 2);
    let (one, two, three) = (FrameKey::new(1), FrameKey::new(2), FrameKey::new(3));
    slots.open(one, true, ()).unwrap();
    assert_eq!(slots.open(one, false, ()), Err(SlotRefusal::InUse));
    assert!(!slots.partial(one), "it was not submitted");
    assert!(slots.start(one) && !slots.start(one));
    assert!(slots.partial(one) && !slots.partial(one));
    assert_eq!(slots.state(one), Some(FrameState::Partial));
    slots.open(two, false, ()).unwrap();
    slots.open(three, false, ()).unwrap();
    assert_eq!(
        slots.open(FrameKey::new(4), false, ()),
        Err(SlotRefusal::Full { slots_max: 3 })
    );
    assert!(slots.cancel(two, FrameOutcome::Cancelled));
    assert!(!slots.cancel(two, FrameOutcome::Cancelled), "only once");
    let counts = slots.counts();
    assert_eq!(
        (
            counts.submitted,
            counts.in_flight,
            counts.done_total(),
            counts.cancelling
        ),
        (3, 2, 1, 1)
    );
    assert!(slots.finish(two, FrameOutcome::Dropped).is_some());
    assert!(slots.finish(two, FrameOutcome::Dropped).is_none());
    slots.finish(one, FrameOutcome::Stale);
    slots.finish(three, FrameOutcome::Degraded);
    let counts = slots.counts();
    assert_eq!(counts.done_as(FrameOutcome::Cancelled), 1);
    assert_eq!(counts.done_as(FrameOutcome::Dropped), 0);
    assert_eq!(
        (counts.done_total(), counts.in_flight, counts.cancelling),
        (3, 0, 0)
    );
    assert!(slots.is_finished(one) && slots.is_finished(three) && !slots.is_finished(two));
}

#[test]
fn deadlines_of_frames_come_in_order_and_once() {
    let mut slots = FrameSlots::new(8, 8);
    for (frame, at) in [(1, 30), (2, 10), (3, 20)] {
        slots.open(FrameKey::new(frame), false, ()).unwrap();
        slots.set_deadline(FrameKey::new(frame), Some(ms(at)));
    }
    slots.finish(FrameKey::new(2), FrameOutcome::Complete);
    assert_eq!(slots.next_deadline(), Some(ms(20)));
    assert_eq!(slots.due(ms(19)), None);
    assert_eq!(slots.due(ms(30)), Some(FrameKey::new(3)));
    assert_eq!(slots.due(ms(30)), Some(FrameKey::new(1)));
    assert_eq!((slots.due(ms(30)), slots.next_deadline()), (None, None));
}

#[test]
fn credit_is_a_ceiling_and_not_an_increment() {
    // spec: nnrp-session 4.1, A-1
    let mut window = CreditWindow::new(1, 4);
    window.take(0);
    let exhausted = NoCredit::Exhausted {
        scope: SESSION,
        ceiling: 1,
        in_flight: 1,
    };
    assert_eq!(window.check(0, false, ms(0)), Err(exhausted));
    window.update(&flow(SESSION, FlowReason::Grant, 2, 1), ms(0));
    assert_eq!(
        (window.available(), window.check(0, false, ms(0))),
        (Some(1), Ok(()))
    );
    window.update(&flow(SESSION, FlowReason::Grant, 2, 2), ms(0));
    assert_eq!(window.available(), Some(1));
    // A reduction cancels nothing, and never makes credit negative.
    window.take(0);
    window.update(&flow(SESSION, FlowReason::Reduce, 1, 3), ms(0));
    assert_eq!((window.available(), window.in_flight()), (Some(0), 2));
    window.give_back(0);
    window.give_back(0);
    window.give_back(0);
    assert_eq!((window.available(), window.in_flight()), (Some(1), 0));
    assert_eq!(CreditWindow::new(0, 4).available(), None, "0 is any number");
}

#[test]
fn the_least_of_all_scopes_holds() {
    // spec: nnrp-session 4.1, effective window
    let mut window = CreditWindow::new(5, 4);
    window.update(&flow(FlowScope::Connection, FlowReason::Grant, 2, 1), ms(0));
    window.update(&flow(FlowScope::Operation, FlowReason::Grant, 1, 1), ms(0));
    window.take(9);
    let of_operation = NoCredit::Exhausted {
        scope: FlowScope::Operation,
        ceiling: 1,
        in_flight: 1,
    };
    assert_eq!(window.check(9, false, ms(0)), Err(of_operation));
    assert_eq!(window.check(8, false, ms(0)), Ok(()));
    window.take(8);
    let of_connection = NoCredit::Exhausted {
        scope: FlowScope::Connection,
        ceiling: 2,
        in_flight: 2,
    };
    assert_eq!(window.check(0, false, ms(0)), Err(of_connection));
}

#[test]
fn old_epochs_are_ignored_also_around_the_wrap() {
    // spec: nnrp-session 4.1, credit_epoch
    let mut window = CreditWindow::new(0, 4);
    let update = |window: &mut CreditWindow, credit, epoch| {
        window.update(&flow(SESSION, FlowReason::Grant, credit, epoch), ms(0))
    };
    assert_eq!(update(&mut window, 5, u32::MAX), CreditUpdate::Applied);
    assert_eq!(update(&mut window, 6, 2), CreditUpdate::Applied);
    assert_eq!(update(&mut window, 7, u32::MAX), CreditUpdate::OldEpoch);
    assert_eq!(
        update(&mut window, 8, 2),
        CreditUpdate::Applied,
        "the same epoch"
    );
    assert_eq!(window.available(), Some(8));
    // Scopes count for themselves.
    let connection = flow(FlowScope::Connection, FlowReason::Grant, 3, 1);
    assert_eq!(window.update(&connection, ms(0)), CreditUpdate::Applied);
}

#[test]
fn pauses_are_lifted_by_grants_and_drains_by_newer_epochs() {
    // spec: nnrp-session 4.1
    let mut window = CreditWindow::new(0, 4);
    window.update(&flow(SESSION, FlowReason::Pause, 4, 1), ms(0));
    assert_eq!(
        window.check(0, true, ms(0)),
        Err(NoCredit::Paused { scope: SESSION })
    );
    window.update(&flow(SESSION, FlowReason::Reduce, 4, 2), ms(0));
    assert_eq!(
        window.check(0, true, ms(0)),
        Err(NoCredit::Paused { scope: SESSION })
    );
    window.update(&flow(SESSION, FlowReason::Resume, 4, 3), ms(0));
    assert_eq!(window.check(0, true, ms(0)), Ok(()));
    let mut hard = flow(SESSION, FlowReason::Congestion, 4, 4);
    hard.backpressure_level = BackpressureLevel::Hard;
    window.update(&hard, ms(0));
    assert_eq!(
        window.check(0, true, ms(0)),
        Err(NoCredit::Paused { scope: SESSION })
    );
    let mut drain = flow(SESSION, FlowReason::Grant, 4, 5);
    drain.flags |= FlowFlags::DRAIN_IN_FLIGHT_ONLY;
    window.update(&drain, ms(0));
    assert_eq!(
        window.check(0, true, ms(0)),
        Err(NoCredit::Draining { scope: SESSION })
    );
    window.update(&flow(SESSION, FlowReason::Grant, 4, 5), ms(0));
    assert_eq!(
        window.check(0, true, ms(0)),
        Err(NoCredit::Draining { scope: SESSION })
    );
    window.update(&flow(SESSION, FlowReason::Grant, 4, 6), ms(0));
    assert_eq!(window.check(0, true, ms(0)), Ok(()));
}

#[test]
fn other_flags_of_updates_hold_as_they_say() {
    // spec: nnrp-session 4.1
    let mut window = CreditWindow::new(3, 4);
    let mut update = flow(SESSION, FlowReason::Congestion, 0, 1);
    update.flags = FlowFlags::RETRY_AFTER_VALID | FlowFlags::BACKGROUND_ONLY;
    update.retry_after_ms = 20;
    window.update(&update, ms(100));
    assert_eq!(
        window.available(),
        Some(3),
        "without CREDIT_VALID the credit says nothing"
    );
    assert!(window.is_congested());
    assert_eq!(
        window.check(0, true, ms(119)),
        Err(NoCredit::RetryAfter { at: ms(120) })
    );
    assert_eq!(window.next_retry(), Some(ms(120)));
    assert!(!window.pass(ms(119)) && window.pass(ms(120)));
    assert_eq!(window.next_retry(), None);
    assert_eq!(window.check(0, true, ms(120)), Ok(()));
    assert_eq!(
        window.check(0, false, ms(120)),
        Err(NoCredit::BackgroundOnly { scope: SESSION })
    );
}

#[test]
fn operations_are_bounded_and_idle_ones_give_way() {
    let mut window = CreditWindow::new(0, 1);
    let operation = |id| {
        let mut update = flow(FlowScope::Operation, FlowReason::Grant, 1, 1);
        update.operation_id = id;
        update
    };
    assert_eq!(window.update(&operation(1), ms(0)), CreditUpdate::Applied);
    assert_eq!(
        window.update(&operation(2), ms(0)),
        CreditUpdate::Applied,
        "1 was idle"
    );
    window.take(2);
    assert_eq!(
        window.update(&operation(3), ms(0)),
        CreditUpdate::TooManyOperations
    );
    assert_eq!(window.update(&operation(2), ms(0)), CreditUpdate::Applied);
}

#[test]
fn an_idle_operation_that_is_held_up_does_not_give_way() {
    let mut window = CreditWindow::new(0, 1);
    let operation = |id, reason, credit| {
        let mut update = flow(FlowScope::Operation, reason, credit, 1);
        update.operation_id = id;
        update
    };
    let pause = operation(1, FlowReason::Pause, 4);
    assert_eq!(window.update(&pause, ms(0)), CreditUpdate::Applied);
    let other = operation(2, FlowReason::Grant, 4);
    assert_eq!(
        window.update(&other, ms(0)),
        CreditUpdate::TooManyOperations
    );
    let scope = FlowScope::Operation;
    assert_eq!(
        window.check(1, false, ms(0)),
        Err(NoCredit::Paused { scope })
    );
    let resume = operation(1, FlowReason::Resume, 0);
    assert_eq!(window.update(&resume, ms(0)), CreditUpdate::Applied);
    assert_eq!(
        window.update(&other, ms(0)),
        CreditUpdate::TooManyOperations,
        "none of it may be submitted"
    );
    let grant = operation(1, FlowReason::Grant, 1);
    assert_eq!(window.update(&grant, ms(0)), CreditUpdate::Applied);
    assert_eq!(window.update(&other, ms(0)), CreditUpdate::Applied);
}

fn order(start: Option<u32>) -> ResultOrder<char> {
    let gap_timeout = Some(ms(50));
    ResultOrder::new(OrderOptions {
        start,
        items_max: 4,
        gap_timeout,
    })
}

fn add(order: &mut ResultOrder<char>, frame: u32, item: char, at: u64) -> Result<(), OrderRefusal> {
    let added = order.add(FrameKey::new(frame), item, ms(at));
    added.map_err(|(why, back)| {
        assert_eq!(back, item);
        why
    })
}

fn pop(order: &mut ResultOrder<char>) -> Option<char> {
    order.pop_next(None, ms(0)).map(|(_, item)| item)
}

#[test]
fn the_ordered_buffer_gives_the_smallest_frame_and_does_not_wait() {
    // spec: nnrp-session 6
    let mut order = order(None);
    add(&mut order, 9, 'c', 0).unwrap();
    add(&mut order, 3, 'a', 0).unwrap();
    add(&mut order, 3, 'b', 0).unwrap();
    assert_eq!(order.peek_next_frame_id(), Some(3));
    assert_eq!(order.pop_next(Some(9), ms(0)), None, "not without change");
    assert_eq!(order.pop_frame(9, ms(0)).unwrap().1, 'c');
    assert_eq!(
        (pop(&mut order), pop(&mut order), pop(&mut order)),
        (Some('a'), Some('b'), None)
    );
    assert!(order.is_empty() && order.next_timeout().is_none());
    add(&mut order, 1, 'z', 0).unwrap();
    assert_eq!(pop(&mut order), Some('z'), "nothing is late");
}

#[test]
fn strict_order_waits_for_each_frame_to_finish() {
    // spec: nnrp-session 6, a better buffer
    let mut order = order(Some(1));
    add(&mut order, 2, 'c', 0).unwrap();
    assert_eq!(pop(&mut order), None, "1 is missing");
    add(&mut order, 1, 'a', 0).unwrap();
    assert_eq!(pop(&mut order), Some('a'));
    assert_eq!(pop(&mut order), None, "1 may go on");
    add(&mut order, 1, 'b', 0).unwrap();
    assert!(order.finish(1, ms(0)));
    assert_eq!(
        add(&mut order, 1, 'x', 0),
        Err(OrderRefusal::Late { frame_id: 1 })
    );
    assert_eq!((pop(&mut order), pop(&mut order)), (Some('b'), Some('c')));
    // A drop fills a gap, an explicit skip several.
    assert!(order.finish(2, ms(0)));
    add(&mut order, 5, 'f', 0).unwrap();
    assert_eq!(pop(&mut order), None);
    order.finish(3, ms(0));
    order.skip(4, ms(0));
    assert_eq!(pop(&mut order), Some('f'));
    order.skip(u32::MAX, ms(0));
    assert_eq!(
        add(&mut order, u32::MAX, 'x', 0),
        Err(OrderRefusal::Late { frame_id: u32::MAX })
    );
}

#[test]
fn strict_order_gives_up_on_a_gap_in_time() {
    let mut order = order(Some(1));
    assert_eq!(order.next_timeout(), None, "nothing waits");
    add(&mut order, 4, 'd', 10).unwrap();
    order.finish(2, ms(10));
    add(&mut order, 5, 'e', 30).unwrap();
    assert_eq!(order.next_timeout(), Some(ms(60)));
    order.handle_timeout(ms(59));
    assert_eq!(pop(&mut order), None);
    order.handle_timeout(ms(60));
    assert_eq!((pop(&mut order), order.skipped()), (Some('d'), 2));
    assert_eq!(
        add(&mut order, 3, 'x', 61),
        Err(OrderRefusal::Late { frame_id: 3 })
    );
}

#[test]
fn the_ordered_buffer_is_bounded_but_for_what_all_wait_for() {
    let mut order = order(Some(1));
    for frame in 2..6 {
        add(&mut order, frame, 'x', 0).unwrap();
    }
    assert_eq!(
        add(&mut order, 6, 'x', 0),
        Err(OrderRefusal::Full { items_max: 4 })
    );
    add(&mut order, 1, 'a', 0).unwrap();
    assert_eq!(
        add(&mut order, 1, 'b', 0),
        Err(OrderRefusal::Full { items_max: 4 })
    );
    assert_eq!((order.len(), pop(&mut order)), (5, Some('a')));
}

fn put(key: u32, bytes: usize, ttl_ms: u32, flags: CacheFlags) -> CachePut {
    CachePut {
        metadata: CachePutMetadata {
            cache_namespace: 1,
            cache_key_hi: 2,
            cache_key_lo: key,
            object_kind: WideObjectKind(ObjectKind::CameraBlock),
            ttl_ms,
            object_bytes: u32::try_from(bytes).unwrap(),
            codec_bitmap: 0,
            flags,
        },
        object: vec![0; bytes].into(),
    }
}

fn reference(key: u32) -> ObjectReference {
    ObjectReference {
        kind: ObjectKind::CameraBlock,
        namespace: 1,
        key: 2 << 32 | u64::from(key),
    }
}

fn invalidate(scope: InvalidateScope, namespace: u32, key: u32) -> CacheInvalidateMetadata {
    CacheInvalidateMetadata {
        invalidate_scope: scope,
        cache_namespace: namespace,
        cache_key_hi: 2,
        cache_key_lo: key,
        reason_code: 0,
    }
}

fn store() -> CacheStore {
    CacheStore::new(CacheLimits {
        kinds: ObjectKinds::CAMERA_BLOCK,
        entries_max: 3,
        bytes_max: 100,
        object_bytes_max: 60,
        namespaces_max: 2,
        ttl_max: Some(ms(1000)),
    })
}

const NONE: CacheFlags = CacheFlags::empty();

#[test]
fn the_cache_accepts_replaces_and_rejects() {
    // spec: nnrp-session 4.4
    let mut store = store();
    let ack = store.put(&put(1, 10, 5000, NONE), ms(0));
    assert_eq!(
        (ack.status, ack.accepted_ttl_ms, ack.max_object_bytes),
        (CacheStatus::Accepted, 1000, 60)
    );
    assert_eq!(
        (ack.cache_namespace, ack.cache_key_hi, ack.cache_key_lo),
        (1, 2, 1)
    );
    let ack = store.put(&put(1, 20, 0, NONE), ms(0));
    assert_eq!(
        (ack.status, ack.accepted_ttl_ms),
        (CacheStatus::Replaced, 1000)
    );
    let ack = store.put(&put(1, 61, 0, NONE), ms(0));
    assert_eq!((ack.status, ack.detail_code), (CacheStatus::Rejected, 7));
    assert_eq!(
        store.resolve(&reference(1), ms(0)).unwrap().len(),
        20,
        "the old one stays"
    );
    let mut other_kind = put(2, 1, 0, NONE);
    other_kind.metadata.object_kind = WideObjectKind(ObjectKind::ToolSchema);
    assert_eq!(store.put(&other_kind, ms(0)).detail_code, 6);
    let wrong_kind = ObjectReference {
        kind: ObjectKind::ToolSchema,
        ..reference(1)
    };
    assert_eq!(store.resolve(&wrong_kind, ms(0)), None);
    assert_eq!(store.next_timeout(), Some(ms(1000)));
    assert_eq!(
        store.resolve(&reference(1), ms(1000)),
        None,
        "its time is over"
    );
    assert_eq!(
        (store.len(), store.bytes(), store.next_timeout()),
        (0, 0, None)
    );
}

#[test]
fn a_cached_object_does_not_keep_the_buffer_that_it_came_in() {
    let mut store = store();
    let received = Bytes::from(vec![7; 1 << 20]);
    let small = CachePut {
        object: received.slice(..1),
        ..put(1, 1, 0, NONE)
    };
    store.put(&small, ms(0));
    drop(small);
    assert_eq!(
        store.resolve(&reference(1), ms(0)),
        Some(Bytes::from_static(&[7]))
    );
    assert!(received.is_unique(), "1 MiB is held for 1 byte");
}

#[test]
fn what_was_not_used_for_longest_gives_way_unless_pinned() {
    // spec: nnrp-session 4.4
    let mut store = store();
    store.put(&put(1, 30, 0, CacheFlags::PINNED), ms(0));
    store.put(&put(2, 30, 0, NONE), ms(0));
    store.put(&put(3, 30, 0, NONE), ms(0));
    store.resolve(&reference(2), ms(0)).unwrap();
    store.put(&put(4, 30, 0, NONE), ms(0));
    assert!(
        store.resolve(&reference(3), ms(0)).is_none(),
        "2 was used since"
    );
    assert!(store.resolve(&reference(1), ms(0)).is_some());
    assert!(store.resolve(&reference(2), ms(0)).is_some());
    store.put(&put(5, 60, 0, CacheFlags::PINNED), ms(0));
    assert_eq!((store.len(), store.bytes(), store.evicted()), (2, 90, 3));
    let full = store.put(&put(6, 11, 0, NONE), ms(0));
    assert_eq!(
        full.status,
        CacheStatus::Rejected,
        "what is pinned leaves no room"
    );
}

#[test]
fn namespaces_are_bounded_and_objects_are_forgotten_by_scope() {
    // spec: nnrp-session 4.4, nnrp-wire 10 Q11
    let mut store = store();
    let in_namespace = |namespace| {
        let mut put = put(1, 1, 0, NONE);
        put.metadata.cache_namespace = namespace;
        put
    };
    let fill = |store: &mut CacheStore| {
        store.put(&in_namespace(1), ms(0));
        store.put(&in_namespace(2), ms(0));
        store.put(&put(2, 1, 0, CacheFlags::PINNED), ms(0));
    };
    fill(&mut store);
    assert_eq!(
        store.put(&in_namespace(3), ms(0)).status,
        CacheStatus::Rejected
    );
    assert_eq!(
        store.invalidate(&invalidate(InvalidateScope::ObjectKey, 1, 1)),
        1
    );
    assert_eq!(
        store.invalidate(&invalidate(InvalidateScope::ObjectKey, 1, 1)),
        0
    );
    fill(&mut store);
    assert_eq!(
        store.invalidate(&invalidate(InvalidateScope::Namespace, 1, 0)),
        2
    );
    fill(&mut store);
    // No field says which kind: the whole namespace goes.
    assert_eq!(
        store.invalidate(&invalidate(InvalidateScope::ObjectKind, 1, 0)),
        2
    );
    fill(&mut store);
    assert_eq!(
        store.invalidate(&invalidate(InvalidateScope::WholeSession, 0, 0)),
        3
    );
    assert!(store.is_empty() && store.bytes() == 0);
}

#[test]
fn a_client_references_only_what_the_server_has_acknowledged() {
    // spec: nnrp-session 4.4
    let mut cache = CacheClient::new(&ack(1), 2, true);
    let mut server = store();
    let object = put(1, 10, 500, NONE);
    cache.put(&object, ms(0), ms(100)).unwrap();
    assert!(!cache.has(&reference(1), ms(0)), "not before the answer");
    assert_eq!(
        cache.put(&object, ms(0), ms(100)),
        Err(PutRefusal::Unanswered)
    );
    assert!(cache.answer(&server.put(&object, ms(0)), ms(0)));
    assert!(cache.has(&reference(1), ms(499)) && !cache.has(&reference(1), ms(500)));
    let too_large = PutRefusal::TooLarge {
        bytes: 61,
        bytes_max: 60,
    };
    assert_eq!(
        cache.put(&put(2, 61, 0, NONE), ms(0), ms(100)),
        Err(too_large),
        "it has said so"
    );
    // An answer that is on its way when the key is invalidated does not count.
    cache.put(&object, ms(0), ms(100)).unwrap();
    cache.invalidate(&invalidate(InvalidateScope::ObjectKey, 1, 1));
    assert!(cache.answer(&server.put(&object, ms(0)), ms(0)));
    assert!(!cache.has(&reference(1), ms(0)) && cache.is_empty());
    assert!(
        !cache.answer(&server.put(&object, ms(0)), ms(0)),
        "nothing was asked"
    );
    // What is not answered is forgotten.
    cache.put(&object, ms(0), ms(100)).unwrap();
    assert_eq!(
        (cache.expire_answer(ms(99)), cache.next_timeout()),
        (None, Some(ms(100)))
    );
    assert!(cache.expire_answer(ms(100)).is_some());
    assert!(cache.is_empty() && cache.next_timeout().is_none());
}

#[test]
fn a_client_puts_nothing_that_the_server_does_not_keep() {
    // spec: nnrp-session 10 Q-15
    let mut no_cache = ack(1);
    no_cache.cache_object_bitmap = 0;
    let mut cache = CacheClient::new(&no_cache, 1, true);
    let kind = ObjectKind::CameraBlock;
    assert_eq!(
        cache.put(&put(1, 1, 0, NONE), ms(0), ms(9)),
        Err(PutRefusal::Unsupported { kind })
    );
    let mut cache = CacheClient::new(&no_cache, 1, false);
    cache.put(&put(1, 1, 0, NONE), ms(0), ms(9)).unwrap();
    assert_eq!(
        cache.put(&put(2, 1, 0, NONE), ms(0), ms(9)),
        Err(PutRefusal::Full { entries_max: 1 })
    );
}

fn patch(mask: PatchMask, profile: Option<ProfilePatch>) -> SessionPatch {
    SessionPatch {
        metadata: SessionPatchMetadata {
            profile_id: 0,
            reserved0: Reserved::default(),
            patch_mask: mask,
            target_cadence_x100: 3000,
            quality_tier: 9,
            degrade_policy: 1,
            active_lane_mask: 2,
            preferred_codec_bitmap: 0b101,
            preferred_compression_bitmap: 0,
            profile_patch_bytes: 0,
        },
        profile,
    }
}

#[test]
fn patches_are_applied_field_by_field() {
    // spec: nnrp-session 4.3
    let rules = PatchRules {
        quality_tier: 0..=3,
        interval_min: ms(10),
        ..PatchRules::default()
    };
    let mut patching = Patching::new(rules, &ack(1));
    let all = PatchMask::TARGET_CADENCE | PatchMask::PREFERRED_CODEC;
    let answer = patching.apply(&patch(all, None), ms(0)).metadata;
    assert_eq!(
        (answer.ack_status, answer.applied_patch_mask),
        (PatchAckStatus::Accepted, all)
    );
    assert_eq!(
        (
            answer.effective_target_cadence_x100,
            answer.effective_codec_bitmap
        ),
        (3000, 0b001)
    );
    assert_eq!(
        (answer.effective_quality_tier, answer.effective_lane_mask),
        (2, 1),
        "all settings are said"
    );
    let soon = patching.apply(&patch(all, None), ms(4)).metadata;
    assert_eq!(
        (soon.ack_status, soon.reject_reason),
        (PatchAckStatus::Rejected, PatchRejectReason::RateLimited)
    );
    assert_eq!(
        (soon.retry_after_ms, soon.applied_patch_mask),
        (6, PatchMask::empty())
    );
    let mixed = PatchMask::QUALITY_TIER
        | PatchMask::DEGRADE_POLICY
        | PatchMask::ACTIVE_LANE_MASK
        | PatchMask::from_bits_retain(1 << 20);
    let some = patching.apply(&patch(mixed, None), ms(10)).metadata;
    assert_eq!(
        (some.ack_status, some.reject_reason),
        (
            PatchAckStatus::PartiallyApplied,
            PatchRejectReason::InvalidRange
        )
    );
    assert_eq!(some.applied_patch_mask, PatchMask::DEGRADE_POLICY);
    assert_eq!(some.rejected_patch_mask | some.applied_patch_mask, mixed);
    let none = patching
        .apply(&patch(PatchMask::PROFILE_PATCH, None), ms(20))
        .metadata;
    assert_eq!(
        (none.ack_status, none.reject_reason),
        (
            PatchAckStatus::Rejected,
            PatchRejectReason::UnsupportedField
        )
    );
}

#[test]
fn the_monitor_triggers_after_enough_bad_windows() {
    // spec: nnrp-session 4.6, trigger monitor
    let mut monitor = MigrationMonitor::new(MonitorOptions {
        window: 2,
        throughput_min: Some(1000),
        round_trip_max: Some(ms(40)),
        jitter_max: Some(ms(15)),
        ..MonitorOptions::default()
    });
    let sample = |round_trip, throughput| PathSample::Answered {
        round_trip: ms(round_trip),
        throughput,
    };
    assert!(
        !monitor.add(PathSample::TimedOut),
        "not before there are enough"
    );
    assert!(!monitor.add(PathSample::TimedOut));
    assert_eq!(monitor.degraded(), [Degraded::TimeoutRate]);
    assert!(
        monitor.add(sample(10, 5000)),
        "1 of 2 is still above a quarter"
    );
    assert!(!monitor.add(sample(10, 5000)));
    assert_eq!(monitor.degraded(), []);
    assert!(!monitor.add(sample(100, 100)));
    assert_eq!(monitor.degraded(), [Degraded::RoundTrip, Degraded::Jitter]);
    assert!(monitor.add(sample(100, 100)));
    assert_eq!(
        monitor.degraded(),
        [Degraded::Throughput, Degraded::RoundTrip]
    );
}

#[test]
fn probes_are_summed_up_and_the_better_transport_chosen() {
    // spec: nnrp-session 2.6
    let (probe, message) = Probe::begin(5, 1000, ms(1));
    let nnrp_wire::Message::TransportProbe(sent) = message else {
        panic!("{message:?}");
    };
    assert_eq!(
        (sent.metadata.client_send_ts_us, &sent.payload[..]),
        (1000, &[0x50; 1000][..])
    );
    let answer = |probe_id| TransportProbeAckMetadata {
        probe_id,
        reserved: Reserved::default(),
        server_recv_ts_us: 0,
    };
    assert_eq!(probe.finish(&answer(6), ms(3)), None);
    let sample = probe.finish(&answer(5), ms(3)).unwrap();
    assert_eq!((sample.round_trip_us, sample.throughput), (2000, 500_000));
    assert_eq!(probe.finish(&answer(5), ms(1)).unwrap().round_trip_us, 1);
    let samples: Vec<_> = [(1, 30, 10), (2, 10, 40), (3, 21, 30), (4, 20, 20)]
        .map(|(probe_id, round_trip_us, throughput)| ProbeSample {
            probe_id,
            round_trip_us,
            throughput,
        })
        .into();
    let tcp = ProbeSummary::new(TransportId::Tcp, &samples, 1);
    assert_eq!((tcp.throughput, tcp.round_trip_us), (Some(25), Some(20)));
    assert_eq!(
        tcp.representative.unwrap().probe_id,
        4,
        "as close, and a shorter way"
    );
    let quic = ProbeSummary::new(TransportId::Quic, &samples, 0);
    assert_eq!(
        ProbeSummary::select(&[quic.clone(), tcp.clone()]),
        Some(&quic),
        "QUIC if alike"
    );
    let fewer = ProbeSummary::new(TransportId::Quic, &samples[..3], 0);
    assert_eq!(ProbeSummary::select(&[fewer, tcp.clone()]), Some(&tcp));
    let none = ProbeSummary::new(TransportId::Quic, &[], 3);
    assert_eq!(ProbeSummary::select(std::slice::from_ref(&none)), None);
    assert_eq!(ProbeSummary::select(&[none, tcp.clone()]), Some(&tcp));
}
