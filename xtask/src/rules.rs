//! The rules of ARCHITECTURE.md as data, and the README's shape.

/// Which workspace packages a package may depend on. A package that is not listed may not exist.
pub(crate) const EDGES: &[(&str, &[&str])] = &[
    ("nodewire-json", &[]),
    ("nodewire-core", &["nodewire-json"]),
    ("nodewire-macros", &[]),
    ("nodewire-telemetry", &[]),
    ("nanograph", &["nodewire-json"]),
    ("autotrainer-api", &["nodewire-json", "nodewire-telemetry"]),
    ("nats-broker", &[]),
    ("nats-micro-macros", &[]),
    ("nnrp-wire", &[]),
    ("nnrp", &["nnrp-wire"]),
    ("nats-micro", &["nats-micro-macros"]),
    (
        "nodewire",
        &[
            "autotrainer-api",
            "nanograph",
            "nats-micro",
            "nnrp",
            "nnrp-wire",
            "nodewire-core",
            "nodewire-json",
            "nodewire-macros",
            "nodewire-telemetry",
        ],
    ),
    (
        "nanocore",
        &[
            "nanograph",
            "nats-micro",
            "nodewire-json",
            "nodewire-telemetry",
        ],
    ),
    (
        "nodewire-cli",
        &[
            "autotrainer-api",
            "nanocore",
            "nanograph",
            "nats-broker",
            "nats-micro",
            "nnrp",
            "nnrp-wire",
            "nodewire",
            "nodewire-json",
            "nodewire-telemetry",
        ],
    ),
    ("nodewire-testkit", &[]),
    (
        "nodewire-bench",
        &[
            "autotrainer-api",
            "nanocore",
            "nanograph",
            "nats-broker",
            "nats-micro",
            "nnrp",
            "nnrp-wire",
            "nodewire",
            "nodewire-conformance",
            "nodewire-core",
            "nodewire-json",
            "nodewire-testkit",
        ],
    ),
    (
        "nodewire-conformance",
        &[
            "autotrainer-api",
            "nanocore",
            "nanograph",
            "nnrp",
            "nnrp-wire",
            "nodewire",
            "nodewire-json",
            "nodewire-testkit",
        ],
    ),
    ("image-tools", &["nodewire"]),
    (
        "nodewire-fuzz-oracles",
        &[
            "autotrainer-api",
            "nanocore",
            "nanograph",
            "nats-broker",
            "nats-micro",
            "nnrp-wire",
            "nodewire-json",
        ],
    ),
    ("xtask", &[]),
];

/// What a test may use beyond [`EDGES`]: anything below it in the same direction, and the test kit.
pub(crate) const TEST_EDGES: &[(&str, &[&str])] = &[
    ("nanograph", &["nodewire-testkit"]),
    ("nodewire-telemetry", &["nodewire-testkit"]),
    ("autotrainer-api", &["nodewire-testkit"]),
    ("nats-broker", &["nodewire-testkit"]),
    ("nats-micro", &["nats-broker", "nodewire-testkit"]),
    ("nats-micro-macros", &["nats-micro"]),
    ("nnrp-wire", &["nodewire-testkit"]),
    ("nnrp", &["nodewire-testkit"]),
    ("nodewire-macros", &["nodewire"]),
    ("nodewire", &["nats-broker", "nodewire-testkit"]),
    ("nanocore", &["nats-broker", "nodewire", "nodewire-testkit"]),
    ("nodewire-cli", &["nodewire-testkit"]),
];

/// Packages that are programs: only these read the environment, install log subscribers, choose the TLS provider, or
/// exit the process.
pub(crate) const PROGRAMS: &[&str] = &[
    "image-tools",
    "nodewire-bench",
    "nodewire-cli",
    "nodewire-conformance",
    "nodewire-testkit",
    "xtask",
];

/// What only programs may write, and what to do instead.
pub(crate) const PROGRAM_ONLY: &[(&str, &str)] = &[
    (
        "env::var",
        "take a lookup function or a configuration value",
    ),
    ("env::args", "take a configuration value"),
    ("process::exit", "return an error"),
    ("install_default()", "leave the TLS provider to the program"),
    ("tracing_subscriber", "leave subscribers to the program"),
];

/// Where a library may do what [`PROGRAM_ONLY`] says, because it stands in for the program it is called from.
pub(crate) const PROGRAM_ONLY_EXCEPT: &[&str] = &[
    "crates/nodewire/src/program.rs",
    "crates/nodewire/src/program/configure.rs",
];

/// External packages that a package must not depend on, directly: these do no IO of their own.
pub(crate) const FORBIDDEN_EXTERNAL: &[(&str, &[&str])] = &[
    (
        "nodewire-core",
        &["axum", "hyper", "reqwest", "tokio-tungstenite"],
    ),
    ("nodewire-json", &["tokio"]),
    ("nodewire-macros", &["tokio"]),
];

/// The only external packages that a package may depend on, directly and outside its tests.
pub(crate) const ONLY_EXTERNAL: &[(&str, &[&str])] = &[
    // Bytes and time go in, bytes and the next deadline come out: none of these can do more.
    (
        "nnrp-wire",
        &["bitflags", "bytes", "serde_json", "thiserror"],
    ),
];

/// The command of each `sh` block under `## Quick start`.
pub(crate) fn quick_start_commands(readme: &str) -> Vec<String> {
    let section = readme
        .split("\n## ")
        .find(|section| section.starts_with("Quick start"))
        .unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1);
    blocks
        .filter_map(|block| block.split("\n```").next())
        .map(|command| command.trim().to_owned())
        .collect()
}
