//! The recorded exchanges.

use std::sync::LazyLock;

use bytes::Bytes;
use nnrp_wire::{Envelope, Message, Packet};
use nodewire_testkit::{NnrpTraceEvent, NnrpTraceStep, NnrpTransport, nnrp_traces};

use crate::raw::message;

/// The reference does not copy the view, so that one frame of this exchange stays in flight, and the window that it
/// announces has no room for the next.
const WITHOUT_VIEW: &str = "submit_tile_modes_and_reference_mode";

/// The reference looks at no window: three frames are in flight where one may be.
const BEYOND_WINDOW: &str = "out_of_order_results";

/// `max_concurrent_frames` of a hello's answer.
const WINDOW_AT: std::ops::Range<usize> = 90..92;

/// One recorded connection.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) transport: NnrpTransport,
    /// What each side wrote, in order.
    pub(crate) writes: Vec<Write>,
}

#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) by_client: bool,
    pub(crate) bytes: Vec<u8>,
}

impl Write {
    fn of(step: &NnrpTraceStep) -> Option<Self> {
        match &step.event {
            NnrpTraceEvent::Write { bytes, .. } => Some(Self {
                by_client: step.by_client,
                bytes: bytes.clone(),
            }),
            NnrpTraceEvent::Datagram(_) | NnrpTraceEvent::Fin | NnrpTraceEvent::Close => None,
        }
    }

    pub(crate) fn message(&self) -> (Envelope, Message) {
        let bytes = Bytes::copy_from_slice(&self.bytes);
        message(&Packet::decode(bytes).unwrap())
    }

    fn is_packet(&self) -> bool {
        Packet::decode(Bytes::copy_from_slice(&self.bytes)).is_ok()
    }
}

static EXCHANGES: LazyLock<Vec<Exchange>> = LazyLock::new(|| {
    let all = NnrpTransport::ALL.map(|transport| nnrp_traces(transport).unwrap());
    let mut exchanges = Vec::new();
    for trace in all.iter().flatten() {
        for steps in &trace.connections {
            let mut writes: Vec<_> = steps.iter().filter_map(Write::of).collect();
            if trace.name == WITHOUT_VIEW || trace.name == BEYOND_WINDOW {
                writes[1].bytes[WINDOW_AT].fill(0);
            }
            exchanges.push(Exchange {
                name: trace.name.clone(),
                transport: trace.transport,
                writes,
            });
        }
    }
    exchanges
});

/// All connections.
pub(crate) fn exchanges() -> &'static [Exchange] {
    &EXCHANGES
}

/// Those that are conversations in a session: the first two packets are a hello and its answer, and all are packets.
pub(crate) fn conversations() -> Vec<&'static Exchange> {
    let is_session = |exchange: &&Exchange| {
        let types: Vec<_> = exchange.writes.iter().map(|write| write.bytes[6]).collect();
        types.starts_with(&[1, 2]) && exchange.writes.iter().all(Write::is_packet)
    };
    exchanges().iter().filter(is_session).collect()
}

/// The first connection of an exchange.
pub(crate) fn named(name: &str, transport: NnrpTransport) -> &'static Exchange {
    let mut all = exchanges().iter();
    all.find(|exchange| exchange.name == name && exchange.transport == transport)
        .unwrap()
}
