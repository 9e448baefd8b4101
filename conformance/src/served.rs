//! One node server with all wires.

use std::time::Duration;

use anyhow::Context;
use nanocore::assets::{AssetServer, AssetServerConfig, AssetStore, StoreOptions, Token};
use nanograph::assets::AssetClientConfig;
use nanograph::config::{ConfigFile, ServerConfig};
use nodewire::autotrainer::AutotrainerConfig;
use nodewire::capability::Wire;
use nodewire::http::{HttpConfig, HttpToken};
use nodewire::mcp::McpConfig;
use nodewire::nanograph::NanographConfig;
use nodewire::nats::NatsConfig;
use nodewire::nnrp::NnrpConfig;
use nodewire::{Executor, NodeServer, NodeServerBuilder, RunningServer};
use nodewire_testkit::NatsServer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{PATIENCE, Probe};

const SERVICE: &str = "conformance";
const HTTP_TOKEN: &str = "a secret of the conformance suite";

/// More than 1 MiB of bytes with its headers.
const NATS_PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// Where each wire can be reached, as the clients read it.
#[derive(Debug, Clone)]
pub struct Addresses(Value);

impl Addresses {
    /// Those of a server that was made by [`on_all_wires`] with the same arguments.
    ///
    /// # Errors
    /// It does not serve all wires.
    pub fn of_server(
        server: &RunningServer,
        broker_url: &str,
        assets: Option<(&str, &str)>,
    ) -> anyhow::Result<Self> {
        let nanograph = server.nanograph_address().context("no Nanograph")?;
        let autotrainer = server.autotrainer_address().context("no Autotrainer")?;
        let (events, commands) = (autotrainer.events.first(), autotrainer.commands.first());
        let (events, commands) = events.zip(commands).context("no ports")?;
        let nnrp = server.nnrp_address().context("no NNRP")?;
        let http = server.http_address().context("no HTTP")?;
        let mcp = server.mcp_address().context("no MCP")?;
        let (endpoint, token) = assets.unwrap_or_default();
        Ok(Self(json!({
            "nanograph": {"url": format!("ws://{nanograph}/"), "endpoint": endpoint, "token": token},
            "nats": {"url": broker_url, "service": SERVICE},
            "autotrainer": {
                "events": format!("tcp://{events}"), "commands": format!("tcp://{commands}"),
            },
            "nnrp": {"port": nnrp.port()},
            "http": {"url": format!("http://{http}"), "address": http.to_string(), "token": HTTP_TOKEN},
            "mcp": {
                "url": format!("http://{mcp}/mcp"), "address": mcp.to_string(), "token": HTTP_TOKEN,
            },
        })))
    }

    /// What was written by [`Self::to_json`].
    ///
    /// # Errors
    /// It is no JSON.
    pub fn from_json(text: &str) -> anyhow::Result<Self> {
        Ok(Self(serde_json::from_str(text)?))
    }

    /// For another process.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.0.to_string()
    }

    /// What a client of this wire has to know.
    #[must_use]
    pub fn of(&self, wire: Wire) -> &Value {
        &self.0[wire.name()]
    }
}

/// Serves the node set on all wires: on this NATS broker, and with assets at an endpoint with a token, if there is one.
///
/// # Errors
/// A wire cannot start.
pub async fn serve(
    broker_url: &str,
    assets: Option<(&str, &str)>,
) -> anyhow::Result<(RunningServer, Probe, Addresses)> {
    let probe = Probe::default();
    let builder = probe.add_to(NodeServer::builder())?;
    let builder = on_all_wires(builder, broker_url, assets)?;
    let server = Box::pin(builder.build()?.start()).await?;
    let addresses = Addresses::of_server(&server, broker_url, assets)?;
    Ok((server, probe, addresses))
}

/// Has it serve on all wires, on free ports of loopback.
///
/// # Errors
/// Never, as long as the configuration in here is right.
pub fn on_all_wires(
    builder: NodeServerBuilder,
    broker_url: &str,
    assets: Option<(&str, &str)>,
) -> anyhow::Result<NodeServerBuilder> {
    let mut nanograph = NanographConfig::new(nanograph_server()?);
    nanograph.assets = assets.map(|(endpoint, token)| AssetClientConfig::new(endpoint, token));
    let mut autotrainer = AutotrainerConfig::new(SERVICE);
    (autotrainer.event_port, autotrainer.command_port) = (0, 0);
    Ok(builder
        .drain(PATIENCE)
        .nanograph(nanograph)
        .nats(NatsConfig::new(SERVICE, "1.0.0", broker_url))
        .autotrainer(autotrainer)
        .nnrp(NnrpConfig::insecure_loopback(0))
        .http(HttpConfig::new().access(HttpToken::new(HTTP_TOKEN)))
        .mcp(McpConfig::new().access(HttpToken::new(HTTP_TOKEN))))
}

fn nanograph_server() -> anyhow::Result<ServerConfig> {
    let file = json!({"serverUid": SERVICE, "serverPackageId": SERVICE}).to_string();
    let port = |name: &str| (name == "PORT").then(|| "0".to_owned());
    Ok(ServerConfig::resolve(ConfigFile::parse(&file)?, port)?)
}

/// A node server with all wires, the NATS broker and the asset server that it needs.
#[derive(Debug)]
pub struct Served {
    /// The server.
    pub server: RunningServer,
    /// What its nodes do.
    pub probe: Probe,
    /// Where it can be reached.
    pub addresses: Addresses,
    /// The real `nats-server`.
    pub broker: NatsServer,
    assets: AssetServer,
    _folder: TempDir,
}

impl Served {
    /// Starts all of it, on free ports.
    ///
    /// # Errors
    /// Something cannot start; `nats-server` may not be installed.
    pub async fn start() -> anyhow::Result<Self> {
        // Another test of this process may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = NatsServer::options().max_payload_bytes(NATS_PAYLOAD_BYTES_MAX);
        let broker = options.start().await?;
        let folder = tempfile::tempdir()?;
        let store = AssetStore::open(folder.path(), StoreOptions::default())?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let token = Token::random();
        let config = AssetServerConfig {
            token: token.clone(),
            ..AssetServerConfig::default()
        };
        let assets = AssetServer::start(store, listener, config)?;
        let place = Some((assets.endpoint(), token.reveal()));
        let (server, probe, addresses) = serve(&broker.url(), place).await?;
        Ok(Self {
            server,
            probe,
            addresses,
            broker,
            assets,
            _folder: folder,
        })
    }

    /// What runs the nodes.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        self.server.executor()
    }

    /// Waits until no execution is in flight and every handler has ended.
    ///
    /// # Errors
    /// That takes too long.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        let quiet = || {
            self.executor().counters().in_flight == 0 && self.probe.begun() == self.probe.ended()
        };
        until("all executions end", quiet).await
    }

    /// Stops all of it.
    ///
    /// # Errors
    /// The server does not stop.
    pub async fn stop(self) -> anyhow::Result<()> {
        let stopped = tokio::time::timeout(PATIENCE, self.server.stop()).await;
        stopped.context("the server does not stop")?;
        self.assets.shutdown().await;
        Ok(())
    }
}

/// Waits for a condition.
///
/// # Errors
/// It is not met in time; the error says what was waited for.
pub async fn until(what: &str, condition: impl Fn() -> bool) -> anyhow::Result<()> {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let met = tokio::time::timeout(PATIENCE, met).await;
    met.with_context(|| format!("not within {PATIENCE:?}: {what}"))
}
