//! Messages in QUIC streams. Payloads are not copied at either end, beyond what QUIC itself does.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures_util::future::try_join;
use futures_util::stream::{FuturesUnordered, StreamExt};
use quinn::{Connection, Incoming, RecvStream, SendStream};
use tokio::sync::{Notify, mpsc};

use super::{Raw, Streams};
use crate::nnrp::site::{SERVER_NAME, quic_client, quic_server};
use crate::nnrp::{Load, Meter};

/// Chunks that are taken from a stream at once.
const CHUNKS: usize = 32;
/// Messages read while others are written.
const WAITING_MAX: usize = 64;
/// A message of its own stream begins with its number.
const NUMBER_BYTES: usize = 8;

pub(super) async fn serve(
    raw: Raw,
    certificate: &Path,
    announce: impl FnOnce(&str),
) -> anyhow::Result<()> {
    let endpoint = quic_server(certificate, raw.mtu)?;
    announce(&endpoint.local_addr()?.to_string());
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(echo(raw.streams, incoming));
    }
    Ok(())
}

async fn echo(streams: Streams, incoming: Incoming) -> anyhow::Result<()> {
    let connection = incoming.await?;
    match streams {
        Streams::One => {
            let (writer, reader) = connection.accept_bi().await?;
            echo_in_one(writer, reader).await
        }
        Streams::PerMessage => loop {
            let reader = connection.accept_uni().await?;
            tokio::spawn(echo_message(connection.clone(), reader));
        },
    }
}

async fn echo_message(connection: Connection, reader: RecvStream) -> anyhow::Result<()> {
    let mut message = read_to_end(reader).await?;
    let mut writer = connection.open_uni().await?;
    writer.write_all_chunks(&mut message).await?;
    Ok(writer.finish()?)
}

pub(super) async fn read_to_end(mut reader: RecvStream) -> anyhow::Result<Vec<Bytes>> {
    let mut message = Vec::new();
    let mut chunks = [const { Bytes::new() }; CHUNKS];
    while let Some(read) = reader.read_chunks(&mut chunks).await? {
        message.extend(chunks[..read].iter_mut().map(std::mem::take));
    }
    Ok(message)
}

async fn echo_in_one(mut writer: SendStream, mut reader: RecvStream) -> anyhow::Result<()> {
    let mut length = [0; 8];
    reader.read_exact(&mut length).await?;
    let message_bytes = usize::try_from(u64::from_be_bytes(length))?;
    let (whole_to, mut whole) = mpsc::channel::<Vec<Bytes>>(WAITING_MAX);
    let write = async move {
        while let Some(mut messages) = whole.recv().await {
            writer.write_all_chunks(&mut messages).await?;
        }
        anyhow::Ok(())
    };
    try_join(gather(reader, message_bytes, whole_to), write).await?;
    Ok(())
}

/// Hands on whole messages.
async fn gather(
    mut reader: RecvStream,
    message_bytes: usize,
    whole_to: mpsc::Sender<Vec<Bytes>>,
) -> anyhow::Result<()> {
    let mut waiting = VecDeque::new();
    let mut waiting_bytes = 0;
    let mut chunks = [const { Bytes::new() }; CHUNKS];
    while let Some(read) = reader.read_chunks(&mut chunks).await? {
        for chunk in &mut chunks[..read] {
            waiting_bytes += chunk.len();
            waiting.push_back(std::mem::take(chunk));
        }
        let rest_bytes = waiting_bytes % message_bytes;
        if waiting_bytes > rest_bytes {
            let whole = take(&mut waiting, waiting_bytes - rest_bytes);
            waiting_bytes = rest_bytes;
            whole_to.send(whole).await?;
        }
    }
    Ok(())
}

/// So many bytes from the front.
fn take(waiting: &mut VecDeque<Bytes>, mut bytes: usize) -> Vec<Bytes> {
    let mut taken = Vec::new();
    while bytes > 0
        && let Some(mut chunk) = waiting.pop_front()
    {
        if chunk.len() > bytes {
            let whole = chunk.split_to(bytes);
            waiting.push_front(chunk);
            chunk = whole;
        }
        bytes -= chunk.len();
        taken.push(chunk);
    }
    taken
}

