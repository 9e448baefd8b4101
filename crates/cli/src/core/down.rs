//! `down`: ends the daemon.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::timeout;

use super::args::DownArgs;
use super::client::Daemon;
use super::place::Place;
use crate::failure::Failure;
use crate::terminal;

/// Between two looks at a daemon that is ending.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// For the kernel to end a process that was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the daemon to end, and waits for it.
pub(super) async fn down(args: DownArgs) -> Result<(), Failure> {
    let place = Place::find(&args.daemon.place)?;
    let daemon = Daemon::at(&place, &args.daemon)?;
    let wait = Duration::from_secs(args.timeout);
    // Looked up before it is told, as it may be gone right after.
    let pid = place.holder()?.and_then(|holder| {
        let address = holder.address?;
        (daemon.url() == format!("http://{address}")).then_some(holder.pid)
    });
    let asked = timeout(wait, daemon.post("/shutdown", None)).await;
    let asked = match asked {
        Ok(answer) => answer.map(drop),
        Err(_) => Err(Failure::servers(format!(
            "the daemon has not answered for {} s; --force kills it",
            args.timeout
        ))),
    };
    let Some(pid) = pid.filter(|_| !args.no_wait) else {
        asked?;
        terminal::result("the daemon is ending");
        return Ok(());
    };
    if !args.force {
        asked?;
    } else if let Err(failure) = asked {
        terminal::say(terminal::plain(&failure.to_string()));
        return killed(&place, pid).await;
    }
    if timeout(wait, gone(&place, pid)).await.is_ok() {
        terminal::result("the daemon has ended");
        return Ok(());
    }
    if args.force {
        return killed(&place, pid).await;
    }
    Err(Failure::failed(format!(
        "the daemon (process {pid}) has not ended within {} s; it goes on ending: wait with a longer --timeout, or kill it with --force",
        args.timeout
    )))
}

/// Waits until the process has the data folder no more.
async fn gone(place: &Place, pid: u32) {
    // What cannot be read is no sign of an end.
    while !place
        .holder()
        .is_ok_and(|holder| holder.is_none_or(|holder| holder.pid != pid))
    {
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}

async fn killed(place: &Place, pid: u32) -> Result<(), Failure> {
    // Looked at again, so that no other process is hit that got the number meanwhile.
    let is_there = place.holder()?.is_some_and(|holder| holder.pid == pid);
    if let Some(process) = i32::try_from(pid).ok().filter(|_| is_there) {
        kill(Pid::from_raw(process), Signal::SIGKILL).map_err(|error| {
            Failure::failed(format!("cannot kill the daemon (process {pid}): {error}"))
        })?;
    }
    timeout(KILL_TIMEOUT, gone(place, pid)).await.map_err(|_| {
        Failure::failed(format!(
            "the daemon (process {pid}) was killed and is still there"
        ))
    })?;
    terminal::result("the daemon was killed; node servers that it left are ended by the next one");
    Ok(())
}
