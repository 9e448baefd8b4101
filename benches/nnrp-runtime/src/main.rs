//! Both ends of a session by `nnrp-runtime`: `serve TRANSPORT CERTIFICATE`, `load LOAD` and `idle IDLE`.

#[path = "../../src/nnrp/load.rs"]
mod load;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, bail, ensure};
use load::{Load, Meter, Outcome, Transport};
use nnrp_core::{PayloadKindBitmap, ResultClass, ResultPushMetadata, STANDARD_PROFILE_TOKEN};
use nnrp_runtime::{
    ClientTransportSecurity, NnrpClient, NnrpClientConfig, NnrpClientSession, NnrpRuntimeEventTail,
    NnrpServer, NnrpServerConfig, NnrpServerEvent, NnrpServerSession, NnrpSubmitHeaderContext,
    NnrpSubmitIdentity, NnrpSubmitPolicy, NnrpSubmitRequest, NnrpTokenChunk, NnrpTokenSubmitInput,
    RuntimeFrameLimits,
};
use nnrp_transport_quic::{QuicClientEndpointConfig, QuicProvider, QuicServerEndpointConfig};
use nnrp_transport_tcp::{TcpTlsFramedListener, TcpTlsTransport};
use serde::Deserialize;

/// More than any case has under way.
const IN_FLIGHT_MAX: u16 = 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", transport, certificate] => {
            let transport = serde_json::from_value(transport.into())?;
            serve(transport, Path::new(certificate)).await
        }
        ["load", load] => {
            let outcome = put(&serde_json::from_str(load)?).await?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
        ["idle", idle] => {
            let _open = open_idle(serde_json::from_str(idle)?).await?;
            println!("open");
            std::future::pending().await
        }
        _ => bail!("serve TRANSPORT CERTIFICATE, load LOAD, or idle IDLE"),
    }
}

async fn serve(transport: Transport, certificate: &Path) -> anyhow::Result<()> {
    let server = bind(transport, certificate).await?;
    println!("listening {}", server.local_addr()?);
    loop {
        let session = server.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = answer(session).await {
                eprintln!("nnrp-runtime: {error}");
            }
        });
    }
}

async fn bind(transport: Transport, certificate: &Path) -> anyhow::Result<NnrpServer> {
    let config = NnrpServerConfig {
        max_in_flight_operations: IN_FLIGHT_MAX,
        granted_operation_credit: IN_FLIGHT_MAX,
        ..Default::default()
    };
    let address: SocketAddr = "127.0.0.1:0".parse()?;
    let chain = fs::read(certificate.join("cert.der"))?;
    let key = fs::read(certificate.join("key.der"))?;
    Ok(match transport {
        Transport::Tcp => NnrpServer::bind_tcp(address, config).await?,
        Transport::Tls => {
            let limits = RuntimeFrameLimits::default();
            let listener = TcpTlsFramedListener::bind(address, chain, key, limits).await?;
            NnrpServer::from_listener(listener, config)?
        }
        Transport::Quic => {
            let endpoint = QuicServerEndpointConfig::with_single_certificate(address, chain, key);
            QuicProvider::bind(endpoint, config).await?
        }
    })
}

/// Until the client leaves.
async fn answer(mut session: NnrpServerSession) -> anyhow::Result<()> {
    loop {
        if let NnrpServerEvent::Submit(operation) = session.await_event().await? {
            let body = operation.body().to_vec();
            operation.send_result(&mut session, result(), body).await?;
        }
    }
}

fn result() -> ResultPushMetadata {
    ResultPushMetadata {
        status_code: 200,
        result_flags: 0,
        section_count: 0,
        tile_count: 0,
        active_profile_id: STANDARD_PROFILE_TOKEN,
        inference_ms: 0,
        queue_ms: 0,
        server_total_ms: 0,
        tile_base_id: 0,
        tile_index_bytes: 0,
        result_class: ResultClass::Complete,
        applied_budget_policy: 0,
        reused_frame_id: 0,
        covered_tile_count: 0,
        dropped_tile_count: 0,
        payload_kind_bitmap: PayloadKindBitmap(PayloadKindBitmap::TOKEN_CHUNK),
        payload_frame_count: 1,
    }
}

async fn put(load: &Load) -> anyhow::Result<Outcome> {
    let client = connect(load.transport, &load.address, &load.certificate).await?;
    let mut session = client.open_session().await?;
    let payload: Vec<u8> = (0..=255).cycle().take(load.payload_bytes).collect();
    let mut sent = HashMap::new();
    let mut next_id = 1;
    for _ in 0..load.in_flight {
        submit(&mut session, &mut next_id, &payload, &mut sent).await?;
    }
    let mut meter = Meter::new(load);
    loop {
        let result = session.await_result().await?;
        let submitted = sent
            .remove(&result.operation_id)
            .context("a result of no submit")?;
        let event = result.event.as_runtime().context("no result")?;
        let NnrpRuntimeEventTail::Body(body) = &event.tail else {
            bail!("a result without a body")
        };
        ensure!(body.len() > payload.len(), "a result is too short");
        if !meter.result(submitted, Instant::now()) {
            break;
        }
        submit(&mut session, &mut next_id, &payload, &mut sent).await?;
    }
    meter.outcome().context("no result came")
}

async fn submit(
    session: &mut NnrpClientSession,
    next_id: &mut u32,
    payload: &[u8],
    sent: &mut HashMap<u64, Instant>,
) -> anyhow::Result<()> {
    let frame_id = *next_id;
    *next_id += 1;
    sent.insert(frame_id.into(), Instant::now());
    let request = NnrpSubmitRequest::token(NnrpTokenSubmitInput {
        identity: NnrpSubmitIdentity {
            operation_id: frame_id.into(),
            frame_id,
            header: NnrpSubmitHeaderContext::default(),
        },
        policy: NnrpSubmitPolicy::default(),
        chunks: vec![NnrpTokenChunk::partial(payload)],
    })?;
    session.submit(request).await?;
    Ok(())
}

#[derive(Deserialize)]
struct Idle {
    transport: Transport,
    address: String,
    certificate: PathBuf,
    sessions: usize,
}

async fn open_idle(idle: Idle) -> anyhow::Result<Vec<(NnrpClient, NnrpClientSession)>> {
    let mut open = Vec::new();
    for _ in 0..idle.sessions {
        let client = connect(idle.transport, &idle.address, &idle.certificate).await?;
        let session = client.open_session().await?;
        open.push((client, session));
    }
    Ok(open)
}

async fn connect(
    transport: Transport,
    address: &str,
    certificate: &Path,
) -> anyhow::Result<NnrpClient> {
    let config = NnrpClientConfig {
        max_in_flight_operations: IN_FLIGHT_MAX,
        ..Default::default()
    };
    let address: SocketAddr = address.parse()?;
    let certificate = fs::read(certificate.join("cert.der"))?;
    Ok(match transport {
        Transport::Tcp => NnrpClient::connect_tcp(address, config).await?,
        Transport::Tls => {
            let security = ClientTransportSecurity {
                server_name: "localhost".to_owned(),
                trusted_certificate_der: certificate,
            };
            let limits = RuntimeFrameLimits::default();
            let transport = TcpTlsTransport::connect(address, &security, limits).await?;
            NnrpClient::from_transport(transport, config)?
        }
        Transport::Quic => {
            let endpoint = QuicClientEndpointConfig::localhost_with_root_certificate(certificate);
            QuicProvider::connect_addr(address, endpoint, config).await?
        }
    })
}
