//! Registering: the checks, what is installed, what the registry says afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nanocore::process::Tools;
use nanocore::register::{
    Level, RegisterError, RegisterOptions, Registered, Step, check, register, unregister,
};
use nanocore::registry::{AssetRefs, Registry};
use nodewire_testkit::{SdkVersion, javascript_server_folder, python_server_folder};

struct Place {
    root: tempfile::TempDir,
    registry: Registry,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let registry = Registry::new(root.path().join("home/nodeservers.json"));
        Self { root, registry }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let folder = self.root.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn write(&self, folder: &str, name: &str, text: &str) -> PathBuf {
        let folder = self.folder(folder);
        fs::write(folder.join(name), text).unwrap();
        folder
    }

    /// A Python server without requirements, whose environment needs no making.
    fn python(&self, name: &str, config: &str) -> PathBuf {
        let folder = self.write(name, "nanoserver.json", config);
        self.write(name, "main.py", "");
        self.folder(&format!("{name}/nodes"));
        let python = self
            .write(&format!("{name}/venv/bin"), "python", "")
            .join("python");
        fs::remove_file(&python).unwrap();
        std::os::unix::fs::symlink("/bin/true", python).unwrap();
        folder
    }

    async fn register(&self, folder: &Path) -> Result<Registered, RegisterError> {
        register(folder, &self.registry, options(), &|_| {}).await
    }

    /// What the checks say: level, key, and a part of the reason.
    fn findings(&self, folder: &Path) -> Vec<(Level, String, String)> {
        let checked = check(folder, &self.registry).unwrap();
        let findings = checked.findings.into_iter();
        findings
            .map(|one| (one.level, one.key.unwrap_or_default(), one.reason))
            .collect()
    }
}

fn options() -> RegisterOptions {
    RegisterOptions {
        tools: Tools {
            path: std::env::var_os("PATH"),
            ..Tools::default()
        },
        ..RegisterOptions::default()
    }
}

/// All files below a folder, with their content.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            all.extend(snapshot(&entry.path()));
            all.push((entry.path(), Vec::new()));
        } else {
            all.push((entry.path(), fs::read(entry.path()).unwrap_or_default()));
        }
    }
    all.sort();
    all
}

#[test]
fn everything_is_told_at_once_with_key_level_and_reason() {
    let place = Place::new();
    let config = r#"{
  "domain": "a b",
  "language": "cobol",
  "port": 0,
  "watchDebounceTime": -1,
  "autoWatch": "yes",
  "serverUid": 7,
  "colour": "red"
}"#;
    let folder = place.write("all", "nanoserver.json", config);
    let before = snapshot(place.root.path());
    let found = place.findings(&folder);
    for (level, key, reason) in [
        (Level::Error, "domain", "must be letters"),
        (Level::Error, "language", "must be"),
        (Level::Error, "port", "from 1 to 65535"),
        (Level::Error, "watchDebounceTime", "0 or more"),
        (Level::Error, "autoWatch", "true or false"),
        (Level::Error, "serverUid", "a text"),
        (Level::Note, "colour", "not a known key"),
    ] {
        assert!(
            found
                .iter()
                .any(|one| one.0 == level && one.1 == key && one.2.contains(reason)),
            "{key} in {found:#?}"
        );
    }
    let folder = place.write("empty", "nanoserver.json", "{}");
    let found = place.findings(&folder);
    let told: Vec<_> = found
        .iter()
        .map(|(level, key, _)| (*level, key.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Level::Warning, "language"),
            (Level::Note, "domain"),
            (Level::Warning, "serverDisplayName"),
            (Level::Warning, "serverPackageId"),
            (Level::Note, "serverUid"),
            (Level::Error, "main.py"),
            (Level::Warning, "nodesPath"),
        ]
    );
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(
        snapshot(place.root.path()),
        before,
        "checking changes nothing"
    );
}

