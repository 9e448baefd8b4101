//! Which transport is better, before there is a session. spec: nnrp-session 2.6, nnrp-design "Probing"

use std::time::Duration;

use futures_util::FutureExt as _;
use nnrp_wire::session::{PathEnd, PathId, Probe, ProbeSample, ProbeSummary, Transmit};
use nnrp_wire::{DecodeOptions, Envelope, Message, Packet, TransportId};
use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};

use crate::dial::{DialError, Dialer};
use crate::driver::later;
use crate::endpoint::Endpoint;
use crate::link::Link;

/// How to probe.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProbeOptions {
    /// Probes of each transport that count: 3 unless set. Where nobody answers the first one in time, there are no more, and
    /// all have failed.
    pub samples: u32,
    /// Whether there is one more before them that does not count, nor its failure; so unless set.
    pub warm_up: bool,
    /// Bytes of a probe's payload: 32 KiB unless set, at most 1 MiB.
    pub payload_bytes: u32,
    /// How long a probe may take, its connection included: 5 s unless set.
    pub sample_timeout: Duration,
    /// How long the slower transport is waited for once the other one is through and was answered: 1 s unless set. What it
    /// has not shown by then counts as failed.
    pub grace: Duration,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            samples: 3,
            warm_up: true,
            payload_bytes: Probe::PAYLOAD_BYTES,
            sample_timeout: Duration::from_secs(5),
            grace: Duration::from_secs(1),
        }
    }
}

/// What servers take before a hello.
const PAYLOAD_BYTES_MAX: u32 = 1 << 20;

/// What probing has shown.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProbeReport {
    /// Of each transport that the endpoint has, QUIC first.
    pub transports: Vec<TransportReport>,
    /// The better one: more answers, then more throughput, then a shorter way; QUIC if they are alike.
    pub winner: TransportId,
}

/// What the probes of a transport have shown.
#[derive(Debug)]
#[non_exhaustive]
pub struct TransportReport {
    /// All together.
    pub summary: ProbeSummary,
    /// Each that was answered and counts, in order.
    pub samples: Vec<ProbeSample>,
    /// Why the last one failed that did.
    pub fault: Option<ProbeFault>,
}

/// Why a probe failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProbeFault {
    /// There was no connection.
    #[error(transparent)]
    Dial(DialError),
    /// It ended without an answer.
    #[error("no answer: {0}")]
    Ended(PathEnd),
    /// It could not be written.
    #[error("it could not be sent: {0}")]
    Unsent(#[source] std::io::Error),
    /// Another answer came: the server does not take probes.
    #[error("the server does not answer probes: it sent {message}")]
    Refused {
        /// Which message.
        message: String,
    },
    /// There was no answer in time.
    #[error("there was no answer in time")]
    Timeout,
    /// The other transport was through long before.
    #[error("the other transport was much faster")]
    Overtaken,
}

impl ProbeFault {
    const fn is_silence(&self) -> bool {
        matches!(self, Self::Timeout | Self::Dial(DialError::Timeout { .. }))
    }
}

/// No probe was answered, on any transport.
#[derive(Debug, Error)]
#[error("{endpoint} has answered no probe: {}", faults(.transports))]
#[non_exhaustive]
pub struct ProbeError {
    /// Which server.
    pub endpoint: Endpoint,
    /// What became of the probes.
    pub transports: Vec<TransportReport>,
}

fn faults(transports: &[TransportReport]) -> String {
    let fault = |report: &TransportReport| match &report.fault {
        Some(fault) => format!("{:?}: {fault}", report.summary.transport),
        None => format!("{:?}: none was made", report.summary.transport),
    };
    transports.iter().map(fault).collect::<Vec<_>>().join("; ")
}

/// Probes the transports that the endpoint has, both at the same time, each probe on a connection of its own. What has begun
/// ends if it is dropped.
///
/// # Errors
/// [`ProbeError`], if no probe was answered.
pub async fn probe(
    dialer: &Dialer,
    endpoint: &Endpoint,
    options: &ProbeOptions,
) -> Result<ProbeReport, ProbeError> {
    let mut quic = Series::new(TransportId::Quic, options);
    let mut tcp = Series::new(TransportId::Tcp, options);
    let has_quic = endpoint.port(TransportId::Quic).is_some();
    if has_quic {
        let mut run_quic = quic.run(dialer, endpoint).boxed();
        let mut run_tcp = tcp.run(dialer, endpoint).boxed();
        let grace = options.grace;
        // Nobody waits for one of them to take its whole time, again and again; unless it is the only one.
        tokio::select! {
            is_answered = &mut run_quic => within(is_answered.then_some(grace), run_tcp).await,
            is_answered = &mut run_tcp => within(is_answered.then_some(grace), run_quic).await,
        }
    } else {
        let _ = tcp.run(dialer, endpoint).boxed().await;
    }
    let series = if has_quic { vec![quic, tcp] } else { vec![tcp] };
    let transports = series.into_iter().map(Series::report).collect::<Vec<_>>();
    let summaries = transports.iter().map(|report| report.summary.clone());
    let summaries = summaries.collect::<Vec<_>>();
    match ProbeSummary::select(&summaries) {
        Some(winner) => Ok(ProbeReport {
            winner: winner.transport,
            transports,
        }),
        None => Err(ProbeError {
            endpoint: endpoint.clone(),
            transports,
        }),
    }
}

