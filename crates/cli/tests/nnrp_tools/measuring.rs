//! `probe`, `bench`, `top` and `serve`.

use serde_json::Value;

use crate::support::{Done, Folder, PATIENT, Server};

fn to(folder: &Folder, server: &Server, arguments: &[&str]) -> Done {
    let trust = ["--ca", &server.certificate];
    let endpoint = [arguments[0], &server.endpoint];
    folder.run(&[&endpoint[..], &arguments[1..], &trust, &PATIENT].concat())
}

#[test]
fn transports_are_probed_and_one_wins() {
    let folder = Folder::new();
    for arguments in [&["serve"][..], &["probe-server"]] {
        let server = folder.server("probed", arguments);
        let probed = to(&folder, &server, &["probe", "--samples", "4", "--json"]).succeeds();
        let [report] = &probed.objects()[..] else {
            panic!("{probed:?}");
        };
        let transports = report["transports"].as_array().unwrap();
        assert_eq!(transports.len(), 2, "{report}");
        let successes = |report: &Value| report["successes"].as_u64().unwrap();
        let winner = transports
            .iter()
            .find(|transport| transport["transport"] == report["winner"])
            .unwrap();
        // On a busy machine one of them may be given up, but not both.
        assert_eq!(successes(winner), 4, "{report}");
        assert!(winner["round_trip_us"].as_u64().unwrap() > 0);
    }
    let server = folder.echo(&["--listen", "nnrp+tcp://127.0.0.1:0"]);
    let probed = folder.run(&["probe", &server.endpoint, "--samples", "1"]);
    let lines = probed.succeeds().stdout;
    assert!(lines.starts_with("TRANSPORT"), "{lines}");
    assert!(lines.lines().nth(1).unwrap().ends_with("winner"), "{lines}");
}

#[test]
fn a_probe_server_ends_after_its_count_and_refuses_what_is_no_probe() {
    let folder = Folder::new();
    let plain = ["probe-server", "--listen", "nnrp+tcp://127.0.0.1:0"];
    let mut server = folder.server("plain", &[&plain[..], &["--count", "2"]].concat());
    let probe = ["probe", &server.endpoint, "--samples", "2", "--no-warm-up"];
    folder.run(&[&probe[..], &PATIENT].concat()).succeeds();
    assert!(server.running.wait().success());

    let mut server = folder.server("plain", &[&plain[..], &["--count", "1"]].concat());
    let smoke = [
        "smoke",
        "client",
        "--transport",
        "tcp",
        "--port",
        server.port(),
    ];
    folder
        .run(&[&smoke[..], &PATIENT].concat())
        .fails(1, "error:");
    assert_eq!(server.running.wait().code(), Some(1));
}

#[test]
fn a_load_is_counted_by_how_it_ended() {
    let folder = Folder::new();
    let server = folder.echo(&["--max-concurrent-frames", "2"]);
    for transport in ["quic", "tcp"] {
        let bench = [
            "bench",
            "--frames",
            "200",
            "--size",
            "5000",
            "--in-flight",
            "8",
        ];
        let flags = ["--sessions", "2", "--transport", transport, "--json"];
        let bench = to(&folder, &server, &[&bench[..], &flags].concat()).succeeds();
        let [report] = &bench.objects()[..] else {
            panic!("{bench:?}");
        };
        assert_eq!(report["answered"], 200, "{report}");
        assert_eq!(report["outcomes"]["complete"], 200, "{report}");
        assert_eq!(report["max_concurrent_frames"], 2);
        assert_eq!(report["sessions"], 2);
        // Eight cannot be in flight where two are allowed.
        assert!(report["credit_stalls"].as_u64().unwrap() > 0, "{report}");
        let times = &report["round_trip_us"];
        assert!(times["p50"].as_u64() <= times["p99"].as_u64());
        assert!(times["p99"].as_u64() <= times["max"].as_u64());
    }
    let bench = to(&folder, &server, &["bench", "--seconds", "0.3"]).succeeds();
    assert!(bench.stdout.contains("outcomes: complete"), "{bench:?}");
}

#[test]
fn zero_is_no_limit_and_the_help_says_so() {
    let folder = Folder::new();
    let limits = ["--max-concurrent-frames", "0", "--max-body-bytes", "0"];
    let server = folder.echo(&limits);
    let load = ["bench", "--frames", "50", "--in-flight", "40", "--json"];
    let bench = to(&folder, &server, &load).succeeds().objects();
    assert_eq!(bench[0]["max_concurrent_frames"], 0, "{bench:?}");
    assert_eq!(bench[0]["outcomes"]["complete"], 50, "{bench:?}");
    assert_eq!(bench[0]["credit_stalls"], 0, "{bench:?}");
    let help = folder.run(&["serve", "--help"]).succeeds().stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(help.matches("with 0, clients are told no limit").count(), 2);
}

#[test]
fn top_shows_what_a_client_sees_and_what_the_server_counts() {
    let folder = Folder::new();
    let mut server = folder.echo(&["--stats", "127.0.0.1:0"]);
    let url = server.running.out.object("stats")["url"].clone();
    let url = url.as_str().unwrap();
    to(&folder, &server, &["bench", "--frames", "30"]).succeeds();
    let top = ["top", "--once", "--json", "--stats", url];
    let seen = to(&folder, &server, &top).succeeds().objects();
    let [seen] = &seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(seen["server"]["up"], true);
    assert!(seen["server"]["ping_us"].as_u64().is_some(), "{seen}");
    assert_eq!(seen["server"]["max_concurrent_frames"], 64);
    assert_eq!(seen["stats"]["frames"]["complete"], 30, "{seen}");
    assert!(seen["stats"]["sessions"].as_u64().unwrap() >= 1);

    let (address, _) = url.split_once('=').unwrap();
    let wrong = ["top", "--once", "--stats", &format!("{address}=guessed")];
    let shown = to(&folder, &server, &wrong).succeeds().stdout;
    assert!(shown.contains("is the token right?"), "{shown}");
    assert!(shown.contains("is there"), "{shown}");

    server.running.interrupt();
    assert!(server.running.wait().success());
    let stopped = server.running.out.object("stopped");
    assert_eq!(stopped["frames"]["submitted"], 30, "{stopped}");
}
