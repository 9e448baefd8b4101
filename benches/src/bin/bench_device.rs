//! `cargo xtask bench device`: our device service, the real one and bare libzmq sockets under the same load.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Parser, Subcommand};
use nodewire_bench::device::{
    Beats, Clients, Libzmq, MARKER_TOPIC, Requests, Subject, SubjectKind, Subscribers, plain, serve,
};
use nodewire_bench::process::{children_cpu_seconds, machine_cpu_seconds};
use nodewire_bench::report::{Better, Samples, Subjects, median, table, write_json};

/// Measures device services on the ZeroMQ wire.
#[derive(Debug, Parser)]
struct Args {
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each subject is measured in each case.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long one measurement of commands takes, in milliseconds.
    #[arg(long, default_value_t = 1500)]
    sample_ms: u64,
    /// How many heartbeats are watched.
    #[arg(long, default_value_t = 100)]
    beats: usize,
    /// How long services are left alone, in seconds.
    #[arg(long, default_value_t = 10)]
    idle_s: u64,
    /// Threads of our service.
    #[arg(long, default_value_t = 1)]
    threads: usize,
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
    Service {
        heartbeat_interval_ms: u64,
        threads: usize,
    },
    /// Takes the arguments of `bare.c`.
    #[command(hide = true, subcommand)]
    Plain(PlainClients),
}

#[derive(Debug, Clone, Subcommand)]
enum PlainClients {
    Request {
        endpoint: String,
        #[arg(value_parser = ["1"])]
        clients: String,
        warm_up_ms: u64,
        time_ms: u64,
        request: String,
        expected: String,
    },
    Subscribe {
        endpoint: String,
        subscribers: usize,
        events: usize,
    },
}

struct Case {
    name: &'static str,
    load: Load,
    /// Everything on one core: without the wake-up of an idle one, which is most of the time with one client.
    one_core: bool,
}

#[derive(Clone, Copy)]
enum Load {
    Commands { kind: Clients, clients: usize },
    Events { kind: Clients, subscribers: usize },
}

const CASES: &[Case] = &[
    Case {
        name: "commands, 1 client",
        load: commands(Clients::Libzmq, 1),
        one_core: false,
    },
    Case {
        name: "commands, 16 clients",
        load: commands(Clients::Libzmq, 16),
        one_core: false,
    },
    Case {
        name: "commands, 1 plain client",
        load: commands(Clients::Plain, 1),
        one_core: false,
    },
    Case {
        name: "events, 1 subscriber",
        load: events(Clients::Libzmq, 1),
        one_core: false,
    },
    Case {
        name: "events, 8 subscribers",
        load: events(Clients::Libzmq, 8),
        one_core: false,
    },
    Case {
        name: "events, 1 plain subscriber",
        load: events(Clients::Plain, 1),
        one_core: false,
    },
    Case {
        name: "events, 8 plain subscribers",
        load: events(Clients::Plain, 8),
        one_core: false,
    },
    Case {
        name: "commands, 1 client, one core",
        load: commands(Clients::Libzmq, 1),
        one_core: true,
    },
    Case {
        name: "commands, 1 plain client, one core",
        load: commands(Clients::Plain, 1),
        one_core: true,
    },
];

const fn commands(kind: Clients, clients: usize) -> Load {
    Load::Commands { kind, clients }
}

const fn events(kind: Clients, subscribers: usize) -> Load {
    Load::Events { kind, subscribers }
}

const HEARTBEATS: &str = "heartbeats";
const IDLE: &str = "idle";
/// As the real services unless told otherwise.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// Of services whose heartbeats are watched.
const WATCHED_INTERVAL: Duration = Duration::from_millis(100);
/// Above this the rates say more about the other programs.
const FOREIGN_CORES_MAX: f64 = 0.35;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.role {
        None => Bench::new(args)?.run(),
        Some(Role::Service {
            heartbeat_interval_ms,
            threads,
        }) => {
            let interval = Duration::from_millis(heartbeat_interval_ms);
            runtime(threads)?.block_on(serve(interval, |addresses| {
                println!("listening {addresses}");
            }))
        }
        Some(Role::Plain(clients)) => plain_clients(&clients),
    }
}

