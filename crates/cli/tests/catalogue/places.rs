//! Where servers are looked for, and what is wrong with what is said of it.

use crate::support::{Served, TOKEN, ended, nodewire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_or_the_environment_is_enough() {
    let served = Served::start().await;
    let address = |wire: &str| {
        let (_, flags) = served.flags.iter().find(|(name, _)| *name == wire).unwrap();
        flags[1].clone()
    };
    let text = format!(
        "[server]\nname = \"another's\"\n[catalogue]\nhttp = [\"{}\"]\nhttp_token_file = \"http.token\"\nnnrp = [\"{}\"]\nnnrp_ca = \"ca.pem\"\n",
        address("http"),
        address("nnrp"),
    );
    std::fs::write(served.folder.path().join("nodewire.toml"), text).unwrap();
    let told = ended(nodewire(served.folder.path(), &["ls", "--json"])).await;
    assert_eq!(told.status, 0, "{told:?}");
    assert_eq!(told.json()["servers"].as_array().unwrap().len(), 2);
    // The environment goes before the file.
    let mut command = nodewire(served.folder.path(), &["ls", "--json"]);
    command.env("NODEWIRE_CATALOGUE_NANOGRAPH", address("nanograph"));
    let told = ended(command).await.json();
    assert_eq!(told["servers"].as_array().unwrap().len(), 1);
    assert_eq!(told["servers"][0]["wire"], "nanograph");
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = nodewire(elsewhere.path(), &["call", "echo", "text=a"]);
    command
        .env("NODEWIRE_CATALOGUE_HTTP", address("http"))
        .env("NODEWIRE_CATALOGUE_HTTP_TOKEN", TOKEN);
    let told = ended(command).await;
    assert_eq!(told.stdout, "text: > a\n", "{told:?}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.toml");
    std::fs::write(&wrong, "[catalogue]\nnts = []\n").unwrap();
    let wrong = wrong.display().to_string();
    let cases: &[(&[&str], &str)] = &[
        (&["ls"], "nowhere to look"),
        (
            &["call", "n", "a=@none.bin", "--nats", "a:1"],
            "a: none.bin: cannot read it",
        ),
        (&["ls", "--nats", "ftp://secret@a:1"], "is no nats target"),
        (&["ls", "--autotrainer", "5556"], "EVENTS,COMMANDS"),
        (&["ls", "--via", "morse", "--nats", "a:1"], "the wires are"),
        (
            &["ls", "--via", "http", "--nats", "a:1"],
            "nowhere to look on http",
        ),
        (
            &["ls", "--config", &wrong],
            "wrong.toml:2:1: [catalogue] has no key \"nts\"; did you mean nats?",
        ),
        (&["ls", "--nats", "a:1", "--wait", "1e18"], "at most 3600"),
        (&["top", "--nats", "a:1", "--interval", "0"], "more than 0"),
        (&["ls", "--config", "none.toml"], "none.toml"),
        (
            &["ls", "--nnrp", "a:1", "--nnrp-ca", "none.pem"],
            "none.pem",
        ),
        (
            &["call", "n", "text", "--nats", "a:1"],
            "expected KEY=VALUE",
        ),
        (
            &["call", "n", "--param", "p", "--nats", "a:1"],
            "expected --param",
        ),
        (
            &["bench", "n", "--in-flight", "0", "--nats", "a:1"],
            "0 is not in",
        ),
        (
            &[
                "bench",
                "n",
                "--count",
                "1",
                "--duration",
                "1",
                "--nats",
                "a:1",
            ],
            "cannot be used with",
        ),
    ];
    for (arguments, text) in cases {
        let told = ended(nodewire(folder.path(), arguments)).await;
        assert_eq!(told.status, 2, "{arguments:?}: {told:?}");
        assert!(told.stderr.contains(text), "{arguments:?}: {told:?}");
        assert!(!told.stderr.contains("secret"), "{told:?}");
    }
    let told = ended(nodewire(
        folder.path(),
        &["call", "n", "--http", "127.0.0.1:1"],
    ))
    .await;
    assert_eq!(told.status, 3, "{told:?}");
}
