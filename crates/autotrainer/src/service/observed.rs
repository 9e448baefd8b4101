//! What telemetry sees of a service; without the feature, nothing, at no cost.

#[cfg(feature = "telemetry")]
pub(super) use with_telemetry::{CommandSpan, Observed};
#[cfg(not(feature = "telemetry"))]
pub(super) use without_telemetry::{CommandSpan, Observed};

#[cfg(feature = "telemetry")]
mod with_telemetry {
    use std::sync::{Arc, Weak};
    use std::time::{Duration, Instant};

    use bytes::Bytes;

    use crate::command::{CommandRequest, CommandResponse, CommandResult};
    use crate::level::ProtocolLevel;
    use crate::service::builder::ServiceBuilder;
    use crate::service::counters::Counters;
    use crate::service::lifecycle::{SharedSockets, SocketsSlot, counts};
    use crate::telemetry::{MetricsWriter, Observable, Source, SpanContext};
    use crate::topic::Topic;

    /// Tells telemetry what happens, if the service has any.
    #[derive(Debug, Clone, Default)]
    pub(in crate::service) struct Observed(Option<(Arc<Source>, ProtocolLevel)>);

    /// The span of an answered command.
    #[derive(Debug, Clone, Copy, Default)]
    pub(in crate::service) struct CommandSpan(Option<SpanContext>);

    /// A message that will have a span if it is sent.
    #[derive(Debug)]
    pub(in crate::service) struct MessageSpan(Option<(Bytes, Instant)>);

    impl Observed {
        pub(in crate::service) fn of(
            service: &ServiceBuilder,
            counters: &Arc<Counters>,
            sockets: &SharedSockets,
        ) -> Self {
            let counted = Counted {
                counters: Arc::clone(counters),
                sockets: Arc::downgrade(sockets),
            };
            let version = service.level.heartbeat_version(&service.software);
            let source = service.telemetry.as_ref().and_then(|telemetry| {
                telemetry.observe(&service.identifier, &version, Box::new(counted))
            });
            Self(source.map(|source| (source, service.level)))
        }

        pub(in crate::service) fn answered(
            &self,
            request: &CommandRequest,
            response: &CommandResponse,
            took: Duration,
        ) -> CommandSpan {
            let source = self.0.as_ref();
            CommandSpan(source.map(|(source, _)| source.answered(request, response, took)))
        }

        pub(in crate::service) fn late_result(
            &self,
            of: CommandSpan,
            result: &CommandResult,
            took: Duration,
        ) {
            if let (Some((source, _)), Some(of)) = (&self.0, of.0) {
                source.late_result(of, result, took);
            }
        }

        /// Heartbeats have no spans: they are counted, and there is nothing else to tell.
        pub(in crate::service) fn message(&self, topic: Topic, payload: &Bytes) -> MessageSpan {
            let source = self.0.as_ref().filter(|_| topic != Topic::HEARTBEAT);
            let source = source.filter(|(source, _)| source.samples_message());
            MessageSpan(source.map(|_| (payload.clone(), Instant::now())))
        }

        pub(in crate::service) fn published(&self, topic: Topic, message: MessageSpan) {
            if let (Some((source, level)), Some((payload, start))) = (&self.0, message.0) {
                source.published(topic, &payload, *level, start.elapsed());
            }
        }
    }

    /// Does not keep the sockets open.
    #[derive(Debug)]
    struct Counted {
        counters: Arc<Counters>,
        sockets: Weak<SocketsSlot>,
    }

    impl Observable for Counted {
        fn observe(&self, source: &Source, metrics: &mut MetricsWriter) {
            let sockets = self.sockets.upgrade();
            let counts = counts(&self.counters, sockets.as_deref());
            metrics.service(&counts, source.durations_sum_s());
        }

        fn is_gone(&self) -> bool {
            self.sockets.strong_count() == 0
        }
    }
}

#[cfg(not(feature = "telemetry"))]
mod without_telemetry {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;

    use crate::command::{CommandRequest, CommandResponse, CommandResult};
    use crate::service::builder::ServiceBuilder;
    use crate::service::counters::Counters;
    use crate::service::lifecycle::SharedSockets;
    use crate::topic::Topic;

    #[derive(Debug, Clone, Default)]
    pub(in crate::service) struct Observed(());

    #[derive(Debug, Clone, Copy, Default)]
    pub(in crate::service) struct CommandSpan(());

    #[derive(Debug)]
    pub(in crate::service) struct MessageSpan;

    impl Observed {
        pub(in crate::service) const fn of(
            _: &ServiceBuilder,
            _: &Arc<Counters>,
            _: &SharedSockets,
        ) -> Self {
            Self(())
        }

        pub(in crate::service) const fn answered(
            &self,
            _: &CommandRequest,
            _: &CommandResponse,
            _: Duration,
        ) -> CommandSpan {
            CommandSpan(())
        }

        pub(in crate::service) const fn late_result(
            &self,
            _: CommandSpan,
            _: &CommandResult,
            _: Duration,
        ) {
        }

        pub(in crate::service) const fn message(&self, _: Topic, _: &Bytes) -> MessageSpan {
            MessageSpan
        }

        pub(in crate::service) const fn published(&self, _: Topic, _: MessageSpan) {}
    }
}