fn plain_clients(clients: &PlainClients) -> anyhow::Result<()> {
    let result = match clients {
        PlainClients::Request {
            endpoint,
            warm_up_ms,
            time_ms,
            request,
            expected,
            ..
        } => {
            let (warm_up, time) = (
                Duration::from_millis(*warm_up_ms),
                Duration::from_millis(*time_ms),
            );
            serde_json::to_string(&plain::request(endpoint, warm_up, time, request, expected)?)?
        }
        PlainClients::Subscribe {
            endpoint,
            subscribers,
            events,
        } => {
            let ready = || println!("ready");
            let published = plain::subscribe(endpoint, *subscribers, *events, MARKER_TOPIC, ready)?;
            serde_json::to_string(&published)?
        }
    };
    println!("{result}");
    Ok(())
}

/// Without threads of its own a runtime runs everything on the thread that waits for it.
fn runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(threads.max(1)).enable_all().build()
}

struct Bench {
    args: Args,
    libzmq: Libzmq,
    samples: Samples,
    /// Cores that others used, one for each sample.
    foreign: Vec<f64>,
}

impl Bench {
    fn new(args: Args) -> anyhow::Result<Self> {
        Ok(Self {
            args,
            libzmq: Libzmq::build()?,
            samples: Samples::new("device"),
            foreign: Vec::new(),
        })
    }

    fn run(mut self) -> anyhow::Result<()> {
        if self.is_wanted(IDLE) {
            self.leave_alone()?;
        }
        for one_core in [false, true] {
            self.put_load(one_core)?;
        }
        if self.is_wanted(HEARTBEATS) {
            self.watch_heartbeats()?;
        }
        self.report()
    }

    fn is_wanted(&self, name: &str) -> bool {
        let part = self.args.case.as_deref();
        part.is_none_or(|part| name.contains(part))
    }

    fn start(
        &self,
        kind: SubjectKind,
        interval: Duration,
        core: Option<u32>,
    ) -> anyhow::Result<Subject> {
        Subject::start(kind, &self.libzmq, interval, self.args.threads, core)
    }

    fn put_load(&mut self, one_core: bool) -> anyhow::Result<()> {
        let wanted = |case: &&Case| case.one_core == one_core && self.is_wanted(case.name);
        let cases: Vec<_> = CASES.iter().filter(wanted).collect();
        if cases.is_empty() {
            return Ok(());
        }
        let core = one_core.then_some(0);
        let mut subjects = Vec::new();
        for kind in SubjectKind::ALL {
            subjects.push(self.start(kind, HEARTBEAT_INTERVAL, core)?);
        }
        for round in 1..=self.args.rounds {
            for case in &cases {
                for subject in &mut subjects {
                    self.sample(case, subject)
                        .with_context(|| format!("{}, {}", case.name, subject.kind.name()))?;
                }
            }
            println!("round {round} of {}", self.args.rounds);
        }
        Ok(())
    }

    fn sample(&mut self, case: &Case, subject: &mut Subject) -> anyhow::Result<()> {
        let start = Instant::now();
        let before = CpuSeconds::now(subject)?;
        let measured = match case.load {
            Load::Commands { kind, clients } => self.commands(case, subject, (kind, clients)),
            Load::Events { kind, subscribers } => self.events(subject, kind, subscribers),
        }?;
        let used = CpuSeconds::now(subject)?.since(&before);
        self.foreign
            .push(used.others() / start.elapsed().as_secs_f64());
        let cpu_us = used.service * 1e6 / measured.operations as f64;
        for (unit, better, value) in
            measured
                .values
                .into_iter()
                .chain([("cpu µs", Better::Lower, cpu_us)])
        {
            let name = subject.kind.name();
            self.samples.add(case.name, unit, better, name, value);
        }
        Ok(())
    }

    fn commands(
        &self,
        case: &Case,
        subject: &Subject,
        (kind, clients): (Clients, usize),
    ) -> anyhow::Result<Measured> {
        let requests = Requests {
            kind,
            clients,
            time: Duration::from_millis(self.args.sample_ms),
            core: case.one_core.then_some(0),
        };
        let answered = requests.run(&self.libzmq, subject)?;
        Ok(Measured {
            operations: answered.answered_in_all,
            values: vec![
                (
                    "op/s",
                    Better::Higher,
                    answered.answered as f64 / answered.seconds,
                ),
                ("p50 µs", Better::Lower, answered.p50_us),
                ("p99 µs", Better::Lower, answered.p99_us),
            ],
        })
    }

