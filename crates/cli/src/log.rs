//! The log on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// Installs the log: warnings, with `-v` more; `NODEWIRE_LOG` says it in detail.
pub(crate) fn install(verbose: u8, format: LogFormat) {
    let level = match verbose {
        // What async-nats reports as an error is in our own messages.
        0 => "warn,async_nats=off",
        1 => {
            "autotrainer_api=info,nanocore=info,nanograph=info,nats_broker=info,nats_micro=info,nnrp=info,nodewire=info,warn,async_nats=off"
        }
        _ => "debug",
    };
    let filter = if verbose == 0 {
        EnvFilter::try_from_env("NODEWIRE_LOG").ok()
    } else {
        None
    };
    let filter = filter.unwrap_or_else(|| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would tell of a line that cannot be written where that was to be written, and panic.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}
