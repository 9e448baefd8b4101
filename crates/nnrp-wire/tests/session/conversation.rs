//! Whole conversations between our client and our server.

use bytes::Bytes;
use nnrp_wire::session::{
    ClientEvent, ClientOptions, ClientState, Failure, FrameKey, FrameOutcome, FrameState,
    LivenessOptions, PathEnd, Report, ServerEvent, ServerOptions, ServerState, Submit,
};
use nnrp_wire::{ErrorCode, TransportId};

use crate::make::{A, B, frame_submit, ms};
use crate::world::World;

fn quiet() -> LivenessOptions {
    LivenessOptions {
        idle_timeout: None,
        ..LivenessOptions::default()
    }
}

fn world(window: u16) -> World {
    let client = ClientOptions {
        liveness: quiet(),
        ..ClientOptions::default()
    };
    let server = ServerOptions {
        liveness: quiet(),
        ..ServerOptions::default()
    };
    let mut world = World::new(client, server, window);
    world.link(A, TransportId::Quic, ms(10));
    world
        .client
        .connected(A, TransportId::Quic, world.now)
        .unwrap();
    world.run_until(|world| world.client.state() == ClientState::Active);
    assert_eq!(world.now, ms(20), "there and back");
    world
}

fn submit(world: &mut World, frame: u32) -> FrameState {
    let submit = Submit {
        waits: true,
        ..Submit::new(FrameKey::new(frame), frame_submit(0))
    };
    let state = world.client.submit(submit, world.now).unwrap();
    world.settle();
    state
}

fn outcomes(world: &World) -> Vec<(u32, FrameOutcome)> {
    let events = world.client_events.iter();
    events
        .filter_map(|event| match event {
            ClientEvent::FrameDone { key, outcome, .. } => Some((key.frame_id, *outcome)),
            _ => None,
        })
        .collect()
}

#[test]
fn frames_flow_within_the_window() {
    let mut world = world(2);
    let states: Vec<_> = (1..=6).map(|frame| submit(&mut world, frame)).collect();
    assert_eq!(
        states
            .iter()
            .filter(|state| **state == FrameState::Pending)
            .count(),
        4
    );
    world.run_until(|world| outcomes(world).len() == 6);
    assert_eq!(
        outcomes(&world),
        (1..=6)
            .map(|frame| (frame, FrameOutcome::Complete))
            .collect::<Vec<_>>()
    );
    assert_eq!(world.now, ms(20 + 3 * 25), "two at a time");
}

#[test]
fn a_client_closes_while_frames_are_in_flight() {
    let mut world = world(4);
    submit(&mut world, 1);
    submit(&mut world, 2);
    world.client.close("done".into(), world.now).unwrap();
    world.run_out();
    assert_eq!(
        outcomes(&world),
        [(1, FrameOutcome::Complete), (2, FrameOutcome::Complete)]
    );
    assert_eq!(world.client.state(), ClientState::Closed);
    assert_eq!(world.server.as_ref().unwrap().state(), ServerState::Closed);
    assert!(
        world
            .server_events
            .contains(&ServerEvent::CloseReceived("done".into()))
    );
    assert!(
        world
            .client_events
            .contains(&ClientEvent::CloseReceived(Bytes::new()))
    );
}

#[test]
fn a_server_closes_while_frames_are_in_flight() {
    let mut world = world(4);
    world.work = None;
    submit(&mut world, 1);
    submit(&mut world, 2);
    world.run_until(|world| world.server.as_ref().unwrap().frames().in_flight == 2);
    let now = world.now;
    let server = world.server.as_mut().unwrap();
    let result = crate::make::result_push(nnrp_wire::ResultClass::Complete);
    server.close("down".into(), now).unwrap();
    server
        .push_result(FrameKey::new(1), result, true, now)
        .unwrap();
    world.run_out();
    assert_eq!(
        outcomes(&world),
        [(1, FrameOutcome::Complete), (2, FrameOutcome::Dropped)]
    );
    assert_eq!(world.client.state(), ClientState::Closed);
    assert_eq!(world.server.as_ref().unwrap().state(), ServerState::Closed);
}

