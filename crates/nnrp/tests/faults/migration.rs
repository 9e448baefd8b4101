//! A session moves between QUIC and TCP while frames are in flight.

use std::sync::Arc;

use nnrp::TransportId;
use nnrp::client::Session;
use nnrp::server::ServerOptions;

use crate::echo::{check_counts, connect_options, echo_server_with, run, soon};
use crate::network::Served;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_with_64_frames_in_flight_none_is_lost_and_none_comes_twice() {
    let mut options = ServerOptions::default();
    options.session.capabilities.max_concurrent_frames = 64;
    // Frames that the old path still has to deliver are not cut off on a busy machine.
    options.session.migration_grace = std::time::Duration::from_millis(500);
    let served = Arc::new(Served::start(echo_server_with(options)).await);
    let link = served.dial(TransportId::Quic, served.address).await;
    let session = Session::over(link, connect_options()).await.unwrap();
    let id = session.id();

    let submitting = session.clone();
    let run = tokio::spawn(async move { run(&submitting, 1..4001, 2048).await });
    for transport in [TransportId::Tcp, TransportId::Quic] {
        // In the middle of it.
        let done = session.counters().frames.done_total();
        soon("some frames", async {
            while session.counters().frames.done_total() < done + 200 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
        // One migration at a time: the old path has to be gone.
        let migrated = soon("the migration", async {
            loop {
                let link = served.dial(transport, served.address).await;
                match session.migrate(link).await {
                    Ok(migrated) => break migrated,
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                }
            }
        })
        .await;
        assert_eq!(
            (migrated.transport, session.transport()),
            (transport, transport)
        );
    }
    let tally = soon("all frames", run).await.unwrap();
    assert_eq!((tally.completed, tally.ended()), (4000, 4000), "{tally:?}");
    check_counts(&session, &tally);
    let counters = session.counters();
    assert_eq!((session.id(), counters.migrations), (id, 2));
    assert_eq!(counters.packets.unknown, 0, "{counters:?}");
    soon("the close", session.close("done")).await;
}