#[test]
fn what_is_no_node_server_is_said_so() {
    let place = Place::new();
    let refused = |path: &Path| match check(path, &place.registry) {
        Err(RegisterError::Folder { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    assert!(refused(Path::new("/nowhere/at/all")).contains("does not exist"));
    assert!(refused(&place.write("f", "x", "").join("x")).contains("is no folder"));
    assert!(refused(&place.folder("empty")).contains("has no nanoserver.json"));
    let folder = place.write("list", "nanoserver.json", "[]");
    assert!(
        place
            .findings(&folder)
            .iter()
            .any(|one| one.0 == Level::Error && one.2.contains("object"))
    );
}

#[test]
fn javascript_servers_need_a_start_script() {
    let place = Place::new();
    let config = r#"{"language": "javascript", "serverUid": "j", "serverPackageId": "j"}"#;
    let folder = place.write("js", "nanoserver.json", config);
    let error = || {
        let found = place.findings(&folder);
        let errors: Vec<_> = found
            .into_iter()
            .filter(|one| one.0 == Level::Error)
            .collect();
        assert!(errors.iter().all(|one| one.1 == "package.json"));
        errors.into_iter().map(|one| one.2).collect::<String>()
    };
    assert!(error().contains("is missing"));
    place.write("js", "package.json", "{,}");
    assert!(error().contains("is no JSON"));
    place.write("js", "package.json", r#"{"scripts": {}}"#);
    assert!(error().contains("no script \"start\""));
    place.write("js", "package.json", r#"{"scripts": {"start": "node x"}}"#);
    assert_eq!(error(), "");
}

// spec: nanograph N1
#[tokio::test]
async fn comments_are_refused_for_python_and_taken_out_if_wanted() {
    let place = Place::new();
    let config = "{\n  // who\n  \"serverUid\": \"s\", \"serverPackageId\": \"p\", \"language\": \"python\",\n}";
    let folder = place.python("s", config);
    let error = place.register(&folder).await.unwrap_err();
    assert!(error.to_string().contains("--fix"), "{error}");
    assert!(place.registry.load().unwrap().iter().next().is_none());
    let steps = Mutex::new(Vec::new());
    let wanted = RegisterOptions {
        fix: true,
        ..options()
    };
    register(&folder, &place.registry, wanted, &|step| {
        steps.lock().unwrap().push(step)
    })
    .await
    .unwrap();
    let steps = steps.into_inner().unwrap();
    assert_eq!(steps[0], Step::Fixed(folder.join("nanoserver.json.bak")));
    assert_eq!(
        fs::read_to_string(folder.join("nanoserver.json.bak")).unwrap(),
        config
    );
    let plain: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("nanoserver.json")).unwrap()).unwrap();
    assert_eq!(plain["serverUid"], "s");
    // With nothing to fix, the original stays.
    register(
        &folder,
        &place.registry,
        RegisterOptions {
            fix: true,
            ..options()
        },
        &|_| {},
    )
    .await
    .unwrap();
    assert_eq!(
        fs::read_to_string(folder.join("nanoserver.json.bak")).unwrap(),
        config
    );
}

// spec: nanograph N2
#[tokio::test]
async fn a_uid_is_made_once_and_registering_again_keeps_what_is_there() {
    let place = Place::new();
    let folder = place.python("Image Tools", r#"{"language": "python"}"#);
    let first = place.register(&folder).await.unwrap();
    assert!(first.is_new);
    let entry = &first.entry;
    assert_eq!(
        (
            entry.server_display_name.as_str(),
            entry.server_package_id.as_str()
        ),
        ("Image Tools", "image-tools")
    );
    assert_eq!(entry.path.as_deref(), Some(&*folder));
    assert_eq!(uuid_version(&entry.server_uid), Some('4'));
    place
        .registry
        .change(|entries| {
            let entry = entries.get_mut(&first.entry.server_uid).unwrap();
            entry.port = Some(24_007);
            entry.env.insert("KEY".to_owned(), "value".to_owned());
        })
        .unwrap();
    let text = fs::read_to_string(place.registry.path()).unwrap();
    let text = text.replace(
        "\"language\"",
        "\"colour\": {\"a\": 1e400},\n    \"language\"",
    );
    fs::write(place.registry.path(), &text).unwrap();
    let second = place.register(&folder).await.unwrap();
    assert!(!second.is_new);
    assert_eq!(second.entry.server_uid, first.entry.server_uid);
    assert_eq!(second.entry.port, Some(24_007));
    assert_eq!(second.entry.env["KEY"], "value");
    assert_eq!(
        fs::read_to_string(place.registry.path()).unwrap(),
        text,
        "nothing changed, so nothing was written"
    );
    // A uid that the file has later on counts, and there is one entry still.
    place.write(
        "Image Tools",
        "nanoserver.json",
        r#"{"language": "python", "serverUid": "mine", "serverPackageId": "mine"}"#,
    );
    let third = place.register(&folder).await.unwrap();
    let entries = place.registry.load().unwrap();
    assert_eq!(
        (third.entry.port, entries.iter().count()),
        (Some(24_007), 1)
    );
    assert_eq!(entries.find("mine").unwrap().env["KEY"], "value");
    assert!(
        fs::read_to_string(place.registry.path())
            .unwrap()
            .contains("1e400"),
        "unknown keys are kept as they are"
    );
}

fn uuid_version(uid: &str) -> Option<char> {
    (uid.len() == 36).then(|| uid.chars().nth(14))?
}

#[tokio::test]
async fn one_uid_is_at_one_place() {
    let place = Place::new();
    let config = r#"{"language": "python", "serverUid": "s", "serverPackageId": "p"}"#;
    let folder = place.python("a", config);
    place.register(&folder).await.unwrap();
    let error = place
        .register(&place.python("b", config))
        .await
        .unwrap_err();
    assert!(matches!(error, RegisterError::Refused { .. }));
    assert!(
        error
            .to_string()
            .contains(&format!("registered at {}", folder.display())),
        "{error}"
    );
    let gone = unregister(folder.to_str().unwrap(), &place.registry).unwrap();
    assert_eq!(gone.server_uid, "s");
    assert!(folder.join("main.py").is_file(), "files are left alone");
    place.register(&place.folder("b")).await.unwrap();
    assert_eq!(unregister("p", &place.registry).unwrap().server_uid, "s");
    let error = unregister("p", &place.registry).unwrap_err();
    assert!(error.to_string().contains("none is registered"), "{error}");
}

#[tokio::test]
async fn a_failed_installation_leaves_no_entry_and_can_be_repeated() {
    let place = Place::new();
    let folder = place.folder("py");
    python_server_folder(SdkVersion::V0_1_22, "py", &folder).unwrap();
    let requirements = fs::read_to_string(folder.join("requirements.txt")).unwrap();
    place.write("py", "requirements.txt", "not a requirement !!\n");
    let steps = Mutex::new(Vec::new());
    let say = |step: Step| steps.lock().unwrap().push(step);
    let error = register(&folder, &place.registry, options(), &say)
        .await
        .unwrap_err();
    assert!(matches!(error, RegisterError::Install(_)), "{error}");
    assert!(error.to_string().contains("Invalid requirement"), "{error}");
    assert!(place.registry.load().unwrap().iter().next().is_none());
    place.write("py", "requirements.txt", &requirements);
    let done = register(&folder, &place.registry, options(), &say)
        .await
        .unwrap();
    assert_eq!(done.entry.sdk_version.as_deref(), Some("0.1.22"));
    assert_eq!(done.entry.asset_refs, Some(AssetRefs::Uuid));
    let steps = steps.into_inner().unwrap();
    let place_of = |wanted: &str| {
        steps
            .iter()
            .position(|step| matches!(step, Step::Installing(line) if line == wanted))
            .unwrap()
    };
    assert!(place_of("making a virtual environment") < place_of("installing requirements.txt"));
    assert!(matches!(steps.last(), Some(Step::Sdk(sdk)) if sdk.version == "0.1.22"));
}

#[tokio::test]
async fn a_projects_dependencies_are_installed_and_the_project_if_that_is_wanted() {
    let place = Place::new();
    let folder = place.python(
        "s",
        r#"{"language": "python", "serverUid": "s", "serverPackageId": "p"}"#,
    );
    let project = "[project]\nname = 'x'\ndependencies = ['a>=1', 'b']\n";
    place.write("s", "pyproject.toml", project);
    let python = folder.join("venv/bin/python");
    fs::remove_file(&python).unwrap();
    fs::write(&python, "#!/bin/sh\necho \"$@\" >> \"$PWD/calls.txt\"\n").unwrap();
    fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let registered = place.register(&folder).await.unwrap();
    let calls = fs::read_to_string(folder.join("calls.txt")).unwrap();
    assert!(calls.ends_with(" -- a>=1 b\n"), "{calls}");
    let finding = registered.findings.last().unwrap();
    assert_eq!(finding.key.as_deref(), Some("pyproject.toml"));
    place.register(&folder).await.unwrap();
    let again = fs::read_to_string(folder.join("calls.txt")).unwrap();
    assert_eq!(again, calls, "it is there already");
    fs::remove_file(folder.join("calls.txt")).unwrap();
    let wanted = RegisterOptions {
        install_project: true,
        upgrade: true,
        ..options()
    };
    register(&folder, &place.registry, wanted, &|_| {})
        .await
        .unwrap();
    let calls = fs::read_to_string(folder.join("calls.txt")).unwrap();
    let calls: Vec<_> = calls.lines().collect();
    assert!(
        calls[0].ends_with("--upgrade pip") && calls[1].ends_with("-e ."),
        "{calls:?}"
    );
    // It stays so, whoever installs again.
    place.write("s", "pyproject.toml", "# changed\n");
    place.register(&folder).await.unwrap();
    let calls = fs::read_to_string(folder.join("calls.txt")).unwrap();
    assert!(calls.trim_end().ends_with("-e ."), "{calls}");
    assert_eq!(calls.lines().count(), 3);
}

#[tokio::test]
async fn a_javascript_installation_that_was_interrupted_is_done_again() {
    let place = Place::new();
    let folder = place.folder("js");
    javascript_server_folder(&folder).unwrap();
    place.write(
        "js",
        "package.json",
        r#"{"scripts": {"start": "node main.js"}, "dependencies": {"x": "1"}}"#,
    );
    place.folder("js/node_modules/half");
    let npm = place.write("bin", "npm", "#!/bin/sh\nmkdir -p node_modules\n[ -f ok ] || exit 1\ntouch node_modules/.package-lock.json\n").join("npm");
    fs::set_permissions(&npm, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let with_npm = || {
        let mut options = options();
        options.tools.npm.clone_from(&npm);
        options
    };
    let error = register(&folder, &place.registry, with_npm(), &|_| {})
        .await
        .unwrap_err();
    assert!(matches!(error, RegisterError::Install(_)), "{error}");
    place.write("js", "ok", "");
    register(&folder, &place.registry, with_npm(), &|_| {})
        .await
        .unwrap();
    fs::remove_file(folder.join("ok")).unwrap();
    let again = register(&folder, &place.registry, with_npm(), &|_| {})
        .await
        .unwrap();
    assert!(!again.is_new);
}
