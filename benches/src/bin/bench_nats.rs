//! `cargo xtask bench nats`: our NATS service, `async_nats::service`, a bare subscription and the Python service under
//! the same load; our broker and `nats-server` under the same load.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use nodewire_bench::nats::{Discovery, Load, Outcome, ServiceKind, broker, host_instances, serve};
use nodewire_bench::process::{
    ServerProcess, children_cpu_seconds, machine_cpu_seconds, this_program,
};
use nodewire_bench::report::{Better, Samples, Subjects, median, table, write_json};
use nodewire_testkit::{free_port, nats_server_path, peers_dir};

/// Measures services and brokers on the NATS wire.
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
    /// Only cases whose name contains this.
    #[arg(long)]
    case: Option<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program does when it starts itself again.
#[derive(Debug, Clone, Subcommand)]
enum Role {
    #[command(hide = true)]
    Service { kind: ServiceKind, url: String },
    #[command(hide = true)]
    Instances { count: usize, url: String },
    #[command(hide = true)]
    Discover { count: usize, url: String },
    #[command(hide = true)]
    Broker,
    #[command(hide = true)]
    Load,
}

struct Case {
    name: &'static str,
    concurrency: usize,
    /// Everything on one core: without the wake-up of an idle one, which is most of the time with one caller.
    one_core: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "1 caller",
        concurrency: 1,
        one_core: false,
    },
    Case {
        name: "64 callers",
        concurrency: 64,
        one_core: false,
    },
    Case {
        name: "256 callers",
        concurrency: 256,
        one_core: false,
    },
    Case {
        name: "1 caller, one core",
        concurrency: 1,
        one_core: true,
    },
];

/// Above this the rates say more about the other programs.
const FOREIGN_CORES_MAX: f64 = 0.35;

const OURS: &str = "ours";
const ASYNC_NATS: &str = "async-nats";
const RAW: &str = "raw";
const PYTHON: &str = "python";
const OUR_BROKER: &str = "our broker";
const INSTANCES: usize = 1000;
const DISCOVERY: &str = "1,000 instances found";
const PYTHON_SERVICE: &str = "bench-python";

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.role {
        None => measure(&args),
        Some(Role::Load) => put_load(),
        Some(Role::Service { kind, url }) => runtime()?.block_on(serve(*kind, url, announce)),
        Some(Role::Instances { count, url }) => {
            runtime()?.block_on(host_instances(url, *count, announce))
        }
        Some(Role::Discover { count, url }) => discover(*count, url),
        Some(Role::Broker) => threads()?.block_on(broker(announce)),
    }
}

/// One thread: where callers and services are fastest, all alike.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn threads() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

fn announce(address: &str) {
    println!("listening {address}");
}

