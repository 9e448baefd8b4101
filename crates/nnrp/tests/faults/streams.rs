//! Byte streams in simulated time: cut into pieces, delayed, cut off, with garbage in them, silent, slow.

use std::time::Duration;

use nnrp::Link;
use nnrp::client::{ConnectError, Session};
use nnrp_wire::session::FrameOutcome;

use crate::echo::{Tally, check_counts, connect_options, echo_server, run, run_with, soon};
use crate::relay::{Fault, Impairment, impaired, impaired_with_room};

const FRAMES: u32 = 64;

/// How a run over such a link ends.
async fn run_over(first: Impairment, second: Impairment) -> Result<Tally, ConnectError> {
    let is_garbage = |way: &Impairment| matches!(way.after, Some((_, Fault::Garbage)));
    let is_intact = !is_garbage(&first) && !is_garbage(&second);
    let server = echo_server();
    let (near, far) = impaired(first, second);
    assert!(server.adopt_link(Link::from_stream(far)));
    let begun = soon(
        "a session, or none",
        Session::over(Link::from_stream(near), connect_options()),
    );
    let session = begun.await?;
    let tally = run_with(&session, 1..FRAMES + 1, 1024, is_intact).await;
    check_counts(&session, &tally);
    soon("the close", session.close("done")).await;
    soon("the server's end", async {
        while server.session_count() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // It has told or counted an end for each frame that it took.
    let frames = server.totals().frames;
    assert_eq!(frames.submitted, frames.done_total(), "{frames:?}");
    Ok(tally)
}

#[tokio::test(start_paused = true)]
async fn single_bytes_and_delays_lose_nothing() {
    for (piece_bytes, delay_ms) in [(1, 0), (7, 0), (7, 1), (1000, 5), (0, 250)] {
        let way = || Impairment {
            piece_bytes,
            delay: Duration::from_millis(delay_ms),
            after: None,
        };
        let tally = run_over(way(), way()).await.unwrap();
        assert_eq!(
            tally.completed, FRAMES as usize,
            "{piece_bytes} bytes, {delay_ms} ms"
        );
    }
}

/// Wherever a link is cut: before the hello, in it, in the answer, in a submit, in a result, between packets.
#[tokio::test(start_paused = true)]
async fn each_frame_ends_once_wherever_the_link_fails() {
    let (mut lost, mut completed) = (0, 0);
    for fault in [Fault::Cut, Fault::HalfClose, Fault::Garbage] {
        for bytes in [
            0, 1, 40, 103, 104, 105, 500, 1400, 1401, 9_000, 20_011, 50_000,
        ] {
            let failing = || Impairment {
                after: Some((bytes, fault)),
                ..Impairment::default()
            };
            for is_there in [true, false] {
                let (there, back) = if is_there {
                    (failing(), Impairment::default())
                } else {
                    (Impairment::default(), failing())
                };
                if let Ok(tally) = run_over(there, back).await {
                    // Garbage may also spoil a body, which costs that frame alone.
                    let mut others = tally.other.iter();
                    let is_expected = fault == Fault::Garbage
                        && others.all(|(_, outcome)| *outcome == FrameOutcome::Error);
                    assert!(
                        is_expected || tally.other.is_empty(),
                        "{fault:?} {bytes} {tally:?}"
                    );
                    lost += tally.lost;
                    completed += tally.completed;
                }
            }
        }
    }
    assert!(
        lost > 0 && completed > 0,
        "{lost} lost, {completed} completed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_link_ends_after_the_idle_time() {
    for bytes in [200, 5_000] {
        let silent = Impairment {
            after: Some((bytes, Fault::Silence)),
            ..Impairment::default()
        };
        let tally = run_over(Impairment::default(), silent).await.unwrap();
        assert!(tally.lost > 0, "{tally:?}");
        assert_eq!(tally.ended() + tally.not_submitted, FRAMES as usize);
    }
}

/// Whoever does not receive stops the server, and what waits is bounded at every place.
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_receive_bounds_what_waits() {
    let server = echo_server();
    let way = Impairment::default;
    let (near, far) = impaired_with_room(way(), way(), 4 << 10);
    assert!(server.adopt_link(Link::from_stream(far)));
    let mut options = connect_options();
    options.inbox.bytes_max = 256 << 10;
    let session = Session::over(Link::from_stream(near), options)
        .await
        .unwrap();
    let submitting = session.clone();
    let frames = 200_u32;
    let submits = tokio::spawn(async move {
        for frame_id in 1..=frames {
            let submit = crate::echo::frame(frame_id, crate::echo::payload(frame_id, 64 << 10));
            submitting.submit(submit).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let counters = session.counters();
    // What a read brings at once is taken in beyond the limit.
    assert!(
        counters.waiting_bytes <= (256 << 10) + (1 << 20),
        "{counters:?}"
    );
    assert!(!submits.is_finished());
    let mut ends = 0;
    while ends < frames {
        let (_, item) = soon("the next item", session.next()).await.unwrap();
        ends += u32::from(matches!(item, nnrp::client::FrameItem::End(_)));
    }
    submits.await.unwrap();
    let counts = session.counters().frames;
    assert_eq!((counts.submitted, counts.done_total()), (200, 200));
    soon("the close", session.close("done")).await;
}

/// Both sides send much at the same time over a narrow link.
#[tokio::test(start_paused = true)]
async fn large_frames_both_ways_at_once_do_not_wait_for_each_other() {
    let server = echo_server();
    let way = Impairment::default;
    let (near, far) = impaired_with_room(way(), way(), 1 << 10);
    assert!(server.adopt_link(Link::from_stream(far)));
    let begun = Session::over(Link::from_stream(near), connect_options()).await;
    let session = begun.unwrap();
    let tally = run(&session, 1..17, 1 << 20).await;
    assert_eq!(tally.completed, 16);
    check_counts(&session, &tally);
}
