//! A service whose process is killed and started again, again and again, while it is commanded.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use autotrainer_api::zmq::SocketOptions;
use autotrainer_api::{CallError, Channel, Command, Remote, RemoteOptions};
use nodewire_testkit::PeerProcess;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, patiently, until};

/// Cargo builds a package's examples together with its tests.
fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.ancestors().nth(2).unwrap().join("examples");
    let program = folder.join("device");
    assert!(
        program.exists(),
        "{} is missing; run `cargo build -p autotrainer-api --examples`",
        program.display()
    );
    program
}

/// The process, listening; ports 0 are any.
async fn serve((events, commands): (u16, u16)) -> (PeerProcess, (u16, u16)) {
    let mut command = tokio::process::Command::new(example());
    // Its homing takes longer than its deadline, so that its result is published later.
    let arguments = [events.to_string(), commands.to_string(), "30".to_owned()];
    command.args(arguments).env_clear();
    let mut service = PeerProcess::spawn(command).unwrap();
    let listening = service.wait_for_output("commands at", PATIENCE).await;
    listening.unwrap();
    let logs = service.logs();
    let mut ports = logs.split("127.0.0.1:").skip(1).map(|text| {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    });
    let ports = (ports.next().unwrap(), ports.next().unwrap());
    (service, ports)
}

/// How commands ended: each in one of these.
#[derive(Debug, Default, Clone, Copy)]
struct Ends {
    answered: u64,
    /// Answered "pending", and the result came.
    late: u64,
    /// Answered "pending", and the result died with the process: a timeout at the caller.
    result_lost: u64,
    /// Sent, and no answer in time, or the connection was lost before it.
    lost: u64,
    /// No connection in time.
    unsent: u64,
    /// The answer was lost, but the result came.
    result_only: u64,
    /// What a caller had to wait longest for its command to end.
    longest: Duration,
}

impl Ends {
    fn add(self, other: Self) -> Self {
        Self {
            answered: self.answered + other.answered,
            late: self.late + other.late,
            result_lost: self.result_lost + other.result_lost,
            lost: self.lost + other.lost,
            unsent: self.unsent + other.unsent,
            result_only: self.result_only + other.result_only,
            longest: self.longest.max(other.longest),
        }
    }

    /// Sends one command and counts how it ended; any other end fails the test.
    async fn take_one(&mut self, remote: &Remote, command: Command, came: &AtomicU64) {
        let began = Instant::now();
        match patiently(remote.command(command).send()).await {
            Ok(answer) => match answer.pending {
                None => self.answered += 1,
                Some(mut pending) => match pending.result(RESULT_WAIT).await {
                    Ok(_) => {
                        self.late += 1;
                        came.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(_) => self.result_lost += 1,
                },
            },
            Err(CallError::ConnectionLost | CallError::TimedOut) => self.lost += 1,
            Err(CallError::Unreachable { .. }) => self.unsent += 1,
            Err(CallError::ResultOnly(_)) => {
                self.result_only += 1;
                came.fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => panic!("{error}"),
        }
        self.longest = self.longest.max(began.elapsed());
    }
}

/// How long a caller waits for the result of a command that was answered "pending".
const RESULT_WAIT: Duration = Duration::from_millis(300);

/// Counts the results that came to a caller, too.
async fn command_until(
    remote: Remote,
    command: Command,
    stop: CancellationToken,
    came: Arc<AtomicU64>,
) -> Ends {
    let mut ends = Ends::default();
    while !stop.is_cancelled() {
        ends.take_one(&remote, command, &came).await;
    }
    ends
}

async fn connected((events, commands): (u16, u16)) -> Remote {
    let soon = Duration::from_millis(10);
    let options = RemoteOptions::ports("127.0.0.1", events, commands);
    let options = RemoteOptions {
        timeout: Duration::from_secs(5),
        socket_options: SocketOptions {
            reconnect_backoff: (soon, soon),
            ..options.socket_options
        },
        ..options
    };
    Remote::connect(options).await.unwrap()
}

/// Each command has an answer, a timeout at the caller, or a later result; none hangs, and none is in two counts.
async fn killed_under_load(cycles: u64) {
    let (mut service, ports) = serve((0, 0)).await;
    let remote = connected(ports).await;
    let stop = CancellationToken::new();
    let came = Arc::new(AtomicU64::new(0));
    let quick = [Command::GetConfiguration; 4];
    let pending = [Command::UserDefined; 2];
    let callers: Vec<_> = quick
        .into_iter()
        .chain(pending)
        .map(|command| {
            let (stop, came) = (stop.clone(), Arc::clone(&came));
            tokio::spawn(command_until(remote.clone(), command, stop, came))
        })
        .collect();
    for cycle in 0..cycles {
        let (before, came_before) = (remote.counts().answers, came.load(Ordering::SeqCst));
        until(&remote, |counts| counts.answers > before + 20).await;
        // Else its end would interrupt nothing.
        until(&remote, |_| remote.is_connected(Channel::Events)).await;
        // Every other process lives until a result came later; the others mostly die before.
        if cycle % 2 == 0 {
            until(&remote, |_| came.load(Ordering::SeqCst) > came_before).await;
        }
        service.signal("KILL").unwrap();
        service.wait(PATIENCE).await.unwrap();
        (service, _) = serve(ports).await;
    }
    let before = remote.counts().answers;
    until(&remote, |counts| counts.answers > before + 20).await;
    stop.cancel();
    let mut ends = Ends::default();
    for caller in callers {
        ends = ends.add(patiently(caller).await.unwrap());
    }
    let counts = remote.counts();
    let answers = ends.answered + ends.late + ends.result_lost;
    assert_eq!(counts.answers, answers, "{ends:?} {counts:?}");
    let errors = ends.lost + ends.result_only + ends.unsent;
    let counted = counts.connection_lost + counts.timeouts + counts.unsent;
    assert_eq!(counted, errors, "{ends:?} {counts:?}");
    let sent = answers + ends.lost + ends.result_only;
    assert_eq!(counts.requests, sent, "{ends:?} {counts:?}");
    assert!(counts.interruptions >= cycles, "{counts:?}");
    assert!(ends.late + ends.result_only >= cycles / 2, "{ends:?}");
    // Nobody waits for anything any more, so that another command has its answer at once.
    let status = remote.command(Command::GetConfiguration).send();
    assert!(patiently(status).await.is_ok());
    let text = format!("{cycles} kills: {ends:?}");
    #[expect(clippy::print_stdout, reason = "the figures of the long run")]
    {
        println!("{text}");
    }
    service.signal("INT").unwrap();
    assert!(service.wait(PATIENCE).await.unwrap().success());
}

#[tokio::test]
async fn a_process_killed_25_times_under_load() {
    killed_under_load(25).await;
}

/// The same a thousand times, which takes minutes:
///
/// ```sh
/// cargo test -p autotrainer-api --test interop -- --ignored --nocapture killed
/// ```
#[tokio::test]
#[ignore = "takes minutes; CONTRIBUTING.md has the command"]
async fn a_process_killed_1000_times_under_load() {
    killed_under_load(1000).await;
}