/// The load of one sample, in a process of its own so that it can be put on a core.
fn put_load() -> anyhow::Result<()> {
    let mut input = String::new();
    std::io::stdin().read_line(&mut input)?;
    let load: Load = serde_json::from_str(&input)?;
    let outcome = runtime()?.block_on(load.run())?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// One search for all instances, in a process of its own.
fn discover(instances: usize, url: &str) -> anyhow::Result<()> {
    let url = url.to_owned();
    let took_ms = runtime()?.block_on(Discovery { url, instances }.run())?;
    println!("{took_ms}");
    Ok(())
}

/// A broker and what is measured over it.
struct Site {
    broker: ServerProcess,
    url: String,
    subjects: Vec<Subject>,
}

struct Subject {
    name: &'static str,
    endpoint: String,
    service: ServerProcess,
}

impl Site {
    /// `nats-server` with all services.
    fn nats_server(core: Option<u32>) -> anyhow::Result<Self> {
        let port = free_port()?.to_string();
        let args = ["--addr", "127.0.0.1", "--port", port.as_str()];
        let broker = start_nats_server(&args, core)?;
        let url = format!("nats://127.0.0.1:{port}");
        let mut subjects = Vec::new();
        for (name, kind) in [
            (OURS, ServiceKind::Ours),
            (ASYNC_NATS, ServiceKind::AsyncNats),
            (RAW, ServiceKind::Raw),
        ] {
            subjects.push(Subject::rust(name, kind, &url, core)?);
        }
        subjects.push(Subject::python(&url, core)?);
        Ok(Self {
            broker,
            url,
            subjects,
        })
    }

    /// Our broker with the bare service, which costs least.
    fn our_broker(core: Option<u32>) -> anyhow::Result<Self> {
        let broker = ServerProcess::this_program(&["broker"], core)?;
        let url = broker.address.clone();
        let subjects = vec![Subject::rust(OUR_BROKER, ServiceKind::Raw, &url, core)?];
        Ok(Self {
            broker,
            url,
            subjects,
        })
    }
}

/// It says on standard error that it is ready; asking it is simpler.
fn start_nats_server(args: &[&str], core: Option<u32>) -> anyhow::Result<ServerProcess> {
    let program = nats_server_path()?;
    let line = [
        "exec \"$0\" \"$@\" 2>&1".to_owned(),
        program.display().to_string(),
    ];
    let args: Vec<&str> = ["-c", line[0].as_str(), line[1].as_str()]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    ServerProcess::other("sh".as_ref(), &args, "Server is ready", core)
}

impl Subject {
    fn rust(
        name: &'static str,
        kind: ServiceKind,
        url: &str,
        core: Option<u32>,
    ) -> anyhow::Result<Self> {
        let role = match kind {
            ServiceKind::Ours => "ours",
            ServiceKind::AsyncNats => "async-nats",
            ServiceKind::Raw => "raw",
        };
        let service = ServerProcess::this_program(&["service", role, url], core)?;
        Ok(Self {
            name,
            endpoint: kind.subject().to_owned(),
            service,
        })
    }

    fn python(url: &str, core: Option<u32>) -> anyhow::Result<Self> {
        let python = peers_dir().join("nats-micro-0.0.5/bin/python");
        let script = nodewire_testkit::python_micro_scripts().join("service.py");
        let script = script.to_str().context("a path of the repository")?;
        let service =
            ServerProcess::other(&python, &["-u", script, url, PYTHON_SERVICE], "READY", core)?;
        Ok(Self {
            name: PYTHON,
            endpoint: "echo".to_owned(),
            service,
        })
    }
}

fn measure(args: &Args) -> anyhow::Result<()> {
    let wanted = |case: &&Case| {
        let part = args.case.as_deref();
        part.is_none_or(|part| case.name.contains(part))
    };
    let cases: Vec<_> = CASES.iter().filter(wanted).collect();
    let mut samples = Samples::new("nats");
    let mut foreign = Vec::new();
    for one_core in [false, true] {
        let cases: Vec<_> = cases
            .iter()
            .filter(|case| case.one_core == one_core)
            .collect();
        if cases.is_empty() {
            continue;
        }
        let core = one_core.then_some(0);
        let sites = [Site::nats_server(core)?, Site::our_broker(core)?];
        for round in 1..=args.rounds {
            for case in &cases {
                for site in &sites {
                    for subject in &site.subjects {
                        sample(&mut samples, &mut foreign, case, args, site, subject)?;
                    }
                }
            }
            println!("round {round} of {}", args.rounds);
        }
    }
    if args
        .case
        .as_deref()
        .is_none_or(|part| DISCOVERY.contains(part))
    {
        find_instances(&mut samples, args.rounds)?;
    }
    report(&samples, &foreign, args)
}

/// How long it takes to find all instances of a service, over either broker.
fn find_instances(samples: &mut Samples, rounds: usize) -> anyhow::Result<()> {
    let count = INSTANCES.to_string();
    let sites = [
        (RAW, Site::nats_server(None)?),
        (OUR_BROKER, Site::our_broker(None)?),
    ];
    for (name, site) in &sites {
        let args = ["instances", count.as_str(), site.url.as_str()];
        let _instances = ServerProcess::this_program(&args, None)?;
        for _ in 0..rounds {
            let output = this_program(&["discover", &count, &site.url], None)?.output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            let took_ms: f64 = text.trim().parse().context("the search failed")?;
            samples.add(DISCOVERY, "ms", Better::Lower, name, took_ms);
        }
    }
    Ok(())
}

fn sample(
    samples: &mut Samples,
    foreign: &mut Vec<f64>,
    case: &Case,
    args: &Args,
    site: &Site,
    subject: &Subject,
) -> anyhow::Result<()> {
    let load = Load {
        url: site.url.clone(),
        subject: subject.endpoint.clone(),
        concurrency: case.concurrency,
        time: Duration::from_millis(args.sample_ms),
    };
    let start = Instant::now();
    let before = CpuSeconds::now(site, subject)?;
    let outcome =
        run_load(case, &load).with_context(|| format!("{}, {}", case.name, subject.name))?;
    let used = CpuSeconds::now(site, subject)?.since(&before);
    foreign.push(used.others() / start.elapsed().as_secs_f64());
    let requests = (outcome.requests + outcome.warm_up_requests) as f64;
    let mut add = |unit, better, value| samples.add(case.name, unit, better, subject.name, value);
    add(
        "req/s",
        Better::Higher,
        outcome.requests as f64 / outcome.seconds,
    );
    add("p50 µs", Better::Lower, outcome.p50_us);
    add("p99 µs", Better::Lower, outcome.p99_us);
    add("cpu µs", Better::Lower, used.service * 1e6 / requests);
    add("broker cpu µs", Better::Lower, used.broker * 1e6 / requests);
    Ok(())
}

struct CpuSeconds {
    service: f64,
    broker: f64,
    callers: f64,
    machine: f64,
}

impl CpuSeconds {
    fn now(site: &Site, subject: &Subject) -> anyhow::Result<Self> {
        Ok(Self {
            service: subject.service.cpu_seconds()?,
            broker: site.broker.cpu_seconds()?,
            callers: children_cpu_seconds()?,
            machine: machine_cpu_seconds()?,
        })
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            service: self.service - before.service,
            broker: self.broker - before.broker,
            callers: self.callers - before.callers,
            machine: self.machine - before.machine,
        }
    }

    fn others(&self) -> f64 {
        (self.machine - self.service - self.broker - self.callers).max(0.0)
    }
}

