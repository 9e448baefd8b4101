//! What a node server does as a program: environment, log, signals, ready line.
//!
//! The one place in the libraries that touches the process: it is the `main` that node authors would otherwise write
//! themselves, each a little differently.

#[cfg(feature = "config")]
mod configure;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use nanograph::assets::AssetClientConfig;
use nanograph::config::{ConfigError, ServerConfig, Severity};
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[cfg(feature = "config")]
pub(crate) use self::configure::{Mode, configure};
use crate::nanograph::NanographConfig;
use crate::telemetry::Telemetry;
use crate::telemetry::settings::ExportSettings;

/// What orchestrators wait for on standard output. spec: nanograph 2.2
const READY_LINE: &str = "[NANOSERVER_READY]";

/// Where the log level comes from, the first that is set and not empty. spec: nanograph 2.4
const LOG_LEVEL_VARIABLES: [&str; 3] = ["NANOSDK_LOG_LEVEL", "NANOCORE_LOG_LEVEL", "LOG_LEVEL"];

/// How log lines look, for a program that has no other settings.
const LOG_FORMAT_VARIABLE: &str = "NODEWIRE_LOG_FORMAT";

/// `nanoserver.json` in the working directory, with the environment's overrides.
///
/// # Errors
/// If the file is missing or wrong: all problems at once.
pub(crate) fn nanograph_config() -> Result<NanographConfig, ConfigError> {
    let directory = std::env::current_dir().unwrap_or_else(|_| ".".into());
    let server = ServerConfig::load(&directory, variable)?;
    for problem in server
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Warning)
    {
        tracing::warn!("{problem}");
    }
    let mut config = NanographConfig::new(server);
    // Without an asset server nodes that need one say so when they run.
    config.assets = AssetClientConfig::from_variables(variable).ok();
    Ok(config)
}

/// How the program logs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LogSettings {
    /// One JSON object a line; text unless set, and if `NODEWIRE_LOG_FORMAT` does not say so.
    pub(crate) is_json: bool,
    /// The level; without it the variables of [`LOG_LEVEL_VARIABLES`], and then [`Self::level_otherwise`], count.
    pub(crate) level: Option<String>,
    /// The level where neither the environment nor a flag says anything.
    pub(crate) level_otherwise: Option<String>,
}

/// Sends the log to standard error, unless the program has set up its own. What else is to be told of executions is set up
/// here, too.
pub(crate) fn init_log(settings: &LogSettings) {
    let by_variable = || {
        LOG_LEVEL_VARIABLES
            .iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()))
    };
    let level = settings
        .level
        .clone()
        .or_else(by_variable)
        .or_else(|| settings.level_otherwise.clone());
    let level = level_filter(level.as_deref().unwrap_or("info"));
    let is_json = settings.is_json || variable(LOG_FORMAT_VARIABLE).as_deref() == Some("json");
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        // It would tell of a line that cannot be written where that was to be written, and panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal() && !is_json)
        .with_writer(std::io::stderr);
    // It fails when there is a subscriber already, which is then the right one.
    let _ = if is_json {
        let subscriber = subscriber.json().flatten_event(true);
        subscriber.finish().with(targets(level)).try_init()
    } else {
        subscriber.finish().with(targets(level)).try_init()
    };
}

/// The SDK of MCP tells of each step of each session, which is for those who look for a fault.
fn targets(level: LevelFilter) -> Targets {
    let sdk = if level == LevelFilter::INFO {
        LevelFilter::WARN
    } else {
        level
    };
    Targets::new().with_default(level).with_target("rmcp", sdk)
}

/// Chooses ring for TLS, unless the program has chosen already.
pub(crate) fn init_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The exporter of traces that OpenTelemetry's variables ask for, or the settings. A mistake in the variables is told, and
/// is no reason not to serve.
pub(crate) fn telemetry(settings: &ExportSettings) -> Option<Telemetry> {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(Path::file_stem);
    let name = name.map_or_else(|| "nodewire".into(), |name| name.to_string_lossy());
    let started = settings
        .config(&variable, &name)
        .and_then(|config| config.map(Telemetry::start).transpose());
    started.unwrap_or_else(|error| {
        tracing::warn!(%error, "traces are not exported");
        None
    })
}

