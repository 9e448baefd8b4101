//! Counts as JSON over HTTP, on this machine, for whoever knows the token.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::terminal;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct StatsFlags {
    /// Tell the counts as JSON over HTTP at this loopback address; port 0 is one that is free.
    #[arg(long, value_name = "ADDRESS:PORT")]
    stats: Option<SocketAddr>,
}

/// Bytes of a request's head, and of the counts.
const HEAD_BYTES_MAX: usize = 8 << 10;
const PAGE_BYTES_MAX: u64 = 1 << 20;

/// For a request, and for its answer.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests at the same time.
const REQUESTS_MAX: usize = 16;

/// Where the counts are told.
#[derive(Debug)]
pub(super) struct StatsPage {
    listener: TcpListener,
    address: SocketAddr,
    token: String,
}

impl StatsFlags {
    pub(super) async fn open(&self) -> Result<Option<StatsPage>, Failure> {
        let Some(address) = self.stats else {
            return Ok(None);
        };
        if !address.ip().is_loopback() {
            let text =
                "--stats is for this machine only: use a loopback address such as 127.0.0.1:0";
            return Err(Failure::usage(text));
        }
        let failed = |error: std::io::Error| Failure::servers(format!("{address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        Ok(Some(StatsPage {
            address: listener.local_addr().map_err(failed)?,
            token: token()?,
            listener,
        }))
    }
}

/// Nobody can guess it.
fn token() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let filled = rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes);
    filled.map_err(|_| Failure::failed("the system has no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl StatsPage {
    pub(super) fn url(&self) -> String {
        format!("http://{}/stats?token={}", self.address, self.token)
    }

    pub(super) fn tell(&self, json: bool) {
        if json {
            terminal::json(serde_json::json!({"type": "stats", "url": self.url()}));
        } else {
            terminal::say(format_args!("stats at {}", self.url()));
        }
    }

    /// Answers for ever.
    pub(super) async fn serve(self, page: impl Fn() -> Value) {
        let wanted = format!("GET /stats?token={} ", self.token);
        let mut requests = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept(), if requests.len() < REQUESTS_MAX => accepted,
                Some(_) = requests.join_next() => continue,
            };
            let Ok((stream, _)) = accepted else {
                // It may be out of files.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (wanted, page) = (wanted.clone(), page().to_string());
            requests.spawn(timeout(EXCHANGE_TIMEOUT, answer(stream, wanted, page)));
        }
    }
}

async fn answer(mut stream: TcpStream, wanted: String, page: String) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > HEAD_BYTES_MAX || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let (status, page) = if head.starts_with(wanted.as_bytes()) {
        ("200 OK", page)
    } else {
        ("403 Forbidden", "{}".to_owned())
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// What another `nodewire nnrp serve` tells.
pub(super) async fn fetch(url: &str, patience: Duration) -> Result<Value, String> {
    let fetching = timeout(patience, fetch_page(url)).await;
    fetching.unwrap_or_else(|_| Err(format!("{url} did not answer in time")))
}

async fn fetch_page(url: &str) -> Result<Value, String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or("--stats takes the http:// address that serve prints")?;
    let (host, path) = rest.split_once('/').ok_or("the address has no path")?;
    let unreachable = |error: std::io::Error| format!("{host}: {error}");
    let mut stream = TcpStream::connect(host).await.map_err(unreachable)?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(unreachable)?;
    let mut answer = Vec::new();
    let mut limited = stream.take(PAGE_BYTES_MAX);
    limited
        .read_to_end(&mut answer)
        .await
        .map_err(unreachable)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, page) = text.split_once("\r\n\r\n").ok_or("no HTTP answer came")?;
    if !head.starts_with("HTTP/1.1 200 ") {
        let status = head.lines().next().unwrap_or_default();
        return Err(format!("{host} says {status}: is the token right?"));
    }
    serde_json::from_str(page).map_err(|error| format!("{host}: {error}"))
}
