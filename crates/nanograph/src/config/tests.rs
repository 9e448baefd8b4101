use super::*;

const COMMENTED: &str = r#"{
  // Which servers share assets
  "domain": "local-python.nanograph",
  "serverDisplayName": "My /* tools */ // server", /* shown
     to people, héllo */
  "serverUid": "my-server",
  "serverPackageId": "my-package",
  "language": "python", // must be python
  "port": 3017,
  "nodesPath": "src/nodes",
  "autoWatch": false,
  "watchDebounceTime": 250.5,
}
"#;

fn no_env(_: &str) -> Option<String> {
    None
}

fn errors(source: &str) -> Vec<String> {
    let error = ConfigFile::parse(source).expect_err("must be refused");
    error
        .problems()
        .iter()
        .filter(|p| p.severity == Severity::Error)
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_commented_example_round_trips() {
    let file = ConfigFile::parse(COMMENTED).expect("lenient");
    assert_eq!(
        file.server_display_name.as_deref(),
        Some("My /* tools */ // server")
    );
    assert_eq!(file.language, Some(Language::Python));
    assert_eq!((file.port, file.auto_watch), (Some(3017), Some(false)));
    assert_eq!(file.watch_debounce, Some(Duration::from_micros(250_500)));
    let told: Vec<_> = file.problems.iter().map(ToString::to_string).collect();
    assert!(
        told[0].starts_with("line 2, column 3: warning: a comment"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("line 12, column 29: warning: a trailing comma"),
        "{told:?}"
    );

    let strict: serde_json::Value = serde_json::from_str(&file.plain_json).expect("plain JSON");
    assert_eq!(strict["nodesPath"], "src/nodes");
    let again = ConfigFile::parse(&file.plain_json).expect("plain");
    assert!(again.problems.is_empty());
    assert_eq!(
        again,
        ConfigFile {
            problems: Vec::new(),
            ..file
        }
    );
}

#[test]
fn a_byte_order_mark_is_a_warning() {
    let file = ConfigFile::parse("\u{feff}{\"serverUid\": \"a\"}").expect("lenient");
    assert_eq!(file.server_uid.as_deref(), Some("a"));
    assert!(file.problems[0].message.contains("byte order mark"));
}

#[test]
fn every_error_is_told_with_its_place() {
    let told = errors(
        "{\n \"domain\": \"a b\",\n \"serverUid\": 5,\n \"language\": \"cobol\",\n \"port\": 70000,\n \"autoWatch\": \"yes\",\n \"watchDebounceTime\": -1,\n \"nodesPath\": []}",
    );
    let starts = [
        "line 2, column 12: error: \"domain\" must be letters",
        "line 3, column 15: error: \"serverUid\" must be a text",
        "line 4, column 14: error: \"language\" must be",
        "line 5, column 10: error: \"port\" must be a whole number",
        "line 6, column 15: error: \"autoWatch\" must be true or false, not \"yes\"",
        "line 7, column 23: error: \"watchDebounceTime\" must be",
        "line 8, column 15: error: \"nodesPath\" must be a text",
    ];
    assert_eq!(told.len(), starts.len(), "{told:?}");
    for (message, start) in told.iter().zip(starts) {
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn texts_that_are_no_object_are_refused() {
    assert_eq!(errors("[]"), ["error: the top level must be an object"]);
    assert_eq!(
        errors("{\n\"a\" 1}"),
        ["line 2, column 5: error: unexpected character in JSON text"]
    );
    assert_eq!(
        errors("{} /* open"),
        ["line 1, column 4: error: a comment is not closed with */"]
    );
    assert!(errors("").len() == 1);
    assert_eq!(
        errors("{\"port\": 0}"),
        ["line 1, column 10: error: \"port\" must be a whole number from 1 to 65535, not 0"]
    );
}

#[test]
fn odd_but_usable_keys_are_told() {
    let file = ConfigFile::parse(
        r#"{"colour": 1, "autoWatch": null, "domain": null, "serverUid": "a", "serverUid": "b"}"#,
    )
    .expect("usable");
    let told: Vec<_> = file
        .problems
        .iter()
        .map(|p| (p.severity, p.key.as_deref().unwrap_or("")))
        .collect();
    assert_eq!(
        told,
        [
            (Severity::Note, "colour"),
            (Severity::Warning, "autoWatch"),
            (Severity::Warning, "serverUid")
        ]
    );
    assert_eq!(file.server_uid.as_deref(), Some("b"));
}

#[test]
fn defaults_follow_the_specification() {
    let file = ConfigFile::parse(r#"{"serverUid": "u", "serverPackageId": "p"}"#).expect("minimal");
    let config = ServerConfig::resolve(file, no_env).expect("complete");
    assert_eq!(
        (config.domain.as_str(), config.port),
        ("nanocore.local", 3017)
    );
    assert_eq!(
        (config.nodes_path.as_path(), config.auto_watch),
        (Path::new("nodes"), true)
    );
    assert_eq!(
        (config.watch_debounce, config.language),
        (Duration::from_millis(500), Language::Python)
    );
    assert!(config.problems.is_empty());
}

#[test]
fn the_environment_wins_and_empty_values_fall_through() {
    let env = |variable: &str| match variable {
        "DOMAIN" => Some(String::new()),
        "SERVER_UID" => Some("env-uid".to_owned()),
        "SERVER_DISPLAY_NAME" => Some("Env".to_owned()),
        "PORT" => Some(" 0 ".to_owned()),
        "NANOCORE_HTTP_ENDPOINT" => Some("http://127.0.0.1:1/".to_owned()),
        _ => None,
    };
    let file = ConfigFile::parse(COMMENTED).expect("lenient");
    let config = ServerConfig::resolve(file, env).expect("complete");
    assert_eq!(config.domain, "local-python.nanograph");
    assert_eq!(
        (
            config.server_uid.as_str(),
            config.server_package_id.as_str()
        ),
        ("env-uid", "my-package")
    );
    assert_eq!(
        (config.server_display_name.as_str(), config.port),
        ("Env", 0)
    );
    assert_eq!(config.nanocore_http_endpoint, "http://127.0.0.1:1/");
}

#[test]
fn a_bad_port_variable_is_fatal() {
    for text in ["", "http", "70000", "-1"] {
        let env = |variable: &str| (variable == "PORT").then(|| text.to_owned());
        let error = ServerConfig::resolve(ConfigFile::default(), env).expect_err("fatal");
        assert!(
            error
                .to_string()
                .contains("environment variable PORT must be a number"),
            "{error}"
        );
    }
}

#[test]
fn ids_that_are_missing_come_from_the_directory() {
    let dir = tempfile::tempdir().expect("directory");
    let project = dir.path().join("Image Tools");
    std::fs::create_dir(&project).expect("project");
    assert!(matches!(
        ServerConfig::load(&project, no_env),
        Err(ConfigError::Read { .. })
    ));
    std::fs::write(project.join(FILE_NAME), "{\"port\": 24002}").expect("file");
    let config = ServerConfig::load(&project, no_env).expect("usable");
    assert_eq!(
        (
            config.server_uid.as_str(),
            config.server_package_id.as_str()
        ),
        ("image-tools", "image-tools")
    );
    assert_eq!((config.port, config.problems.len()), (24002, 2));
    std::fs::write(project.join(FILE_NAME), "{\"port\": \"x\"}").expect("file");
    let error = ServerConfig::load(&project, no_env)
        .expect_err("wrong type")
        .to_string();
    assert!(
        error.contains("nanoserver.json cannot be used") && error.contains("\"port\" must be"),
        "{error}"
    );
}
