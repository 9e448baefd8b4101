//! The NATS wire.

use nats_broker::protocol::{
    ClientOp, ConnectOptions, DecodeError, DecodeLimits, Decoder, subject,
};

/// Small, so that inputs reach them.
const LIMITS: DecodeLimits = DecodeLimits {
    control_line_bytes_max: 128,
    payload_bytes_max: 1024,
};

/// What a broker reads: operations are the same however the bytes are cut, stay within the limits, and are written so
/// that they are read again.
pub fn nats_protocol(data: &[u8]) {
    let (whole, result) = decode(data, data.len().max(1));
    for cut in [1, 2, 7] {
        assert_eq!(decode(data, cut), (whole.clone(), result), "cut at {cut}");
    }
    let mut written = Vec::new();
    for op in &whole {
        check(op);
        op.write(&mut written);
    }
    assert_eq!(decode(&written, written.len().max(1)), (whole, Ok(())));
}

fn decode(data: &[u8], cut: usize) -> (Vec<ClientOp>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new(LIMITS);
    let mut ops = Vec::new();
    for piece in data.chunks(cut) {
        decoder.extend(piece);
        loop {
            match decoder.next_op() {
                Ok(Some(op)) => ops.push(op),
                Ok(None) => break,
                Err(error) => return (ops, Err(error)),
            }
        }
    }
    (ops, Ok(()))
}

fn check(op: &ClientOp) {
    match op {
        ClientOp::Publish(publish) => {
            assert!(publish.body().len() <= LIMITS.payload_bytes_max);
            assert!(publish.header_bytes() <= publish.body().len());
            // What can be published to can be subscribed to.
            let subject = publish.subject();
            assert!(!subject::can_publish(subject) || subject::can_subscribe(subject));
            assert!(!subject::can_publish(subject) || !subject::has_wildcard(subject));
        }
        ClientOp::Subscribe(subscribe) => {
            assert!(!subscribe.subject.is_empty() && !subscribe.sid.is_empty());
        }
        ClientOp::Unsubscribe { sid, max } => assert!(!sid.is_empty() && *max != Some(0)),
        ClientOp::Connect(json) => {
            let _ = ConnectOptions::parse(json);
        }
        ClientOp::Ping | ClientOp::Pong | ClientOp::Ignored => {}
    }
}
