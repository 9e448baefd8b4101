//! `nodewire device call`.

use std::io::Write;
use std::net::TcpListener;

use nodewire_testkit::AutotrainerVersion;
use serde_json::{Value, json};

use crate::support::{App, Done, Home, NOBODY, Running, to_python};

#[test]
fn answers_are_data_and_exit_status() {
    let home = Home::new();
    let answers = r#"{
        "EMERGENCY_STOP": {"result": "FAILED", "error_code": 42, "error_message": "Motor\u001b[2J not ready"},
        "custom 7": {"data": {"some_key": "A b", "number": 1}}
    }"#;
    let answers = home.file("answers.json", answers);
    let app = App::start(&home, &["--answers", answers.to_str().unwrap()]);
    let status = app.call(&home, &["status"]).succeeds();
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["trainingMode"], 100);
    let configuration = app.call(&home, &["GET_CONF"]).succeeds();
    let configuration: Value = serde_json::from_str(&configuration.stdout).unwrap();
    assert!(configuration["inferenceModel"].is_string());
    // The data with keys as on the wire, in their order.
    let custom = app.call(&home, &["--custom", "7"]).succeeds();
    assert_eq!(
        custom.stdout,
        "{\n  \"someKey\": \"A b\",\n  \"number\": 1\n}\n"
    );

    let data = r#"{"enabled": true}"#;
    let set = app
        .call(&home, &["set-live", data, "--json"])
        .succeeds()
        .objects();
    assert_eq!(set[0]["command"], "SET_LIVE_ANALYSIS_ENABLED");
    assert_eq!(set[0]["data"], json!({"enabled": true}));
    let request = app
        .running
        .out
        .object("request", |request| request["rawCommand"] == 1000);
    assert_eq!(request["data"], json!({"enabled": true}));

    let failed = app.call(&home, &["EMERGENCY_STOP"]);
    let failed = failed.fails(1, "FAILED, error 42: Motor\u{fffd}[2J not ready");
    assert_eq!(failed.stdout, "");
    let failed = app
        .call(&home, &["200", "--json"])
        .fails(1, "FAILED")
        .objects();
    assert_eq!(
        (&failed[0]["errorCode"], &failed[0]["positive"]),
        (&json!(42), &json!(false))
    );
    app.call(&home, &["none"]).succeeds();
    for (number, data) in [(77, "[5]"), (-77, "-5")] {
        app.call(&home, &["--number", &number.to_string(), data])
            .succeeds();
        let request = app
            .running
            .out
            .object("request", |request| request["rawCommand"] == number);
        assert_eq!(request["data"].to_string(), data);
    }
}

#[test]
fn data_comes_from_files_and_standard_input() {
    let home = Home::new();
    let app = App::start(&home, &[]);
    let seen = |name: &str| {
        let request = app.running.out.object("request", |_| true);
        request["data"][name].clone()
    };
    home.file("data.json", r#"{"someKey": "from a file"}"#);
    app.call(&home, &["--custom", "1", "--data", "@data.json"])
        .succeeds();
    assert_eq!(seen("some_key"), "from a file");
    let mut call = app.to(
        &home,
        &["call", "--custom", "1", "--verbatim", "--data", "-"],
    );
    Done::of(&mut call, r#"{"someKey": "piped"}"#).succeeds();
    assert_eq!(seen("someKey"), "piped");
}

#[test]
fn wrong_usage_is_2() {
    let home = Home::new();
    for (arguments, told) in [
        (&["call"][..], "required"),
        (&["call", "fly"], "unknown command"),
        (&["call", "get"], "ambiguous"),
        (&["call", "7"], "; --number 7 sends it all the same"),
        (&["call", "status", "{"], "no JSON"),
        (
            &["call", "status", "1", "--data", "2"],
            "more than one data",
        ),
        (&["call", "--custom", "1", "2", "3"], "more than one data"),
        (&["call", "status", "NaN"], "NaN"),
        (
            &["call", "status", "--data", "@missing.json"],
            "missing.json",
        ),
        (
            &["call", "GET_ANIMALS", "--level", "0.9.11"],
            "no command GET_ANIMALS",
        ),
        (&["call", "status", "--level", "newest"], "three numbers"),
        (
            &["call", "status", "--commands", "carrier://pigeon"],
            "tcp://host:port",
        ),
        (&["listen", "--kind", "flies"], "flies"),
        // A negative number is one, and no flag: the word after it is what is wrong.
        (&["call", "-5"], "no command has the number -5"),
        (&["listen", "--kind", "-5", "--kind", "flies"], "flies"),
        (&["replay", "--kind", "-5", "--kind", "flies"], "flies"),
        (
            &["bridge", "--device", "x", "--allow", "-5", "--allow", "fly"],
            "no command is called \"fly\"",
        ),
        (
            &["bridge", "--device", "x", "--allow=-5", "--allow", "fly"],
            "no command is called \"fly\"",
        ),
        (&["listen", "--topic", "news"], "no topic"),
    ] {
        home.run(arguments).fails(2, told);
    }
}

#[test]
fn without_an_answer_it_is_3() {
    let home = Home::new();
    let call = ["call", "status", "--timeout", "0.3", "--command-port"];
    home.run(&[&call[..], &[NOBODY]].concat())
        .fails(3, "cannot be reached");

    // Somebody else's port.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(&b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(10));
        }
    });
    home.run(&[&call[..], &[&port]].concat())
        .fails(3, "cannot be reached");
}

