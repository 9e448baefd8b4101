//! `record` and `replay`.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Folder, PATIENT, Running, Server, objects_of};

/// A recorder before this server, with its certificate in `record.pem`.
fn recorder(folder: &Folder, server: &Server, arguments: &[&str]) -> Server {
    let to = [
        "record",
        "--to",
        &server.endpoint,
        "--ca",
        &server.certificate,
    ];
    let out = ["--out", "session.jsonl"];
    folder.server("record", &[&to[..], &out, arguments].concat())
}

/// Frames through the recorder, until it has ended by itself.
fn bench(folder: &Folder, recorder: &mut Server, transport: &str, frames: &str) {
    let bench = ["bench", &recorder.endpoint, "--frames", frames];
    let flags = [
        "--transport",
        transport,
        "--in-flight",
        "4",
        "--size",
        "300",
    ];
    let trust = ["--insecure"];
    folder
        .run(&[&bench[..], &flags, &trust, &PATIENT].concat())
        .succeeds();
    assert!(recorder.running.wait().success());
}

#[test]
fn a_session_is_recorded_and_can_be_played_again() {
    for transport in ["quic", "tcp"] {
        let folder = Folder::new();
        let server = folder.echo(&[]);
        let mut recorder = recorder(&folder, &server, &["--connections", "1"]);
        bench(&folder, &mut recorder, transport, "25");
        let recorded = recorder.running.out.object("recorded");
        assert_eq!(recorded["left_out"], 0);
        let lines = objects_of(&folder.path("session.jsonl"));
        assert_eq!(lines[0]["nnrp_recording"], 1);
        let of_type = |name: &str| lines.iter().filter(|line| line["type"] == name).count();
        let counts = [
            "CLIENT_HELLO",
            "SERVER_HELLO_ACK",
            "FRAME_SUBMIT",
            "RESULT_PUSH",
        ];
        assert_eq!(counts.map(of_type), [1, 1, 25, 25]);
        let events: Vec<_> = lines
            .iter()
            .filter_map(|line| line["event"].as_str())
            .collect();
        assert_eq!(events, ["begin", "end"]);
        let times: Vec<_> = lines[1..]
            .iter()
            .map(|line| line["at_us"].as_u64())
            .collect();
        assert!(times.is_sorted());

        let to = ["replay", "session.jsonl", "--to", &server.endpoint];
        let flags = [
            "--ca",
            &server.certificate,
            "--transport",
            transport,
            "--json",
        ];
        for pace in [
            &["--as-fast-as-possible", "--bytes"][..],
            &["--speed", "20"],
        ] {
            let replayed = [&to[..], &flags, pace, &PATIENT].concat();
            let replayed = folder.run(&replayed).succeeds().objects();
            assert_eq!(
                replayed[0]["met"],
                lines_of(&lines, "server"),
                "{replayed:?}"
            );
            assert_eq!(replayed[1]["same"], true);
            assert_eq!(replayed[1]["ends_early"], Value::Null);
        }
    }
}

#[test]
fn no_timeout_is_too_long() {
    let folder = Folder::new();
    let server = folder.echo(&[]);
    let endless = ["--timeout", "1e19"];
    let flags = [&["--connections", "1"][..], &endless].concat();
    let mut recorder = recorder(&folder, &server, &flags);
    bench(&folder, &mut recorder, "tcp", "2");
    let to = ["replay", "session.jsonl", "--to", &server.endpoint];
    let trust = ["--ca", &server.certificate, "--as-fast-as-possible"];
    folder.run(&[&to[..], &trust, &endless].concat()).succeeds();
}

/// Packets that are compared.
fn lines_of(lines: &[Value], side: &str) -> usize {
    let advice = ["FLOW_UPDATE", "RESULT_HINT", "PING"];
    let packets = lines.iter().filter(|line| line["side"] == side);
    let packets = packets.filter_map(|line| line["type"].as_str());
    packets.filter(|name| !advice.contains(name)).count()
}

