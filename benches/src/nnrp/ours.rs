//! Our sessions.

use std::any::Any;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use nnrp::client::{ConnectOptions, FrameItem, FrameResult, FrameStream, Session, Submit};
use nnrp::server::{Responder, ServeOptions, Server, ServerOptions, Submitted};
use nnrp::{
    ClientTls, DialOptions, DialPolicy, Dialer, Endpoint, Listener, ListenerOptions, QuicOptions,
    ServerTls,
};
use nnrp_wire::body::{ComposedBody, TypedPayload};
use nnrp_wire::build::ResultWorth;
use nnrp_wire::session::FrameKey;
use nnrp_wire::{FrameSubmit, ResultBody, ResultPush, SubmitBody};
use tokio::time::{MissedTickBehavior, interval};

use super::site::SERVER_NAME;
use super::{Carrier, FanOut, Idle, Load, Meter, Outcome, Transport};

/// More than any case has under way, and sessions likewise.
const IN_FLIGHT_MAX: u16 = 1024;
const SESSIONS_MAX: usize = 20_000;

/// Sessions by the `nnrp` crate.
#[derive(Debug, Clone, Copy)]
pub struct Ours {
    /// Of QUIC's datagrams at most.
    pub mtu: u16,
    /// Whether each frame has a handler of its own, or the session's frames are answered one after the other.
    pub has_handlers: bool,
}

impl Carrier for Ours {
    async fn serve(
        &self,
        transport: Transport,
        certificate: &Path,
        announce: impl FnOnce(&str),
    ) -> anyhow::Result<()> {
        let (server, listener) = self.listen(transport, certificate, announce).await?;
        if self.has_handlers {
            let options = ServeOptions {
                session_frames_max: IN_FLIGHT_MAX.into(),
                frames_max: IN_FLIGHT_MAX.into(),
                ..ServeOptions::default()
            };
            server.serve(&listener, answer, options).await;
            return Ok(());
        }
        let sessions = async {
            while let Some(session) = server.next_session().await {
                tokio::spawn(async move {
                    while let Some(frame) = session.next_submit().await {
                        answer(frame).await;
                    }
                });
            }
        };
        tokio::join!(server.listen(&listener), sessions);
        Ok(())
    }

    async fn load(&self, load: &Load) -> anyhow::Result<Outcome> {
        let dialer = self.dialer(&load.certificate)?;
        let session = connect(&dialer, load.transport, &load.address).await?;
        let payload: Bytes = (0..=255).cycle().take(load.payload_bytes).collect();
        let mut sent = HashMap::new();
        for _ in 0..load.in_flight {
            submit(&session, &payload, &mut sent).await?;
        }
        let mut meter = Meter::new(load);
        loop {
            let (key, item) = session.next().await?;
            match item {
                FrameItem::Hint(_) => {}
                FrameItem::Result(result) => {
                    let bytes = payload_of(&result)?.len();
                    ensure!(bytes == payload.len(), "a result is not what was submitted");
                }
                FrameItem::End(_) => {
                    let submitted = sent.remove(&key).context("an end of no frame")?;
                    if !meter.result(submitted, Instant::now()) {
                        break;
                    }
                    submit(&session, &payload, &mut sent).await?;
                }
            }
        }
        meter.outcome().context("no result came")
    }

    async fn open_idle(&self, idle: &Idle) -> anyhow::Result<Box<dyn Any>> {
        let dialer = self.dialer(&idle.certificate)?;
        let mut open = Vec::new();
        for _ in 0..idle.sessions {
            open.push(connect(&dialer, idle.transport, &idle.address).await?);
        }
        Ok(Box::new(open))
    }

    async fn publish(&self, fan_out: &FanOut, announce: impl FnOnce(&str)) -> anyhow::Result<()> {
        let listening = self.listen(fan_out.transport, &fan_out.certificate, announce);
        let (server, listener) = listening.await?;
        let receivers = async {
            // Sessions end when nothing holds them.
            let mut receivers = Vec::<(nnrp::server::Session, Responder)>::new();
            while receivers.len() < fan_out.receivers {
                let session = server.next_session().await.context("it has stopped")?;
                let frame = session.next_submit().await.context("a receiver left")?;
                receivers.push((session, frame.answer));
            }
            anyhow::Ok(receivers)
        };
        let sending = async {
            let receivers = receivers.await?;
            let mut ticks = interval(Duration::from_secs(1) / fan_out.per_second);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for _ in 0..fan_out.messages {
                ticks.tick().await;
                let mut message = vec![0x5a; fan_out.payload_bytes];
                message[..FanOut::STAMP_BYTES].copy_from_slice(&FanOut::stamp()?);
                let result = result(message.into())?;
                for (_, receiver) in &receivers {
                    receiver.partial(result.clone()).await?;
                }
            }
            // The receivers leave when they have everything.
            std::future::pending().await
        };
        tokio::select! {
            () = server.listen(&listener) => bail!("it has stopped"),
            failed = sending => failed,
        }
    }

