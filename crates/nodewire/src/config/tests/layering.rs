//! Who wins.

use std::time::Duration;

use super::Start;
use crate::http::{HttpConfig, HttpToken};
use crate::nats::{NatsConfig, NatsConnection};
use crate::nnrp::NnrpConfig;
use crate::server::Parts;

const OPEN: &str = "[http]\nopen = true\nlisten = \"127.0.0.1:1\"\nparts_max = 7";

#[test]
fn code_then_file_then_environment_then_flags() {
    let mut code = HttpConfig::new().address("127.0.0.1:9".parse().unwrap());
    code.connections_max = 5;
    let in_code = || {
        let mut parts = Parts::default();
        parts.wires.http = Some(code.clone());
        parts
    };
    let http = |start: Start| start.apply_to(in_code()).unwrap().wires.http.unwrap();

    assert_eq!(http(Start::default()).address.port(), 9);
    let file = http(Start::file(OPEN));
    assert_eq!((file.address.port(), file.parts_max), (1, 7));
    // What nobody else says stays.
    assert_eq!(file.connections_max, 5);
    let variable = || Start::file(OPEN).variable("NODEWIRE_HTTP_LISTEN", "127.0.0.1:2");
    assert_eq!(http(variable()).address.port(), 2);
    assert_eq!(http(variable()).parts_max, 7);
    for flags in [
        &["--http-listen", "127.0.0.1:3"][..],
        &["--http-listen=127.0.0.1:3"][..],
    ] {
        assert_eq!(http(variable().flags(flags)).address.port(), 3);
    }
    // Empty variables count as unset.
    let empty = Start::file(OPEN).variable("NODEWIRE_HTTP_LISTEN", "");
    assert_eq!(http(empty).address.port(), 1);
}

#[test]
fn a_wire_is_served_where_its_table_is_there_or_a_flag_names_it() {
    let is_served = |start: Start| start.apply().wires.http.is_some();
    assert!(is_served(Start::file(OPEN)));
    assert!(!is_served(Start::file(
        "[server]\nname = \"a\"\n[nanograph]"
    )));
    assert!(is_served(
        Start::default().flags(&["--http-open", "--nanograph-enabled"])
    ));
    // Variables are inherited by whatever is started, so they alone switch nothing on.
    let variable = || Start::file("[nanograph]").variable("NODEWIRE_HTTP_OPEN", "true");
    assert!(!is_served(variable()));
    assert!(is_served(
        variable().variable("NODEWIRE_HTTP_ENABLED", "true")
    ));

    const OFF: &str = "[nanograph]\n[http]\nenabled = false\nopen = true";
    assert!(!is_served(Start::file(OFF)));
    assert!(is_served(
        Start::file(OFF).variable("NODEWIRE_HTTP_ENABLED", "true")
    ));
    assert!(is_served(
        Start::file(OFF).flags(&["--http-parts-max", "3"])
    ));
    let flags = ["--http-parts-max=3", "--http-enabled=false"];
    assert!(!is_served(Start::file(OFF).flags(&flags)));
    // A switch has its value where one follows.
    let off = ["--http-enabled", "false", "--http-parts-max", "3"];
    assert!(!is_served(Start::file(OFF).flags(&off)));
    let on = ["--http-enabled", "true", "--http-parts-max", "3"];
    assert!(is_served(Start::file(OFF).flags(&on)));
    let off = Start::file("[nanograph]\n[http]\nopen=true");
    assert!(!is_served(off.variable("NODEWIRE_HTTP_ENABLED", "false")));
}

#[test]
fn without_a_file_nanoserver_json_counts_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Start::default().folder(folder.path());
    // As before there were files: it is missing, and that is the error.
    let error = start().apply_to(Parts::default()).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read") && error.contains("nanoserver.json"),
        "{error}"
    );

    let json = r#"{"serverUid": "u", "serverPackageId": "p", "port": 4001, "domain": "d.local"}"#;
    std::fs::write(folder.path().join("nanoserver.json"), json).unwrap();
    let nanograph = |start: Start| start.apply().wires.nanograph.unwrap();
    let config = nanograph(start());
    assert_eq!(
        (config.server.server_uid.as_str(), config.server.port),
        ("u", 4001)
    );
    assert_eq!(
        nanograph(start().variable("PORT", "4002")).server.port,
        4002
    );
    assert!(config.assets.is_none());
    let assets = start()
        .variable("NANOCORE_HTTP_ENDPOINT", "http://127.0.0.1:1")
        .variable("NANOCORE_TOKEN", "secret");
    assert!(nanograph(assets).assets.is_some());
    // A flag adds to it; a file says what there is.
    let both = start().flags(&["--http-open"]).apply().wires;
    assert!(both.http.is_some() && both.nanograph.is_some());
    let mut with_file = start();
    with_file.file = OPEN;
    assert!(with_file.apply().wires.nanograph.is_none());
}

