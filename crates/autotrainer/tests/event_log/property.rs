//! Whatever happens, a subscription that resumes gets what was kept, each once and in order.

use std::time::Duration;

use autotrainer_api::{
    Delivery, EventLogOptions, Message, Remote, Resume, Service, SubscribeOptions, Subscription,
};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{again, builder, event, log_in, patiently, ports, remote_at, started};

#[derive(Debug, Clone)]
enum Step {
    /// The service publishes so many.
    Publish(u16),
    /// The reader reads so many.
    Read(u16),
    /// The reader looks, and gives up in the middle of whatever it waits for.
    GlanceMs(u8),
    RestartService,
    /// The reader goes, and another comes where it was.
    RestartReader,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1..400_u16).prop_map(Step::Publish),
        4 => (1..400_u16).prop_map(Step::Read),
        2 => (0..4_u8).prop_map(Step::GlanceMs),
        1 => Just(Step::RestartService),
        2 => Just(Step::RestartReader),
    ]
}

struct World {
    log: EventLogOptions,
    at: (u16, u16),
    service: Service,
    remote: Remote,
    events: Subscription,
    messages_max: usize,
    published: u64,
    read: u64,
}

impl World {
    async fn new(folder: &TempDir, messages_max: usize) -> Self {
        let log = log_in(folder);
        let service = started(builder(&log)).await;
        let at = ports(&service);
        let remote = remote_at(at).await;
        let events = follow(&remote, Resume::Oldest, messages_max).await;
        Self {
            log,
            at,
            service,
            remote,
            events,
            messages_max,
            published: 0,
            read: 0,
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Publish(count) => {
                for _ in 0..count {
                    let event = event(self.published);
                    self.service.publisher().send_event(&event).await.unwrap();
                    self.published += 1;
                }
            }
            Step::Read(count) => {
                let to_come = self.published - self.read;
                for _ in 0..to_come.min(count.into()) {
                    let delivery = patiently(self.events.next()).await;
                    self.came(delivery);
                }
            }
            Step::GlanceMs(ms) => {
                let glance = Duration::from_millis(ms.into());
                if let Ok(delivery) = tokio::time::timeout(glance, self.events.next()).await {
                    self.came(delivery);
                }
            }
            Step::RestartService => {
                self.service.stop().await;
                self.service = again(&self.log, self.at).await;
            }
            Step::RestartReader => self.restart_reader().await,
        }
    }

    async fn restart_reader(&mut self) {
        let from = self.events.position().map_or(Resume::Oldest, Resume::After);
        self.remote.close().await;
        self.remote = remote_at(self.at).await;
        self.events = follow(&self.remote, from, self.messages_max).await;
    }

    fn came(&mut self, delivery: Option<Delivery>) {
        let Some(Delivery::Message(Message::Event { event, .. })) = delivery else {
            panic!("{delivery:?} after {}", self.read);
        };
        assert_eq!(event.index, Some(self.read));
        assert_eq!(event.sequence(), Some(self.read + 1));
        self.read += 1;
    }
}

async fn follow(remote: &Remote, from: Resume, messages_max: usize) -> Subscription {
    let options = SubscribeOptions {
        messages_max,
        ..SubscribeOptions::events()
    };
    remote.subscribe(options.resuming(from)).await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_once_and_in_order(
        steps in prop::collection::vec(step(), 1..24),
        messages_max in 1..600_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let mut world = World::new(&folder, messages_max).await;
            for step in steps {
                world.take(step).await;
            }
            let all = u16::try_from(world.published - world.read).unwrap();
            world.take(Step::Read(all)).await;
            assert_eq!(world.read, world.published);
            world.service.stop().await;
        });
    }
}