async fn within(grace: Option<Duration>, run: impl Future<Output = bool>) {
    match grace {
        Some(grace) => drop(timeout(grace, run).await),
        None => drop(run.await),
    }
}

/// The probes of one transport, one after the other.
struct Series<'a> {
    transport: TransportId,
    options: &'a ProbeOptions,
    samples: Vec<ProbeSample>,
    failures: u32,
    fault: Option<ProbeFault>,
}

impl<'a> Series<'a> {
    fn new(transport: TransportId, options: &'a ProbeOptions) -> Self {
        Self {
            transport,
            options,
            samples: Vec::new(),
            failures: 0,
            fault: None,
        }
    }

    /// Says whether any was answered that counts.
    async fn run(&mut self, dialer: &Dialer, endpoint: &Endpoint) -> bool {
        let mut is_there = false;
        if self.options.warm_up {
            self.fault = self.sample(dialer, endpoint).await.err();
            is_there = self.fault.is_none();
        }
        for _ in 0..self.options.samples {
            let is_silent = self.fault.as_ref().is_some_and(ProbeFault::is_silence);
            if is_silent && !is_there {
                // The others would take as long, and show no more.
                break;
            }
            match self.sample(dialer, endpoint).await {
                Ok(sample) => {
                    is_there = true;
                    self.samples.push(sample);
                }
                Err(fault) => {
                    self.failures += 1;
                    self.fault = Some(fault);
                }
            }
        }
        !self.samples.is_empty()
    }

    async fn sample(
        &self,
        dialer: &Dialer,
        endpoint: &Endpoint,
    ) -> Result<ProbeSample, ProbeFault> {
        let deadline = later(Instant::now(), self.options.sample_timeout);
        let dialed = dialer.dial(endpoint, self.transport, deadline).await;
        let link = dialed.map_err(ProbeFault::Dial)?;
        let payload_bytes = self.options.payload_bytes.min(PAYLOAD_BYTES_MAX);
        let sampled = timeout_at(deadline, sample(link, payload_bytes)).await;
        sampled.unwrap_or(Err(ProbeFault::Timeout))
    }

    fn report(mut self) -> TransportReport {
        let answered = u32::try_from(self.samples.len()).unwrap_or(u32::MAX);
        let missing = self
            .options
            .samples
            .saturating_sub(answered + self.failures);
        if missing > 0 {
            self.fault.get_or_insert(ProbeFault::Overtaken);
        }
        let failures = (self.failures + missing) as usize;
        TransportReport {
            summary: ProbeSummary::new(self.transport, &self.samples, failures),
            samples: self.samples,
            fault: self.fault,
        }
    }
}

async fn sample(mut link: Link, payload_bytes: u32) -> Result<ProbeSample, ProbeFault> {
    let began = Instant::now();
    let (probe, message) = Probe::begin(fastrand::u32(..), payload_bytes, began.elapsed());
    let transmit = Transmit {
        path: PathId(0),
        envelope: Envelope::default(),
        message,
    };
    let queued = link.writer.queue(&transmit).map_err(std::io::Error::other);
    queued.map_err(ProbeFault::Unsent)?;
    let mut is_sent = false;
    loop {
        tokio::select! {
            biased;
            packet = link.reader.next() => {
                let packet = packet.map_err(ProbeFault::Ended)?;
                return finish(&probe, &packet, began);
            }
            // A server may refuse before it has read all of it.
            flushed = link.writer.flush(), if !is_sent => {
                flushed.map_err(ProbeFault::Unsent)?;
                is_sent = true;
            }
        }
    }
}

fn finish(probe: &Probe, packet: &Packet, began: Instant) -> Result<ProbeSample, ProbeFault> {
    let message = Message::decode(packet, &DecodeOptions::STRICT);
    let sample = match &message {
        Ok(Message::TransportProbeAck(ack)) => probe.finish(ack, began.elapsed()),
        Ok(_) | Err(_) => None,
    };
    sample.ok_or_else(|| ProbeFault::Refused {
        message: match message {
            Ok(Message::Error(report)) => {
                let diagnostic = String::from_utf8_lossy(&report.diagnostic);
                format!("ERROR {:#x}, {diagnostic:.200}", report.metadata.error_code)
            }
            Ok(_) | Err(_) => format!("{:?}", packet.header().message_type),
        },
    })
}