/// Tells whoever started the program that it can be reached.
pub(crate) fn announce_ready() {
    let mut stdout = std::io::stdout().lock();
    // Nobody may be listening, and that is fine; `println!` would panic then.
    let _ = writeln!(stdout, "{READY_LINE}").and_then(|()| stdout.flush());
}

/// The process's standard input. It is read by a thread of its own, as a read that waits would keep the process from
/// ending; what was read and not taken is four pieces at most.
#[cfg(feature = "mcp")]
pub(crate) fn standard_input() -> impl tokio::io::AsyncRead + Send + Unpin + 'static {
    const PIECE_BYTES: usize = 64 * 1024;
    let (pieces, mut taken) = tokio::sync::mpsc::channel(4);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = std::io::Read::read(&mut std::io::stdin(), &mut piece);
            let read = match read {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Ok(0) => return,
                read => read.map(|bytes| bytes::Bytes::copy_from_slice(&piece[..bytes])),
            };
            let has_failed = read.is_err();
            if pieces.blocking_send(read).is_err() || has_failed {
                return;
            }
        }
    });
    let pieces = futures_util::stream::poll_fn(move |context| taken.poll_recv(context));
    tokio_util::io::StreamReader::new(pieces)
}

/// The process's standard output, and what waits until it is closed and all of it is written, a second at the longest.
/// It is written by a thread of its own, as a write that waits for a client which reads nothing would keep the process
/// from ending; what waits for the thread is one piece.
#[cfg(feature = "mcp")]
pub(crate) fn standard_output() -> (
    impl tokio::io::AsyncWrite + Send + Unpin + 'static,
    impl Future<Output = ()> + Send,
) {
    use futures_util::SinkExt;
    use tokio_util::io::{CopyToBytes, SinkWriter};
    use tokio_util::sync::PollSender;

    const LAST_PIECES: Duration = Duration::from_secs(1);
    let (pieces, mut taken) = tokio::sync::mpsc::channel::<bytes::Bytes>(1);
    let (written, all_written) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        while let Some(piece) = taken.blocking_recv() {
            let mut stdout = std::io::stdout().lock();
            let is_written = stdout.write_all(&piece).and_then(|()| stdout.flush());
            // Whoever writes next learns that nobody takes it.
            if is_written.is_err() {
                return;
            }
        }
        // Nobody may wait for it.
        let _ = written.send(());
    });
    let closed = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let pieces = PollSender::new(pieces).sink_map_err(closed);
    let ended = async move {
        // Whether in time, or at all: nothing more can be done.
        let _ = tokio::time::timeout(LAST_PIECES, all_written).await;
    };
    (SinkWriter::new(CopyToBytes::new(pieces)), ended)
}

/// A second signal within this time is the same wish: the `timeout` command sends its signal to the process, and then to the
/// process's group.
const SAME_WISH: Duration = Duration::from_millis(25);

/// Completes at the first SIGINT or SIGTERM. A second one ends the process at once, as if nothing had been caught.
///
/// # Errors
/// If signals cannot be caught.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping; a second signal ends the process at once");
        let first = Instant::now();
        tokio::spawn(async move {
            loop {
                let status = tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                };
                if first.elapsed() >= SAME_WISH {
                    exit_at_once(status);
                }
            }
        });
    })
}

#[expect(clippy::exit, reason = "the person asked twice")]
fn exit_at_once(status: i32) {
    std::process::exit(status);
}

/// An empty one is given as it is: it counts as unset mostly, but not where it names a port.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Other words mean `info`, as for the peers.
fn level_filter(word: &str) -> LevelFilter {
    match word.to_ascii_lowercase().as_str() {
        "error" => LevelFilter::ERROR,
        "warn" | "warning" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    }
}
