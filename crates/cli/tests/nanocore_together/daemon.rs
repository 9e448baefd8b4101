//! A data folder, node servers registered in it, and the daemon over them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nodewire_testkit::free_port;
use reqwest::{Client, Method};
use serde_json::Value;
use tempfile::TempDir;

use crate::processes::{kill, processes_in};

/// Ends what hangs; no test needs nearly as long.
const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);

/// A data folder and the folders of node servers beside it. Whatever still runs in there is killed when it is dropped.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command with this place's data folder, and nothing of the user's settings.
    pub(crate) fn nodewire(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("nodewire"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("NANOCORE_")) {
            command.env_remove(name);
        }
        command.env("NANOCORE_HOME", self.path("data"));
        // What cargo builds for a Rust server stays in here.
        command.env("CARGO_TARGET_DIR", self.path("target"));
        command
    }

    /// Runs the command to its end, which must be a good one.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Output {
        let output = self.nodewire(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "nodewire {arguments:?}: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Registers the server in a folder of this place, with a wish for a port: daemons of other tests give out the same
    /// ones as this one, and a server that finds another at its port has failed.
    pub(crate) fn register(&self, name: &str) {
        let file = self.path(name).join("nanoserver.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        config["port"] = free_port().unwrap().into();
        fs::write(&file, config.to_string()).unwrap();
        self.succeed(&["register", self.path(name).to_str().unwrap()]);
    }

    /// With the JavaScript server registered from the folder `javascript`.
    pub(crate) fn with_javascript_server() -> Self {
        let place = Self::new();
        nodewire_testkit::javascript_server_folder(&place.path("javascript")).unwrap();
        place.register("javascript");
        place
    }

    /// Starts the daemon and waits until its API answers.
    pub(crate) async fn up(&self) -> Daemon {
        // Fails if another test of this program has done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("daemon.log"))
            .unwrap();
        let child = self
            .nodewire(&["up", "--bind", "127.0.0.1:0"])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let mut daemon = Daemon {
            child,
            http: Client::builder().no_proxy().build().unwrap(),
            url: String::new(),
            token: String::new(),
            log: self.path("daemon.log"),
        };
        let data = self.path("data");
        until("the daemon answers", async || {
            assert!(
                daemon.child.try_wait().unwrap().is_none(),
                "the daemon ended\n{}",
                daemon.log()
            );
            let (url, token) = daemon_address(&data, daemon.child.id())?;
            let healthy = daemon.http.get(format!("{url}/health")).send().await.ok()?;
            healthy.status().is_success().then(|| {
                daemon.url = url;
                daemon.token = token;
            })
        })
        .await;
        daemon
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for process in processes_in(self.folder.path()) {
            kill(process.id);
        }
    }
}

/// What the lock file and the token file say, once they do.
fn daemon_address(data: &Path, id: u32) -> Option<(String, String)> {
    let holder: Value = serde_json::from_slice(&fs::read(data.join("lock")).ok()?).ok()?;
    let address = (holder["pid"] == id).then(|| holder["address"].as_str())??;
    let token = fs::read_to_string(data.join("token")).ok()?;
    Some((format!("http://{address}"), token.trim().to_owned()))
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    http: Client,
    url: String,
    token: String,
    log: PathBuf,
}

impl Daemon {
    /// What the API answers, which must be a success.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.try_call(method, path, body).await.unwrap();
        assert!(
            (200..300).contains(&status),
            "{path}: {status} {answer}\n{}",
            self.log()
        );
        answer
    }

    /// The answer's status and body.
    pub(crate) async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<(u16, Value)> {
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.url));
        request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// What a path answers.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    /// A stream of events, as the bytes come.
    pub(crate) async fn stream(&self, path: &str) -> reqwest::Response {
        let request = self.http.get(format!("{}/api/v1{path}", self.url));
        request.bearer_auth(&self.token).send().await.unwrap()
    }

    /// Waits until a server is ready; what is told of it then.
    pub(crate) async fn ready(&self, server_uid: &str) -> Value {
        self.server(server_uid, |server| server["state"] == "ready")
            .await
    }

    /// Waits until a server is as it should be; what is told of it then.
    pub(crate) async fn server(&self, server_uid: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/servers/{server_uid}");
        until_ok(async || {
            let server = self.get(&path).await;
            if is_so(&server) {
                return Ok(server);
            }
            Err(format!("{server}\n{}", self.log()))
        })
        .await
    }

    /// Kills it without warning and waits for its end. What it has started is left as it is.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end that it was asked for.
    pub(crate) async fn ended(mut self) {
        let child = &mut self.child;
        let status = until("the daemon ends", async || child.try_wait().unwrap()).await;
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// What it printed, for when something went wrong.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for what `look` finds.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    until_ok(async || look().await.ok_or_else(|| what.to_owned())).await
}

/// Waits until `look` succeeds; until then it says what is missing.
async fn until_ok<T>(mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let begin = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(missing) => assert!(begin.elapsed() < LIMIT, "not within {LIMIT:?}: {missing}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
