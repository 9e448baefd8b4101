//! What each language needs before it runs.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use nanocore::process::{ProcessError, prepare};

use super::{found, options, tools};

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

async fn said_by_prepare(folder: &Path) -> Result<Vec<String>, ProcessError> {
    let said = Mutex::new(Vec::new());
    prepare(&found(folder), &tools(), &|line| {
        said.lock().unwrap().push(line.to_owned())
    })
    .await?;
    Ok(said.into_inner().unwrap())
}

#[tokio::test]
async fn a_python_environment_is_made_once_and_again_for_other_requirements() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "nanoserver.json",
        r#"{"serverUid": "s", "serverPackageId": "p", "language": "python"}"#,
    );
    write(folder.path(), "main.py", "");
    write(folder.path(), "requirements.txt", "# nothing\n");
    let said = said_by_prepare(folder.path()).await.unwrap();
    assert!(
        said.contains(&"making a virtual environment".to_owned())
            && said.contains(&"installing requirements.txt".to_owned()),
        "{said:?}"
    );
    assert!(said_by_prepare(folder.path()).await.unwrap().is_empty());

    write(folder.path(), "requirements.txt", "not a requirement !!\n");
    let error = said_by_prepare(folder.path()).await.unwrap_err();
    assert!(error.to_string().contains("Invalid requirement"), "{error}");
    write(folder.path(), "requirements.txt", "# something else\n");
    let said = said_by_prepare(folder.path()).await.unwrap();
    assert_eq!(said[0], "installing requirements.txt");
}

#[tokio::test]
async fn what_the_python_sdk_cannot_read_is_told_before_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "nanoserver.json",
        "{\"serverUid\": \"s\", // who\n\"serverPackageId\": \"p\"}",
    );
    assert!(
        said_by_prepare(folder.path())
            .await
            .unwrap_err()
            .to_string()
            .contains("main.py")
    );
    write(folder.path(), "main.py", "");
    let text = said_by_prepare(folder.path())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("comment") && text.contains("Python SDK"),
        "{text}"
    );
}

#[tokio::test]
async fn a_rust_server_is_built_and_its_errors_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "nanoserver.json",
        r#"{"serverUid": "s", "serverPackageId": "p", "language": "rust"}"#,
    );
    write(
        folder.path(),
        "Cargo.toml",
        "[package]\nname = \"tiny-server\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
    );
    write(
        folder.path(),
        "src/main.rs",
        "fn main() { std::process::exit(3) }",
    );
    let launch = prepare(&found(folder.path()), &tools(), &|_| {})
        .await
        .unwrap();
    assert!(
        launch.program().ends_with("release/tiny-server"),
        "{}",
        launch.program().display()
    );
    let error = nanocore::process::ServerProcess::start(&launch, &options())
        .await
        .unwrap_err();
    assert!(matches!(error, ProcessError::Ended { exit, .. } if exit.status == "exit status: 3"));

    write(
        folder.path(),
        "src/main.rs",
        "fn main() { no_such_function() }",
    );
    let text = said_by_prepare(folder.path())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("cargo build") && text.contains("no_such_function"),
        "{text}"
    );
}

#[tokio::test]
async fn a_javascript_server_needs_a_start_script() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "nanoserver.json",
        r#"{"serverUid": "s", "serverPackageId": "p", "language": "javascript"}"#,
    );
    assert!(
        said_by_prepare(folder.path())
            .await
            .unwrap_err()
            .to_string()
            .contains("package.json")
    );
    write(folder.path(), "package.json", r#"{"name": "x"}"#);
    assert!(
        said_by_prepare(folder.path())
            .await
            .unwrap_err()
            .to_string()
            .contains("`start` script")
    );
    write(
        folder.path(),
        "package.json",
        r#"{"scripts": {"start": "node index.js"}}"#,
    );
    assert!(said_by_prepare(folder.path()).await.unwrap().is_empty());
}
