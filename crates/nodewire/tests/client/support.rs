//! One server on all wires, and clients for it.

use std::sync::Once;

use ::bytes::Bytes;
use nats_broker::Broker;
use nodewire::autotrainer::AutotrainerConfig;
use nodewire::capability::Wire;
use nodewire::client::{
    NnrpTrust, Remote, RemoteEvent, RemoteExecution, RemoteOptions, Secret, Target,
};
use nodewire::http::{HttpConfig, HttpToken};
use nodewire::nanograph::NanographConfig;
use nodewire::nats::NatsConfig;
use nodewire::nnrp::NnrpConfig;
use nodewire::prelude::*;
use nodewire::{Executor, RunningServer};

pub(crate) use crate::nodes::{PATIENCE, Probe, stop, until};

pub(crate) const TOKEN: &str = "a-token-for-tests";

/// All that there are targets for.
pub(crate) const WIRES: [Wire; 5] = [
    Wire::Nanograph,
    Wire::Nats,
    Wire::Autotrainer,
    Wire::Nnrp,
    Wire::Http,
];

/// Bytes in reverse.
#[node(output = "data")]
async fn reverse(data: Bytes) -> Bytes {
    data.iter().rev().copied().collect()
}

/// Libraries leave it to the program.
pub(crate) fn install_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // It can only fail if there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

pub(crate) struct Served {
    pub(crate) server: RunningServer,
    pub(crate) probe: Probe,
    broker: Broker,
    certificate_pem: String,
}

impl Served {
    pub(crate) async fn start() -> Self {
        install_tls();
        let broker = Broker::builder().start().await.unwrap();
        let (builder, probe) = Probe::builder();
        let (nnrp, certificate_pem) = NnrpConfig::self_signed(0).unwrap();
        let mut autotrainer = AutotrainerConfig::new("device");
        autotrainer.event_port = 0;
        autotrainer.command_port = 0;
        let folder = tempfile::tempdir().unwrap();
        let described = r#"{"serverUid": "served", "serverPackageId": "served", "port": 1}"#;
        std::fs::write(folder.path().join("nanoserver.json"), described).unwrap();
        let nanoserver = nanograph_config(folder.path());
        let server = builder
            .name("greeter")
            .version("1.2.3")
            .node(reverse())
            .drain(10 * PATIENCE)
            .nanograph(nanoserver)
            .nats(NatsConfig::new("served", "1.2.3", broker.url()))
            .autotrainer(autotrainer)
            .nnrp(nnrp)
            .http(HttpConfig::new().access(HttpToken::new(TOKEN)))
            .build()
            .unwrap()
            .start()
            .await
            .unwrap();
        Self {
            server,
            probe,
            broker,
            certificate_pem,
        }
    }

    pub(crate) fn target(&self, wire: Wire) -> Target {
        match wire {
            Wire::Nanograph => {
                let address = self.server.nanograph_address().unwrap();
                Target::parse(wire, &address.to_string()).unwrap()
            }
            Wire::Nats => Target::parse(wire, &format!("{}/served", self.broker.url())).unwrap(),
            Wire::Autotrainer => {
                let address = self.server.autotrainer_address().unwrap();
                let (events, commands) = (address.events[0], address.commands[0]);
                Target::parse(wire, &format!("{events},{commands}")).unwrap()
            }
            Wire::Nnrp => {
                let port = self.server.nnrp_address().unwrap().port();
                Target::Nnrp {
                    endpoint: format!("nnrps://localhost:{port}"),
                    trust: NnrpTrust::Authorities(self.certificate_pem.clone().into_bytes()),
                }
            }
            Wire::Http => Target::Http {
                url: format!("http://{}", self.server.http_address().unwrap()),
                token: Some(Secret::new(TOKEN)),
            },
            Wire::Mcp => panic!("no target"),
        }
    }

    pub(crate) async fn remote(&self, wire: Wire) -> Remote {
        soon(Remote::connect(&self.target(wire), patient()))
            .await
            .unwrap()
    }

    pub(crate) fn executor(&self) -> &Executor {
        self.server.executor()
    }

    pub(crate) async fn stop(self) {
        stop(self.server).await;
    }
}

/// The machine may be busy.
pub(crate) fn patient() -> RemoteOptions {
    let mut options = RemoteOptions::default();
    options.connect_timeout = PATIENCE;
    options.answer_timeout = PATIENCE / 4;
    options.heartbeat_timeout = PATIENCE;
    // A result that was missed must not last as long as a test waits.
    options.cancel_timeout = PATIENCE / 2;
    options
}

pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}

/// All events to the end.
pub(crate) async fn all(mut execution: RemoteExecution) -> Vec<RemoteEvent> {
    let mut events = Vec::new();
    while let Some(event) = soon(execution.next()).await {
        events.push(event);
    }
    events
}

fn nanograph_config(folder: &std::path::Path) -> NanographConfig {
    let server = nanograph::config::ServerConfig::load(folder, |_| None).unwrap();
    let mut config = NanographConfig::new(server);
    config.server.port = 0;
    config
}
