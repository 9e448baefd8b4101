//! Messages of one length in a stream of bytes; the client says the length first. Small ones are written in batches.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Instant;

use anyhow::{Context, ensure};
use futures_util::future::{Either, select, try_join};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use crate::nnrp::{Load, Meter};

/// What is read or written at once, unless a message is longer.
const BATCH_BYTES: usize = 64 << 10;
/// Read while others are written.
const BATCHES: usize = 4;

struct Batch {
    bytes: Vec<u8>,
    filled: usize,
}

/// Until the client leaves; reads on while it writes.
pub(super) async fn echo(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) -> anyhow::Result<()> {
    let message_bytes = usize::try_from(reader.read_u64().await?)?;
    let (whole_to, mut whole) = mpsc::channel::<Batch>(BATCHES);
    let (free_to, free) = mpsc::channel::<Batch>(BATCHES);
    for _ in 0..BATCHES {
        let bytes = vec![0; BATCH_BYTES.max(message_bytes)];
        free_to.send(Batch { bytes, filled: 0 }).await?;
    }
    let write = async move {
        while let Some(batch) = whole.recv().await {
            writer.write_all(&batch.bytes[..batch.filled]).await?;
            writer.flush().await?;
            free_to.send(batch).await?;
        }
        anyhow::Ok(())
    };
    try_join(gather(reader, message_bytes, free, whole_to), write).await?;
    Ok(())
}

/// Hands on whole messages; the rest goes into the next batch.
async fn gather(
    mut reader: impl AsyncRead + Unpin,
    message_bytes: usize,
    mut free: mpsc::Receiver<Batch>,
    whole_to: mpsc::Sender<Batch>,
) -> anyhow::Result<()> {
    let mut rest = Vec::new();
    while let Some(mut batch) = free.recv().await {
        batch.bytes[..rest.len()].copy_from_slice(&rest);
        let mut filled = rest.len();
        while filled < message_bytes {
            match reader.read(&mut batch.bytes[filled..]).await? {
                0 => return Ok(()),
                read => filled += read,
            }
        }
        batch.filled = filled - filled % message_bytes;
        rest.clear();
        rest.extend_from_slice(&batch.bytes[batch.filled..filled]);
        whole_to.send(batch).await?;
    }
    Ok(())
}

/// Messages come back in the order they were sent in.
struct Window {
    in_flight: usize,
    sent: RefCell<VecDeque<Instant>>,
    room: Notify,
    over: Cell<bool>,
}

/// Measures until the time is over.
pub(super) async fn load(
    reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    load: &Load,
) -> anyhow::Result<Meter> {
    writer.write_u64(load.payload_bytes.try_into()?).await?;
    let window = Window {
        in_flight: load.in_flight,
        sent: RefCell::default(),
        room: Notify::new(),
        over: Cell::new(false),
    };
    let read = std::pin::pin!(count(reader, load, &window));
    let write = std::pin::pin!(fill(writer, load.payload_bytes, &window));
    match select(read, write).await {
        Either::Left((meter, _)) => meter,
        // It ends with an error only.
        Either::Right((failed, read)) => {
            failed?;
            read.await
        }
    }
}

async fn fill(
    mut writer: impl AsyncWrite + Unpin,
    payload_bytes: usize,
    window: &Window,
) -> anyhow::Result<()> {
    let batch_max = (BATCH_BYTES / payload_bytes).clamp(1, window.in_flight);
    let messages = vec![0x5a; batch_max * payload_bytes];
    while !window.over.get() {
        let batch = (window.in_flight - window.sent.borrow().len()).min(batch_max);
        if batch == 0 {
            window.room.notified().await;
            continue;
        }
        let now = Instant::now();
        window
            .sent
            .borrow_mut()
            .extend(std::iter::repeat_n(now, batch));
        writer.write_all(&messages[..batch * payload_bytes]).await?;
        writer.flush().await?;
    }
    Ok(())
}

async fn count(
    mut reader: impl AsyncRead + Unpin,
    load: &Load,
    window: &Window,
) -> anyhow::Result<Meter> {
    let mut meter = Meter::new(load);
    let mut bytes = vec![0; BATCH_BYTES.max(load.payload_bytes)];
    let mut filled = 0;
    loop {
        // Nobody looks into them: where in the buffer a message begins does not matter.
        let read = reader.read(&mut bytes[filled..]).await?;
        ensure!(read > 0, "the server has left");
        filled += read;
        let now = Instant::now();
        while filled >= load.payload_bytes {
            filled -= load.payload_bytes;
            let sent = window.sent.borrow_mut().pop_front();
            if !meter.result(sent.context("more came back than was sent")?, now) {
                window.over.set(true);
                return Ok(meter);
            }
        }
        window.room.notify_one();
    }
}