#[test]
fn a_fatal_error_ends_both_sides_and_every_frame_once() {
    let mut world = world(4);
    world.work = None;
    submit(&mut world, 1);
    world.run_until(|world| world.server.as_ref().unwrap().frames().in_flight == 1);
    let report = Report {
        code: ErrorCode::ServerBusy,
        retry_after_ms: 1000,
        diagnostic: "busy",
    };
    let now = world.now;
    world
        .server
        .as_mut()
        .unwrap()
        .fail_session(report, now)
        .unwrap();
    world.run_out();
    assert_eq!(outcomes(&world), [(1, FrameOutcome::ConnectionLost)]);
    let Some(Failure::Peer(error)) = world.client.failure() else {
        panic!()
    };
    assert_eq!(
        (error.to_string(), error.metadata.retry_after_ms),
        ("SERVER_BUSY: busy".into(), 1000)
    );
    assert_eq!(world.server.as_ref().unwrap().state(), ServerState::Failed);
}

#[test]
fn a_cancelled_frame_frees_its_credit_after_the_answer() {
    let mut world = world(1);
    world.work = None;
    submit(&mut world, 1);
    submit(&mut world, 2);
    assert!(world.client.cancel(FrameKey::new(1), world.now));
    world.run_until(|world| {
        world.client.frame_state(FrameKey::new(2)) == Some(FrameState::InFlight)
    });
    assert_eq!(
        (outcomes(&world), world.now),
        (vec![(1, FrameOutcome::Cancelled)], ms(40))
    );
    let over = ServerEvent::FrameOver {
        key: FrameKey::new(1),
        outcome: FrameOutcome::Cancelled,
    };
    assert!(world.server_events.contains(&over));
}

fn migrate(world: &mut World) {
    world.link(B, TransportId::Tcp, ms(3));
    world
        .client
        .migrate(B, TransportId::Tcp, Bytes::new(), world.now)
        .unwrap();
    world.settle();
}

#[test]
fn a_session_moves_with_frames_in_flight() {
    // spec: nnrp-session 4.6
    let mut world = world(0);
    submit(&mut world, 1);
    world.run_until(|world| world.server.as_ref().unwrap().frames().in_flight == 1);
    // 2 is under way on the slow path when the server answers on the fast one: it is sent again there.
    submit(&mut world, 2);
    migrate(&mut world);
    world.run_until(|world| world.client.primary_path() == Some(B));
    submit(&mut world, 3);
    world.run_until(|world| outcomes(world).len() == 3);
    let mut all = outcomes(&world);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3].map(|frame| (frame, FrameOutcome::Complete)));
    let moved = world.client_events.iter().find_map(|event| match event {
        ClientEvent::Migrated {
            resume_from_frame_id,
            resubmitted,
            ..
        } => Some((*resume_from_frame_id, *resubmitted)),
        _ => None,
    });
    assert_eq!(moved, Some((2, 1)));
    world.run_until(|world| world.client_events.contains(&ClientEvent::ClosePath(A)));
    submit(&mut world, 4);
    world.run_until(|world| outcomes(world).len() == 4);
    let server = world.server.as_ref().unwrap();
    assert_eq!(
        (server.frames().submitted, server.primary_path()),
        (4, B),
        "2 only once"
    );
}

#[test]
fn a_session_survives_the_loss_of_its_old_connection_after_it_moved() {
    let mut world = world(0);
    world.work = Some(ms(30));
    submit(&mut world, 1);
    world.run_until(|world| world.server.as_ref().unwrap().frames().in_flight == 1);
    migrate(&mut world);
    world.run_until(|world| world.client.primary_path() == Some(B));
    world.cut(A);
    world.run_until(|world| outcomes(world).len() == 1);
    assert_eq!(
        outcomes(&world),
        [(1, FrameOutcome::Complete)],
        "by the new one"
    );
    world.client.close(Bytes::new(), world.now).unwrap();
    world.run_out();
    assert_eq!(world.client.state(), ClientState::Closed);
}

#[test]
fn a_lost_connection_ends_both_sides() {
    let mut world = world(0);
    submit(&mut world, 1);
    world.cut(A);
    world.run_out();
    assert_eq!(outcomes(&world), [(1, FrameOutcome::ConnectionLost)]);
    assert_eq!(world.client.failure(), Some(&Failure::Path(PathEnd::Lost)));
    assert_eq!(world.server.as_ref().unwrap().state(), ServerState::Failed);
}
