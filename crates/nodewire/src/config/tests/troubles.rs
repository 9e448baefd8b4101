//! What is wrong is told: all of it, with its place, without secrets.

use super::Start;
use crate::config::NodewireConfig;

#[test]
fn all_problems_are_told_at_once_each_with_its_place() {
    const FILE: &str = "\
[http]
lisen = \"127.0.0.1:1\"
open = \"yes\"
body_bytes_max = 0

[htpp]

[nats]
url = 5
requests_max = 2000000

[executor]
queue = -1
";
    let start = Start::file(FILE)
        .variable("NODEWIRE_SERVER_DRAIN_MS", "soon")
        .flags(&[
            "--nnrp-lisen",
            "127.0.0.1:1",
            "stray",
            "--log-format=xml",
            "--http-open",
            "maybe",
            "--server-name",
        ]);
    assert_eq!(
        start.problems(),
        [
            "conf/nodewire.toml:2:1: [http] has no key \"lisen\"; did you mean listen?",
            "conf/nodewire.toml:3:8: [http] open must be true or false",
            "conf/nodewire.toml:4:18: [http] body_bytes_max must be a whole number from 1 to 1099511627776",
            "conf/nodewire.toml:6:2: there is no table \"htpp\"; did you mean [http]?",
            "conf/nodewire.toml:9:7: [nats] url must be an address such as nats://127.0.0.1:4222, or several",
            "conf/nodewire.toml:10:16: [nats] requests_max must be a whole number from 1 to 1000000",
            "conf/nodewire.toml:13:9: [executor] queue must be a whole number from 0 to 1000000",
            "environment variable NODEWIRE_SERVER_DRAIN_MS: [server] drain_ms must be a whole number from 0 to 86400000",
            "--http-open: [http] open must be true or false",
            "--log-format: [log] format must be one of text, json",
            "--nnrp-lisen: is no flag of this program; did you mean --nnrp-listen?",
            "--server-name: needs a text that is not empty",
            "argument 3: this program takes flags only; --help shows them",
        ]
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let problems = Start::file("[server]\nname = \n[http\n").problems();
    assert!(
        problems[0].starts_with("conf/nodewire.toml:2:"),
        "{problems:?}"
    );
    let twice = Start::file("[server]\nname = \"a\"\nname = \"b\"\n").problems();
    assert!(
        twice[0].starts_with("conf/nodewire.toml:3:1: duplicate key"),
        "{twice:?}"
    );
    // Spans count bytes, columns characters.
    let wide = Start::file("[server]\nname = \"é\" x").problems();
    assert!(wide[0].starts_with("conf/nodewire.toml:2:12"), "{wide:?}");
}

#[test]
fn others_tables_are_left_alone() {
    let config = NodewireConfig::parse("[catalogue]\nanything = [1, {a = 2}]\n", "x.toml");
    assert!(config.unwrap().layers.in_file.is_empty());
}

#[test]
fn a_value_in_the_wrong_shape_is_told() {
    for (file, part) in [
        ("http = 5", "http must be a table: [http]"),
        ("name = \"a\"", "there is no table \"name\""),
        ("[server]\nname = \"\"", "a text that is not empty"),
        ("[server]\ndrain_ms = 1.5", "a whole number"),
        (
            "[http]\nopen=true\nlisten = \"localhost:1\"",
            "an IP address and a port",
        ),
        (
            "[nanograph]\ndomain = \"a b\"",
            "[nanograph] domain must be a name",
        ),
        ("[autotrainer]\nlisten = []", "IP addresses, at least one"),
        (
            "[autotrainer]\nquick_nodes = [1]",
            "texts, none of them empty",
        ),
        (
            "[autotrainer]\ncommands = {a = \"1\"}",
            "names with whole numbers",
        ),
        (
            "[nnrp]\nsecurity = \"none\"",
            "one of tls, self-signed, plain, plain-and-quic",
        ),
        ("[nnrp]\nsecurity = \"tls\"", "tls_cert_file is missing"),
        ("[nnrp]\ntls_cert_file = \"c\"", "tls_key_file is missing"),
        (
            "[nnrp]\ntls_cert_file = \"c\"\ntls_key_file = \"k\"",
            "conf/c",
        ),
        (
            "[nnrp]\nlisten = \"0.0.0.0:1\"\nsecurity = \"plain\"",
            "loopback addresses only",
        ),
        (
            "[nnrp]\nsecurity = \"plain\"\ntls_cert_out_file = \"c\"",
            "self-signed",
        ),
        ("[nats]\nservice = \"a b\"", "letters, digits"),
        (
            "[http]\nopen = true\n[server]\nversion = \"v1.0.0\"",
            "conf/nodewire.toml:4:1: [server] version must be by Semantic Versioning",
        ),
        (
            "[server]\nversion = \"1.0\"\n[nats]\nversion = \"1\"",
            "conf/nodewire.toml:4:1: [nats] version must be by Semantic Versioning",
        ),
        (
            "[nats]\ncredentials_file = \"nobody.creds\"",
            "conf/nobody.creds cannot be read",
        ),
        ("[nats]\nuser = \"u\"", "user needs password_file"),
        ("[nats]\npassword_file = \"p\"", "a password needs a user"),
        (
            "[nats]\nnkey_file = \"n\"\ntoken_file = \"t\"",
            "only one of nkey_file, token_file",
        ),
        ("[nats]\ntls_cert_file = \"c\"", "tls_key_file is missing"),
        (
            "[autotrainer]\ncurve_clients = [\"x\"]",
            "40 characters of Z85",
        ),
        (
            "[telemetry]\nsample_ratio = 1.5",
            "[telemetry] sample_ratio must be a number from 0 to 1",
        ),
        (
            "[telemetry]\nendpoint = \"localhost\"",
            "conf/nodewire.toml:2:1: [telemetry] endpoint cannot be used: the telemetry endpoint is no URL",
        ),
        (
            "[telemetry]\nresource = \"a\"",
            "[telemetry] resource must be a list `key=value,key=value`",
        ),
        (
            "[metrics]\ntoken_file = \"nobody\"",
            "conf/nobody cannot be read",
        ),
        (
            "[metrics]\ntoken_file = \"a\"\ntoken_env = \"A\"",
            "only one of token_file, token_env",
        ),
        ("[http]", "who may call is not said"),
        (
            "[http]\ntoken_env = \"NOT_SET\"",
            "environment variable NOT_SET",
        ),
        (
            "[http]\nopen = true\ntoken_file = \"t\"",
            "only one of token_file, open",
        ),
    ] {
        let problems = Start::file(file).problems();
        let has = problems.iter().any(|problem| problem.contains(part));
        assert!(has, "{part:?} in {problems:?}");
    }
}

#[test]
fn secrets_are_neither_taken_from_the_wrong_place_nor_told() {
    const SECRET: &str = "hunter2";
    for start in [
        Start::file("[http]\ntoken = \"hunter2\""),
        Start::file("[nats]\npassword = \"hunter2\""),
        Start::file("[telemetry]\nheaders = \"a=hunter2\""),
        Start::file("[telemetry]\nendpoint = \"http://u:hunter2@host\""),
        Start::default().variable("NODEWIRE_TELEMETRY_HEADERS", "hunter2"),
        Start::default().flags(&["--telemetry-headers", "a=hunter2"]),
        Start::file("[metrics]\ntoken = \"hunter2\""),
        Start::file("[nats]\nurl = \"nats://u:hunter2@ho st:1:2\""),
        Start::file("[nats]\nurl = \"nats://u:hunter2@\u{7}"),
        Start::default().flags(&["--http-token", "hunter2"]),
        Start::default().flags(&["--http-token=hunter2"]),
        Start::default().flags(&["--nats-tokn=hunter2"]),
        Start::default().flags(&["--nats-url", "nats://hunter2@ :x"]),
        Start::default().flags(&["hunter2"]),
        Start::file("[nats]\ntoken = hunter2"),
    ] {
        let problems = start.problems();
        assert!(!problems.is_empty());
        assert!(!problems.concat().contains(SECRET), "{problems:?}");
    }
    let problems = Start::file("[http]\ntoken = \"x\"").problems();
    assert!(
        problems[0].contains("set NODEWIRE_HTTP_TOKEN, or token_file here"),
        "{problems:?}"
    );
    let problems = Start::default().flags(&["--nats-password", "x"]).problems();
    assert!(
        problems[0].contains("NODEWIRE_NATS_PASSWORD, or use --nats-password-file"),
        "{problems:?}"
    );
}

#[test]
fn an_empty_secret_and_one_that_is_too_long_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let file: &'static str = format!("[http]\ntoken_file = {path:?}").leak();
    for (content, part) in [
        (Vec::new(), "is empty"),
        (vec![b'x'; 70_000], "longer than"),
    ] {
        std::fs::write(&path, content).unwrap();
        let problems = Start::file(file).problems();
        assert!(problems[0].contains(part), "{problems:?}");
    }
    std::fs::write(&path, "not a creds file hunter2").unwrap();
    let file: &'static str = format!("[nats]\ncredentials_file = {path:?}").leak();
    let problems = Start::file(file).problems();
    assert!(
        problems[0].contains("no JWT") && !problems[0].contains("hunter2"),
        "{problems:?}"
    );
    let file: &'static str = format!("[autotrainer]\ncurve_key_file = {path:?}").leak();
    let problems = Start::file(file).problems();
    assert!(problems[0].contains("no CURVE secret key"), "{problems:?}");
    assert!(!problems[0].contains("hunter2"), "{problems:?}");
}