#[test]
fn what_is_not_as_it_was_is_told() {
    let folder = Folder::new();
    let server = folder.echo(&["--max-concurrent-frames", "4"]);
    let mut recorder = recorder(&folder, &server, &["--connections", "1"]);
    bench(&folder, &mut recorder, "tcp", "10");
    // Too small for these frames.
    let other = folder.server("other", &["serve", "--max-body-bytes", "64"]);
    let replay = [
        "replay",
        "session.jsonl",
        "--to",
        &other.endpoint,
        "--ca",
        "other.pem",
    ];
    let flags = ["--as-fast-as-possible", "--json"];
    let replayed = folder.run(&[&replay[..], &flags, &PATIENT].concat());
    let replayed = replayed.fails(1, "not as recorded").objects();
    let differences = replayed[0]["differences"].as_array().unwrap();
    assert_eq!(replayed[1]["same"], false);
    assert!(
        differences
            .iter()
            .any(|difference| difference["kind"] == "type" && difference["type"] == "RESULT_PUSH"),
        "{differences:?}"
    );
}

#[test]
fn a_recording_can_be_the_server() {
    let folder = Folder::new();
    let server = folder.echo(&[]);
    let mut recorder = recorder(&folder, &server, &["--connections", "1"]);
    let smoke = [
        "smoke",
        "client",
        "--port",
        recorder.port(),
        "--ca",
        "record.pem",
    ];
    folder.run(&[&smoke[..], &PATIENT].concat()).succeeds();
    assert!(recorder.running.wait().success());
    drop(server);
    let replay = [
        "replay",
        "session.jsonl",
        "--as-server",
        "--as-fast-as-possible",
    ];
    let mut replay = folder.server("replay", &[&replay[..], &PATIENT].concat());
    // Other ids than those of the recording.
    let smoke = [
        "smoke",
        "client",
        "--port",
        replay.port(),
        "--ca",
        "replay.pem",
    ];
    let smoke = [&smoke[..], &["--frame-id", "77"], &PATIENT].concat();
    let said = folder.run(&smoke).succeeds().stdout;
    assert!(said.contains("frame_id=77\n") && said.contains("result_tile_count=3\n"));
    assert_eq!(replay.running.out.object("replayed")["same"], true);
    assert!(replay.running.wait().success());
}

#[test]
fn a_full_file_says_so_and_the_proxy_goes_on() {
    let folder = Folder::new();
    let server = folder.echo(&["--listen", "nnrp+tcp://127.0.0.1:0"]);
    let to = ["record", "--to", &server.endpoint, "--out", "session.jsonl"];
    let limits = ["--max-bytes", "8192", "--connections", "1"];
    let plain = ["--listen", "nnrp+tcp://127.0.0.1:0"];
    let mut recorder = folder.server("record", &[&to[..], &limits, &plain].concat());
    bench(&folder, &mut recorder, "tcp", "50");
    let recorded = recorder.running.out.object("recorded");
    assert!(recorded["left_out"].as_u64().unwrap() > 0);
    let file = folder.path("session.jsonl");
    assert!(fs::metadata(&file).unwrap().len() <= 8192);
    assert_eq!(objects_of(&file).last().unwrap()["event"], "full");
    // What is there can still be played, and is compared.
    let replay = ["replay", "session.jsonl", "--to", &server.endpoint];
    let flags = ["--as-fast-as-possible", "--json"];
    let replayed = folder.run(&[&replay[..], &flags, &PATIENT].concat());
    assert_eq!(replayed.succeeds().objects()[1]["ends_early"], "full");
}