#[test]
fn the_protocol_s_variables_stand_between_the_file_and_our_own() {
    const FILE: &str = "[nanograph]\nlisten = \"127.0.0.1:5001\"\nserver_uid = \"of-file\"";
    let server = |start: Start| start.apply().wires.nanograph.unwrap().server;
    // No nanoserver.json is needed.
    let file = server(Start::file(FILE));
    assert_eq!((file.server_uid.as_str(), file.port), ("of-file", 5001));
    assert_eq!(file.server_package_id, "my-program");
    assert_eq!(file.server_display_name, "my program");
    let protocol = || {
        Start::file(FILE)
            .variable("PORT", "5002")
            .variable("SERVER_UID", "of-protocol")
    };
    let with_protocol = server(protocol());
    assert_eq!(
        (with_protocol.server_uid.as_str(), with_protocol.port),
        ("of-protocol", 5002)
    );
    let own = server(
        protocol()
            .variable("NODEWIRE_NANOGRAPH_LISTEN", "127.0.0.1:5003")
            .flags(&["--nanograph-server-uid", "of-flag"]),
    );
    assert_eq!((own.server_uid.as_str(), own.port), ("of-flag", 5003));
    // An empty PORT is refused, as ever.
    let refused = Start::file(FILE)
        .variable("PORT", "")
        .apply_to(Parts::default());
    assert!(refused.unwrap_err().to_string().contains("PORT"));
}

#[test]
fn what_is_for_all_wires_is_set() {
    const FILE: &str = "[server]\nname = \"greeter\"\nversion = \"1.2.3\"\ndrain_ms = 10\n\
        [executor]\nin_flight_max = 9\nconcurrency = 2\nqueue = 0\ngrace_ms = 30\nasset_bytes_max = 5\n\
        asset_bytes_held_max = 6\nasset_fetches_max = 7\n[nats]\n[autotrainer]";
    let start = Start::file(FILE)
        .variable("NODEWIRE_EXECUTOR_ASSET_BYTES_HELD_MAX", "60")
        .flags(&["--executor-asset-timeout-ms", "8"]);
    let parts = start.apply();
    assert_eq!(parts.drain, Some(Duration::from_millis(10)));
    let executor = parts.executor;
    assert_eq!((executor.in_flight_max, executor.concurrency), (9, 2));
    assert_eq!(
        (executor.queue, executor.grace),
        (0, Duration::from_millis(30))
    );
    assert_eq!(
        (
            executor.asset_bytes_max,
            executor.asset_bytes_held_max,
            executor.asset_fetches_max,
            executor.asset_timeout
        ),
        (5, 60, 7, Duration::from_millis(8))
    );
    let nats = parts.wires.nats.unwrap();
    assert_eq!(
        (nats.service.as_str(), nats.version.as_str()),
        ("greeter", "1.2.3")
    );
    assert_eq!(parts.wires.autotrainer.unwrap().identifier, "greeter");
}

#[test]
fn autotrainer_has_lists_and_numbers_from_everywhere() {
    const FILE: &str = "[autotrainer]\nlisten = [\"127.0.0.1\", \"::1\"]\nquick_nodes = [\"a\"]\n\
        [autotrainer.commands]\ngreet = 1001";
    let config = |start: Start| start.apply().wires.autotrainer.unwrap();
    let file = config(Start::file(FILE));
    assert_eq!(file.listen.len(), 2);
    assert_eq!(file.commands["greet"], 1001);
    let flags = [
        "--autotrainer-commands=a=1, b=2",
        "--autotrainer-quick-nodes",
        "x,y",
    ];
    let flags = config(Start::file(FILE).flags(&flags));
    assert_eq!((flags.commands["b"], flags.commands.len()), (2, 2));
    assert!(flags.quick_nodes.contains("y") && !flags.quick_nodes.contains("a"));
}

#[test]
fn the_last_place_says_which_token_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "of-file\n").unwrap();
    let path: &'static str = path.to_str().unwrap().to_owned().leak();
    let file = format!("[http]\ntoken_file = {path:?}").leak();
    let token = |start: Start| {
        let config = start.apply().wires.http.unwrap();
        config.access.token().map(|token| token.reveal().to_owned())
    };
    let of = |text: &str| Some(text.to_owned());
    assert_eq!(token(Start::file(file)), of("of-file"));
    let variable = || Start::file(file).variable("NODEWIRE_HTTP_TOKEN", "of-variable");
    assert_eq!(token(variable()), of("of-variable"));
    let named = variable()
        .variable("OTHER", "of-other")
        .flags(&["--http-token-env", "OTHER"]);
    assert_eq!(token(named), of("of-other"));
    assert_eq!(token(variable().flags(&["--http-open"])), None);
    assert_eq!(
        token(variable().flags(&["--http-open=false"])),
        of("of-variable")
    );

    let mut parts = Parts::default();
    parts.wires.http = Some(HttpConfig::new().access(HttpToken::new("of-code")));
    let kept = Start::file("[http]\nparts_max = 3")
        .apply_to(parts)
        .unwrap();
    assert_eq!(
        kept.wires.http.unwrap().access.token().unwrap().reveal(),
        "of-code"
    );
}