    async fn receive(&self, fan_out: &FanOut) -> anyhow::Result<Vec<u64>> {
        let dialer = self.dialer(&fan_out.certificate)?;
        let mut receiving = Vec::new();
        for _ in 0..fan_out.receivers {
            let session = connect(&dialer, fan_out.transport, &fan_out.address).await?;
            let mut wanted = frame(&session, &Bytes::from_static(b"all"))?;
            wanted.is_stream = true;
            let stream = session.submit_stream(wanted).await?;
            receiving.push(tokio::spawn(receive_stream(stream, fan_out.messages)));
        }
        let ages_ns: anyhow::Result<Vec<_>> = try_join_all(receiving).await?.into_iter().collect();
        Ok(ages_ns?.concat())
    }
}

impl Ours {
    async fn listen(
        &self,
        transport: Transport,
        certificate: &Path,
        announce: impl FnOnce(&str),
    ) -> anyhow::Result<(Server, Listener)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let tls = ServerTls::from_files(certificate.join("cert.pem"), certificate.join("key.pem"))?;
        let mut listening = match transport {
            Transport::Tcp => ListenerOptions::plain(address),
            Transport::Tls | Transport::Quic => ListenerOptions::tls(address, tls),
        };
        match transport {
            Transport::Tcp | Transport::Tls => listening.quic = false,
            Transport::Quic => listening.tcp = None,
        }
        listening.quic_options = self.quic_options();
        listening.connections_max = SESSIONS_MAX;
        let listener = Listener::bind(listening).await?;
        announce(&listener.local_addr().to_string());
        let mut options = ServerOptions {
            sessions_max: SESSIONS_MAX,
            ..ServerOptions::default()
        };
        options.session.frames_max = IN_FLIGHT_MAX.into();
        options.session.capabilities.max_concurrent_frames = IN_FLIGHT_MAX;
        Ok((Server::new(options), listener))
    }

    fn dialer(&self, certificate: &Path) -> anyhow::Result<Dialer> {
        let tls = ClientTls::with_authority_file(certificate.join("cert.pem"))?;
        let mut options = DialOptions::tls(tls.with_server_name(SERVER_NAME)?);
        options.quic = self.quic_options();
        Ok(Dialer::new(options))
    }

    fn quic_options(&self) -> QuicOptions {
        let mut options = QuicOptions::default();
        options.udp_payload_bytes_max = self.mtu;
        options
    }
}

/// With the same payload.
async fn answer(frame: Submitted) {
    let SubmitBody::Composed(composed) = &frame.message.body else {
        return;
    };
    let Some(payload) = only_payload(composed.body()) else {
        return;
    };
    // Where it fails, the load tells.
    if let Ok(result) = result(payload) {
        let _ = frame.answer.complete(result);
    }
}

fn result(payload: Bytes) -> anyhow::Result<ResultPush> {
    let builder = ResultPush::builder(ResultWorth::COMPLETE);
    Ok(builder
        .payload(TypedPayload::opaque_bytes(payload))
        .build()?)
}

fn payload_of(result: &FrameResult) -> anyhow::Result<Bytes> {
    match &result.result.body {
        ResultBody::Composed(composed) => only_payload(composed.body()).context("no payload"),
        ResultBody::Flat(_) | ResultBody::Empty => bail!("a result of another kind"),
    }
}

fn only_payload(body: &ComposedBody) -> Option<Bytes> {
    Some(body.typed.iter().next()?.payload)
}

fn frame(session: &Session, payload: &Bytes) -> anyhow::Result<Submit> {
    let payload = TypedPayload::opaque_bytes(payload.clone());
    let key = FrameKey::new(session.next_frame_id());
    Ok(Submit::new(
        key,
        FrameSubmit::builder().payload(payload).build()?,
    ))
}

async fn submit(
    session: &Session,
    payload: &Bytes,
    sent: &mut HashMap<FrameKey, Instant>,
) -> anyhow::Result<()> {
    let frame = frame(session, payload)?;
    sent.insert(frame.key, Instant::now());
    session.submit(frame).await?;
    Ok(())
}

async fn connect(dialer: &Dialer, transport: Transport, address: &str) -> anyhow::Result<Session> {
    let address: SocketAddr = address.parse()?;
    let (host, port) = (address.ip().to_string(), address.port());
    let mut options = ConnectOptions::default();
    let endpoint = match transport {
        Transport::Tcp => Endpoint::plain(&host, port),
        Transport::Tls | Transport::Quic => Endpoint::tls(&host, port),
    }?;
    options.policy = match transport {
        Transport::Tcp | Transport::Tls => DialPolicy::ForceTcp,
        Transport::Quic => DialPolicy::ForceQuic,
    };
    Ok(Session::connect(dialer, &endpoint, options).await?)
}

async fn receive_stream(mut stream: FrameStream, messages: usize) -> anyhow::Result<Vec<u64>> {
    let mut ages_ns = Vec::with_capacity(messages);
    while ages_ns.len() < messages {
        match stream.next().await.context("the stream has ended")? {
            FrameItem::Result(result) => ages_ns.push(FanOut::age_ns(&payload_of(&result)?)?),
            FrameItem::Hint(_) => {}
            FrameItem::End(end) => bail!("the frame has ended: {:?}", end.outcome),
        }
    }
    Ok(ages_ns)
}
