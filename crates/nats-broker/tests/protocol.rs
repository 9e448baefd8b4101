//! The decoder under any cut.

use nats_broker::protocol::{ClientOp, DecodeError, DecodeLimits, Decoder};
use proptest::prelude::*;

fn decode_all(decoder: &mut Decoder, ops: &mut Vec<ClientOp>) -> Result<(), DecodeError> {
    while let Some(op) = decoder.next_op()? {
        ops.push(op);
    }
    Ok(())
}

/// What comes out when the stream arrives in pieces of these sizes.
fn decode(stream: &[u8], cuts: &[usize]) -> (Vec<ClientOp>, Result<(), DecodeError>) {
    let limits = DecodeLimits {
        control_line_bytes_max: 64,
        payload_bytes_max: 300,
    };
    let mut decoder = Decoder::new(limits);
    let mut ops = Vec::new();
    let mut rest = stream;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let size = cuts
            .next()
            .map_or(rest.len(), |cut| (*cut).clamp(1, rest.len()));
        decoder.extend(&rest[..size]);
        rest = &rest[size..];
        let result = decode_all(&mut decoder, &mut ops);
        if result.is_err() {
            assert_eq!(decode_all(&mut decoder, &mut ops), result, "an error stays");
            return (ops, result);
        }
    }
    (ops, Ok(()))
}

fn token() -> impl Strategy<Value = String> {
    "[a-z$_*>.é]{1,8}"
}

fn blank() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(" "), 1 => Just("\t"), 1 => Just("  ")]
}

fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("\r\n"), 1 => Just("\n")]
}

fn operation() -> impl Strategy<Value = Vec<u8>> {
    let name = |name: &'static str| prop_oneof![Just(name.to_owned()), Just(name.to_lowercase())];
    let simple = prop_oneof![name("PING"), name("PONG"), name("+OK"), name("INFO {}")];
    let connect = "[a-z{}\":, ]{0,20}".prop_map(|json| format!("CONNECT {json}"));
    let subscribe = (
        name("SUB"),
        token(),
        prop::option::of(token()),
        token(),
        blank(),
    )
        .prop_map(|(name, subject, queue, sid, blank)| {
            let words = [Some(name), Some(subject), queue, Some(sid)];
            words.into_iter().flatten().collect::<Vec<_>>().join(blank)
        });
    let unsubscribe = (name("UNSUB"), token(), prop::option::of(0u32..10)).prop_map(
        |(name, sid, max)| match max {
            Some(max) => format!("{name} {sid} {max}"),
            None => format!("{name} {sid}"),
        },
    );
    let lines = prop_oneof![simple, connect, subscribe, unsubscribe];
    let lines = (lines, line_end()).prop_map(|(line, end)| (line + end).into_bytes());
    prop_oneof![lines, publication()]
}

fn publication() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..300);
    let header = prop::option::of(any::<prop::sample::Index>());
    (
        token(),
        prop::option::of(token()),
        header,
        body,
        blank(),
        line_end(),
    )
        .prop_map(|(subject, reply, header, body, blank, end)| {
            let name = if header.is_some() { "HPUB" } else { "PUB" };
            let header = header.map(|at| at.index(body.len() + 1).to_string());
            let size = body.len().to_string();
            let words = [
                Some(name.to_owned()),
                Some(subject),
                reply,
                header,
                Some(size),
            ];
            let line = words.into_iter().flatten().collect::<Vec<_>>().join(blank);
            [line.as_bytes(), end.as_bytes(), &body, b"\r\n"].concat()
        })
}

proptest! {
    #[test]
    fn any_cut_gives_the_same(
        operations in prop::collection::vec(operation(), 1..20),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let stream = operations.concat();
        let (whole, result) = decode(&stream, &[]);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(whole.len(), operations.len());
        prop_assert_eq!(decode(&stream, &cuts), (whole.clone(), Ok(())));

        let mut written = Vec::new();
        whole.iter().for_each(|op| op.write(&mut written));
        let (again, result) = decode(&written, &cuts);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(again, whole);
    }

    #[test]
    fn damage_is_seen_the_same_under_any_cut(
        operations in prop::collection::vec(operation(), 1..10),
        place in any::<prop::sample::Index>(),
        damage in any::<u8>(),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut stream = operations.concat();
        let place = place.index(stream.len());
        stream[place] ^= damage;
        prop_assert_eq!(decode(&stream, &cuts), decode(&stream, &[]));
    }

    #[test]
    fn anything_is_taken_or_refused(stream in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(decode(&stream, &[1]), decode(&stream, &[]));
    }
}

#[test]
fn bounds_hold_before_the_bytes_are_there() {
    let refused = |stream: &[u8]| decode(stream, &[]).1;
    assert_eq!(refused(b"PUB a 301\r\n"), Err(DecodeError::Payload));
    assert_eq!(refused(b"HPUB a 2 301\r\n"), Err(DecodeError::Payload));
    assert_eq!(
        refused(&[b"SUB ", &[b'a'; 65][..]].concat()),
        Err(DecodeError::ControlLine)
    );
    assert_eq!(
        refused(&[b"PING", &[b'a'; 66][..]].concat()),
        Err(DecodeError::ControlLine)
    );
    assert_eq!(
        refused(b"PUB a 2\r\nxyz"),
        Err(DecodeError::UnknownOperation)
    );
    assert_eq!(refused(b"x"), Err(DecodeError::UnknownOperation));
}
