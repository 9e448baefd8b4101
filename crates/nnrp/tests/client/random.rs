//! Whatever happens in whatever order: each frame ends once, and the counters add up.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::FutureExt as _;
use nnrp::client::{FrameItem, Session};
use nnrp_wire::session::FrameKey;
use nnrp_wire::{Envelope, FlowReason, HeaderFlags, Message};
use proptest::prelude::*;

use super::peer::{Peer, connected, key, result_of, stream_submit, submit};

#[derive(Debug, Clone, Copy)]
enum Step {
    Submit,
    Stream,
    /// A call, dropped when it has been polled once.
    Call,
    /// The first receive of a frame, dropped unless something is there.
    Receive(u8),
    Next,
    Cancel(u8),
    Release(u8),
    Forget(u8),
    Answer(u8),
    Part(u8),
    Drop(u8),
    Credit(u8),
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Submit),
        2 => Just(Step::Stream),
        1 => Just(Step::Call),
        3 => any::<u8>().prop_map(Step::Receive),
        4 => Just(Step::Next),
        1 => any::<u8>().prop_map(Step::Cancel),
        1 => any::<u8>().prop_map(Step::Release),
        1 => any::<u8>().prop_map(Step::Forget),
        4 => any::<u8>().prop_map(Step::Answer),
        2 => any::<u8>().prop_map(Step::Part),
        1 => any::<u8>().prop_map(Step::Drop),
        1 => (0..6_u8).prop_map(Step::Credit),
        2 => Just(Step::Wait),
    ]
}

/// What has come of each frame.
#[derive(Default)]
struct Seen(BTreeMap<u32, u32>);

impl Seen {
    fn add(&mut self, key: FrameKey, item: &FrameItem) {
        let ends = self.0.entry(key.frame_id).or_default();
        assert_eq!(
            *ends, 0,
            "something came behind the end of {key:?}: {item:?}"
        );
        *ends += u32::from(matches!(item, FrameItem::End(_)));
    }
}

struct World {
    session: Session,
    peer: Peer,
    open: VecDeque<Envelope>,
    seen: Seen,
    forgotten: u64,
    ids: u32,
    epoch: u32,
}

impl World {
    fn some(&self, number: u8) -> u32 {
        u32::from(number) % self.ids.max(1) + 1
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Submit | Step::Stream => {
                self.ids += 1;
                let frame = if matches!(step, Step::Submit) {
                    submit(self.ids)
                } else {
                    stream_submit(self.ids)
                };
                // Without credit it is dropped while it waits, and its id is not used.
                let submitted = self.session.submit(frame).now_or_never();
                if submitted.is_none() {
                    self.ids -= 1;
                }
            }
            Step::Call => {
                self.ids += 1;
                let before = self.session.counters().frames.submitted;
                assert!(self.session.call(submit(self.ids)).now_or_never().is_none());
                let submitted = self.session.counters().frames.submitted - before;
                self.forgotten += submitted;
            }
            Step::Receive(number) => {
                let key = key(self.some(number));
                if let Some(Ok(item)) = self.session.receive(key).now_or_never() {
                    self.seen.add(key, &item);
                }
            }
            Step::Next => {
                if let Some((key, item)) = self.session.try_next().unwrap() {
                    self.seen.add(key, &item);
                }
            }
            Step::Cancel(number) => {
                self.session.cancel(key(self.some(number)));
            }
            Step::Release(number) => {
                self.session.release(key(self.some(number)));
            }
            Step::Forget(number) => self.forget(self.some(number)),
            Step::Answer(number) | Step::Part(number) | Step::Drop(number) => {
                self.answer(step, number).await;
            }
            Step::Credit(credit) => {
                self.epoch += 1;
                let credit = u16::from(credit);
                self.peer.flow(FlowReason::Grant, credit, self.epoch).await;
            }
            Step::Wait => self.settle().await,
        }
    }

    /// Its end cannot be received then.
    fn forget(&mut self, id: u32) {
        let is_known = self.session.receive(key(id)).now_or_never();
        match is_known {
            Some(Ok(item)) => {
                self.seen.add(key(id), &item);
                let is_end = matches!(item, FrameItem::End(_));
                self.forgotten += u64::from(!is_end);
            }
            Some(Err(_)) => {}
            None => self.forgotten += 1,
        }
        self.session.forget(key(id));
    }

    async fn answer(&mut self, step: Step, number: u8) {
        if self.open.is_empty() {
            return;
        }
        let place = usize::from(number) % self.open.len();
        let envelope = Envelope {
            flags: HeaderFlags::empty(),
            ..self.open[place]
        };
        match step {
            Step::Part(_) => self.peer.part(&envelope, 10).await,
            Step::Drop(_) => {
                self.open.remove(place);
                self.peer.send(envelope, Message::ResultDrop).await;
            }
            _ => {
                self.open.remove(place);
                self.peer.answer_with(&envelope, result_of(3)).await;
            }
        }
    }

    /// Everything that is on its way arrives.
    async fn settle(&mut self) {
        loop {
            let next = tokio::time::timeout(Duration::from_millis(1), self.peer.receive()).await;
            match next {
                Ok((envelope, Message::FrameSubmit(_))) => self.open.push_back(envelope),
                Ok(_) => {}
                Err(_) => break,
            }
            self.check();
        }
        self.check();
    }

    fn check(&self) {
        let frames = self.session.counters().frames;
        assert_eq!(frames.submitted, frames.done_total() + frames.in_flight);
        assert_eq!(frames.pending, 0);
    }

    /// The server answers all, and everything is received.
    async fn finish(mut self) {
        self.settle().await;
        while let Some(envelope) = self.open.pop_front() {
            self.peer.answer(&envelope).await;
        }
        self.settle().await;
        let frames = self.session.counters().frames;
        assert_eq!(frames.in_flight, 0, "{frames:?}");
        for id in 1..=self.ids {
            while let Some(Ok(item)) = self.session.receive(key(id)).now_or_never() {
                self.seen.add(key(id), &item);
            }
        }
        let ended = self
            .seen
            .0
            .values()
            .map(|ends| u64::from(*ends))
            .sum::<u64>();
        assert_eq!(ended + self.forgotten, frames.submitted);
        let counters = self.session.counters();
        assert_eq!((counters.waiting_items, counters.waiting_bytes), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_frame_ends_once(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (session, peer) = connected(4).await;
            let mut world = World {
                session,
                peer,
                open: VecDeque::new(),
                seen: Seen::default(),
                forgotten: 0,
                ids: 0,
                epoch: 0,
            };
            for step in steps {
                world.take(step).await;
                world.check();
            }
            world.finish().await;
        });
    }
}