pub(super) async fn load(raw: Raw, load: &Load) -> anyhow::Result<Meter> {
    let endpoint = quic_client(&load.certificate, raw.mtu)?;
    let connection = endpoint
        .connect(load.address.parse()?, SERVER_NAME)?
        .await?;
    match raw.streams {
        Streams::One => load_in_one(&connection, load).await,
        Streams::PerMessage => load_per_message(&connection, load).await,
    }
}

async fn load_in_one(connection: &Connection, load: &Load) -> anyhow::Result<Meter> {
    let (mut writer, reader) = connection.open_bi().await?;
    let length = u64::try_from(load.payload_bytes)?;
    writer.write_all(&length.to_be_bytes()).await?;
    let (sent, room) = (RefCell::new(VecDeque::new()), Notify::new());
    let write = async {
        let payload = Bytes::from(vec![0x5a; load.payload_bytes]);
        loop {
            let batch = load.in_flight - sent.borrow().len();
            let now = Instant::now();
            sent.borrow_mut().extend(std::iter::repeat_n(now, batch));
            let mut messages = vec![payload.clone(); batch];
            writer.write_all_chunks(&mut messages).await?;
            room.notified().await;
        }
    };
    tokio::select! {
        meter = count(reader, load, &sent, &room) => meter,
        failed = write => failed,
    }
}

async fn count(
    mut reader: RecvStream,
    load: &Load,
    sent: &RefCell<VecDeque<Instant>>,
    room: &Notify,
) -> anyhow::Result<Meter> {
    let mut meter = Meter::new(load);
    let mut chunks = [const { Bytes::new() }; CHUNKS];
    let mut waiting_bytes = 0;
    loop {
        let read = reader.read_chunks(&mut chunks).await?;
        let read = read.context("the server has left")?;
        waiting_bytes += chunks[..read].iter().map(Bytes::len).sum::<usize>();
        let now = Instant::now();
        while waiting_bytes >= load.payload_bytes {
            waiting_bytes -= load.payload_bytes;
            let sent = sent.borrow_mut().pop_front();
            if !meter.result(sent.context("more came back than was sent")?, now) {
                return Ok(meter);
            }
        }
        room.notify_one();
    }
}

async fn load_per_message(connection: &Connection, load: &Load) -> anyhow::Result<Meter> {
    let payload = Bytes::from(vec![0x5a; load.payload_bytes]);
    let mut meter = Meter::new(load);
    let (mut sends, mut reads) = (FuturesUnordered::new(), FuturesUnordered::new());
    let mut sent = HashMap::new();
    let mut numbers = 0_u64..;
    let mut start = |sent: &mut HashMap<_, _>| {
        let number = numbers.next().unwrap_or_default();
        sent.insert(number, Instant::now());
        send_message(connection, number, payload.clone())
    };
    sends.extend((0..load.in_flight).map(|_| start(&mut sent)));
    loop {
        tokio::select! {
            reader = connection.accept_uni() => reads.push(read_message(reader?)),
            Some(message) = reads.next() => {
                let (number, bytes) = message?;
                ensure!(bytes == NUMBER_BYTES + load.payload_bytes, "a message has been cut");
                let submitted = sent.remove(&number).context("an unknown message")?;
                if !meter.result(submitted, Instant::now()) {
                    return Ok(meter);
                }
                sends.push(start(&mut sent));
            }
            Some(finished) = sends.next() => finished?,
        }
    }
}

async fn send_message(connection: &Connection, number: u64, payload: Bytes) -> anyhow::Result<()> {
    let mut writer = connection.open_uni().await?;
    let number = Bytes::copy_from_slice(&number.to_be_bytes());
    writer.write_all_chunks(&mut [number, payload]).await?;
    Ok(writer.finish()?)
}

/// Its number, and how long it is.
async fn read_message(reader: RecvStream) -> anyhow::Result<(u64, usize)> {
    let message = read_to_end(reader).await?;
    let first = message.first().and_then(|chunk| chunk.first_chunk());
    let number = u64::from_be_bytes(*first.context("a message without a number")?);
    Ok((number, message.iter().map(Bytes::len).sum()))
}
