//! A folder with a graph and a node server made with the real SDK.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
pub(crate) use nodewire_testkit::SdkVersion;
use tempfile::TempDir;

pub(crate) struct Project {
    folder: TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        Self::with_sdk(SdkVersion::V0_2_3)
    }

    pub(crate) fn without_server() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With the testkit's server, in an environment that stands for the installed peer.
    pub(crate) fn with_sdk(version: SdkVersion) -> Self {
        let project = Self::without_server();
        let server = project.path().join("servers/python");
        copy(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/peers/nanograph"),
            &server,
        );
        let packages = server.join("venv/lib/python3/site-packages");
        fs::create_dir_all(packages.join(format!("nanograph_sdk-{}.dist-info", version.as_str())))
            .unwrap();
        let python = project.file(
            "servers/python/venv/bin/python",
            &format!(
                "#!/bin/sh\nexec {} \"$@\"\n",
                version.python().unwrap().display()
            ),
        );
        fs::set_permissions(python, fs::Permissions::from_mode(0o755)).unwrap();
        // SHA-256 of nothing: there are no requirements to install.
        project.file(
            "servers/python/venv/nodewire-requirements.sha256",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        project
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn graph(&self, text: &str) -> String {
        self.file("graph.json", text)
    }

    pub(crate) fn binary() -> PathBuf {
        assert_cmd::cargo::cargo_bin!("nodewire").to_owned()
    }

    pub(crate) fn nodewire(&self) -> Command {
        let mut command = Command::new(Self::binary());
        command.current_dir(self.path());
        command
    }

    pub(crate) fn run(&self, graph: &str) -> Command {
        let mut command = self.nodewire();
        command.arg("run").arg(graph);
        command
    }
}

/// `words` → echo on the Python server → `shown`.
pub(crate) fn text_graph() -> String {
    r#"{"nodes": [
        {"id": 1, "name": "words", "uid": "text-input", "serverUid": "builtin"},
        {"id": 2, "uid": "echo", "serverUid": "trace-server", "serverPackageId": "trace-server-package", "params": []},
        {"id": 3, "name": "shown", "uid": "viewer", "serverUid": "builtin"}],
     "links": [{"id": 1, "link": [1, "text", 2, "text"]}, {"id": 2, "link": [2, "text", 3, "value"]}]}"#
        .to_owned()
}

/// A graph of one node on the Python server.
pub(crate) fn single(uid: &str, params: &str) -> String {
    format!(
        r#"{{"nodes": [{{"id": 1, "uid": "{uid}", "serverUid": "trace-server", "params": {params}}}], "links": []}}"#
    )
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
