//! The asset server in a process of its own, which can be killed, measured and held to limits.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nanocore::assets::{AssetServer, AssetServerConfig};

use super::faults::eventually;
use super::http::Client;
use super::opened_again;

const FOLDER: &str = "NODEWIRE_TEST_SERVED_STORE";

/// The process that [`Served`] starts; does nothing otherwise.
#[tokio::test]
async fn serve_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let store = opened_again(&folder.join("store")).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = AssetServer::start(store, listener, AssetServerConfig::default()).unwrap();
    let (token, address) = (server.token().reveal(), server.address());
    let ready = folder.join("ready");
    std::fs::write(ready.with_extension("new"), format!("{address} {token}")).unwrap();
    std::fs::rename(ready.with_extension("new"), ready).unwrap();
    // It ends with the test that started it, even if that is killed.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
}

pub(crate) struct Served {
    pub(crate) client: Client,
    child: Child,
}

impl Served {
    /// Serves `folder/store`; the shell commands in `limits` come before.
    pub(crate) async fn start(folder: &Path, limits: &str) -> Self {
        let ready = folder.join("ready");
        let _ = std::fs::remove_file(&ready);
        let child = Command::new("sh")
            .args(["-c", &format!("{limits} exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["served::serve_until_killed", "--exact"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually(|| ready.exists()).await;
        let text = std::fs::read_to_string(ready).unwrap();
        let (address, token) = text.split_once(' ').unwrap();
        let client = Client {
            address: address.parse().unwrap(),
            token: token.to_owned(),
        };
        Self { client, child }
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The most memory it ever had resident, in bytes.
    pub(crate) fn resident_bytes_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}