#[test]
fn an_answer_that_is_none_is_3() {
    let home = Home::new();
    let version = AutotrainerVersion::V0_12_0;
    let starting = nodewire_testkit::AutotrainerClient::start(version);
    let mut peer = home.runtime.block_on(starting).unwrap();
    let endpoint = home.runtime.block_on(peer.bind("garbage", "REP")).unwrap();
    let answering = std::thread::spawn({
        let endpoint = endpoint.clone();
        let mut call = home.device(&["call", "status", "--timeout", "60", "--commands", &endpoint]);
        move || Done::of(&mut call, "")
    });
    home.runtime.block_on(async {
        peer.receive("garbage", 1).await.unwrap();
        peer.send("garbage", &[b"\xff no JSON"]).await.unwrap();
    });
    answering.join().unwrap().fails(3, "cannot be read");
}

#[test]
fn late_results_are_waited_for() {
    let home = Home::new();
    let answers = json!({
        "start": {"after_ms": 50, "data": {"moved": 3}},
        "stop": {"after_ms": 50, "result": "FAILED", "error_message": "stuck"},
        "EMERGENCY_STOP": {"after_ms": 3_600_000},
    });
    let answers = home.file("answers.json", &answers.to_string());
    let app = App::start(&home, &["--answers", answers.to_str().unwrap()]);
    let call = |arguments: &[&str]| {
        app.call(
            &home,
            &[arguments, &["--level", "0.12.0", "--json"]].concat(),
        )
    };
    let both = call(&["start"]).succeeds().objects();
    assert_eq!(both[0]["result"], "PENDING_WITH_NOTIFICATION");
    assert_eq!(
        (&both[1]["type"], &both[1]["data"]),
        (&json!("result"), &json!({"moved": 3}))
    );
    assert_eq!(both[0]["nonce"], both[1]["nonce"]);
    assert_eq!(call(&["start", "--no-wait"]).succeeds().objects().len(), 1);
    call(&["stop"]).fails(1, "FAILED: stuck");
    for (time, told) in [
        ("0.05", "within 0.05 s; it may still"),
        ("1e-12", "within 0 s; "),
    ] {
        call(&["EMERGENCY_STOP", "--result-timeout", time]).fails(3, told);
    }
}

#[test]
fn a_signal_ends_a_call_that_waits() {
    let home = Home::new();
    let answers = home.file(
        "answers.json",
        r#"{"EMERGENCY_STOP": {"after_ms": 3600000}}"#,
    );
    let app = App::start(&home, &["--answers", answers.to_str().unwrap()]);
    let call = [
        "call",
        "EMERGENCY_STOP",
        "--json",
        "--result-timeout",
        "3600",
    ];
    for signal in ["-INT", "-TERM"] {
        let call = Running::start(&mut app.to(&home, &call));
        call.out.object("answer", |_| true);
        assert_eq!(call.stop(signal).code(), Some(130));
    }
}

