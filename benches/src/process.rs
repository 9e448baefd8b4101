//! Servers under load, as processes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::{env, fs};

use anyhow::{Context, ensure};

/// Clock ticks per second in `/proc`, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server process; killed when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    /// What it does on request is asked for here.
    input: Option<ChildStdin>,
    /// Where it listens.
    pub address: String,
}

impl ServerProcess {
    /// Starts this program again with hidden arguments, and waits until it prints where it listens.
    ///
    /// # Errors
    /// It does not start.
    pub fn this_program(args: &[&str], core: Option<u32>) -> anyhow::Result<Self> {
        let mut child = this_program(args, core)?
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()?;
        let address = wait_for_line(&mut child, |line| {
            line.strip_prefix("listening ").map(str::to_owned)
        })?;
        Ok(Self::without_input(child, address))
    }

    /// Starts a program that can be told what to do, and waits until it prints a line in which `address` finds where it
    /// listens. Its errors are thrown away unless the command says otherwise.
    ///
    /// # Errors
    /// It does not start.
    pub fn told(
        mut command: Command,
        address: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let address = wait_for_line(&mut child, address)?;
        Ok(Self {
            input: child.stdin.take(),
            child,
            address,
        })
    }

    fn without_input(child: Child, address: String) -> Self {
        Self {
            child,
            input: None,
            address,
        }
    }

    /// Tells it what to do, in a line.
    ///
    /// # Errors
    /// It has ended, or was not started by [`Self::told`].
    pub fn tell(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("it cannot be told anything")?;
        Ok(writeln!(input, "{line}")?)
    }

    /// Starts a Python node server on `port`, its log thrown away, and waits until it is ready.
    ///
    /// # Errors
    /// It does not start.
    pub fn python(
        python: &Path,
        project: &Path,
        port: u16,
        core: Option<u32>,
    ) -> anyhow::Result<Self> {
        let mut command = pinned(python, core);
        command
            .arg("main.py")
            .current_dir(project)
            .env_clear()
            .env("PORT", port.to_string());
        command
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("PATH", env::var_os("PATH").unwrap_or_default());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        wait_for_line(&mut child, |line| {
            line.contains("[NANOSERVER_READY]").then_some(())
        })?;
        Ok(Self::without_input(child, format!("127.0.0.1:{port}")))
    }

    /// Starts another program, its errors thrown away, and waits until it prints a line with `ready` in it; that line is
    /// the address.
    ///
    /// # Errors
    /// It does not start.
    pub fn other(
        program: &Path,
        args: &[&str],
        ready: &str,
        core: Option<u32>,
    ) -> anyhow::Result<Self> {
        let mut child = pinned(program, core)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let address = wait_for_line(&mut child, |line| {
            line.contains(ready).then(|| line.to_owned())
        })?;
        Ok(Self::without_input(child, address))
    }

    /// Seconds of processor time it has used.
    ///
    /// # Errors
    /// The process is gone.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        process_cpu_seconds(self.child.id())
    }

    /// What it keeps in memory for itself alone, in bytes.
    ///
    /// # Errors
    /// The process is gone.
    pub fn memory_bytes(&self) -> anyhow::Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let mut kib = 0;
        for line in rollup.lines().filter(|line| line.starts_with("Private_")) {
            let value = line.split_whitespace().nth(1);
            kib += value.context("an unknown format")?.parse::<u64>()?;
        }
        Ok(kib * 1024)
    }

    /// Seconds of processor time that its threads have used, to the nanosecond; those that have ended do not count.
    ///
    /// # Errors
    /// The process is gone.
    pub fn threads_cpu_seconds(&self) -> anyhow::Result<f64> {
        let mut seconds = 0.0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end meanwhile.
            let Ok(stat) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let ran_ns = stat
                .split_whitespace()
                .next()
                .context("an unknown format")?;
            seconds += ran_ns.parse::<f64>()? / 1e9;
        }
        Ok(seconds)
    }
}

/// Seconds of processor time that a process has used, without its children.
///
/// # Errors
/// It is gone.
pub fn process_cpu_seconds(id: u32) -> anyhow::Result<f64> {
    Ok(cpu_fields(&format!("/proc/{id}/stat"))?[..2].iter().sum())
}

/// Seconds of processor time that the ended children of this process have used.
///
/// # Errors
/// The system does not tell.
pub fn children_cpu_seconds() -> anyhow::Result<f64> {
    Ok(cpu_fields("/proc/self/stat")?[2..].iter().sum())
}

/// Seconds of processor time that everybody on this machine has used, time stolen by other machines included.
///
/// # Errors
/// The system does not tell.
pub fn machine_cpu_seconds() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let fields = stat
        .lines()
        .next()
        .context("an unknown format")?
        .split_whitespace()
        .skip(1);
    let ticks = fields
        .map(str::parse::<f64>)
        .collect::<Result<Vec<_>, _>>()?;
    // user, nice, system, (idle, iowait,) irq, softirq, steal
    let busy = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|&field| ticks.get(field));
    Ok(busy.sum::<f64>() / TICKS_PER_SECOND)
}

/// User and system time of a process, then of its ended children, in seconds.
fn cpu_fields(stat: &str) -> anyhow::Result<[f64; 4]> {
    let stat = fs::read_to_string(stat)?;
    // The second field is a name in parentheses, which may hold anything; the times are the 14th to the 17th.
    let fields = stat.rsplit_once(')').context("an unknown format")?.1;
    let mut seconds = [0.0; 4];
    for (seconds, field) in seconds.iter_mut().zip(fields.split_whitespace().skip(11)) {
        *seconds = field.parse::<f64>()? / TICKS_PER_SECOND;
    }
    Ok(seconds)
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program with hidden arguments, on one core if asked to.
///
/// # Errors
/// The program's own path is unknown.
pub fn this_program(args: &[&str], core: Option<u32>) -> anyhow::Result<Command> {
    let mut command = pinned(env::current_exe()?, core);
    command.args(args);
    Ok(command)
}

/// A program, on one core if asked to.
pub fn pinned(program: impl AsRef<OsStr>, core: Option<u32>) -> Command {
    let Some(core) = core else {
        return Command::new(program);
    };
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// Puts a process that runs already on one core, with all its threads.
///
/// # Errors
/// It is gone.
pub fn put_on(process_id: u32, core: u32) -> anyhow::Result<()> {
    let mut command = Command::new("taskset");
    command.args(["-a", "-c", "-p", &core.to_string(), &process_id.to_string()]);
    let status = command.stdout(Stdio::null()).status()?;
    ensure!(status.success(), "a process cannot be put on a core");
    Ok(())
}

/// Reads until `wanted` finds what it looks for, then goes on reading in the background, so that the server never waits.
fn wait_for_line<T>(child: &mut Child, wanted: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
    let mut output = BufReader::new(child.stdout.take().context("its output is piped")?);
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(
            output.read_line(&mut line)? > 0,
            "a server ended before it was ready"
        );
        if let Some(found) = wanted(line.trim_end()) {
            std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
            return Ok(found);
        }
    }
}
