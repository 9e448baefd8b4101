//! `cargo xtask bench nnrp`: NNRP sessions over TCP, TLS and QUIC, beside `nnrp-py`, `nnrp-runtime` and bare transports.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use nodewire_bench::nnrp::ours::Ours;
use nodewire_bench::nnrp::raw::{Raw, Streams};
use nodewire_bench::nnrp::table::{Measured, Table, print};
use nodewire_bench::nnrp::{Carrier, FanOut, Idle, Load, Outcome, Program, Transport, site};
use nodewire_bench::process::{ServerProcess, children_cpu_seconds, machine_cpu_seconds};
use nodewire_bench::report::{median, write_json};
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
    /// Only these kinds of load.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "echo,fan-out,idle"
    )]
    kinds: Vec<Kind>,
    /// Only payloads of these sizes.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "1k,64k,1m")]
    sizes: Vec<Size>,
    /// Only so many frames under way at once.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    in_flight: Vec<usize>,
    /// How many idle sessions are opened.
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Only subjects whose name begins like this.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Echo,
    FanOut,
    Idle,
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
    End {
        subject: Own,
        #[command(subcommand)]
        end: End,
    },
}

/// Subjects that this program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Own {
    Ours,
    OursByHandlers,
    OursLargeMtu,
    Raw,
    RawLargeMtu,
    RawOneStream,
    RawOneStreamLargeMtu,
}

impl Own {
    const fn name(self) -> &'static str {
        match self {
            Self::Ours => OURS,
            Self::OursByHandlers => "ours, handler per frame",
            Self::OursLargeMtu => "ours, 6 KiB datagrams",
            Self::Raw => RAW,
            Self::RawLargeMtu => "raw, 6 KiB datagrams",
            Self::RawOneStream => "raw, one stream",
            Self::RawOneStreamLargeMtu => "raw, one stream, 6 KiB",
        }
    }

    const fn mtu(self) -> u16 {
        match self {
            Self::Ours | Self::OursByHandlers | Self::Raw | Self::RawOneStream => site::MTU,
            Self::OursLargeMtu | Self::RawLargeMtu | Self::RawOneStreamLargeMtu => site::LARGE_MTU,
        }
    }

    fn run(self, end: &End) -> anyhow::Result<()> {
        let mtu = self.mtu();
        let ours = |has_handlers| Ours { mtu, has_handlers };
        let raw = |streams| Raw { streams, mtu };
        match self {
            Self::Ours | Self::OursLargeMtu => run_end(&ours(false), end),
            Self::OursByHandlers => run_end(&ours(true), end),
            Self::Raw | Self::RawLargeMtu => run_end(&raw(Streams::PerMessage), end),
            Self::RawOneStream | Self::RawOneStreamLargeMtu => run_end(&raw(Streams::One), end),
        }
    }

    fn program(self) -> anyhow::Result<Program> {
        let value = self.to_possible_value().context("it has a name")?;
        Program::own(self.name(), &["end", value.get_name()])
    }
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
    Idle {
        idle: String,
    },
    Publish {
        fan_out: String,
    },
    Receive {
        fan_out: String,
    },
}

/// The limit: the bare transport, with messages laid out as NNRP lays out frames.
const RAW: &str = "raw";
const OURS: &str = "ours";

/// Above this the rates say more about the other programs.
const FOREIGN_CORES_MAX: f64 = 0.35;
const WARM_UP_MS: u64 = 300;
const RECEIVERS: usize = 400;
const FAN_OUT_BYTES: usize = 4 << 10;
const FAN_OUT_PER_S: u32 = 60;
/// What opening sessions causes comes to its end.
const SETTLE: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.role {
        None => Bench::new(args)?.run(),
        Some(Role::End { subject, end }) => subject.run(end),
    }
}

/// One thread for each end, whatever is measured.
fn run_end(carrier: &impl Carrier, end: &End) -> anyhow::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()?.block_on(be(carrier, end))
}

