//! Packets by `nnrp-py`, in a process that measures itself.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use nodewire_testkit::peers_dir;

/// The process; ended when dropped.
#[derive(Debug)]
pub struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// Starts it.
    ///
    /// # Errors
    /// It is not installed.
    pub fn start() -> anyhow::Result<Self> {
        let python = peers_dir().join("nnrp-py-1.0.0rc2/bin/python");
        let mut child = Command::new(&python)
            .args(["-I", "-B", "-c", include_str!("python.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", python.display()))?;
        Ok(Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().context("its output is piped")?),
            child,
        })
    }

    /// Makes sure that it makes the same packet.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&mut self, kind: &str, packet: &[u8]) -> anyhow::Result<()> {
        let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        let answer = self.ask(&format!("check\t{kind}\t{hex}"))?;
        ensure!(
            answer == "same",
            "nnrp-py makes another packet of {kind}: {answer}"
        );
        Ok(())
    }

    /// How often per second, measured for about so long; `None` if it has no such case.
    ///
    /// # Errors
    /// It has failed.
    pub fn per_second(&mut self, case: &str, time: Duration) -> anyhow::Result<Option<f64>> {
        let answer = self.ask(&format!("time\t{case}\t{}", time.as_secs_f64()))?;
        Ok(match answer.as_str() {
            "unknown" => None,
            rate => Some(rate.parse().with_context(|| format!("of {case}: {rate}"))?),
        })
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        let input = self.input.as_mut().context("its input is piped")?;
        writeln!(input, "{line}")?;
        let mut answer = String::new();
        let read = self.output.read_line(&mut answer)?;
        ensure!(read > 0, "nnrp-py has ended");
        Ok(answer.trim_end().to_owned())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It ends when it is not asked any more.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
