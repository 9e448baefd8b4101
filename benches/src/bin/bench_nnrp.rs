//! `cargo xtask bench nnrp`: NNRP sessions over TCP, TLS and QUIC, beside `nnrp-py`, `nnrp-runtime` and bare transports.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use nodewire_bench::nnrp::raw::{Raw, Streams};
use nodewire_bench::nnrp::table::{Measured, Table, print, write_json};
use nodewire_bench::nnrp::{Carrier, Load, Program, Transport, site};
use nodewire_bench::process::{children_cpu_seconds, machine_cpu_seconds};
use nodewire_bench::report::median;
use tempfile::TempDir;

/// Measures NNRP sessions.
#[derive(Debug, Parser)]
struct Args {
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each subject is measured in each case.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long one measurement takes, in milliseconds.
    #[arg(long, default_value_t = 1500)]
    sample_ms: u64,
    /// Only these transports.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "tcp,tls,quic"
    )]
    only: Vec<Only>,
    /// Only payloads of these sizes.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "1k,64k,1m")]
    sizes: Vec<Size>,
    /// Only so many frames under way at once.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    in_flight: Vec<usize>,
    /// Only subjects whose name contains this.
    #[arg(long)]
    subject: Option<String>,
    /// Everything on one core: without the wake-up of an idle one, which is most of the time with one frame under way.
    #[arg(long)]
    one_core: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    Tcp,
    Tls,
    Quic,
}

impl Only {
    const fn transport(self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Tls => Transport::Tls,
            Self::Quic => Transport::Quic,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Size {
    #[value(name = "1k")]
    OneKib,
    #[value(name = "64k")]
    SixtyFourKib,
    #[value(name = "1m")]
    OneMib,
}

impl Size {
    const fn bytes(self) -> usize {
        match self {
            Self::OneKib => 1 << 10,
            Self::SixtyFourKib => 64 << 10,
            Self::OneMib => 1 << 20,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::OneKib => "1 KiB",
            Self::SixtyFourKib => "64 KiB",
            Self::OneMib => "1 MiB",
        }
    }
}

/// What this program does when it starts itself again: one end of a subject.
#[derive(Debug, Clone, Subcommand)]
enum Role {
    #[command(hide = true)]
    Raw {
        #[command(subcommand)]
        end: End,
    },
    #[command(hide = true)]
    RawLargeMtu {
        #[command(subcommand)]
        end: End,
    },
    #[command(hide = true)]
    RawOneStream {
        #[command(subcommand)]
        end: End,
    },
    #[command(hide = true)]
    RawOneStreamLargeMtu {
        #[command(subcommand)]
        end: End,
    },
}

#[derive(Debug, Clone, Subcommand)]
enum End {
    Serve {
        transport: Only,
        certificate: PathBuf,
    },
    Load {
        load: String,
    },
}

/// The limit: the bare transport, with messages laid out as NNRP lays out frames.
const RAW: &str = "raw";
const RAW_LARGE_MTU: &str = "raw, 6500 B datagrams";
const RAW_ONE_STREAM: &str = "raw, one stream";
const RAW_ONE_STREAM_LARGE_MTU: &str = "raw, one stream, 6500 B";

/// Above this the rates say more about the other programs.
const FOREIGN_CORES_MAX: f64 = 0.35;
const WARM_UP_MS: u64 = 300;
/// The slowest that goes on at all needs 20 s.
const PATIENCE: Duration = Duration::from_secs(40);

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let Some(role) = &args.role else {
        return Bench::new(args)?.run();
    };
    let raw = |streams, mtu| Raw { streams, mtu };
    match role {
        Role::Raw { end } => run_end(&raw(Streams::PerMessage, site::MTU), end),
        Role::RawLargeMtu { end } => run_end(&raw(Streams::PerMessage, site::LARGE_MTU), end),
        Role::RawOneStream { end } => run_end(&raw(Streams::One, site::MTU), end),
        Role::RawOneStreamLargeMtu { end } => run_end(&raw(Streams::One, site::LARGE_MTU), end),
    }
}

/// One thread for each end, whatever is measured.
fn run_end(carrier: &impl Carrier, end: &End) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match end {
        End::Serve {
            transport,
            certificate,
        } => {
            let announce = |address: &str| println!("listening {address}");
            runtime.block_on(carrier.serve(transport.transport(), certificate, announce))
        }
        End::Load { load } => {
            let load: Load = serde_json::from_str(load)?;
            let outcome = runtime.block_on(carrier.load(&load))?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
    }
}

fn subjects(transport: Transport) -> anyhow::Result<Vec<Program>> {
    let mut subjects = Vec::new();
    // It has no TLS over TCP.
    if transport != Transport::Tls {
        subjects.push(Program::nnrp_py());
    }
    subjects.push(Program::nnrp_runtime());
    subjects.push(Program::own(RAW, "raw")?);
    if transport == Transport::Quic {
        for (name, role) in [
            (RAW_ONE_STREAM, "raw-one-stream"),
            (RAW_LARGE_MTU, "raw-large-mtu"),
            (RAW_ONE_STREAM_LARGE_MTU, "raw-one-stream-large-mtu"),
        ] {
            subjects.push(Program::own(name, role)?);
        }
    }
    Ok(subjects)
}

struct Bench {
    args: Args,
    certificate: TempDir,
    table: Table,
    /// Cores that others used, one for each sample.
    foreign: Vec<f64>,
}

impl Bench {
    fn new(args: Args) -> anyhow::Result<Self> {
        let certificate = TempDir::new()?;
        site::write_certificate(certificate.path())?;
        Ok(Self {
            args,
            certificate,
            table: Table::default(),
            foreign: Vec::new(),
        })
    }

