//! A program with a file, variables and flags.

use std::path::Path;
use std::process::Output;

use nodewire_testkit::{CollectorManner, OtlpCollector};

use crate::support::{Ready, curl, example, refusal};

const FILE: &str = r#"
[server]
name = "greeter"
version = "1.2.3"

[log]
level = "error"

[nanograph]
listen = "127.0.0.1:0"

[http]
listen = "127.0.0.1:1"
token_file = "token"

[catalogue]
anything = true
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nodewire.toml"), FILE).unwrap();
    std::fs::write(folder.path().join("token"), "of-file\n").unwrap();
    folder
}

fn ask(folder: &Path, flags: &[&str]) -> Output {
    example("greet", folder).args(flags).output().unwrap()
}

#[test]
fn file_variables_and_flags_make_one_server() {
    let folder = folder();
    let mut command = example("greet", folder.path());
    command
        // The file's port cannot be had.
        .env("NODEWIRE_HTTP_LISTEN", "127.0.0.1:0")
        .args(["--log-level", "info"]);
    let server = Ready::start(&mut command);
    assert!(server.told("serving the Nanograph wire").is_some());
    let port = server.port("serving plain HTTP", "address");
    let answer = curl(port, "of-file");
    assert!(answer.contains("Hello, Ada!"), "{answer}");
    server.stop();
}

#[test]
fn another_file_is_named_by_a_flag_or_a_variable_and_paths_start_there() {
    let (folder, elsewhere) = (folder(), tempfile::tempdir().unwrap());
    let file = folder.path().join("nodewire.toml");
    let file = file.to_str().unwrap();
    for by_flag in [true, false] {
        let mut command = example("greet", elsewhere.path());
        if by_flag {
            command.args(["--config", file]);
        } else {
            command.env("NODEWIRE_CONFIG", file);
        }
        command.args(["--http-listen=127.0.0.1:0", "--log-level=info"]);
        let server = Ready::start(&mut command);
        let answer = curl(server.port("serving plain HTTP", "address"), "of-file");
        assert!(answer.contains("Hello, Ada!"), "{answer}");
        server.stop();
    }
}

#[test]
fn everything_that_is_wrong_is_told_before_anything_starts() {
    let folder = folder();
    let mut command = example("greet", folder.path());
    command.env("NODEWIRE_HTTP_PARTS_MAX", "many").args([
        "--http-token-file",
        "missing",
        "--lgo-format=json",
    ]);
    let said = refusal(&mut command);
    for part in [
        "Error: the configuration cannot be used\n",
        "environment variable NODEWIRE_HTTP_PARTS_MAX: [http] parts_max must be",
        "--http-token-file: token_file: missing cannot be read",
        "--lgo-format: is no flag of this program; did you mean --log-format?",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    let mut unknown = example("greet", folder.path());
    let said = refusal(unknown.args(["--autotrainer-commands", "nosuch=1007"]));
    let told = "--autotrainer-commands: [autotrainer] commands: the server has no node `nosuch`; it has greet";
    assert!(said.contains(told), "{said}");
    let mut missing = example("greet", folder.path());
    let said = refusal(missing.args(["--config", "nowhere.toml"]));
    assert!(said.contains("nowhere.toml: cannot be read"), "{said}");
}

#[test]
fn what_it_is_asked_is_answered_on_standard_output() {
    let folder = folder();
    let text = |flags: &[&str]| {
        let output = ask(folder.path(), flags);
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text(&["--version"]).starts_with("greeter 1.2.3 (nodewire "));
    assert!(text(&["--help"]).contains("--http-listen IP:PORT"));
    let config = text(&["--print-config", "--http-listen", "127.0.0.1:9"]);
    assert!(
        config.contains("listen = \"127.0.0.1:9\" # --http-listen\n"),
        "{config}"
    );
    assert!(
        config.contains("name = \"greeter\" # nodewire.toml:3:1\n"),
        "{config}"
    );
    assert!(!config.contains("of-file"), "{config}");
}

/// With its own settings, and past those of OpenTelemetry where they say nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_and_metrics_go_where_the_file_says() {
    let collector = OtlpCollector::start(CollectorManner::Takes).await.unwrap();
    let folder = folder();
    let endpoint = collector.endpoint();
    let more = format!(
        "[telemetry]\nendpoint = \"{endpoint}\"\nresource = \"zone=a\"\n\
         [metrics]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"token\"\n"
    );
    let file = folder.path().join("nodewire.toml");
    std::fs::write(&file, format!("{FILE}{more}")).unwrap();
    let mut command = example("greet", folder.path());
    command
        .env("NODEWIRE_TELEMETRY_HEADERS", "x-key=secret")
        .env("OTEL_TRACES_SAMPLER", "always_on")
        .args(["--http-listen=127.0.0.1:0", "--log-level=info"]);
    let server = Ready::start(&mut command);
    let answer = curl(server.port("serving plain HTTP", "address"), "of-file");
    assert!(answer.contains("Hello, Ada!"), "{answer}");
    let scraped = scrape(server.port("serving metrics", "address"), "of-file");
    let counted = "nodewire_accepted_total{wire=\"http\",node=\"greet\"} 1";
    assert!(scraped.contains(counted), "{scraped}");
    assert!(
        scraped.contains("nodewire_telemetry_spans_total"),
        "{scraped}"
    );
    server.stop();
    let spans = collector.until(|spans| !spans.is_empty()).await.unwrap();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    assert_eq!(
        (spans[0].service.as_str(), spans[0].name.as_str()),
        ("greeter", "greet")
    );
    assert_eq!(collector.last_header("x-key").as_deref(), Some("secret"));
}

/// What `curl` gets from the address of metrics.
fn scrape(port: u16, token: &str) -> String {
    let url = format!("http://127.0.0.1:{port}/metrics");
    let header = format!("Authorization: Bearer {token}");
    let scraped = std::process::Command::new("curl")
        .args(["-sS", "--max-time", "60", "-H", &header, &url])
        .output()
        .unwrap();
    assert!(scraped.status.success(), "{scraped:?}");
    String::from_utf8(scraped.stdout).unwrap()
}

#[test]
fn the_environment_alone_changes_no_server_of_an_orchestrator() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"serverUid": "s", "serverPackageId": "p"}"#;
    std::fs::write(folder.path().join("nanoserver.json"), json).unwrap();
    let mut command = example("greet", folder.path());
    command
        .env("PORT", "0")
        .env("NODEWIRE_NATS_URL", "nats://127.0.0.1:1")
        .env("NODEWIRE_HTTP_LISTEN", "127.0.0.1:1");
    let server = Ready::start(&mut command);
    assert!(server.told("serving the Nanograph wire").is_some());
    assert!(server.told("serving plain HTTP").is_none());
    server.stop();
}
