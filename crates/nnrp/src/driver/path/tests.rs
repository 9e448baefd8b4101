//! Links of a session that does what a test wants.

use std::collections::VecDeque;

use bytes::Bytes;
use nnrp_wire::session::Transmit;
use nnrp_wire::{Envelope, Message, MessageType, SplitLimits};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex, join};
use tokio::time::sleep;

use super::super::{Clock, Driver, Step, Traffic};
use super::*;

const FIRST: PathId = PathId(1);
const SECOND: PathId = PathId(2);
const MANY: usize = 2 * PACKETS_MAX;

/// Takes what comes behind a ping; what comes before is too early.
#[derive(Default)]
struct Machine {
    has_begun: bool,
    arrivals: VecDeque<u32>,
    transmits: VecDeque<Transmit>,
    ended: Vec<PathId>,
    timeouts: u32,
    excuses: u32,
}

impl super::super::machine::Machine for Machine {
    type Event = u32;

    fn handle_packet(
        &mut self,
        path: PathId,
        packet: &Packet,
        _: Duration,
    ) -> Result<(), HandleError> {
        if self.ended.contains(&path) {
            return Err(HandleError::UnknownPath);
        }
        if packet.header().message_type == MessageType::Ping {
            self.has_begun = true;
        } else if !self.has_begun {
            return Err(HandleError::Early);
        }
        self.arrivals.push_back(packet.header().frame_id);
        Ok(())
    }

    fn handle_path_end(
        &mut self,
        path: PathId,
        _: PathEnd,
        _: Duration,
    ) -> Result<(), HandleError> {
        self.ended.push(path);
        Ok(())
    }

    fn excuse_silence(&mut self, _: Duration) {
        self.excuses += 1;
    }

    fn handle_timeout(&mut self, _: Duration) {
        self.timeouts += 1;
    }

    fn next_timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(u64::from(self.timeouts) + 1))
    }

    fn has_transmit(&self) -> bool {
        !self.transmits.is_empty()
    }

    fn poll_transmit(&mut self, _: Duration) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<u32> {
        self.arrivals.pop_front()
    }

    fn primary_path(&self) -> Option<PathId> {
        Some(FIRST)
    }

    fn is_quiet(&self) -> bool {
        false
    }

    fn is_over(&self) -> bool {
        false
    }
}

/// Has room for so many, and keeps count of all.
struct Taking {
    waiting: usize,
    waiting_max: usize,
    taken: Vec<u32>,
    wants_rest: bool,
}

impl App for Taking {
    type Machine = Machine;

    fn handle(&mut self, frame_id: u32, _: &mut Machine, _: Duration) -> Step {
        self.waiting += 1;
        self.taken.push(frame_id);
        Step::Go
    }

    fn is_full(&self) -> bool {
        self.waiting >= self.waiting_max
    }

    fn wants_rest(&self) -> bool {
        self.wants_rest
    }
}

fn driver(waiting_max: usize, wants_rest: bool) -> Driver<Taking> {
    let app = Taking {
        waiting: 0,
        waiting_max,
        taken: Vec::new(),
        wants_rest,
    };
    Driver::start(Machine::default(), app, Clock::start())
}

fn add(driver: &Driver<Taking>, id: PathId, mut link: Link) {
    link.reader.set_limits(SplitLimits::session(0));
    driver.add_link(id, link, PathTasks::default());
}

/// One whose other side can send, and does not get anything any more.
fn add_deaf(driver: &Driver<Taking>, id: PathId) -> DuplexStream {
    let (near, far) = duplex(1 << 20);
    let (deaf, _) = duplex(1);
    add(driver, id, Link::from_stream(join(near, deaf)));
    far
}

/// With more than is taken in at once.
async fn fill(far: &mut DuplexStream) {
    for _ in 0..MANY {
        far.write_all(&bytes_of(0, Message::Ping)).await.unwrap();
    }
}

fn send_to(driver: &Driver<Taking>, path: PathId) {
    driver.with(|machine, _, _| {
        machine.transmits.push_back(Transmit {
            path,
            envelope: Envelope::default(),
            message: Message::Pong,
        });
    });
}

