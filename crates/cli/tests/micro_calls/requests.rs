//! `request`.

use futures_util::StreamExt;
use nats_micro::HeaderMap;
use nodewire_testkit::NatsServer;
use serde_json::{Value, json};

use super::{Setup, answer};
use crate::micro_support::Home;

#[test]
fn payload_and_headers_go_out_and_the_body_comes_back() {
    let setup = Setup::new();
    let _service = setup.python_service();
    setup.run(&["request", "echo", "Grüße"]).is("Grüße\n");
    setup
        .run(&["request", "echo", "Grüße", "--raw"])
        .is("Grüße");
    setup.run(&["request", "echo", "-5"]).is("-5\n");
    setup
        .run(&["request", "--count", "3", "echo", "x"])
        .is("x\nx\nx\n");
    // The order of different names is not kept.
    for (header, seen) in [("X-A: 1:2", "('X-A', '1:2')"), ("X-B:", "('X-B', '')")] {
        let headers = setup.run(&["request", "demo.sub.hdrs", "-H", header]);
        headers.is(format!("[{seen}]\n"));
    }
    let two = [
        "request",
        "demo.sub.hdrs",
        "-H",
        "X-A: 1",
        "--header",
        "X-B: 2",
    ];
    let two = setup.run(&two);
    assert!(
        two.text().contains("X-A") && two.text().contains("X-B"),
        "{two:?}"
    );
    let shown = setup.run(&["request", "demo.sub.ok", "--show-headers"]);
    shown.is("created\n");
    assert!(shown.stderr.contains("X-B: 2\n"), "{shown:?}");
}

#[test]
fn requests_end_when_nobody_reads_the_replies() {
    let setup = Setup::new();
    let _service = setup.python_service();
    let mut request = setup.micro(&["request", "--count", "1000000000", "echo", "x"]);
    let ended = nodewire_testkit::status_without_reader(&mut request).unwrap();
    assert_eq!(ended, Some(0));
}

#[test]
fn standard_input_is_the_payload_and_bytes_stay_bytes() {
    let setup = Setup::new();
    let _service = setup.python_service();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    setup.run_with(&["request", "echo", "-"], &bytes).is(&bytes);
    setup
        .run_with(&["request", "echo", "-", "--raw"], &bytes)
        .is(&bytes);
    setup
        .run_with(&["request", "echo", "-"], b"text\n")
        .is("text\n\n");
    let json = setup
        .run_with(&["request", "echo", "-", "--json"], b"\xff\x00a")
        .json();
    assert_eq!(json["data_base64"], "/wBh");
    assert_eq!(json["data"], Value::Null);
}

#[test]
fn an_endpoint_is_called_by_its_name() {
    let setup = Setup::new();
    let _service = setup.python_service();
    let by_name = |endpoint: &str, payload: &[&str]| {
        let call = [
            "request",
            "--service",
            "demo-service",
            "--endpoint",
            endpoint,
        ];
        setup.run(&[&call[..], payload].concat())
    };
    by_name("ok", &[]).is("created\n");
    by_name("hdrs", &["ignored", "-H", "X-A:1"]).is("[('X-A', '1')]\n");
    by_name("echo", &[]).fails(1, "several endpoints \"echo\"");
    by_name("wild", &[]).fails(1, "\"w.*.x.>\"");
    by_name("none", &[]).fails(1, "has no endpoint \"none\"");
    by_name("ok", &["echo", "x"]).fails(2, "not both");
    let unknown = ["request", "--service", "nobody", "--endpoint", "ok"];
    setup.run(&unknown).fails(1, "\"nobody\" does not answer");
}

#[test]
fn replies_as_json_have_headers_data_and_error() {
    let setup = Setup::new();
    let _service = setup.python_service();
    let ok = setup.run(&["request", "demo.sub.ok", "--json"]);
    ok.is(concat!(
        r#"{"subject":"demo.sub.ok","headers":{"Nats-Service-Success-Code":["201"],"X-B":["2"]},"data":"created"}"#,
        "\n"
    ));
    let error = setup.run(&["request", "demo.sub.err", "--json"]);
    assert_eq!(error.code, Some(1));
    assert!(error.stderr.contains("404: not found"), "{error:?}");
    let object: Value = serde_json::from_str(error.text()).unwrap();
    assert_eq!(
        object["error"],
        json!({"code": 404, "description": "not found"})
    );
    assert_eq!(object["data"], "{\"k\":1}");
    assert_eq!(object["headers"]["X-A"], json!(["1"]));
}