async fn be(carrier: &impl Carrier, end: &End) -> anyhow::Result<()> {
    let announce = |address: &str| println!("listening {address}");
    let outcome = match end {
        End::Serve {
            transport,
            certificate,
        } => {
            let transport = transport.transport();
            return carrier.serve(transport, certificate, announce).await;
        }
        End::Publish { fan_out } => {
            return carrier
                .publish(&serde_json::from_str(fan_out)?, announce)
                .await;
        }
        End::Idle { idle } => {
            let _open = carrier.open_idle(&serde_json::from_str(idle)?).await?;
            println!("open");
            // Until it is killed.
            std::future::pending().await
        }
        End::Load { load } => carrier.load(&serde_json::from_str(load)?).await?,
        End::Receive { fan_out } => {
            let fan_out: FanOut = serde_json::from_str(fan_out)?;
            let ages_ns = carrier.receive(&fan_out).await?;
            fan_out.outcome(ages_ns).context("nothing was received")?
        }
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

fn subjects(transport: Transport) -> anyhow::Result<Vec<Program>> {
    let mut subjects = vec![Own::Ours.program()?, Own::OursByHandlers.program()?];
    // It has no TLS over TCP.
    if transport != Transport::Tls {
        subjects.push(Program::nnrp_py());
    }
    subjects.push(Program::nnrp_runtime());
    subjects.push(Own::Raw.program()?);
    if transport == Transport::Quic {
        for own in [
            Own::RawOneStream,
            Own::OursLargeMtu,
            Own::RawLargeMtu,
            Own::RawOneStreamLargeMtu,
        ] {
            subjects.push(own.program()?);
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
        subjects.retain(|subject| subject.name.starts_with(&part));
        for kind in self.args.kinds.clone() {
            match kind {
                Kind::Echo => self.echo(transport, &subjects)?,
                Kind::FanOut => {
                    for subject in subjects.iter().filter(|subject| subject.is_own()) {
                        self.fan_out(transport, subject)?;
                    }
                }
                Kind::Idle => {
                    for subject in &subjects {
                        self.idle(transport, subject)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn echo(&mut self, transport: Transport, subjects: &[Program]) -> anyhow::Result<()> {
        for size in self.args.sizes.clone() {
            for in_flight in self.args.in_flight.clone() {
                for subject in subjects {
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
        let certificate = self.certificate.path();
        let core = self.args.one_core.then_some(0);
        let server = subject.serve(transport, certificate, core)?;
        let load = Load {
            transport,
            address: server.address.clone(),
            certificate: certificate.to_owned(),
            payload_bytes: size.bytes(),
            in_flight,
            warm_up_ms: WARM_UP_MS,
            time_ms: self.args.sample_ms,
        };
        let (measured, foreign) = measure(&server, || subject.load(&load, core))?;
        self.table.add(transport, &case, subject.name, measured);
        self.foreign.push(foreign);
        Ok(())
    }

    fn fan_out(&mut self, transport: Transport, subject: &Program) -> anyhow::Result<()> {
        let mut fan_out = FanOut {
            transport,
            address: String::new(),
            certificate: self.certificate.path().to_owned(),
            receivers: RECEIVERS,
            payload_bytes: FAN_OUT_BYTES,
            per_second: FAN_OUT_PER_S,
            messages: usize::try_from(self.args.sample_ms * u64::from(FAN_OUT_PER_S) / 1000)?,
        };
        let sender = subject.publish(&fan_out)?;
        fan_out.address.clone_from(&sender.address);
        let (measured, foreign) = measure(&sender, || subject.receive(&fan_out))?;
        let case = format!("1 sender, {RECEIVERS} receivers of 4 KiB at {FAN_OUT_PER_S}/s");
        self.table.add(transport, &case, subject.name, measured);
        self.foreign.push(foreign);
        Ok(())
    }

    fn idle(&mut self, transport: Transport, subject: &Program) -> anyhow::Result<()> {
        let certificate = self.certificate.path();
        let server = subject.serve(transport, certificate, None)?;
        let before = server.memory_bytes()?;
        let idle = Idle {
            transport,
            address: server.address.clone(),
            certificate: certificate.to_owned(),
            sessions: self.args.sessions,
        };
        let _open = subject.open_idle(&idle)?;
        std::thread::sleep(SETTLE);
        let used = server.memory_bytes()?.saturating_sub(before);
        let measured = Measured {
            session_kib: Some(used as f64 / 1024.0 / idle.sessions as f64),
            ..Measured::default()
        };
        let case = format!("memory of each of {} idle sessions", idle.sessions);
        self.table
            .add(transport, &case, subject.name, Some(measured));
        Ok(())
    }

    fn report(&self) -> anyhow::Result<()> {
        let mut all = Vec::new();
        for only in &self.args.only {
            let rows = self.table.rows(only.transport(), OURS, RAW);
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

/// A server under load; what came of it, and how many cores others used.
fn measure(
    server: &ServerProcess,
    load: impl FnOnce() -> anyhow::Result<Option<Outcome>>,
) -> anyhow::Result<(Option<Measured>, f64)> {
    let cpu = || -> anyhow::Result<[f64; 2]> {
        let own = server.cpu_seconds()? + children_cpu_seconds()?;
        Ok([own, machine_cpu_seconds()?])
    };
    let (start, before) = (Instant::now(), cpu()?);
    let outcome = load()?;
    let after = cpu()?;
    let (own, machine) = (after[0] - before[0], after[1] - before[1]);
    let foreign = (machine - own).max(0.0) / start.elapsed().as_secs_f64();
    let measured = outcome.map(|outcome| Measured {
        frames_per_s: Some(outcome.frames as f64 / outcome.seconds),
        p50_us: Some(outcome.p50_us),
        p99_us: Some(outcome.p99_us),
        cpu_us: Some(own * 1e6 / outcome.frames_in_all as f64),
        session_kib: None,
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
