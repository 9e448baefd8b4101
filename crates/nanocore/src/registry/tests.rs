use std::fs;

use super::file::replace_file;
use super::*;

fn registry(text: &str) -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new(folder.path().join("nodeservers.json"));
    fs::write(registry.path(), text).unwrap();
    (folder, registry)
}

const HAND_WRITTEN: &str = r#"[
  {"zebra": [1, {"a": NaN}], "serverUid": "a", "path": "/srv/a", "enabled": true,
   "env": {"K": "v"}, "apple": 123456789012345678901234567890},
  {"url": "ws://host:1/", "serverUid": "b", "maxConcurrency": 2, "inputStyle": "scalar", "assetRefs": "uuid", "startTimeout": 1.5,
   "command": ["x", "y"], "serverPackageId": "p", "serverDisplayName": "B", "language": "javascript", "port": 5, "domain": "d"}
]"#;

#[test]
fn what_people_write_is_read_and_kept() {
    let (_folder, registry) = registry(HAND_WRITTEN);
    let entries = registry.load().unwrap();
    let (a, b) = (entries.get("a").unwrap(), entries.get("b").unwrap());
    assert_eq!(
        (
            a.server_package_id.as_str(),
            a.server_display_name.as_str(),
            a.enabled
        ),
        ("a", "a", true)
    );
    assert_eq!(a.env["K"], "v");
    assert_eq!(
        (b.port, b.max_concurrency, b.domain.as_deref()),
        (Some(5), Some(2), Some("d"))
    );
    assert_eq!(
        b.start_timeout,
        Some(std::time::Duration::from_millis(1500))
    );
    assert_eq!(
        (b.input_style, b.asset_refs),
        (crate::workflow::InputStyle::Scalar, Some(AssetRefs::Uuid))
    );
    assert_eq!(
        b.command.as_deref(),
        Some(&["x".to_owned(), "y".to_owned()][..])
    );

    registry.change(|_| ()).unwrap();
    assert_eq!(
        fs::read_to_string(registry.path()).unwrap(),
        HAND_WRITTEN,
        "no change, no writing"
    );
    registry
        .change(|entries| entries.get_mut("a").unwrap().port = Some(24_000))
        .unwrap();
    let text = fs::read_to_string(registry.path()).unwrap();
    for kept in [
        "\"zebra\": [1, {\"a\": NaN}]",
        "\"apple\": 123456789012345678901234567890",
        "\"port\": 24000",
        "\"startTimeout\": 1.5",
    ] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
    assert!(
        text.find("zebra") < text.find("serverUid"),
        "in their places"
    );
    let again = registry.load().unwrap();
    assert_eq!(
        again.get("b").map(|b| &b.url),
        entries.get("b").map(|b| &b.url)
    );
    assert_eq!(again.get("a").unwrap().port, Some(24_000));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_the_file_is_left_alone() {
    let text = r#"[{"serverUid": "a", "path": "relative"}, {"path": "/x"}, 5, {"serverUid": "b"},
        {"serverUid": "c", "path": "/c", "port": 70000, "env": {"A=B": "x"}, "language": "cobol", "command": [], "startTimeout": 0},
        {"serverUid": "d", "url": "http://x"}, {"serverUid": "e", "path": "/e"}, {"serverUid": "e", "path": "/f"}]"#;
    let (_folder, registry) = registry(text);
    let error = registry.put(Entry::new("z")).unwrap_err().to_string();
    for told in [
        "entry 1: \"path\" must be absolute",
        "entry 2: \"serverUid\" is missing",
        "entry 3: must be an object",
        "entry 4: \"path\" is missing",
        "entry 5: \"port\" must be",
        "entry 5: \"env\" has \"A=B\"",
        "entry 5: \"language\" must be",
        "entry 5: \"command\" must name a program",
        "entry 5: \"startTimeout\" must be",
        "entry 6: \"url\" must start with ws://",
        "entry 8: \"serverUid\" \"e\" is that of an entry before it",
    ] {
        assert!(error.contains(told), "{told} in {error}");
    }
    assert_eq!(fs::read_to_string(registry.path()).unwrap(), text);
    for (text, told) in [("[\n {]", "line 2, column"), ("{}", "must be a list")] {
        fs::write(registry.path(), text).unwrap();
        let error = registry.load().unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn no_file_is_an_empty_registry_and_what_cannot_be_read_again_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new(folder.path().join("new/nodeservers.json"));
    assert_eq!(registry.load().unwrap(), Entries::default());
    // Neither a path nor a url.
    assert!(matches!(
        registry.put(Entry::new("a")),
        Err(RegistryError::Invalid { .. })
    ));
    assert!(!registry.path().exists());
    let mut entry = Entry::new("a");
    entry.path = Some("/a".into());
    registry.put(entry.clone()).unwrap();
    registry.put(entry).unwrap();
    assert_eq!(registry.load().unwrap().iter().count(), 1);
    assert!(registry.remove("a").unwrap().is_some());
    assert!(registry.remove("a").unwrap().is_none());
    assert_eq!(fs::read_to_string(registry.path()).unwrap(), "[]\n");
}

#[test]
fn names_are_looked_up_from_uid_to_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    let entry = |uid: &str, package: &str, name: &str, path: &std::path::Path| {
        let mut entry = Entry::new(uid);
        entry.server_package_id = package.to_owned();
        entry.server_display_name = name.to_owned();
        entry.path = Some(path.to_owned());
        entry
    };
    let mut entries = Entries::default();
    entries.put(entry("a", "p", "First", &path));
    entries.put(entry("b", "p", "a", "/b".as_ref()));
    entries.put(entry("c", "q", "Third", "/c".as_ref()));
    let uid = |name: &str| entries.find(name).map(|entry| entry.server_uid.clone());
    assert_eq!(
        uid("a").unwrap(),
        "a",
        "a uid counts more than a display name"
    );
    assert_eq!(uid("q").unwrap(), "c");
    assert_eq!(uid("Third").unwrap(), "c");
    assert_eq!(
        uid(path
            .join("..")
            .join(path.file_name().unwrap())
            .to_str()
            .unwrap())
        .unwrap(),
        "a"
    );
    assert!(matches!(uid("p"), Err(NameError::Ambiguous { uids, .. }) if uids == ["a", "b"]));
    assert!(matches!(uid("nobody"), Err(NameError::Unknown { known, .. }) if known.len() == 3));
}

