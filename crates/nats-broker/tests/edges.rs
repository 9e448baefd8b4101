//! Conversations at the edges of the protocol, held with this broker and with the real server: both must say the same.
//!
//! Left out is what is chance there: the order of subscriptions to the same subject and of queue groups, and how often an
//! error about a publication's line is said, which depends on how the network cuts what is sent.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{CONNECT, Raw};
use nats_broker::Broker;
use nodewire_testkit::NatsServer;

const VERBOSE: &str = "CONNECT {\"verbose\":true,\"headers\":true}\r\n";
const PLAIN: &str = "CONNECT {\"verbose\":false}\r\n";
const PEDANTIC: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":true,\"headers\":true,\"no_responders\":true}\r\n";
/// As usual clients say it.
const LENIENT: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n";
const LENIENT_VERBOSE: &str = "CONNECT {\"pedantic\":false}\r\n";

/// What is sent first, and what is sent then. Each is sent at once, and its answer awaited.
fn conversations() -> Vec<(&'static str, &'static str)> {
    vec![
        (CONNECT, "PING foo\r\nPING\nping \r\nPINGX\r\n"),
        (CONNECT, "PING\r\r\n"),
        (CONNECT, "+OK\r\n"),
        (CONNECT, "INFO {}\r\n"),
        (CONNECT, "PONG\r\n"),
        (CONNECT, "-ERR 'x'\r\n"),
        (CONNECT, "MSG a 1 1\r\nx\r\n"),
        (CONNECT, "\r\n"),
        (CONNECT, "\n"),
        (CONNECT, " PING\r\n"),
        (CONNECT, "SUBX a 1\r\n"),
        (CONNECT, "SUB\r\n"),
        (CONNECT, "SUB a\r\n"),
        (CONNECT, "SUB a b c d\r\n"),
        (CONNECT, "PUB\r\n"),
        (CONNECT, "PUB a\r\n"),
        (CONNECT, "PUB a x\r\n"),
        (CONNECT, "PUB a -1\r\n"),
        (CONNECT, "PUB a +1\r\nx\r\n"),
        (CONNECT, "PUB a b c 1\r\nx\r\n"),
        (CONNECT, "PUB a 99999999999999999999\r\n"),
        (CONNECT, "SUB a 1\r\nPUB a 1\nx\r\n"),
        (CONNECT, "SUB a 1\r\nPUB a 1\r\nx\n"),
        (CONNECT, "SUB a 1\r\nPUB a 0001\r\nx\r\n"),
        (CONNECT, "SUB a 1\r\nPUB a 0\r\n\r\n"),
        (CONNECT, "SUB   a \t 1  \r\nPUB  a\t 1 \r\nx\r\n"),
        (CONNECT, "Sub a 1\r\nPuB a 1\r\nx\r\nuNsUb 1\r\npInG\r\n"),
        (CONNECT, "UNSUB\r\n"),
        (CONNECT, "UNSUB 1 2 3\r\n"),
        (CONNECT, "SUB a 1\r\nUNSUB 1 x\r\nPUB a 1\r\nx\r\n"),
        (CONNECT, "SUB a 1\r\nUNSUB 1 0\r\nPUB a 1\r\nx\r\n"),
        (CONNECT, "SUB a 1\r\nUNSUB 1 -3\r\nPUB a 1\r\nx\r\n"),
        (
            CONNECT,
            "SUB a 1\r\nPUB a 1\r\nx\r\nPUB a 1\r\nx\r\nUNSUB 1 1\r\nPUB a 1\r\ny\r\n",
        ),
        (
            CONNECT,
            "SUB a 1\r\nPUB a 1\r\nx\r\nUNSUB 1 2\r\nPUB a 1\r\ny\r\nPUB a 1\r\nz\r\n",
        ),
        (
            CONNECT,
            "SUB a 1\r\nUNSUB 1 1\r\nUNSUB 1 2\r\nPUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPUB a 1\r\nz\r\n",
        ),
        (
            CONNECT,
            "SUB a 1\r\nUNSUB 1 1\r\nPUB a 1\r\ny\r\nSUB b 1\r\nPUB b 1\r\nz\r\n",
        ),
        (CONNECT, "SUB a 1\r\nUNSUB 1\r\nSUB b 1\r\nPUB b 1\r\nz\r\n"),
        (CONNECT, "SUB a 1\r\nUNSUB 1 +3\r\nPUB a 1\r\nx\r\n"),
        (CONNECT, "SUB a 1\r\nUNSUB 1 999999999\r\nPUB a 1\r\nx\r\n"),
        (CONNECT, "SUB a 1\r\nUNSUB 1 9999999999\r\nPUB a 1\r\nx\r\n"),
        (CONNECT, "SUB a 1\r\nPUB a 0000000001\r\nx\r\n"),
        (CONNECT, "HPUB a 6 5\r\nabcde\r\n"),
        (CONNECT, "HPUB a x 5\r\nabcde\r\n"),
        (CONNECT, "HPUB a 5\r\nabcde\r\n"),
        (CONNECT, "HPUB a b c 5 5\r\nabcde\r\n"),
        (
            CONNECT,
            "SUB a 1\r\nHPUB a rr 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        ),
        (CONNECT, "SUB a 1\r\nHPUB a 0 1\r\nx\r\n"),
        (CONNECT, "HPUB a.* 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
        (CONNECT, "HPUB a 12 1048577\r\n"),
        (CONNECT, "PUB a 1048577\r\n"),
        (CONNECT, "CONNECT {\"verbose\":true}\r\nSUB a 1\r\n"),
        (
            CONNECT,
            "SUB a*b 1\r\nPUB a*b 1\r\nx\r\nPUB a.>b 1\r\ny\r\n",
        ),
        (CONNECT, "SUB a\0b 1\r\nPUB a\0b 1\r\nx\r\n"),
        (CONNECT, "SUB é 1\r\nPUB é 1\r\nx\r\n"),
        (CONNECT, "SUB a q.> 1\r\nPUB a 1\r\nx\r\n"),
        (
            CONNECT,
            "PUB .a 1\r\nx\r\nPUB a. 1\r\nx\r\nPUB > 1\r\nx\r\nPUB a.> 1\r\nx\r\nPUB * 1\r\nx\r\n",
        ),
        (CONNECT, "SUB .a 1\r\nSUB a. 1\r\nSUB .. 1\r\nSUB >.a 1\r\n"),
        (
            CONNECT,
            "SUB a 1\r\nPUB a r.* 1\r\nx\r\nPUB a r..x 1\r\nx\r\n",
        ),
        (CONNECT, "PUB a r.* 1\r\nx\r\n"),
        (CONNECT, "SUB r q 3\r\nPUB a r 1\r\nx\r\n"),
        (CONNECT, "SUB r.> 1\r\nSUB r.* 2\r\nPUB a r.1 1\r\nx\r\n"),
        (
            CONNECT,
            "SUB r.> 1\r\nUNSUB 1 1\r\nPUB a r.1 0\r\n\r\nPUB a r.1 0\r\n\r\n",
        ),
        (CONNECT, "SUB r 1\r\nPUB a.* r 0\r\n\r\n"),
        (
            "CONNECT {\"verbose\":false,\"echo\":false,\"headers\":true,\"no_responders\":true}\r\n",
            "SUB r 1\r\nSUB a 2\r\nSUB a q 3\r\nPUB a r 0\r\n\r\n",
        ),
        (VERBOSE, "PUB a.* 1\r\nx\r\n"),
        (VERBOSE, "SUB a..b 1\r\n"),
        (
            VERBOSE,
            "SUB a 1\r\nSUB b 1\r\nUNSUB 7\r\nUNSUB 1\r\nPONG\r\n",
        ),
        (VERBOSE, "CONNECT {\"verbose\":true}\r\n"),
        (VERBOSE, "HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
        (PLAIN, "HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
        ("CONNECT {}\r\n", "SUB a 1\r\n"),
        ("CONNECT null\r\n", "SUB a 1\r\n"),
        ("CONNECT\t{\"verbose\":false}\r\n", "SUB a 1\r\n"),
        ("CONNECT{\"verbose\":false}\r\n", "SUB a 1\r\n"),
        (
            "CONNECT {\"user\":null,\"verbose\":false,\"future\":[1]}\r\n",
            "SUB a 1\r\n",
        ),
        ("CONNECT {xx}\r\n", ""),
        ("CONNECT\r\n", ""),
        ("CONNECT {\"verbose\":\"x\"}\r\n", ""),
        ("CONNECT {\"protocol\":5,\"verbose\":false}\r\n", ""),
        ("CONNECT {\"protocol\":-1,\"verbose\":false}\r\n", ""),
        ("SUB a 1\r\n", "PUB a 1\r\nx\r\n"),
        ("HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n", ""),
    ]
}

/// What `CONNECT` sets, what it leaves as it was, and what is refused because of it.
fn connects() -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    for mode in ["", PEDANTIC, LENIENT, LENIENT_VERBOSE] {
        let odd_subjects = [
            "SUB > 1\r\nPUB a.> 1\r\nx\r\nPUB * 1\r\nx\r\nPUB a.>.b 1\r\nx\r\n",
            "SUB > 1\r\nPUB a..b 1\r\nx\r\nPUB .a 1\r\nx\r\nPUB a. 1\r\nx\r\n",
            "SUB r 1\r\nPUB a.> r 0\r\n\r\nPUB a..b r 0\r\n\r\nPUB a r 0\r\n\r\n",
            "SUB a..b 1\r\nSUB r.> 2\r\nPUB n r..x 0\r\n\r\nPUB n r.> 0\r\n\r\n",
            "SUB a.> 1\r\nSUB a.* 2\r\nSUB *.b 3\r\nSUB * 4\r\nSUB a.b 5\r\nPUB a.> 1\r\nx\r\nPUB *.b 0\r\n\r\nPUB a.* 0\r\n\r\nPUB * 0\r\n\r\n",
        ];
        all.extend(odd_subjects.map(|then| (mode, then)));
    }
    let again = [
        "CONNECT {}\r\nSUB > 1\r\nPUB a.> 1\r\nx\r\n",
        "CONNECT null\r\nSUB > 1\r\nPUB a.> 1\r\nx\r\n",
        "CONNECT {\"pedantic\":true}\r\nSUB > 1\r\nPUB a.> 1\r\nx\r\n",
        "CONNECT {\"verbose\":null,\"headers\":null}\r\nSUB a 1\r\nHPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        "CONNECT {\"echo\":false}\r\nSUB a 1\r\nPUB a 1\r\nx\r\nCONNECT {}\r\nPUB a 1\r\nx\r\nCONNECT {\"echo\":true}\r\nPUB a 1\r\nx\r\n",
        "CONNECT {\"headers\":false}\r\n",
        "CONNECT {\"headers\":false,\"no_responders\":false}\r\nHPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        "CONNECT {\"protocol\":2}\r\n",
    ];
    all.extend(again.map(|again| (LENIENT, again)));
    let documents = [
        "CONNECT {\"VERBOSE\":false,\"Headers\":true}\r\n",
        "CONNECT {\"verbose\":false,\"verbose\":true,\"headers\":true}\r\n",
        "CONNECT {\"pedantic\":\"x\"}\r\n",
        "CONNECT {\"lang\":1}\r\n",
        "CONNECT {\"lang\":\"\u{e9}\"}\r\n",
        "CONNECT {\"tls_required\":1}\r\n",
        "CONNECT []\r\n",
        "CONNECT {} x\r\n",
    ];
    let message = "SUB a 1\r\nHPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n";
    all.extend(documents.map(|document| (document, message)));
    // Each at another place: among those at the same place, the order is chance.
    all.push((
        CONNECT,
        "SUB a.*.c 1\r\nSUB a.> 2\r\nSUB > 3\r\nSUB a.b.c 4\r\nSUB *.b.c 5\r\nSUB a.b.* 6\r\nSUB *.b.* 7\r\nPUB a.b.c 0\r\n\r\nPUB n a.b.c 0\r\n\r\nUNSUB 3\r\nUNSUB 5\r\nUNSUB 2\r\nUNSUB 7\r\nUNSUB 1\r\nPUB n a.b.c 0\r\n\r\nPUB a.b.d 0\r\n\r\n",
    ));
    for refused in [
        "HPUB a 3 99999999\r\n",
        "HPUB a 3 2000000\r\nabc",
        "HPUB a 3 3\r\n",
        "HPUB a x y\r\n",
        "HPUB a\r\n",
    ] {
        all.extend(["", PLAIN, CONNECT].map(|mode| (mode, refused)));
    }
    for mode in [PEDANTIC, LENIENT] {
        // What is wrong with the line is said before the body is there.
        let bodies = ["PUB a..b r 5\r\nhello\n", "HPUB a.> 2 5\r\nhello,"];
        all.extend(bodies.map(|then| (mode, then)));
        all.push((mode, "SUB a 1\r\nSUB .a 1\r\n"));
    }
    let infos = [
        "INFO\r\n",
        "INFO x\r\n",
        "INFO []\r\n",
        "INFO null\r\n",
        "INFO{}\r\n",
    ];
    all.extend(infos.map(|info| (CONNECT, info)));
    let errors = ["-ERR\r\n", "-ERR\n", "-ERR \r\n", "-ERR\tx\r\n"];
    all.extend(errors.map(|error| (CONNECT, error)));
    all
}

async fn hold(port: u16, first: &str, then: &str) -> (String, String) {
    let mut raw = Raw::open(port).await.unwrap();
    let to_first = raw.answer_to(first).await.unwrap();
    (to_first, raw.answer_to(then).await.unwrap())
}

#[tokio::test]
async fn both_brokers_say_the_same() {
    let broker = Broker::builder().start().await.unwrap();
    let server = NatsServer::start().await.unwrap();
    for (first, then) in conversations().into_iter().chain(connects()) {
        let ours = hold(broker.addr().port(), first, then).await;
        let theirs = hold(server.port(), first, then).await;
        assert_eq!(ours, theirs, "{first:?}, {then:?}");
    }
}

/// A publication without its body, so that no `PING` can follow.
#[tokio::test]
async fn an_odd_subject_is_noticed_before_the_body() {
    let broker = Broker::builder().start().await.unwrap();
    let server = NatsServer::start().await.unwrap();
    for port in [broker.addr().port(), server.port()] {
        let mut raw = Raw::open(port).await.unwrap();
        raw.send(&format!("{PEDANTIC}PUB a.* 5\r\n")).await;
        let error = "-ERR 'Invalid Publish Subject'\r\n";
        assert_eq!(raw.read_until("an error", "\n").await.unwrap(), error);
        let later = raw.answer_to("hello\r\n").await.unwrap();
        // nats-server looks at a line again when the body comes in another read, and says the same once more.
        let again = if port == server.port() { error } else { "" };
        assert_eq!(later, again);
    }
}

#[tokio::test]
async fn control_lines_have_the_same_bound() {
    let broker = Broker::builder().start().await.unwrap();
    let server = NatsServer::start().await.unwrap();
    for subject_bytes in [4094, 4095, 5000] {
        for end in [" 1\r\nx\r\n", ""] {
            let line = format!("PUB {}{end}", "a".repeat(subject_bytes));
            if end.is_empty() && subject_bytes < 5000 {
                continue;
            }
            let ours = hold(broker.addr().port(), CONNECT, &line).await;
            let theirs = hold(server.port(), CONNECT, &line).await;
            assert_eq!(ours, theirs, "{subject_bytes} bytes, {end:?}");
        }
    }
}

#[tokio::test]
async fn credentials_come_first_at_both() {
    let broker = Broker::builder()
        .user_password("u", "p")
        .start()
        .await
        .unwrap();
    let server = NatsServer::options().user("u", "p").start().await.unwrap();
    let right = "CONNECT {\"verbose\":false,\"user\":\"u\",\"pass\":\"p\"}\r\n";
    for (first, then) in [
        ("PING\r\n", ""),
        ("SUB a 1\r\n", ""),
        ("FOO\r\n", ""),
        ("PUB a 1\r\nx\r\n", ""),
        ("CONNECT {\"user\":\"u\"}\r\n", ""),
        ("CONNECT {\"user\":\"u\",\"pass\":\"\"}\r\n", ""),
        ("CONNECT {\"auth_token\":\"p\"}\r\n", ""),
        (right, "SUB a 1\r\nPUB a 1\r\nx\r\n"),
        (right, "CONNECT {\"user\":\"u\",\"pass\":\"bad\"}\r\n"),
    ] {
        let ours = hold(broker.addr().port(), first, then).await;
        let theirs = hold(server.port(), first, then).await;
        assert_eq!(ours, theirs, "{first:?}, {then:?}");
    }
}