fn run_load(case: &Case, load: &Load) -> anyhow::Result<Outcome> {
    let mut command = this_program(&["load"], case.one_core.then_some(0))?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    serde_json::to_writer(child.stdin.take().context("its input is piped")?, load)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the load failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn report(samples: &Samples, foreign: &[f64], args: &Args) -> anyhow::Result<()> {
    let compare = |ours, peer: (&'static str, &'static str), limit| {
        samples.rows(&Subjects { ours, peer, limit })
    };
    let python = compare(OURS, (PYTHON, "nats-micro 0.0.5"), RAW);
    let rust = compare(OURS, (ASYNC_NATS, "async_nats::service 0.51"), RAW);
    let brokers = compare(OUR_BROKER, (RAW, "nats-server"), RAW);
    println!("\nService; peer: nats-micro 0.0.5 (Python); limit: a bare async-nats subscription\n");
    println!("{}", table(&python));
    println!("Service; peer: async_nats::service 0.51; limit: a bare async-nats subscription\n");
    println!("{}", table(&rust));
    println!("Our broker with the bare subscription; peer and limit: the same over nats-server\n");
    println!("{}", table(&brokers));
    disturbance(foreign);
    if let Some(path) = &args.json {
        write_json(&[python, rust, brokers].concat(), path)?;
    }
    Ok(())
}

/// Says how far the numbers can be trusted.
fn disturbance(foreign: &[f64]) {
    let worst = foreign.iter().copied().fold(0.0, f64::max);
    let usual = median(foreign).unwrap_or(0.0);
    println!(
        "Other programs used {usual:.2} cores during the samples (median), {worst:.2} at worst."
    );
    if usual > FOREIGN_CORES_MAX {
        println!(
            "That is too much to compare rates: trust the processor time per request only, or repeat."
        );
    }
}