    fn events(
        &self,
        subject: &mut Subject,
        kind: Clients,
        subscribers: usize,
    ) -> anyhow::Result<Measured> {
        let load = Subscribers {
            kind,
            subscribers,
            events: events_per_sample(subject.kind, subscribers),
        };
        let published = load.run(&self.libzmq, subject)?;
        let per_subscriber = published.received as f64 / subscribers as f64;
        let lost = (load.events * subscribers).saturating_sub(published.received);
        let bytes = published.bytes as f64 / published.received as f64;
        Ok(Measured {
            operations: load.events,
            values: vec![
                ("ev/s", Better::Higher, per_subscriber / published.seconds),
                ("lost", Better::Lower, lost as f64),
                ("bytes", Better::Lower, bytes),
            ],
        })
    }

    /// All at the same time: none does anything but beat.
    fn watch_heartbeats(&mut self) -> anyhow::Result<()> {
        let mut watched = Vec::new();
        for kind in [SubjectKind::Ours, SubjectKind::Reference] {
            let subject = self.start(kind, WATCHED_INTERVAL, None)?;
            let beats = Beats::watch(&self.libzmq, &subject, self.args.beats, WATCHED_INTERVAL)?;
            watched.push((subject, beats));
        }
        for (subject, beats) in watched {
            let beats = beats()?;
            for (unit, value) in [
                ("drift µs", beats.drift_us()),
                ("p99 µs off", beats.jitter_us()),
            ] {
                let name = subject.kind.name();
                self.samples
                    .add(HEARTBEATS, unit, Better::Lower, name, value);
            }
        }
        Ok(())
    }

    /// All at the same time: they hardly do anything.
    fn leave_alone(&mut self) -> anyhow::Result<()> {
        let mut subjects = Vec::new();
        for kind in SubjectKind::ALL {
            subjects.push(self.start(kind, HEARTBEAT_INTERVAL, None)?);
        }
        // What a start causes comes to its end.
        std::thread::sleep(Duration::from_secs(1));
        let start = Instant::now();
        let before: Vec<_> = subjects.iter().map(Subject::cpu_seconds).collect();
        std::thread::sleep(Duration::from_secs(self.args.idle_s));
        for (subject, before) in subjects.iter().zip(before) {
            let used = subject.cpu_seconds()? - before?;
            let cpu_us_per_s = used * 1e6 / start.elapsed().as_secs_f64();
            let name = subject.kind.name();
            self.samples
                .add(IDLE, "cpu µs/s", Better::Lower, name, cpu_us_per_s);
        }
        Ok(())
    }

    fn report(&self) -> anyhow::Result<()> {
        let rows = self.samples.rows(&Subjects {
            ours: SubjectKind::Ours.name(),
            peer: (SubjectKind::Reference.name(), "auto-trainer-api 0.9.11"),
            limit: SubjectKind::Libzmq.name(),
        });
        println!(
            "\nPeer: auto-trainer-api 0.9.11 (Python); limit: bare libzmq sockets; clients are libzmq's, or plain TCP sockets\n"
        );
        println!("{}", table(&rows));
        println!(
            "A beat's drift is what it takes beyond its interval of {WATCHED_INTERVAL:?}; an idle service may use 500 µs/s."
        );
        self.tell_disturbance();
        self.args
            .json
            .as_deref()
            .map_or(Ok(()), |path| write_json(&rows, path))
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
                "That is too much to compare rates: trust the processor time per operation only, or repeat."
            );
        }
    }
}

/// What one sample gave.
struct Measured {
    operations: usize,
    values: Vec<(&'static str, Better, f64)>,
}

/// About a second's worth.
fn events_per_sample(kind: SubjectKind, subscribers: usize) -> usize {
    match (kind, subscribers) {
        (SubjectKind::Reference, _) => 15_000,
        (SubjectKind::Ours, 1) => 400_000,
        (SubjectKind::Libzmq, 1) => 1_000_000,
        (SubjectKind::Ours | SubjectKind::Libzmq, _) => 150_000,
    }
}

struct CpuSeconds {
    service: f64,
    clients: f64,
    machine: f64,
}

impl CpuSeconds {
    fn now(subject: &Subject) -> anyhow::Result<Self> {
        Ok(Self {
            service: subject.cpu_seconds()?,
            clients: children_cpu_seconds()?,
            machine: machine_cpu_seconds()?,
        })
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            service: self.service - before.service,
            clients: self.clients - before.clients,
            machine: self.machine - before.machine,
        }
    }

    fn others(&self) -> f64 {
        (self.machine - self.service - self.clients).max(0.0)
    }
}
