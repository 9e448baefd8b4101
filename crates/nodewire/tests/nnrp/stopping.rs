//! How a server ends, and what it does not begin with.

use nnrp::client::SessionEnd;
use nnrp_wire::ErrorCode;
use nodewire::ServeError;
use nodewire::nnrp::NnrpConfig;

use crate::support::{Holding, Served, asking, nodes, rest, seen, soon, submit, text};

#[tokio::test]
async fn a_stop_lets_the_last_answers_arrive() {
    let served = Served::start().await;
    let session = served.session().await;
    let key = submit(&session, asking(r#"{"node": "hold"}"#)).await;
    Holding::one(&served.holding.started).await;
    let executor = served.server.executor().clone();
    let stopping = tokio::spawn(served.server.stop());
    // What comes now is refused, and what runs goes on.
    soon(async {
        loop {
            let answer = seen(&session, asking(r#"{"node": "tell"}"#)).await;
            if answer.error.is_some() {
                answer.failed(ErrorCode::ServerBusy, "shutting_down: ");
                break;
            }
        }
    })
    .await;
    served.holding.go.add_permits(1);
    let answer = rest(&session, key).await;
    assert_eq!(answer.result(), [text(1, "late but there")]);
    let end = soon(session.closed()).await;
    let SessionEnd::ClosedByServer { reason } = end else {
        panic!("{end:?}");
    };
    assert_eq!(reason.unwrap(), "the server stops");
    soon(stopping).await.unwrap();
    assert!(executor.counters().is_balanced());
    assert_eq!(executor.counters().in_flight, 0);
}

#[tokio::test]
async fn a_server_that_is_dropped_closes_its_sessions() {
    let served = Served::start().await;
    let session = served.session().await;
    drop(served.server);
    let end = soon(session.closed()).await;
    assert!(matches!(end, SessionEnd::ClosedByServer { .. }), "{end:?}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let served = Served::start().await;
    let port = served.server.nnrp_address().unwrap().port();
    let (builder, _) = nodes();
    let second = builder.nnrp(NnrpConfig::insecure_loopback(port));
    let error = second.build().unwrap().start().await.unwrap_err();
    assert!(matches!(error, ServeError::Nnrp(_)), "{error:?}");
}