fn bytes_of(frame_id: u32, message: Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message
        .encode(&Envelope::frame(1, frame_id), &mut bytes)
        .unwrap();
    bytes
}

/// Until it is so. Time stands still meanwhile.
async fn until(driver: &Driver<Taking>, is_so: impl Fn(&Machine, &Taking, Traffic) -> bool) {
    for _ in 0..6000 {
        let traffic = driver.traffic();
        if driver.with(|machine, app, _| is_so(machine, app, traffic)) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never is");
}

#[tokio::test(start_paused = true)]
async fn early_packets_wait_for_room_like_others() {
    let driver = driver(10, false);
    let (near, mut far) = duplex(1 << 20);
    add(&driver, FIRST, Link::from_stream(near));
    for frame_id in 1..=200 {
        let close = bytes_of(frame_id, Message::Close(Bytes::new()));
        far.write_all(&close).await.unwrap();
    }
    far.write_all(&bytes_of(0, Message::Ping)).await.unwrap();
    let mut seen = 0;
    while seen < 201 {
        until(&driver, |_, app, _| app.taken.len() > seen).await;
        seen = driver.with_moved(|_, app, _| {
            assert!(app.waiting < 10 + PACKETS_MAX, "{} wait", app.waiting);
            app.waiting = 0;
            app.taken.len()
        });
    }
    let taken = driver.with(|_, app, _| app.taken.clone());
    assert_eq!(taken, (0..=200).collect::<Vec<_>>());
    assert_eq!(driver.traffic().lost_early, 0);
}

#[tokio::test(start_paused = true)]
async fn early_packets_are_bounded_in_bytes_and_counted() {
    let driver = driver(1000, false);
    let (near, mut far) = duplex(64 << 10);
    add(&driver, FIRST, Link::from_stream(near));
    for frame_id in 1..=5 {
        let close = bytes_of(frame_id, Message::Close(vec![0; 1 << 20].into()));
        far.write_all(&close).await.unwrap();
    }
    // The fourth is over the limit by its header.
    until(&driver, |_, _, traffic| traffic.lost_early == 2).await;
    drop(far);
    until(&driver, |_, _, traffic| traffic.lost_early == 5).await;
    assert!(driver.with(|_, app, _| app.taken.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_gone_is_noticed_though_nobody_takes_what_came() {
    let driver = driver(1, false);
    let mut far = add_deaf(&driver, FIRST);
    fill(&mut far).await;
    until(&driver, |_, app, _| app.waiting >= 1).await;
    send_to(&driver, FIRST);
    until(&driver, |machine, _, _| machine.ended.contains(&FIRST)).await;
}

#[tokio::test(start_paused = true)]
async fn what_has_come_is_waited_for_if_it_is_wanted() {
    let driver = driver(1, true);
    let mut far = add_deaf(&driver, FIRST);
    fill(&mut far).await;
    until(&driver, |_, app, _| app.waiting >= 1).await;
    send_to(&driver, FIRST);
    until(&driver, |machine, _, _| machine.timeouts >= 10).await;
    let (ended, excuses) = driver.with(|machine, _, _| (machine.ended.len(), machine.excuses));
    assert_eq!(ended, 0);
    assert!(excuses <= 1, "silence is excused, and nobody can be asked");
    driver.with_moved(|_, app, _| app.waiting_max = MANY + 1);
    until(&driver, |_, app, _| app.taken.len() == MANY).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_ends_though_another_is_busy() {
    let driver = driver(usize::MAX, true);
    let _old = add_deaf(&driver, SECOND);
    let (near, mut far) = duplex(1 << 10);
    add(&driver, FIRST, Link::from_stream(near));
    let busy = tokio::spawn(async move {
        let ping = bytes_of(0, Message::Ping);
        while far.write_all(&ping).await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    send_to(&driver, SECOND);
    until(&driver, |machine, _, _| machine.ended.contains(&SECOND)).await;
    busy.abort();
}