#[test]
fn shells_complete_it() {
    let home = Home::new();
    let shells = Done::of(
        &mut home.command(env!("CARGO_BIN_EXE_nodewire"), "completions", &["bash"]),
        "",
    );
    let shells = shells.succeeds();
    for command in [
        "app", "console", "call", "listen", "replay", "watch", "keys",
    ] {
        let command = format!("nodewire__subcmd__device__subcmd__{command})");
        assert!(shells.stdout.contains(&command), "{command}");
    }
}

#[test]
fn shell_commands_answer_within_their_bounds() {
    let home = Home::new();
    let answers = json!({
        "custom 1": {"exec": "read data; echo \"{\\\"was\\\": $data, \\\"by\\\": \\\"$DEVICE_REQUEST_COMMAND\\\"}\""},
        "custom 2": {"exec": "echo 'a text'"},
        "custom 3": {"exec": "echo half done; echo the door is open >&2; exit 5"},
        "custom 4": {"exec": "sleep 1000 & echo $! > child; wait", "timeout_s": 3},
        "custom 5": {"exec": "yes"},
    });
    let answers = home.file("answers.json", &answers.to_string());
    let arguments = [
        "--answers",
        answers.to_str().unwrap(),
        "--exec-max-output",
        "1000",
    ];
    let app = App::start(&home, &arguments);
    let data = |number: &str| {
        let call = app
            .call(&home, &["--custom", number, "--data", "[1]"])
            .succeeds();
        serde_json::from_str::<Value>(&call.stdout).unwrap()
    };
    assert_eq!(data("1"), json!({"was": [1], "by": "USER_DEFINED"}));
    assert_eq!(data("2"), "a text");
    app.call(&home, &["--custom", "3"])
        .fails(1, "FAILED, error 5: the door is open");
    app.call(&home, &["--custom", "4"])
        .fails(1, "longer than 3 s");
    app.call(&home, &["--custom", "5"])
        .fails(1, "more than 1000 bytes");
    let child = std::fs::read_to_string(home.path().join("child")).unwrap();
    let process = format!("/proc/{}/stat", child.trim());
    // Killed, with what it started; whoever inherits it may not have taken note yet.
    while std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::yield_now();
    }
}

#[test]
fn devices_of_both_releases_are_commanded() {
    for version in AutotrainerVersion::ALL {
        let home = Home::new();
        let mut service = home.python(version, 0.1);
        for word in ["start", "stop"] {
            let mut call = to_python(
                &home,
                &service,
                &["call", word, "--json", "--level-wait", "60"],
            );
            let answer = Done::of(&mut call, "").succeeds().objects().remove(0);
            let is_old = version == AutotrainerVersion::V0_9_11;
            let number = match (word, is_old) {
                ("start", true) => 100,
                ("start", false) => 50,
                (_, true) => 110,
                (_, false) => 55,
            };
            assert_eq!(answer["commandNumber"], number);
            assert_eq!(answer["lossy"], is_old);
        }
        let seen = home.runtime.block_on(service.seen(2)).unwrap();
        assert_eq!(seen[0]["command"], "START_ACQUISITION");
        assert_eq!(seen[1]["command"], "STOP_ACQUISITION");
        let later = ["call", "EMERGENCY_STOP", r#"{"mode": "exc"}"#];
        Done::of(&mut to_python(&home, &service, &later), "").fails(1, "EXCEPTION");
        Done::of(&mut to_python(&home, &service, &["call", "none"]), "").succeeds();
        home.runtime.block_on(service.stop()).unwrap();
    }
}

#[test]
fn the_level_is_as_given_or_the_newest_without_a_heartbeat() {
    let home = Home::new();
    // No heartbeat in all that time.
    let mut service = home.python(AutotrainerVersion::V0_9_11, 3600.0);
    let mut call = |arguments: &[&str]| {
        let arguments = [&["call", "start"], arguments].concat();
        let done = Done::of(&mut to_python(&home, &service, &arguments), "").succeeds();
        let seen = home.runtime.block_on(service.seen(1)).unwrap().remove(0);
        (done, seen["command"].as_str().unwrap().to_owned())
    };
    let (_, seen) = call(&["--level", "0.9.11"]);
    assert_eq!(seen, "START_ACQUISITION");
    let (done, seen) = call(&["--level-wait", "0.05"]);
    assert_eq!(seen, "USER_DEFINED");
    assert!(done.stderr.contains("no heartbeat"), "{done:?}");
}
