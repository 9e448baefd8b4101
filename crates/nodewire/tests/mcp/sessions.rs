//! Sessions: how many, how long.

use std::time::Duration;

use nodewire::mcp::McpConfig;
use serde_json::json;

use crate::support::{Fixture, Session, Talk, head, until};

async fn status(session: &Session) -> u16 {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    session.post(&message).await.text().await.0
}

#[tokio::test]
async fn the_session_longest_unused_makes_room() {
    let two = |config: &mut McpConfig| config.sessions_max = 2;
    let fixture = Fixture::start_with(two, |_| {}, |builder| builder).await;
    let (first, second) = (fixture.session().await, fixture.session().await);
    assert_eq!(status(&first).await, 200);
    // The answer is there before its request is over.
    let (_, waiting) = first.begin("wait_here", json!({}), json!({})).await;
    fixture.probe.wait_until_begun(1).await;
    let third = fixture.session().await;
    assert_eq!(status(&second).await, 404);
    assert_eq!(status(&third).await, 200);
    // A session in use is not closed.
    let (_, other) = third.begin("wait_here", json!({}), json!({})).await;
    fixture.probe.wait_until_begun(2).await;
    let mut refused = fixture.initialize().await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers_mut().remove("retry-after").unwrap(), "1");
    let counts = fixture.server.mcp_counts().unwrap();
    assert_eq!((counts.sessions, counts.sessions_evicted), (3, 1));
    assert_eq!(counts.sessions_refused, 1);
    fixture.probe.open();
    for talk in [waiting, other] {
        talk.result().await;
    }
    fixture.stop().await;
}

#[tokio::test]
async fn an_unused_session_is_closed_and_one_that_waits_is_not() {
    // Longer than it takes to begin a call, on a busy machine, too.
    let short = |config: &mut McpConfig| config.idle_timeout = Duration::from_secs(4);
    let fixture = Fixture::start_with(short, |_| {}, |builder| builder).await;
    let using = fixture.session().await;
    let (_, waiting) = using.begin("wait_here", json!({}), json!({})).await;
    fixture.probe.wait_until_begun(1).await;
    let unused = fixture.session().await;
    let expired = || fixture.server.mcp_counts().unwrap().sessions_expired;
    until("it is closed", || expired() == 1).await;
    assert_eq!(status(&unused).await, 404);
    fixture.probe.open();
    let outputs = waiting.result().await["structuredContent"].clone();
    assert_eq!(outputs, json!({"done": ["yes"]}));
    until("the other one is closed, too", || expired() == 2).await;
    fixture.stop().await;
}

#[tokio::test]
async fn a_client_ends_its_session() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let delete = head()
        .method("DELETE")
        .header("Mcp-Session-Id", session.id.as_deref().unwrap());
    let talk = Talk::begin(fixture.address, delete, "").await;
    assert_eq!(talk.text().await.0, 202);
    assert_eq!(status(&session).await, 404);
    let stranger = Session {
        id: Some("made-up".to_owned()),
        ..session
    };
    assert_eq!(status(&stranger).await, 404);
    fixture.stop().await;
}
