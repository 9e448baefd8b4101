//! What help, documentation and `--print-config` say.

use std::path::Path;

use super::Start;
use crate::autotrainer::AutotrainerConfig;
use crate::config::setting::{SETTINGS, Table};
use crate::config::{Action, Problems, Surroundings, flags, print, wires};
use crate::http::HttpConfig;
use crate::mcp::{McpConfig, McpOptions};
use crate::nats::NatsConfig;
use crate::server::Parts;
use crate::telemetry::{Endpoint, TelemetryConfig};

/// Where a text is written that is not as it should be, to be looked at and copied.
fn same(file: &str, now: &str, expected: &str) {
    if now != expected {
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, now).unwrap();
        panic!(
            "{file} is another one now; if that is right, copy {}",
            path.display()
        );
    }
}

#[test]
fn the_documentation_has_every_setting() {
    same(
        "settings.md",
        &print::reference(),
        include_str!("../settings.md"),
    );
}

#[test]
fn print_config_shows_everything_but_secrets() {
    const FILE: &str = "\
[server]
name = \"a \\\"greeter\\\"\\u0007\"
[nats]
url = \"nats://user:hunter2@broker:1,tls://hunter2@other\"
[autotrainer]
listen = [\"127.0.0.1\"]
quick_nodes = [\"a\"]
commands = { greet = 1001 }
[nnrp]
enabled = false
[telemetry]
endpoint = \"http://user:hunter2@collector:4318\"
";
    let start = Start::file(FILE)
        .variable("NODEWIRE_HTTP_TOKEN", "hunter2")
        .variable("NODEWIRE_NATS_PASSWORD", "hunter2")
        .variable("NODEWIRE_TELEMETRY_HEADERS", "authorization=hunter2")
        .flags(&["--http-listen", "127.0.0.1:8080", "--log-format", "json"])
        .flags(&["--telemetry-sample-ratio", "0.25"]);
    let mut problems = Problems::default();
    let layers = start.layers(&mut problems);
    problems.check().unwrap();
    let mut parts = Parts::default();
    parts.wires.autotrainer = Some(AutotrainerConfig::new("code"));
    let around = Surroundings {
        lookup: &|_| None,
        folder: None,
        name: "p",
        nodes: &[],
    };
    let served = wires::served(&layers, &parts.wires, around);
    let text = print::config(&layers, &parts.wires, &served);
    assert!(!text.contains("hunter2"), "{text}");
    same("printed.toml", &text, include_str!("printed.toml"));
    // It can be read again.
    let again = crate::config::NodewireConfig::parse(&text, "printed.toml").unwrap();
    assert!(again.layers.in_file.contains_key(&Table::Http));
}

#[test]
fn help_has_every_flag_of_this_build_and_no_secret() {
    let text = print::help("greeter", Some("1.0.0"));
    assert!(text.starts_with("greeter 1.0.0 (nodewire "), "{text}");
    for setting in SETTINGS {
        let has = text.contains(&format!("{} ", setting.flag()));
        assert_eq!(has, !setting.is_secret, "{}", setting.flag());
    }
    assert!(print::version("greeter", None).starts_with("greeter (nodewire "));
}

#[test]
fn what_is_asked_for_is_read() {
    let action = |flags: &[&str]| {
        let flags = flags.iter().map(std::ffi::OsString::from);
        flags::parse(flags, &mut Problems::default())
    };
    assert_eq!(action(&[]).action, Action::Run);
    assert_eq!(action(&["--print-config", "-V"]).action, Action::Version);
    assert_eq!(action(&["-h", "--version"]).action, Action::Help);
    for flags in [&["--config", "a/b.toml"][..], &["--config=a/b.toml"][..]] {
        assert_eq!(action(flags).file.as_deref(), Some(Path::new("a/b.toml")));
    }
}

/// The exporter's defaults, by the names of the settings; those of its own are not all shown.
fn exporter() -> String {
    let endpoint = Endpoint::parse("http://127.0.0.1:4318").unwrap();
    let config = TelemetryConfig::new(endpoint, "p");
    let sampler = config.sampler;
    format!(
        "sample_ratio: {:?}, follow_parent: {}, timeout: {:?}, retries_max: {}, span_queue_max: {}, \
         span_batch_max: {}, span_interval: {:?}, flush_timeout: {:?},",
        sampler.ratio,
        sampler.follows_parent,
        config.export_timeout,
        config.retries_max,
        config.span_queue_max,
        config.span_batch_max,
        config.span_interval,
        config.flush_timeout,
    )
}

/// What the list of settings says nobody would believe otherwise.
#[test]
fn the_defaults_are_those_of_the_wires() {
    const OTHERS: [(&str, Table); 8] = [
        // Nothing is, where there is no endpoint.
        ("enabled", Table::Telemetry),
        // Nobody is quick.
        ("quick_nodes", Table::Autotrainer),
        ("connect_attempts", Table::Nats),
        // What the protocol's own library has unless set.
        ("queue_group", Table::Nats),
        ("open", Table::Http),
        ("open", Table::Mcp),
        ("beside_http", Table::Mcp),
        // Its quotes are another matter.
        ("hosts", Table::Mcp),
    ];
    let text = |table: Table| match table {
        Table::Executor => format!("{:?}", crate::ExecutorConfig::default()),
        Table::Nats => {
            format!(
                "{:?}",
                NatsConfig::new("a", "1.0.0", "nats://127.0.0.1:4222")
            ) + " url: nats://127.0.0.1:4222,"
        }
        Table::Autotrainer => format!("{:?}", AutotrainerConfig::new("a")),
        Table::Nnrp => format!("{:?}", crate::nnrp::NnrpConfig::self_signed(0).unwrap().0),
        Table::Http => format!("{:?}", HttpConfig::new()),
        Table::Mcp => {
            format!("{:?} {:?}", McpConfig::new(), McpOptions::default()).replace("Some(", "")
        }
        Table::Nanograph => {
            let config = ::nanograph::config::ServerConfig::resolve(Default::default(), |_| None);
            let config = crate::nanograph::NanographConfig::new(config.unwrap());
            format!(
                "{config:?} listen: {}:{},",
                config.listen, config.server.port
            )
        }
        Table::Metrics => format!("{:?}", crate::metrics::MetricsConfig::new()),
        Table::Telemetry => exporter(),
        Table::Server | Table::Log => String::new(),
    };
    let checked = SETTINGS.iter().filter(|setting| {
        let is_other = OTHERS.contains(&(setting.key, setting.table));
        let is_general = matches!(setting.table, Table::Server | Table::Log);
        !setting.default.is_empty() && !is_other && !is_general
    });
    for setting in checked {
        let plain = setting.default.trim_matches('"').replace('"', "");
        let debug = text(setting.table);
        let (name, value) = match setting.key.strip_suffix("_ms") {
            Some(name) => {
                let time = std::time::Duration::from_millis(plain.parse().unwrap());
                (name, format!("{time:?}"))
            }
            None => (setting.key, plain),
        };
        let field = if name == "listen"
            && setting.table != Table::Autotrainer
            && setting.table != Table::Nanograph
        {
            "address"
        } else {
            name
        };
        let has = [",", " }", ")"]
            .iter()
            .any(|end| debug.contains(&format!("{field}: {value}{end}")));
        assert!(has, "{}: {field}: {value} in {debug}", setting.name());
    }
}