#[test]
fn a_recording_that_ends_early_is_compared_as_far_as_it_goes() {
    let folder = Folder::new();
    let server = folder.echo(&["--listen", "nnrp+tcp://127.0.0.1:0"]);
    let to = ["record", "--to", &server.endpoint, "--out", "session.jsonl"];
    let plain = ["--listen", "nnrp+tcp://127.0.0.1:0", "--connections", "1"];
    let mut recorder = folder.server("record", &[&to[..], &plain].concat());
    bench(&folder, &mut recorder, "tcp", "10");
    let file = folder.path("session.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let (whole, end) = text.trim_end().rsplit_once('\n').unwrap();
    // The results came later then; now they come before the answer to CLOSE.
    let lines = whole.lines();
    let lines = lines.filter(|line| !line.contains("\"RESULT_PUSH\""));
    let early = lines.collect::<Vec<_>>().join("\n");
    let replay = |to: &Server| {
        let replay = ["replay", "session.jsonl", "--to", &to.endpoint];
        let flags = ["--as-fast-as-possible", "--json"];
        folder.run(&[&replay[..], &flags, &PATIENT].concat())
    };
    let warning = "warning: the recording ends early";
    for (last, ends_early) in [
        ("{\"event\":\"full\"}\n", "full"),
        (&end[..end.len() / 2], "cut"),
        ("", "cut"),
    ] {
        fs::write(&file, format!("{early}\n{last}")).unwrap();
        let done = replay(&server).succeeds();
        assert!(done.stderr.contains(warning), "{done:?}");
        let objects = done.objects();
        let [connection, replayed] = &objects[..] else {
            panic!("{objects:?}");
        };
        assert_eq!(connection["whole"], false, "{connection}");
        assert_eq!(connection["beyond"], 10, "{connection}");
        assert_eq!(connection["difference_count"], 0, "{connection}");
        assert_eq!(replayed["same"], true, "{replayed}");
        assert_eq!(replayed["ends_early"], ends_early, "{replayed}");
    }

    // With its end, they are differences.
    fs::write(&file, format!("{early}\n{end}\n")).unwrap();
    let done = replay(&server).fails(1, "not as recorded");
    assert!(!done.stderr.contains(warning), "{done:?}");
    assert_eq!(done.objects()[0]["difference_count"], 10, "{done:?}");
    assert_eq!(done.objects()[1]["ends_early"], Value::Null);

    // What is there is compared: this server takes no such frames.
    fs::write(&file, format!("{whole}\n")).unwrap();
    let other = ["serve", "--listen", "nnrp+tcp://127.0.0.1:0"];
    let other = folder.server("other", &[&other[..], &["--max-body-bytes", "64"]].concat());
    let done = replay(&other).fails(1, "not as recorded");
    assert!(done.stderr.contains(warning), "{done:?}");
}

#[test]
fn a_server_that_is_not_there_ends_the_connection() {
    let folder = Folder::new();
    let gone = folder.echo(&["--listen", "nnrp+tcp://127.0.0.1:0"]);
    let to = gone.endpoint.clone();
    drop(gone);
    let mut command = folder.nnrp(&["record", "--to", &to, "--out", "session.jsonl"]);
    command.args(["--listen", "nnrp+tcp://127.0.0.1:0", "--connections", "1"]);
    let mut recorder = Running::start(&mut command);
    let port = recorder.err.with("listening on");
    let port = port.rsplit_once(':').unwrap().1;
    let smoke = ["smoke", "client", "--transport", "tcp", "--port", port];
    folder.run(&[&smoke[..], &PATIENT].concat()).fails(1, "");
    assert!(recorder.wait().success());
    let lines = objects_of(&folder.path("session.jsonl"));
    assert!(
        lines[1]["how"].as_str().unwrap().contains("connection"),
        "{lines:?}"
    );
}

#[test]
fn a_recorder_that_is_stopped_writes_the_ends_of_its_connections() {
    let folder = Folder::new();
    let server = folder.echo(&["--listen", "nnrp+tcp://127.0.0.1:0", "--delay", "3600"]);
    let to = ["record", "--to", &server.endpoint, "--out", "session.jsonl"];
    let plain = ["--listen", "nnrp+tcp://127.0.0.1:0"];
    let mut recorder = folder.server("record", &[&to[..], &plain].concat());
    let bench = ["bench", &recorder.endpoint, "--frames", "1", "--json"];
    let mut client = Running::start(&mut folder.nnrp(&[&bench[..], &PATIENT].concat()));
    // What was said is on the disk after a second.
    let file = folder.path("session.jsonl");
    while !fs::read_to_string(&file).unwrap().contains("FRAME_SUBMIT") {
        std::thread::sleep(Duration::from_millis(20));
    }
    recorder.running.interrupt();
    assert!(recorder.running.wait().success());
    client.wait();
    let lines = objects_of(&file);
    let end = lines.last().unwrap();
    assert_eq!(end["event"], "end", "{lines:?}");
    assert_eq!(end["connection"], 1);
    assert_eq!(end["side"], Value::Null);
    assert_eq!(end["how"], "the recorder was stopped");

    // What this server answers came later then.
    let server = folder.echo(&["--listen", "nnrp+tcp://127.0.0.1:0"]);
    let replay = ["replay", "session.jsonl", "--to", &server.endpoint];
    let flags = ["--as-fast-as-possible", "--json"];
    let replayed = folder.run(&[&replay[..], &flags, &PATIENT].concat());
    assert_eq!(replayed.succeeds().objects()[1]["ends_early"], "cut");
}
