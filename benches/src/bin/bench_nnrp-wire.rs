//! `cargo xtask bench nnrp-wire`: NNRP packets per second of processor time, beside `nnrp-py` and `nnrp-core`, and allocations of each.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use nodewire_bench::nnrp_wire::inputs::Content;
use nodewire_bench::nnrp_wire::ours::Ours;
use nodewire_bench::nnrp_wire::python::Python;
use nodewire_bench::nnrp_wire::{CORE, CORE_BORROWED, MEMCPY, OURS, Operation, PYTHON, rust_peer};
use nodewire_bench::process::{machine_cpu_seconds, process_cpu_seconds};
use nodewire_bench::report::{Better, Row, Samples, Subjects, median, table, write_json};

/// Measures NNRP packets.
#[derive(Debug, Parser)]
struct Args {
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each case is measured.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long a sample takes, in ms.
    #[arg(long, default_value_t = 60)]
    sample_ms: u64,
    /// Only cases with this in their names.
    #[arg(long)]
    case: Option<String>,
}

/// Above this the rates say more about the other programs.
const FOREIGN_CORES_MAX: f64 = 0.35;
const PACKETS: &str = "pkt/s";

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let contents = Content::all();
    let ours = Ours::new(&contents)?;
    let mut python = Python::start()?;
    for (kind, packet) in &ours.packets {
        python.check(kind, packet)?;
    }
    let mut operations = ours.operations;
    operations.extend(rust_peer::operations(&contents)?);
    let part = args.case.as_deref();
    operations.retain(|operation| part.is_none_or(|part| operation.case.contains(part)));
    let mut operations = by_case(operations);
    let mut samples = Samples::new("nnrp-wire");
    count_allocations(&mut samples, part)?;
    let mut foreign = Vec::new();
    for round in 1..=args.rounds {
        foreign.push(measure(&mut samples, &mut operations, &mut python, &args)?);
        println!("round {round} of {}", args.rounds);
    }
    report(&samples, &foreign, &args)
}

/// All subjects of a case one behind the other.
fn by_case(operations: Vec<Operation>) -> Vec<Operation> {
    let mut cases: Vec<(String, Vec<Operation>)> = Vec::new();
    for operation in operations {
        match cases.iter_mut().find(|(case, _)| *case == operation.case) {
            Some((_, subjects)) => subjects.push(operation),
            None => cases.push((operation.case.clone(), vec![operation])),
        }
    }
    cases
        .into_iter()
        .flat_map(|(_, subjects)| subjects)
        .collect()
}

/// One round; returns how many cores others used.
fn measure(
    samples: &mut Samples,
    operations: &mut [Operation],
    python: &mut Python,
    args: &Args,
) -> anyhow::Result<f64> {
    let time = Duration::from_millis(args.sample_ms);
    let cpu = |python: &Python| -> anyhow::Result<f64> {
        let own = process_cpu_seconds(std::process::id())? + process_cpu_seconds(python.id())?;
        Ok(machine_cpu_seconds()? - own)
    };
    let (start, before) = (Instant::now(), cpu(python)?);
    for operation in operations {
        let rate = operation.per_second(time)?;
        let mut add =
            |subject, rate| samples.add(&operation.case, PACKETS, Better::Higher, subject, rate);
        add(operation.subject, rate);
        if operation.subject == OURS
            && let Some(rate) = python.per_second(&operation.case, time)?
        {
            add(PYTHON, rate);
        }
    }
    Ok((cpu(python)? - before).max(0.0) / start.elapsed().as_secs_f64())
}

/// Another program counts, since counting takes time.
fn count_allocations(samples: &mut Samples, part: Option<&str>) -> anyhow::Result<()> {
    let program = std::env::current_exe()?.with_file_name("allocations_nnrp-wire");
    let output = Command::new(&program).output()?;
    ensure!(output.status.success(), "{} has failed", program.display());
    for line in String::from_utf8(output.stdout)?.lines() {
        let mut fields = line.split('\t');
        let (Some(subject), Some(case), Some(count)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if part.is_none_or(|part| case.contains(part)) {
            samples.add(case, "allocs", Better::Lower, subject, count.parse()?);
        }
    }
    Ok(())
}

fn report(samples: &Samples, foreign: &[f64], args: &Args) -> anyhow::Result<()> {
    let compare = |peer: (&'static str, &'static str)| {
        samples.rows(&Subjects {
            ours: OURS,
            peer,
            limit: MEMCPY,
        })
    };
    let without = |rows: Vec<Row>, unit: &str| {
        let rows = rows.into_iter();
        rows.filter(|row| row.unit != unit && row.peer.is_some())
            .collect::<Vec<_>>()
    };
    let python = without(compare((PYTHON, "nnrp-py 1.0.0rc2")), "allocs");
    let core = compare((CORE, "nnrp-core 1.0.0-preview.4.26"));
    let borrowed = compare((CORE_BORROWED, "nnrp-core, borrowed"));
    let borrowed = without(borrowed, "allocs");
    println!(
        "\nPeer: nnrp-py 1.0.0rc2; limit: as many payload bytes copied into a reused buffer\n"
    );
    println!("{}", table(&python));
    println!(
        "Peer: nnrp-core 1.0.0-preview.4.26, its structures put together by hand in one reused buffer; what it reads is\n\
         copied, since its views do not outlive the packet. It does not check the table of tile lengths.\n"
    );
    println!("{}", table(&core));
    println!("The same, nothing copied: views into the packet, for comparison only\n");
    println!("{}", table(&borrowed));
    tell_disturbance(foreign);
    args.json.as_deref().map_or(Ok(()), |path| {
        write_json(&[python, core, borrowed].concat(), path)
    })
}

/// Says how far the numbers can be trusted.
fn tell_disturbance(foreign: &[f64]) {
    let worst = foreign.iter().copied().fold(0.0, f64::max);
    let usual = median(foreign).unwrap_or(0.0);
    println!(
        "Other programs used {usual:.2} cores during the rounds (median), {worst:.2} at worst."
    );
    if usual > FOREIGN_CORES_MAX {
        println!("They share caches and memory: trust the ratios only, or repeat.");
    }
}
