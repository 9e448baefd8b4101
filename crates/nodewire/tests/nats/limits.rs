//! What is refused.

use serde_json::json;

use crate::support::{Fixture, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_node_refuses() {
    let fixture = Fixture::start().await;
    let first = fixture.call("narrow", "");
    let second = async {
        fixture.served.probe.wait_until_begun(1).await;
        fixture.call("narrow", "").await
    };
    let third = async {
        until("one waits", || {
            let stats = fixture.executor().registry().stats();
            stats.iter().any(|stats| stats.waiting == 1)
        })
        .await;
        let third = fixture.call("narrow", "").await;
        fixture.served.probe.open();
        third
    };
    let (first, second, third) = tokio::join!(first, second, third);
    let done = Ok(json!({"done": ["yes"]}));
    assert_eq!((&first, &second), (&done, &done));
    let (code, text) = third.unwrap_err();
    assert_eq!(code, 429);
    assert!(text.contains("try again later"), "{text}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_bounded_together() {
    let fixture = Fixture::start_with(|config| config.bytes_max = 30).await;
    let empty = "{}          ";
    let first = fixture.call("wait_here", empty);
    let second = async {
        fixture.served.probe.wait_until_begun(1).await;
        let too_much = fixture
            .call("about", "{}                            ")
            .await;
        let fits = fixture.call("about", empty).await;
        fixture.served.probe.open();
        (too_much, fits)
    };
    let (first, (too_much, fits)) = tokio::join!(first, second);
    assert_eq!(first, Ok(json!({"done": ["yes"]})));
    assert_eq!(too_much.unwrap_err().0, 429);
    assert_eq!(fits, Ok(json!({"about": ["none", ""]})));
    fixture.stop().await;
}