#[test]
fn a_setting_of_a_node_that_does_not_exist_names_those_that_do() {
    let flags = ["--autotrainer-commands", "nosuch=1007,greet=7"];
    let problems = Start::file("[autotrainer]\nquick_nodes = [\"greets\", \"a\"]")
        .flags(&flags)
        .problems();
    let known = "it has a, b, greet, x, y";
    let expected = [
        format!(
            "conf/nodewire.toml:2:1: [autotrainer] quick_nodes: the server has no node `greets`; {known}; did you mean greet?"
        ),
        format!(
            "--autotrainer-commands: [autotrainer] commands: the server has no node `nosuch`; {known}"
        ),
    ];
    assert_eq!(problems, expected);
    // What the code says may be of a node that it adds later.
    let mut parts = crate::server::Parts::default();
    let later = crate::autotrainer::AutotrainerConfig::new("x").command("later", 7);
    parts.wires.autotrainer = Some(later);
    assert!(Start::default().apply_to(parts).is_ok());
}

#[test]
fn a_version_of_any_form_is_the_servers_where_nats_has_its_own() {
    let start = Start::file(
        "[http]\nopen = true\n[server]\nversion = \"2026-11\"\n[nats]\nversion = \"1.0.0\"",
    );
    let parts = start.apply();
    assert_eq!(parts.identity.version.as_deref(), Some("2026-11"));
    assert_eq!(parts.wires.nats.unwrap().version, "1.0.0");
}
