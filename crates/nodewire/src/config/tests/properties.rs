//! Whatever is written anywhere, it is read or told, and nothing panics.

use std::ffi::OsString;
use std::path::Path;

use proptest::prelude::*;

use crate::config::setting::{SETTINGS, Setting};
use crate::config::{Problems, flags, print, toml_file, wires};
use crate::server::Wires;

/// Lines that are nearly right.
fn line() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    let tables = vec![
        "server",
        "http",
        "nats",
        "autotrainer",
        "nnrp",
        "telemetry",
        "metrics",
        "catalogue",
        "é",
    ];
    let value = prop_oneof![
        Just("5".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("0xffff_ffff".to_owned()),
        Just("\"127.0.0.1:80\"".to_owned()),
        Just("[\"a\", \"::1\"]".to_owned()),
        Just("{ a = 1, \"é\" = 2 }".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("true".to_owned()),
        Just("0.5".to_owned()),
        Just("nan".to_owned()),
        ".{0,12}",
    ];
    prop_oneof![
        prop::sample::select(tables).prop_map(|table| format!("[{table}]")),
        (prop::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
        ".{0,24}",
    ]
}

fn read(text: &str) {
    let mut problems = Problems::default();
    let layers = toml_file::parse(text, Path::new("nodewire.toml"), &mut problems);
    let around = crate::config::Surroundings {
        lookup: &|_| None,
        folder: None,
        name: "p",
        nodes: &[],
    };
    let served = wires::served(&layers, &Wires::default(), around);
    let shown = print::config(&layers, &Wires::default(), &served);
    if problems.is_empty() {
        // What can be read can be shown, and read again.
        toml_file::parse(&shown, Path::new("shown.toml"), &mut problems);
        problems.check().unwrap();
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_told(text in any::<String>()) {
        read(&text);
    }

    #[test]
    fn nearly_right_files_are_read_or_told(lines in prop::collection::vec(line(), 0..12)) {
        read(&lines.join("\n"));
    }

    #[test]
    fn any_command_line_is_read_or_told(
        arguments in prop::collection::vec(prop_oneof![
            prop::sample::select(SETTINGS.iter().map(Setting::flag).collect::<Vec<_>>()),
            "--?[a-z=-]{0,20}",
            any::<String>(),
        ], 0..8),
    ) {
        let arguments = arguments.into_iter().map(OsString::from);
        flags::parse(arguments, &mut Problems::default());
    }
}
