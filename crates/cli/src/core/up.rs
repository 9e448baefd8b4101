//! `up` and `down`: the daemon.

use std::time::Duration;

use super::args::{DownArgs, UpArgs};
use super::client::Daemon;
use super::place::Place;
use crate::failure::Failure;
use crate::terminal;

/// Between two looks at a daemon that is ending.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

pub(crate) async fn up(_args: UpArgs) -> Result<(), Failure> {
    Err(Failure::failed("soon"))
}

pub(super) async fn down(args: DownArgs) -> Result<(), Failure> {
    let place = Place::find(&args.daemon.place)?;
    let daemon = Daemon::at(&place, &args.daemon)?;
    daemon.post("/shutdown", None).await?;
    let is_own = place.holder()?.is_some_and(|holder| {
        holder
            .address
            .is_some_and(|address| daemon.url() == format!("http://{address}"))
    });
    if args.no_wait || !is_own {
        terminal::result("the daemon is ending");
        return Ok(());
    }
    while place.holder()?.is_some() {
        tokio::time::sleep(LOOK_PERIOD).await;
    }
    terminal::result("the daemon has ended");
    Ok(())
}