#[test]
fn many_writers_lose_nothing_and_readers_see_whole_files() {
    let (_folder, registry) = registry("[]");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let registry = registry.clone();
            scope.spawn(move || {
                for number in 0..10 {
                    let mut entry = Entry::new(format!("{writer}-{number}"));
                    entry.path = Some("/x".into());
                    registry.put(entry).unwrap();
                }
            });
        }
        for _ in 0..200 {
            registry.load().unwrap();
        }
    });
    assert_eq!(registry.load().unwrap().iter().count(), 40);
}

#[test]
fn a_link_and_the_files_mode_are_kept() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, registry) = registry("[]");
    fs::set_permissions(registry.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let link = folder.path().join("link.json");
    std::os::unix::fs::symlink(registry.path(), &link).unwrap();
    let mut entry = Entry::new("a");
    entry.path = Some("/a".into());
    Registry::new(&link).put(entry).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(registry.load().unwrap().iter().count(), 1);
    assert_eq!(
        fs::metadata(registry.path()).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn what_it_makes_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt;

    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("home");
    let registry = Registry::new(folder.join("nodeservers.json"));
    assert!(registry.remove("nobody").unwrap().is_none());
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    replace_file(registry.path(), b"[]").unwrap();
    assert_eq!(mode(registry.path()), 0o600);
}

#[test]
fn what_a_killed_writer_left_is_removed_by_the_next() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new(folder.path().join("nodeservers.json"));
    let leftover = folder.path().join("nodeservers.json.new");
    let leave = || {
        fs::write(&leftover, "[{\"serverUid\"").unwrap();
        fs::set_permissions(&leftover, fs::Permissions::from_mode(0o644)).unwrap();
    };
    leave();
    let mut entry = Entry::new("a");
    entry.path = Some("/a".into());
    registry.put(entry).unwrap();
    assert_eq!(registry.load().unwrap().iter().count(), 1);
    let mode = fs::metadata(registry.path()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "not that of the leftover");
    assert!(!leftover.exists());
    leave();
    registry.change(|_| ()).unwrap();
    assert!(!leftover.exists(), "also if there was nothing to write");
}

