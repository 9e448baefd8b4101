//! An orchestrator over node servers that run already.

use std::time::Duration;

use nanocore::daemon::{Daemon, DaemonOptions};
use nanocore::nats::NatsAddress;
use nanocore::registry::{Entry, NatsService, Registry};
use nanograph::config::{ConfigFile, ServerConfig};
use nodewire::nanograph::NanographConfig;
use nodewire::nats::NatsConfig;
use nodewire::telemetry::Tracer;
use nodewire::{NodeServerBuilder, RunningServer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything takes; only a hang runs into it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn nanograph_server(builder: NodeServerBuilder, uid: &str) -> RunningServer {
    let file = json!({"serverUid": uid, "serverPackageId": uid}).to_string();
    let port = |name: &str| (name == "PORT").then(|| "0".to_owned());
    let config = ServerConfig::resolve(ConfigFile::parse(&file).unwrap(), port).unwrap();
    let builder = builder.nanograph(NanographConfig::new(config));
    Box::pin(builder.build().unwrap().start()).await.unwrap()
}

pub(crate) async fn nats_server(
    builder: NodeServerBuilder,
    service: &str,
    broker_url: &str,
) -> RunningServer {
    let builder = builder.nats(NatsConfig::new(service, "1.0.0", broker_url));
    Box::pin(builder.build().unwrap().start()).await.unwrap()
}

/// Where it listens for orchestrators.
pub(crate) fn address(server: &RunningServer) -> String {
    format!("ws://{}/", server.nanograph_address().unwrap())
}

/// A daemon that knows the servers, and the folder that it keeps everything in.
pub(crate) struct Scene {
    daemon: Daemon,
    _folder: TempDir,
}

impl Scene {
    /// Over servers by uid and address, and one over NATS: its uid, its service and its broker.
    pub(crate) async fn start(
        servers: &[(&str, String)],
        nats: Option<(&str, &str, &str)>,
        tracer: Option<&Tracer>,
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut options = DaemonOptions::new(folder.path().join("home"));
        options.bind = "127.0.0.1:0".parse().unwrap();
        options.tracer = tracer.cloned();
        std::fs::create_dir_all(&options.data_folder).unwrap();
        let registry = Registry::new(nanocore::home::registry(&options.data_folder));
        for (uid, url) in servers {
            let mut entry = Entry::new(*uid);
            entry.url = Some(url.clone());
            registry.put(entry).unwrap();
        }
        if let Some((uid, service, broker_url)) = nats {
            options.supervisor.nats.broker = Some(NatsAddress::new(broker_url));
            let mut entry = Entry::new(uid);
            entry.nats = Some(NatsService::new(service));
            registry.put(entry).unwrap();
        }
        Self {
            daemon: Daemon::start(options).await.unwrap(),
            _folder: folder,
        }
    }

    /// A run of these nodes in a row, submitted with this header.
    pub(crate) async fn run(&self, nodes: &[&str], traceparent: &str) -> Value {
        let headers = format!("traceparent: {traceparent}\r\n");
        self.run_with(nodes, &headers).await
    }

    /// The same with these lines of headers.
    pub(crate) async fn run_with(&self, nodes: &[&str], headers: &str) -> Value {
        let placed = nodes.iter().zip(1..);
        let placed: Vec<_> = placed
            .map(|(uid, id)| json!({"id": id, "uid": uid}))
            .collect();
        let links: Vec<_> = (1..nodes.len())
            .map(|id| json!({"id": id, "link": [id, "text", id + 1, "text"]}))
            .collect();
        let graph = json!({"nodes": placed, "links": links});
        let body = json!({"graph": graph, "waitServers": true, "cache": "off"}).to_string();
        let submitted = self.ask("POST", "/api/v1/runs", headers, &body).await;
        let run_id = submitted["runId"].as_str();
        let path = format!(
            "/api/v1/runs/{}",
            run_id.unwrap_or_else(|| panic!("{submitted}"))
        );
        let finished = async {
            loop {
                let run = self.ask("GET", &path, "", "").await;
                if !matches!(run["status"].as_str(), Some("queued" | "running")) {
                    return run;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, finished)
            .await
            .expect("an end")
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Value {
        let body = self.fetch(method, path, headers, body).await;
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// What the daemon tells Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        self.fetch("GET", "/metrics", "", "").await
    }

    async fn fetch(&self, method: &str, path: &str, headers: &str, body: &str) -> String {
        let token = self.daemon.tokens().master().reveal();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.daemon.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        body.to_owned()
    }

    pub(crate) async fn shutdown(self) {
        let ended = tokio::time::timeout(PATIENCE, self.daemon.shutdown()).await;
        ended.expect("the daemon ends");
    }
}
