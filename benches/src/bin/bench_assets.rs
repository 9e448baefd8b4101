//! `cargo xtask bench assets`: one large asset up and down over loopback, beside copying the same file and hashing it,
//! and how much memory the server needs for it.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use nanocore::assets::{AssetServer, AssetServerConfig, AssetStore, StoreOptions};
use nodewire_bench::process::ServerProcess;
use nodewire_bench::report::{Better, Samples, Subjects, table, write_json};
use sha2::{Digest, Sha256};

/// Measures the asset server.
#[derive(Debug, Parser)]
struct Args {
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Length of the asset.
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    /// How often each is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program does when it starts itself again.
#[derive(Debug, Clone, Subcommand)]
enum Role {
    #[command(hide = true)]
    Serve { folder: PathBuf },
}

const OURS: &str = "ours";
const LIMIT: &str = "limit";
const MIB: usize = 1 << 20;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.role {
        Some(Role::Serve { folder }) => serve(folder),
        None => measure(&args),
    }
}

#[tokio::main]
async fn serve(folder: &Path) -> anyhow::Result<()> {
    let store = AssetStore::open(folder, StoreOptions::default())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let server = AssetServer::start(store, listener, AssetServerConfig::default())?;
    let (address, token) = (server.address(), server.token().reveal());
    println!("listening {address} {token} {}", std::process::id());
    std::future::pending().await
}

fn measure(args: &Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("store");
    let store = store.to_str().context("a path that is text")?;
    let process = ServerProcess::this_program(&["serve", store], None)?;
    let server = Server::new(&process.address)?;
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    let mut samples = Samples::new("assets");
    let rate = |seconds: f64| args.mib as f64 / seconds;
    server.upload(&prepare(&source, 1, usize::MAX)?)?;
    let before = server.resident_mib_max()?;
    for round in 0..args.rounds {
        let content = prepare(&source, args.mib, round)?;
        let (hash, seconds) = server.upload(&content)?;
        samples.add("upload", "MiB/s", Better::Higher, OURS, rate(seconds));
        let seconds = copy_and_hash(&source, &target, true)?;
        samples.add("upload", "MiB/s", Better::Higher, LIMIT, rate(seconds));
        let seconds = server.download(&hash, args.mib * MIB)?;
        samples.add("download", "MiB/s", Better::Higher, OURS, rate(seconds));
        let seconds = copy_and_hash(&source, &target, false)?;
        samples.add("download", "MiB/s", Better::Higher, LIMIT, rate(seconds));
        server.delete(&hash)?;
    }
    let grown = server.resident_mib_max()? - before;
    samples.add(
        "memory of the server grew by",
        "MiB",
        Better::Lower,
        OURS,
        grown,
    );
    let rows = samples.rows(&Subjects {
        ours: OURS,
        peer: ("", ""),
        limit: LIMIT,
    });
    print!("{}", table(&rows));
    println!(
        "The limit is copying the same file and hashing the copy; for uploads with the fsync that they have too."
    );
    args.json
        .as_ref()
        .map_or(Ok(()), |path| write_json(&rows, path))
}

/// A file whose content differs from round to round; it is in the system's cache afterwards.
fn prepare(path: &Path, mib: usize, round: usize) -> anyhow::Result<PathBuf> {
    let mut piece: Vec<u8> = (0..MIB)
        .map(|at| u8::try_from(at % 251).unwrap_or_default())
        .collect();
    piece[..8].copy_from_slice(&round.to_le_bytes());
    let mut file = File::create(path)?;
    for _ in 0..mib {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    Ok(path.to_owned())
}

/// Seconds that it takes to copy a file and then hash the copy.
fn copy_and_hash(source: &Path, target: &Path, durable: bool) -> anyhow::Result<f64> {
    if target.exists() {
        fs::remove_file(target)?;
    }
    let begin = Instant::now();
    let (mut from, mut to) = (File::open(source)?, File::create(target)?);
    let mut buffer = vec![0; MIB];
    while let Some(read) = some(from.read(&mut buffer)?) {
        to.write_all(&buffer[..read])?;
    }
    if durable {
        to.sync_all()?;
    }
    let (mut hasher, mut copy) = (Sha256::new(), File::open(target)?);
    while let Some(read) = some(copy.read(&mut buffer)?) {
        hasher.update(&buffer[..read]);
    }
    std::hint::black_box(hasher.finalize());
    Ok(begin.elapsed().as_secs_f64())
}

fn some(read: usize) -> Option<usize> {
    (read > 0).then_some(read)
}

/// The server process as its client sees it.
struct Server {
    address: String,
    token: String,
    pid: u32,
}

impl Server {
    fn new(line: &str) -> anyhow::Result<Self> {
        let [address, token, pid] = line.split(' ').collect::<Vec<_>>()[..] else {
            anyhow::bail!("the server did not say how to reach it");
        };
        Ok(Self {
            address: address.to_owned(),
            token: token.to_owned(),
            pid: pid.parse()?,
        })
    }

    fn request(&self, line: &str, length: u64) -> anyhow::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n",
            self.token
        )?;
        Ok(stream)
    }

    /// The hash of what was stored, and how many seconds it took.
    fn upload(&self, path: &Path) -> anyhow::Result<(String, f64)> {
        let mut file = File::open(path)?;
        let begin = Instant::now();
        let mut stream = self.request("POST /assets", file.metadata()?.len())?;
        let mut buffer = vec![0; MIB];
        while let Some(read) = some(file.read(&mut buffer)?) {
            stream.write_all(&buffer[..read])?;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let seconds = begin.elapsed().as_secs_f64();
        ensure!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        let at = answer.find("sha256:").context("an asset has a hash")?;
        let hash = answer.get(at..at + 71).context("all of the hash")?;
        Ok((hash.to_owned(), seconds))
    }

    /// How many seconds it took to read all of an asset.
    fn download(&self, hash: &str, length: usize) -> anyhow::Result<f64> {
        let begin = Instant::now();
        let stream = self.request(&format!("GET /assets/{hash}/download"), 0)?;
        let mut reader = BufReader::with_capacity(MIB, stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            ensure!(reader.read_line(&mut line)? > 0, "no answer");
        }
        let mut left = length;
        while let Some(read) = some(reader.fill_buf()?.len()) {
            reader.consume(read);
            left -= read;
        }
        ensure!(left == 0, "{left} bytes are missing");
        Ok(begin.elapsed().as_secs_f64())
    }

    fn delete(&self, hash: &str) -> anyhow::Result<()> {
        let mut answer = String::new();
        let mut stream = self.request(&format!("DELETE /assets/{hash}"), 0)?;
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        Ok(())
    }

    /// The most memory it ever had resident.
    fn resident_mib_max(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line
            .context("a high-water mark")?
            .trim()
            .trim_end_matches(" kB");
        Ok(kib.parse::<f64>()? / 1024.0)
    }
}