#[test]
fn text_that_is_not_utf_8_is_what_is_wrong() {
    let (_folder, registry) = registry("[]");
    fs::write(registry.path(), b"[\xff]").unwrap();
    let error = registry.load().unwrap_err();
    assert!(matches!(&error, RegistryError::Invalid { .. }), "{error:?}");
    assert!(error.to_string().contains("not UTF-8"), "{error}");
}

#[test]
fn services_on_nats_are_read_and_kept() {
    let text = r#"[
  {"serverUid": "a", "transport": "nats", "service": "greeter", "kept": 1},
  {"serverUid": "b", "transport": "nats", "service": "g", "url": "nats://h:1", "user": "u", "password": "p", "tlsCa": "/ca.pem"},
  {"serverUid": "c", "transport": "nanograph", "url": "ws://h:1", "service": 5, "token": {"not": "ours"}}
]"#;
    let (_folder, registry) = registry(text);
    let entries = registry.load().unwrap();
    let nats = |uid: &str| entries.get(uid).unwrap().nats.clone();
    assert_eq!(nats("a"), Some(NatsService::new("greeter")));
    let address = nats("b").unwrap().address.unwrap();
    assert_eq!(address.shown(), "nats://h:1");
    assert!(matches!(address.auth, crate::nats::NatsAuth::User { .. }));
    assert_eq!(nats("c"), None, "what is not ours is kept as it is");
    registry
        .change(|entries| {
            for uid in ["a", "b", "c"] {
                entries.get_mut(uid).unwrap().enabled = false;
            }
        })
        .unwrap();
    let again = registry.load().unwrap();
    assert_eq!(again.get("b").unwrap().nats, nats("b"));
    let written = fs::read_to_string(registry.path()).unwrap();
    for kept in [
        "\"kept\": 1",
        "\"password\": \"p\"",
        "\"token\": {\"not\": \"ours\"}",
        "\"transport\": \"nanograph\"",
    ] {
        assert!(written.contains(kept), "{kept} in {written}");
    }
    assert!(!written.contains("\"url\": null"), "{written}");
}

#[test]
fn what_is_wrong_with_a_service_is_told() {
    let text = r#"[{"serverUid": "a", "transport": "nats"},
        {"serverUid": "b", "transport": "nats", "service": "a.b", "url": "ws://h"},
        {"serverUid": "c", "transport": "nats", "service": "c", "credentials": "c.creds", "token": "t"},
        {"serverUid": "d", "transport": "nats", "service": "d", "url": "nats://h", "user": "u"},
        {"serverUid": "e", "transport": "nats", "service": "e", "command": ["x"], "port": 1},
        {"serverUid": "f", "transport": "NATS", "service": "f", "url": "ws://h"},
        {"serverUid": "g", "transport": "nats", "service": "g", "url": "nats://h", "password": "p"}]"#;
    let (_folder, registry) = registry(text);
    let error = registry.load().unwrap_err().to_string();
    for told in [
        "entry 1: \"service\" is missing",
        "entry 2: \"service\" must have letters",
        "entry 2: \"url\" must start with nats:// or tls://",
        "entry 3: \"credentials\" must be absolute",
        "entry 3: \"token\" is there beside \"credentials\"",
        "entry 3: \"url\" is missing",
        "entry 4: \"password\" is missing",
        "entry 5: \"command\" is there, but nobody starts",
        "entry 5: \"port\" is there, but nobody starts",
        "entry 6: \"transport\" must be \"nanograph\" or \"nats\", not \"NATS\"",
        "entry 7: \"user\" is missing",
    ] {
        assert!(error.contains(told), "{told} in {error}");
    }
}

#[test]
fn an_entry_that_says_two_things_at_once_stops_nobody_else() {
    let text = r#"[{"serverUid": "a", "path": "/a", "url": "ws://h"}, {"serverUid": "b", "path": "/b"},
        {"serverUid": "c", "path": "/c", "transport": "nats", "service": "c"}]"#;
    let (_folder, registry) = registry(text);
    let entries = registry.load().unwrap();
    let conflict = |uid: &str| entries.get(uid).unwrap().conflict();
    assert!(conflict("a").unwrap().contains("\"url\" beside a \"path\""));
    assert_eq!(conflict("b"), None);
    assert!(
        conflict("c")
            .unwrap()
            .contains("\"path\" beside \"transport\"")
    );
}
