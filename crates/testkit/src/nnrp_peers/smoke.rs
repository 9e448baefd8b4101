//! The console command of the package.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::process::Command;

use super::{ENVIRONMENT, SelfSignedCertificate};
use crate::{PeerProcess, installed};

/// Longer than its own limit, which it takes up to three times.
const END_TIMEOUT: Duration = Duration::from_secs(120);

/// Its limit for each packet.
const PACKET_TIMEOUT_S: &str = "30";

/// `nnrp-quic-smoke`, running: one exchange over QUIC. Dropping it kills it.
#[derive(Debug)]
pub struct NnrpSmokeCommand {
    process: PeerProcess,
}

impl NnrpSmokeCommand {
    /// The client, for a server on this port. With a certificate it verifies that the server shows this one. More
    /// arguments are those of the command, `--frame-id` for instance.
    ///
    /// # Errors
    /// The package is not installed.
    pub fn client(
        port: u16,
        certificate: Option<&SelfSignedCertificate>,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = command("client", port, arguments)?;
        if let Some(certificate) = certificate {
            let path = certificate.certificate_path();
            command.arg("--verify-peer").arg("--cafile").arg(path);
        }
        Self::start(command)
    }

    /// The server of one exchange, and its port. It does not say when it listens: a client has to go on trying.
    ///
    /// # Errors
    /// The package is not installed.
    pub fn server(
        certificate: &SelfSignedCertificate,
        arguments: &[&str],
    ) -> anyhow::Result<(Self, u16)> {
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = command("server-once", port, arguments)?;
        command
            .arg("--certificate")
            .arg(certificate.certificate_path())
            .arg("--private-key")
            .arg(certificate.key_path());
        Ok((Self::start(command)?, port))
    }

    fn start(command: Command) -> anyhow::Result<Self> {
        let process = PeerProcess::spawn(command)?;
        Ok(Self { process })
    }

    /// Waits for its end and returns what it printed: `negotiated_session_id` and so on.
    ///
    /// # Errors
    /// It fails, or does not end.
    pub async fn transcript(mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let status = self.process.wait(END_TIMEOUT).await?;
        self.process.wait_for_end_of_output(END_TIMEOUT).await?;
        let printed = self.process.logs();
        ensure!(status.success(), "{status}; it printed:\n{printed}");
        let fields = printed.lines().map(|line| line.split_once('='));
        fields
            .map(|field| field.map(|(key, value)| (key.to_owned(), value.to_owned())))
            .collect::<Option<_>>()
            .with_context(|| format!("it printed:\n{printed}"))
    }
}

fn command(role: &str, port: u16, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(installed(&format!("{ENVIRONMENT}/bin/nnrp-quic-smoke"))?);
    command
        .args([role, "--port", &port.to_string()])
        .args(["--timeout", PACKET_TIMEOUT_S])
        .args(arguments)
        .env_clear()
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}
