//! How fast this broker is beside nats-server: `cargo run --profile measured -p nats-broker --example compare`.
//!
//! One load generator, both brokers as processes of their own, interleaved; medians. CPU is that of the broker alone.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that reports to people"
)]

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use nats_broker::Broker;
use nodewire_testkit::NatsServer;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
enum Load {
    /// Echo of 16 bytes with so many requests at a time.
    Echo(usize),
    /// Publications of 16 bytes that nobody gets.
    Publish,
    /// Publications of so many bytes to so many subscribers; counted are deliveries.
    FanOut { bytes: usize, subscribers: usize },
}

const LOADS: [Load; 7] = [
    Load::Echo(1),
    Load::Echo(64),
    Load::Echo(256),
    Load::Publish,
    Load::FanOut {
        bytes: 16,
        subscribers: 1,
    },
    Load::FanOut {
        bytes: 16,
        subscribers: 8,
    },
    Load::FanOut {
        bytes: 65_536,
        subscribers: 8,
    },
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("broker") {
        return serve().await;
    }
    let server = NatsServer::start().await?;
    let server_pid = listener_pid(server.port())?;
    let (child, url) = child().await?;
    let brokers = [
        (url, child.id().unwrap_or_default()),
        (server.url(), server_pid),
    ];
    for load in LOADS {
        let mut results: [Vec<(f64, f64)>; 2] = Default::default();
        for _ in 0..ROUNDS {
            for ((url, pid), results) in brokers.iter().zip(&mut results) {
                results.push(measure(load, url, *pid).await?);
            }
        }
        let [ours, theirs] = results.map(median);
        println!(
            "{load:?}: ours {:.0}/s {:.2} us, nats-server {:.0}/s {:.2} us, ratio {:.2}",
            ours.0,
            ours.1,
            theirs.0,
            theirs.1,
            ours.0 / theirs.0
        );
    }
    drop(child);
    Ok(())
}

fn median(results: Vec<(f64, f64)>) -> (f64, f64) {
    let of = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (rates, costs) = results.into_iter().unzip();
    (of(rates), of(costs))
}

async fn serve() -> anyhow::Result<()> {
    let broker = Broker::builder().start().await?;
    println!("{}", broker.url());
    // Until the parent ends.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

async fn child() -> anyhow::Result<(Child, String)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("broker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut url)
        .await?;
    Ok((child, url.trim().to_owned()))
}

/// The process that was started with a configuration for this port: its server is a child of the test kit's.
fn listener_pid(port: u16) -> anyhow::Result<u32> {
    let listening = format!("0100007F:{port:04X} 00000000:0000 0A");
    let tcp = std::fs::read_to_string("/proc/net/tcp")?;
    let line = tcp.lines().find(|line| line.contains(&listening)).unwrap();
    let inode = line.split_whitespace().nth(9).unwrap();
    let socket = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc")?.flatten() {
        let fds = std::fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten();
        let mut links = fds
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok());
        if links.any(|link| link.as_os_str() == socket.as_str()) {
            return Ok(process.file_name().to_string_lossy().parse()?);
        }
    }
    anyhow::bail!("nobody listens on {port}")
}

/// Seconds of CPU so far.
fn cpu(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

/// Per second, and microseconds of the broker's CPU for each.
async fn measure(load: Load, url: &str, pid: u32) -> anyhow::Result<(f64, f64)> {
    let cpu_before = cpu(pid)?;
    let (count, elapsed) = match load {
        Load::Echo(concurrency) => echo(url, concurrency).await?,
        Load::Publish => publish(url).await?,
        Load::FanOut { bytes, subscribers } => fan_out(url, bytes, subscribers).await?,
    };
    let cpu = cpu(pid)? - cpu_before;
    Ok((count / elapsed, cpu * 1e6 / count))
}

async fn echo(url: &str, concurrency: usize) -> anyhow::Result<(f64, f64)> {
    let service = async_nats::connect(url).await?;
    let mut requests = service.queue_subscribe("echo", "q".into()).await?;
    round_trip(&service).await;
    let serving = tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            let reply = request.reply.unwrap();
            service.publish(reply, request.payload).await.unwrap();
        }
    });
    let client = async_nats::connect(url).await?;
    let start = Instant::now();
    let callers: Vec<_> = (0..concurrency)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut count = 0u32;
                while start.elapsed() < ROUND {
                    client
                        .request("echo", "0123456789abcdef".into())
                        .await
                        .unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for caller in callers {
        count += caller.await?;
    }
    let elapsed = start.elapsed().as_secs_f64();
    serving.abort();
    Ok((f64::from(count), elapsed))
}

async fn publish(url: &str) -> anyhow::Result<(f64, f64)> {
    let client = async_nats::connect(url).await?;
    let start = Instant::now();
    let mut count = 0u32;
    while start.elapsed() < ROUND {
        for _ in 0..1000 {
            client.publish("nobody", "0123456789abcdef".into()).await?;
        }
        count += 1000;
    }
    round_trip(&client).await;
    Ok((f64::from(count), start.elapsed().as_secs_f64()))
}

/// Waits until the broker has taken all that was sent: the client's own `flush` does not.
async fn round_trip(client: &async_nats::Client) {
    client
        .request("nobody.either", "".into())
        .await
        .unwrap_err();
}

async fn fan_out(url: &str, bytes: usize, subscribers: usize) -> anyhow::Result<(f64, f64)> {
    let mut counting = Vec::new();
    for _ in 0..subscribers {
        let client = async_nats::ConnectOptions::new()
            .subscription_capacity(1 << 20)
            .connect(url)
            .await?;
        let mut messages = client.subscribe("all").await?;
        round_trip(&client).await;
        counting.push(tokio::spawn(async move {
            let mut count = 0u32;
            while let Some(message) = messages.next().await {
                if message.payload.is_empty() {
                    break;
                }
                count += 1;
            }
            (count, client)
        }));
    }
    let client = async_nats::connect(url).await?;
    let payload = bytes::Bytes::from(vec![b'x'; bytes]);
    let start = Instant::now();
    while start.elapsed() < ROUND {
        for _ in 0..(1 + (1 << 20) / bytes / subscribers / 8) {
            client.publish("all", payload.clone()).await?;
        }
        // Nobody is to be closed for being slow.
        round_trip(&client).await;
    }
    client.publish("all", "".into()).await?;
    let mut count = 0;
    for counting in counting {
        count += counting.await?.0;
    }
    Ok((f64::from(count), start.elapsed().as_secs_f64()))
}