    fn run(mut self) -> anyhow::Result<()> {
        for round in 1..=self.args.rounds {
            for only in self.args.only.clone() {
                self.round(only.transport())?;
            }
            println!("round {round} of {}", self.args.rounds);
        }
        self.report()
    }

    /// All subjects of a case one behind the other.
    fn round(&mut self, transport: Transport) -> anyhow::Result<()> {
        let part = self.args.subject.clone().unwrap_or_default();
        let mut subjects = subjects(transport)?;
        subjects.retain(|subject| subject.name.contains(&part));
        for size in self.args.sizes.clone() {
            for in_flight in self.args.in_flight.clone() {
                for subject in &subjects {
                    self.sample(transport, size, in_flight, subject)?;
                }
            }
        }
        Ok(())
    }

    fn sample(
        &mut self,
        transport: Transport,
        size: Size,
        in_flight: usize,
        subject: &Program,
    ) -> anyhow::Result<()> {
        let case = format!("{}, {in_flight} in flight", size.name());
        // It would again, and each time costs as long.
        if self.table.has_stalled(transport, &case, subject.name) {
            return Ok(());
        }
        let load = Load {
            transport,
            address: String::new(),
            certificate: self.certificate.path().to_owned(),
            payload_bytes: size.bytes(),
            in_flight,
            warm_up_ms: WARM_UP_MS,
            time_ms: self.args.sample_ms,
        };
        let core = self.args.one_core.then_some(0);
        let (measured, foreign) = measure(subject, load, self.certificate.path(), core)?;
        self.table.add(transport, &case, subject.name, measured);
        self.foreign.push(foreign);
        Ok(())
    }

    fn report(&self) -> anyhow::Result<()> {
        let mut all = Vec::new();
        for only in &self.args.only {
            let rows = self.table.rows(only.transport(), RAW);
            println!("\n{}\n\n{}", title(only.transport()), print(&rows));
            all.extend(rows);
        }
        self.tell_disturbance();
        self.args
            .json
            .as_deref()
            .map_or(Ok(()), |path| write_json(&all, path))
    }

    /// Says how far the numbers can be trusted.
    fn tell_disturbance(&self) {
        let worst = self.foreign.iter().copied().fold(0.0, f64::max);
        let usual = median(&self.foreign).unwrap_or(0.0);
        println!(
            "Other programs used {usual:.2} cores during the samples (median), {worst:.2} at worst."
        );
        if usual > FOREIGN_CORES_MAX {
            println!(
                "That is too much to compare rates: trust the processor time per frame only, or repeat."
            );
        }
    }
}

/// A server and a load; what came of it, and how many cores others used.
fn measure(
    subject: &Program,
    mut load: Load,
    certificate: &Path,
    core: Option<u32>,
) -> anyhow::Result<(Option<Measured>, f64)> {
    let server = subject.serve(load.transport, certificate, core)?;
    load.address.clone_from(&server.address);
    let cpu = || -> anyhow::Result<[f64; 2]> {
        let own = server.cpu_seconds()? + children_cpu_seconds()?;
        Ok([own, machine_cpu_seconds()?])
    };
    let (start, before) = (Instant::now(), cpu()?);
    let outcome = subject.load(&load, core, PATIENCE)?;
    let after = cpu()?;
    let (own, machine) = (after[0] - before[0], after[1] - before[1]);
    let foreign = (machine - own).max(0.0) / start.elapsed().as_secs_f64();
    let measured = outcome.map(|outcome| Measured {
        frames_per_s: outcome.frames as f64 / outcome.seconds,
        p50_us: outcome.p50_us,
        p99_us: outcome.p99_us,
        cpu_us: own * 1e6 / outcome.frames_in_all as f64,
    });
    Ok((measured, foreign))
}

fn title(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP; limit: whole messages echoed over tokio's TCP",
        Transport::Tls => "TLS over TCP; limit: whole messages echoed over tokio-rustls",
        Transport::Quic => {
            "QUIC; limit: whole messages echoed over quinn, each in a stream of its own, datagrams of 1452 B"
        }
    }
}
