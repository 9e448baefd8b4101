//! What is agreed on in the extensions of a hello. spec: nnrp-session 2.3, nnrp-wire 2.3

use nnrp_wire::session::HelloOffer;
use nnrp_wire::{
    ControlExtension, ControlExtensionType, KnownExtension, LossTolerance, PayloadKinds,
    ServerHelloAck, TransportId,
};

/// What client and server agree on beside the answer's fields.
pub(super) struct Terms {
    pub(super) tolerance: LossTolerance,
    extensions: Vec<KnownExtension>,
    transport: TransportId,
}

impl Terms {
    pub(super) fn of(offer: &HelloOffer, transport: TransportId) -> Self {
        let extensions = offer.hello.extensions.iter();
        let known = extensions.filter_map(|extension| extension.known().ok().flatten());
        let extensions: Vec<_> = known.collect();
        let tolerance = extensions.iter().find_map(|known| match known {
            KnownExtension::LossTolerance(tolerance) => Some(*tolerance),
            KnownExtension::ClientTransportPolicy(_)
            | KnownExtension::ServerTransportPolicy(_)
            | KnownExtension::PayloadCapabilities(_)
            | _ => None,
        });
        Self {
            tolerance: tolerance.unwrap_or(LossTolerance::BestEffort),
            extensions,
            transport,
        }
    }

    /// What the client has asked is answered, unless the hook has done so. spec: nnrp-session 2.3, nnrp-wire 2.3
    pub(super) fn extensions(&self, ack: &ServerHelloAck) -> Vec<ControlExtension> {
        let is_answered = |answer: ControlExtensionType| {
            let mut there = ack.extensions.iter();
            there.any(|extension| extension.ext_type == answer.number())
        };
        let kinds = PayloadKinds::from_bits_truncate(ack.metadata.accepted_payload_kind_bitmap);
        let answer = |asked: &KnownExtension| match asked {
            KnownExtension::ClientTransportPolicy(asked) => {
                let policy = asked.transport_policy;
                Some(ControlExtension::server_transport_policy(
                    policy,
                    policy,
                    self.transport,
                ))
            }
            KnownExtension::LossTolerance(tolerance) => {
                Some(ControlExtension::server_loss_tolerance(*tolerance))
            }
            KnownExtension::PayloadCapabilities(_) => {
                ControlExtension::server_payload_capabilities(kinds).ok()
            }
            KnownExtension::ServerTransportPolicy(_) | _ => None,
        };
        let answers = self.extensions.iter().filter_map(answer);
        let open = |extension: &ControlExtension| {
            ControlExtensionType::from_number(extension.ext_type)
                .is_none_or(|answer| !is_answered(answer))
        };
        answers.filter(open).collect()
    }
}