#[test]
fn a_code_that_is_no_number_and_values_under_one_name_are_kept() {
    let setup = Setup::new();
    let client = setup.client();
    // Our own services send no such code: a plain subscriber does.
    let subscribing = client.subscribe("odd");
    let mut requests = setup.home.runtime.block_on(subscribing).unwrap();
    setup.home.runtime.block_on(client.flush()).unwrap();
    setup.home.runtime.spawn(async move {
        let mut headers = HeaderMap::new();
        headers.append("X-A", "1");
        headers.append("X-A", "2");
        headers.insert("Nats-Service-Error-Code", "E17");
        let reply_to = requests.next().await.unwrap().reply.unwrap();
        let sent = client.publish_with_headers(reply_to, headers, "".into());
        sent.await.unwrap();
        client.flush().await.unwrap();
    });
    let printed = setup.run(&["request", "odd", "--json"]);
    assert_eq!(printed.code, Some(1), "{printed:?}");
    let object: Value = serde_json::from_str(printed.text()).unwrap();
    assert_eq!(object["error"]["code"], "E17");
    assert_eq!(object["headers"]["X-A"], json!(["1", "2"]));
}

#[test]
fn many_replies_are_taken_as_they_come() {
    let setup = Setup::new();
    let _service = setup.python_service();
    let twice = |more: &[&str]| setup.run(&[&["request", "demo.sub.twice"], more].concat());
    twice(&[]).is("1\n");
    twice(&["--replies", "2"]).is("1\n2\n");
    twice(&["--replies", "0", "-t", "3"]).is("1\n2\n");
    let json = twice(&["--replies", "2", "--json"]);
    let second: Value = serde_json::from_str(json.lines()[1]).unwrap();
    assert_eq!(second["data"], "2");
    let few = twice(&["--replies", "3", "-t", "3"]);
    assert_eq!((few.code, few.text()), (Some(1), "1\n2\n"));
    assert!(few.stderr.contains("only 2 of 3"), "{few:?}");
    let silent = ["request", "demo.sub.silent", "--replies", "0", "-t", "0.2"];
    setup
        .run(&silent)
        .fails(1, "no reply from \"demo.sub.silent\" in time");
    let many = |subject: &str| setup.run(&["request", subject, "--replies", "0", "-t", "3"]);
    many("demo.nothing").fails(1, "no service listens on \"demo.nothing\"");
    let error = many("demo.sub.err");
    assert_eq!((error.code, error.text()), (Some(1), "{\"k\":1}\n"));
    assert!(
        error.stderr.contains("404: not found") && error.stderr.contains("1 of 1 replies"),
        "{error:?}"
    );
}

#[test]
fn how_long_to_wait_comes_from_the_flag_or_the_environment() {
    let setup = Setup::new();
    let _service = setup.python_service();
    let silent = ["request", "demo.sub.silent"];
    let after = answer(setup.micro(&silent).env("NATS_TIMEOUT", "20ms"));
    after.fails(1, "within 20ms");
    let after = answer(
        setup
            .micro(&silent)
            .args(["-t", "0.03"])
            .env("NATS_TIMEOUT", "20ms"),
    );
    after.fails(1, "within 30ms");
    setup.run(&["request", "demo.sub.slow"]).is("slow\n");
}

#[test]
fn what_cannot_be_sent_is_explained() {
    let setup = Setup::new();
    for (arguments, hint) in [
        (&["request"][..], "give a subject"),
        (&["request", "a b"], "white space"),
        (&["request", "a.*"], "stand for other tokens"),
        (&["request", "a", "b", "c"], "unexpected"),
        (&["request", "a", "-H", "no-colon"], "NAME:VALUE"),
        (
            &["request", "a", "-H", "X A: 1"],
            "\"X A\" is no header name",
        ),
        (&["request", "a", "-H", "X-A: 1\r\nX-B: 2"], "no line ends"),
        (&["request", "a", "-t", "soon"], "no number of seconds"),
        (&["request", "a", "-t=-1"], "negative"),
        (&["request", "a", "--count", "0"], "0 is not in"),
        (&["request", "--endpoint", "ok"], "--service"),
        (&["request", "a", "--raw", "--json"], "cannot be used with"),
        (&["ping", "a", "b", "c"], "unexpected"),
        (&["ping", "a b"], "white space"),
        (&["stats", "-c", "0"], "0 is not in"),
        (&["info", "-i", "x"], "no number of seconds"),
    ] {
        setup.run(arguments).fails(2, hint);
    }
    let bad = answer(setup.micro(&["request", "a"]).env("NATS_TIMEOUT", "soon"));
    bad.fails(2, "NATS_TIMEOUT");
}

#[test]
fn what_is_too_large_is_not_sent() {
    let home = Home::new();
    let broker = home.broker(NatsServer::options().max_payload_bytes(1000));
    let setup = Setup { broker, home };
    let payload = "x".repeat(1001);
    setup.run(&["request", "a", &payload]).fails(
        1,
        "1001 bytes with its headers, the broker takes at most 1000",
    );
    let input = setup.run_with(&["request", "a", "-"], &vec![b'x'; 100_000]);
    input.fails(1, "standard input has more than the 1000 bytes");
}

#[test]
fn without_a_server_commands_fail_at_once() {
    let home = Home::new();
    // No port that the system chooses for another test.
    let url = "nats://127.0.0.1:1";
    for arguments in [
        &["request", "a"][..],
        &["ping"],
        &["info"],
        &["stats"],
        &["ls"],
    ] {
        let failed = answer(home.micro().args(arguments).args(["-s", url]));
        failed.fails(1, &format!("cannot connect to {url}"));
    }
}
