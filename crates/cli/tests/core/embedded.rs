//! The broker inside the daemon: where it is from one start to the next, and a node server that is found on it.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nodewire::nats::NatsConfig;
use nodewire::prelude::*;
use serde_json::json;

use super::place::{Place, Running, until};

const URL: &str = "EMBEDDED_TEST_NATS_URL";

/// Louder.
#[node(output = "text")]
async fn shout(text: String) -> String {
    format!("{}!", text.to_uppercase())
}

/// A node server, as a process of its own.
#[tokio::test]
#[ignore = "run by the test below"]
async fn serve_until_killed() {
    let url = std::env::var(URL).unwrap();
    let server = NodeServer::builder()
        .node(shout())
        .nats(NatsConfig::new("workers", "1.0.0", url.as_str()))
        .build()
        .unwrap();
    server.run().await.unwrap();
}

fn instance(url: &str) -> Running {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "embedded::serve_until_killed", "--ignored"])
        .env(URL, url)
        .stdin(Stdio::null());
    Running::with_lines(command).0
}

/// The address with the password, as it is in the data folder.
fn kept(place: &Place) -> String {
    let text = std::fs::read_to_string(place.path("data/nats-url")).unwrap();
    text.trim().to_owned()
}

fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().parse().unwrap()
}

/// Starts the daemon, with a log of its own, and waits until it has said where it is: the address is kept then.
fn up(place: &Place) -> Running {
    // Of a daemon before, if there was one.
    let _ = std::fs::remove_file(place.path("daemon.log"));
    let daemon = place.up();
    until("the daemon listens", || {
        daemon.log().contains("the daemon listens on")
    });
    daemon
}

/// Ends the daemon in good order.
fn down(place: &Place, daemon: Running) {
    place.succeed(&["down"]);
    assert!(daemon.ended().success());
}

fn until_found(place: &Place) {
    until("the node server is found", || {
        let server = place.server("nats-workers");
        server["state"] == "ready" && server["nats"]["instances"] == 1
    });
}

// spec: nats-micro 15.3
#[test]
fn a_node_server_is_found_on_the_embedded_broker_and_again_after_a_restart_of_the_daemon() {
    let place = Place::new();
    place.succeed(&["register", "--nats", "workers"]);
    let graph = json!({"nodes": [
        {"id": 1, "name": "words", "uid": "text-input", "serverUid": "builtin"},
        {"id": 2, "name": "loud", "uid": "shout", "serverUid": "nats-workers"}],
        "links": [{"id": 1, "link": [1, "text", 2, "text"]}]});
    let graph = place.file("graph.json", &graph.to_string());
    let run = |words: &str| {
        let input = format!("words={words}");
        place.succeed(&["run", &graph, "--daemon", "--input", &input])
    };
    let daemon = up(&place);
    let url = kept(&place);
    let _instance = instance(&url);
    until_found(&place);
    assert_eq!(run("hello"), "loud.text: HELLO!\n");

    // Whoever has no daemon at hand is told who reaches the server.
    for command in ["run", "validate"] {
        let alone = place.done(&[command, &graph]);
        assert_eq!(alone.code, Some(2), "{alone:?}");
        assert!(
            alone.stderr.contains("`nodewire run --daemon`")
                && !alone.stderr.contains("nanoserver.json"),
            "{alone:?}"
        );
    }

    // As a crash does it: nothing is put in order.
    daemon.signal("-KILL");
    daemon.ended();
    let daemon = up(&place);
    assert_eq!(kept(&place), url, "{}", daemon.log());
    until_found(&place);
    assert_eq!(run("again"), "loud.text: AGAIN!\n");
}

#[test]
fn the_address_stays_and_one_that_is_taken_is_given_up_with_its_password() {
    let place = Place::new();
    let daemon = up(&place);
    let first = kept(&place);
    assert!(first.starts_with("nats://nodewire:"), "{first}");
    down(&place, daemon);

    let daemon = up(&place);
    assert_eq!(kept(&place), first, "{}", daemon.log());
    let status = place.json(&["status", "--json"]);
    let told = status["info"]["nats"]["url"].as_str().unwrap();
    assert_eq!(port(told), port(&first));
    down(&place, daemon);

    let taken = TcpListener::bind(("127.0.0.1", port(&first))).unwrap();
    let daemon = up(&place);
    let second = kept(&place);
    let told = format!("cannot listen on port {} any more", port(&first));
    assert!(daemon.log().contains(&told), "{}", daemon.log());
    assert_ne!(port(&second), port(&first));
    let user = |url: &str| url.rsplit_once('@').unwrap().0.to_owned();
    assert_ne!(user(&second), user(&first), "who took the port may know it");
    let log = daemon.log();
    assert!(!log.contains(&user(&second)) && !log.contains(&user(&first)));
    drop(taken);
    down(&place, daemon);
}

#[test]
fn a_file_that_says_nothing_is_replaced_and_one_that_others_can_read_is_closed() {
    let place = Place::new();
    let file = place.file("data/nats-url", "nats://nodewire:stolen@192.0.2.1:4222\n");
    let daemon = up(&place);
    let log = daemon.log();
    assert!(log.contains("nats-url is not used"), "{log}");
    assert!(!log.contains("stolen"), "{log}");
    let url = kept(&place);
    assert!(url.contains("@127.0.0.1:"), "{url}");
    down(&place, daemon);

    let mode = |mode: u32| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(&file, mode(0o644)).unwrap();
    let daemon = up(&place);
    assert!(
        daemon.log().contains("others could read"),
        "{}",
        daemon.log()
    );
    assert_eq!(kept(&place), url);
    let now = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(now & 0o777, 0o600);
    down(&place, daemon);
}
