//! A server that gives back what it gets, and a client that streams frames to it, over QUIC.
//!
//! ```sh
//! cargo run -p nnrp --example nnrp_echo
//! ```

#![expect(clippy::print_stdout, reason = "it shows what happens")]

use std::time::Duration;

use bytes::Bytes;
use nnrp::client::{ConnectOptions, FrameItem, Session, Submit};
use nnrp::server::{ServeOptions, Server, ServerOptions, Submitted};
use nnrp::{
    ClientTls, DialOptions, DialPolicy, Dialer, Endpoint, Listener, ListenerOptions, ServerTls,
};
use nnrp_wire::body::TypedPayload;
use nnrp_wire::build::ResultWorth;
use nnrp_wire::session::FrameKey;
use nnrp_wire::{ErrorCode, FrameSubmit, ResultPush, SubmitBody, WireError};

const FRAMES: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let own = ServerTls::self_signed(["localhost"])?;
    let listener = ListenerOptions::tls("127.0.0.1:0".parse()?, own.tls);
    let listener = Listener::bind(listener).await?;
    let port = listener.local_addr().port();
    let server = Server::new(ServerOptions::default());
    let serving = server.clone();
    let serving = tokio::spawn(async move {
        serving
            .serve(&listener, echo, ServeOptions::default())
            .await;
    });

    let tls = ClientTls::with_authority(own.certificate_pem.as_bytes())?;
    let dialer = Dialer::new(DialOptions::tls(tls));
    let endpoint = Endpoint::tls("localhost", port)?;
    let options = ConnectOptions::default().with_policy(DialPolicy::ForceQuic);
    let session = Session::connect(&dialer, &endpoint, options).await?;

    // Submitting waits for credit, receiving does not wait for submitting.
    let submitting = session.clone();
    let submits = tokio::spawn(async move { submit_all(&submitting).await });
    let mut ended = 0;
    while ended < FRAMES {
        if let (key, FrameItem::End(end)) = session.next().await? {
            ended += 1;
            if ended % 25 == 0 {
                println!(
                    "{ended} frames have ended, the last one, {}, as {:?}",
                    key.frame_id, end.outcome
                );
            }
        }
    }
    submits.await??;
    println!("{:?}", session.counters().frames);
    session.close("done").await;
    server.stop("done", Duration::from_secs(5)).await;
    serving.await?;
    Ok(())
}

async fn submit_all(session: &Session) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for number in 0..FRAMES {
        let payload = format!("frame {number}");
        let submit = FrameSubmit::builder()
            .payload(TypedPayload::structured_event(payload))
            .build()?;
        let key = FrameKey::new(session.next_frame_id());
        session.submit(Submit::new(key, submit)).await?;
    }
    Ok(())
}

async fn echo(frame: Submitted) {
    let payloads = payloads(&frame.message);
    // The frame ends in any case; an error says that nobody waits for it any more.
    match result(payloads) {
        Ok(result) => drop(frame.answer.complete(result)),
        Err(error) => drop(
            frame
                .answer
                .fail(ErrorCode::InternalError, &error.to_string()),
        ),
    }
}

/// They are slices of what came: nothing is copied.
fn payloads(submit: &FrameSubmit) -> Vec<Bytes> {
    match &submit.body {
        SubmitBody::Composed(composed) => {
            let typed = composed.body().typed.iter();
            typed.map(|payload| payload.payload).collect()
        }
        SubmitBody::Flat(_) => Vec::new(),
    }
}

fn result(payloads: Vec<Bytes>) -> Result<ResultPush, WireError> {
    let payloads = payloads.into_iter();
    ResultPush::builder(ResultWorth::COMPLETE)
        .payloads(payloads.map(TypedPayload::structured_event))
        .build()
}
