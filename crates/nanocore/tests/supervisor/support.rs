//! A supervisor over a temporary data folder, and servers for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nanocore::assets::{AssetService, AssetServiceConfig, AssetStore, StoreOptions, Token, Tokens};
use nanocore::events::{EventHub, Item, Subscribe, Subscription};
use nanocore::process::{StopTimes, Tools};
use nanocore::registry::{Entry, Registry};
use nanocore::supervisor::{
    RestartPolicy, ServerState, ServerStatus, Supervisor, SupervisorOptions, SupervisorParts,
};
use nanocore::workflow::ServerPool;
use nodewire_testkit::javascript_server_folder;

/// What every wait in these tests ends with at the latest.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    /// Holds everything; `None` if somebody else does.
    pub(crate) _root: Option<tempfile::TempDir>,
    pub(crate) home: PathBuf,
    pub(crate) registry: Registry,
    pub(crate) pool: ServerPool,
    pub(crate) subscription: Subscription,
    pub(crate) tokens: Tokens,
    pub(crate) supervisor: Supervisor,
}

pub(crate) fn quick() -> SupervisorOptions {
    SupervisorOptions {
        restart: RestartPolicy {
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_millis(50),
            failures_max: 3,
            ..RestartPolicy::default()
        },
        stop: StopTimes {
            interrupt: Duration::from_secs(20),
            terminate: Duration::from_secs(20),
        },
        watch_period: Duration::from_millis(50),
        ..SupervisorOptions::default()
    }
}

pub(crate) fn parts(home: &Path, options: SupervisorOptions) -> SupervisorParts {
    let tokens = Tokens::new(Token::random());
    let endpoint = "http://127.0.0.1:1";
    let store = AssetStore::open(home.join("assets"), StoreOptions::default()).unwrap();
    let config = AssetServiceConfig::new(tokens.clone(), "test.local", endpoint);
    SupervisorParts {
        registry: Registry::new(home.join("nodeservers.json")),
        pool: ServerPool::new(),
        events: EventHub::default(),
        assets: AssetService::new(store, config),
        processes: home.join("processes.json"),
        logs: home.join("logs"),
        endpoint: format!("{endpoint}/"),
        tokens,
        tools: Tools {
            path: std::env::var_os("PATH"),
            ..Tools::default()
        },
        options,
    }
}

impl Bench {
    /// With these entries in the registry.
    pub(crate) async fn start(make: impl FnOnce(&Path) -> Vec<Entry>) -> Self {
        Self::start_with(quick(), make).await
    }

    pub(crate) async fn start_with(
        options: SupervisorOptions,
        make: impl FnOnce(&Path) -> Vec<Entry>,
    ) -> Self {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().canonicalize().unwrap();
        let entries = make(&home);
        let registry = Registry::new(home.join("nodeservers.json"));
        entries
            .into_iter()
            .for_each(|entry| registry.put(entry).unwrap());
        Self::over(Some(root), home, options).await
    }

    pub(crate) async fn over(
        root: Option<tempfile::TempDir>,
        home: PathBuf,
        options: SupervisorOptions,
    ) -> Self {
        let parts = parts(&home, options);
        let subscription = parts.events.subscribe(Subscribe {
            servers: true,
            ..Subscribe::default()
        });
        Self {
            _root: root,
            registry: parts.registry.clone(),
            pool: parts.pool.clone(),
            tokens: parts.tokens.clone(),
            home,
            subscription,
            supervisor: Supervisor::start(parts).await.unwrap(),
        }
    }

    /// Waits until the server's status is like this; the status.
    pub(crate) async fn until(
        &self,
        name: &str,
        what: &str,
        is_so: impl Fn(&ServerStatus) -> bool,
    ) -> ServerStatus {
        let mut status = self.supervisor.watch(name).unwrap();
        let waited = tokio::time::timeout(LIMIT, status.wait_for(|status| is_so(status))).await;
        match waited {
            Ok(status) => status.unwrap().clone(),
            Err(_) => panic!(
                "{name} did not come to be {what}: {:#?}\n{:#?}",
                self.supervisor.get(name),
                self.supervisor.logs(name, 50)
            ),
        }
    }

    pub(crate) async fn state(&self, name: &str, state: ServerState) -> ServerStatus {
        self.until(name, state.as_str(), |status| status.state == state)
            .await
    }

    /// Ready, in another process than this one.
    pub(crate) async fn ready_again(&self, name: &str, pid: Option<u32>) -> ServerStatus {
        self.until(name, "ready in another process", |status| {
            status.state == ServerState::Ready && status.pid != pid
        })
        .await
    }

    /// Waits for an event of this type of which this holds.
    pub(crate) async fn event(
        &mut self,
        type_name: &str,
        is_it: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let wait = async {
            loop {
                let Item::Event(published) = self.subscription.next().await else {
                    panic!("events were missed");
                };
                let event: serde_json::Value = serde_json::from_slice(&published.json).unwrap();
                if event["type"] == type_name && is_it(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(LIMIT, wait)
            .await
            .expect("no such event came")
    }

    pub(crate) fn change(&self, server_uid: &str, change: impl FnOnce(&mut Entry)) {
        let changed = self
            .registry
            .change(|entries| change(entries.get_mut(server_uid).unwrap()));
        changed.unwrap();
    }

    pub(crate) fn log_text(&self, name: &str) -> String {
        let lines = self.supervisor.logs(name, 1000).unwrap();
        lines
            .iter()
            .map(|line| format!("{}\n", line.text))
            .collect()
    }
}

/// A JavaScript server in `home`, started without npm.
pub(crate) fn javascript(home: &Path, server_uid: &str) -> Entry {
    let folder = home.join(server_uid);
    javascript_server_folder(&folder).unwrap();
    let mut entry = commanded(home, server_uid, "exec node main.js");
    entry.path = Some(folder);
    entry
}

/// A server that this shell script is.
pub(crate) fn commanded(home: &Path, server_uid: &str, script: &str) -> Entry {
    let folder = home.join(server_uid);
    if !folder.join("nanoserver.json").exists() {
        javascript_server_folder(&folder).unwrap();
    }
    let config = serde_json::json!({
        "serverUid": server_uid, "serverPackageId": format!("{server_uid}-package"), "serverDisplayName": format!("Server {server_uid}"),
        "domain": "d.test", "language": "javascript", "nodesPath": "src",
    });
    std::fs::write(folder.join("nanoserver.json"), config.to_string()).unwrap();
    let mut entry = Entry::new(server_uid);
    entry.server_package_id = format!("{server_uid}-package");
    entry.server_display_name = format!("Server {server_uid}");
    entry.language = nanograph::config::Language::Javascript;
    entry.path = Some(folder);
    // One of its own, so that tests that run at the same time do not get each other's as soon as it is free.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    entry.port = Some(listener.local_addr().unwrap().port());
    entry.command = Some(["sh", "-c", script].map(str::to_owned).to_vec());
    entry
}

/// Whether the process is there and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

pub(crate) fn signal(pid: u32, signal: &str) {
    let done = std::process::Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(done.success());
}