#[test]
fn a_connection_of_the_code_stays_unless_something_of_it_is_given() {
    let parts = |start: Start| {
        let mut parts = Parts::default();
        parts.wires.nats = Some(NatsConfig::new("s", "1.0.0", "nats://code:1"));
        start.apply_to(parts).unwrap().wires.nats.unwrap()
    };
    let url = |config: &NatsConfig| match &config.connection {
        NatsConnection::Url { url, options } => (url.clone(), options.is_some()),
        NatsConnection::Client(_) => panic!("it is an address"),
    };
    let kept = parts(Start::file("[nats]\ngroup = \"g\""));
    assert_eq!(url(&kept), ("nats://code:1".to_owned(), false));
    assert_eq!(kept.group.as_deref(), Some("g"));
    let token = parts(Start::default().variable("NODEWIRE_NATS_TOKEN", "t"));
    assert_eq!(url(&token), ("nats://code:1".to_owned(), true));
    let flag = parts(Start::default().flags(&["--nats-url", "nats://flag:2"]));
    assert_eq!(url(&flag), ("nats://flag:2".to_owned(), true));
}

#[test]
fn nnrp_has_a_certificate_of_its_own_or_a_given_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("nnrp.pem");
    let file = format!("[nnrp]\ntls_cert_out_file = {out:?}").leak();
    let config = |start: Start| start.apply().wires.nnrp.unwrap();
    let own = config(Start::file(file));
    assert!(own.listener.quic && own.listener.tls.is_some());
    assert!(own.listener.address.ip().is_loopback());
    let pem = std::fs::read_to_string(&out).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(!pem.contains("PRIVATE"));

    let plain = config(Start::file(
        "[nnrp]\nsecurity = \"plain\"\nconnections_max = 3\nsessions_max = 4",
    ));
    assert!(!plain.listener.quic && plain.listener.tls.is_none());
    assert_eq!(
        (plain.listener.connections_max, plain.server.sessions_max),
        (3, 4)
    );

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let file = format!("[nnrp]\ntls_cert_file = {cert:?}\ntls_key_file = {key:?}").leak();
    assert!(config(Start::file(file)).listener.tls.is_some());

    let mut parts = Parts::default();
    parts.wires.nnrp = Some(NnrpConfig::insecure_loopback(1));
    let moved = Start::default().flags(&["--nnrp-listen", "127.0.0.1:2"]);
    let moved = moved.apply_to(parts).unwrap().wires.nnrp.unwrap().listener;
    assert_eq!(moved.address.port(), 2);
    assert!(moved.tls.is_none(), "as the code says");
}

#[test]
fn mcp_has_a_table_of_its_own() {
    const FILE: &str = "\
[server]
name = \"greeter\"
version = \"1.2.3\"
[http]
open = true
[mcp]
beside_http = true
origins = [\"https://good.example\"]
in_flight_max = 7
idle_timeout_ms = 1000
timeout_max_ms = 2000
";
    let start = Start::file(FILE).variable("NODEWIRE_MCP_TOKEN", "secret");
    let parts = start.flags(&["--mcp-sessions-max", "3"]).apply();
    let (wires, identity) = (parts.wires, parts.identity);
    let config = wires.mcp.unwrap();
    assert_eq!(config.address, None);
    assert_eq!(config.access.token().unwrap().reveal(), "secret");
    assert_eq!(config.origins, ["https://good.example"]);
    assert_eq!(
        (config.sessions_max, config.idle_timeout.as_millis()),
        (3, 1000)
    );
    let mut options = wires.mcp_options;
    identity.announce(&mut options);
    assert_eq!((&*options.name, &*options.version), ("greeter", "1.2.3"));
    assert_eq!(options.in_flight_max, 7);
    assert_eq!(options.timeout_max.unwrap().as_millis(), 2000);

    let missing = Start::file("[mcp]\n").problems();
    assert!(missing[0].contains("NODEWIRE_MCP_TOKEN"), "{missing:?}");
    assert!(
        Start::file("[http]\nopen = true\n")
            .apply()
            .wires
            .mcp
            .is_none()
    );
}
