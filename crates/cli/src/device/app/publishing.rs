//! Doing what lines ask for.

use autotrainer_api::{
    Event, EventKind, EventPublisher, Json, PropertyChange, ProtocolLevel, PublishError, Service,
};

use super::line::{Action, LINES_HELP};
use super::report::Report;
use crate::failure::{Failure, chain};

/// Whether lines go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    End,
}

/// Publishes, and tells what.
#[derive(Debug)]
pub(super) struct Publishing<'a> {
    pub(super) report: &'a Report,
    service: &'a Service,
    publisher: EventPublisher,
    level: ProtocolLevel,
    /// Whether the application was launched and has not terminated.
    is_launched: bool,
}

impl<'a> Publishing<'a> {
    pub(super) fn new(service: &'a Service, report: &'a Report, level: ProtocolLevel) -> Self {
        Self {
            report,
            publisher: service.publisher(),
            service,
            level,
            is_launched: false,
        }
    }

    pub(super) async fn line(&mut self, line: &str) -> Result<Flow, Failure> {
        let action = Action::parse(line, self.level)?;
        Box::pin(self.act(&action)).await
    }

    async fn act(&mut self, action: &Action) -> Result<Flow, Failure> {
        match action {
            Action::Event { number, context } => {
                self.event(*number, context).await?;
                self.is_launched |= action.launches(self.level);
                self.is_launched &= !action.terminates(self.level);
            }
            Action::Property(change) => self.property(change).await?,
            Action::Publish { topic, text } => {
                let sent = self.publisher.publish(*topic, text.clone().into()).await;
                sent.map_err(|error| failed(&error))?;
                self.report.published_text(*topic, text);
            }
            Action::Repeat {
                times,
                every,
                action,
            } => {
                for round in 0..*times {
                    if round > 0 {
                        tokio::time::sleep(*every).await;
                    }
                    Box::pin(self.act(action)).await?;
                }
            }
            Action::Wait(time) => tokio::time::sleep(*time).await,
            Action::Counts => self.report.counts(self.service),
            Action::Help => self.report.text(LINES_HELP),
            Action::Quit => return Ok(Flow::End),
            Action::Nothing => {}
        }
        Ok(Flow::On)
    }

    /// Says that the application terminates, if it was launched.
    pub(super) async fn terminate(&mut self, went_well: bool) -> Result<(), Failure> {
        if !self.is_launched {
            return Ok(());
        }
        let reason = if went_well { "stopped" } else { "failed" };
        let action = Action::terminating(reason, self.level)?;
        Box::pin(self.act(&action)).await.map(|_| ())
    }

    async fn event(&self, number: i64, context: &Json) -> Result<(), Failure> {
        // Every level has this one; time and index are what is wanted of it.
        let event = self.publisher.event(EventKind::ApplicationLaunched);
        let mut event = event.map_err(|error| failed(&error))?;
        event.kind_number = number;
        let event = event
            .with_context(context)
            .map_err(|error| Failure::usage(error.to_string()))?;
        self.warn_of_context(&event);
        let sent = self.publisher.send_event(&event).await;
        sent.map_err(|error| failed(&error))?;
        for topic in event.topics() {
            self.report.published(*topic, &event);
        }
        Ok(())
    }

    /// Applications may leave contexts out, but what is there should be what the kind promises.
    fn warn_of_context(&self, event: &Event) {
        if let Err(error) = event.payload(self.level) {
            self.report
                .warning(&format!("published all the same: {error}"));
        }
    }

    async fn property(&self, change: &PropertyChange) -> Result<(), Failure> {
        let sent = self.publisher.send_property_change(change).await;
        sent.map_err(|error| failed(&error))?;
        self.report.published_property(change);
        Ok(())
    }
}

fn failed(error: &PublishError) -> Failure {
    let message = chain(error);
    match error {
        PublishError::TooLong { .. }
        | PublishError::Encode(_)
        | PublishError::NoEvent
        | PublishError::UnknownKind { .. } => Failure::usage(message),
        PublishError::NotStarted | PublishError::Stopped | PublishError::QueueFull | _ => {
            Failure::failed(message)
        }
    }
}
