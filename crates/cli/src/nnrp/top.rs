//! `nodewire nnrp top`: how a server is, redrawn in place.

use std::io::IsTerminal as _;
use std::time::Duration;

use console::style;
use nnrp::client::{ConnectOptions, ReconnectOptions, Session};
use nnrp::{Dialer, Endpoint};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::probe::transport_name;
use super::stats_page::fetch;
use super::time::{as_micros, micros};
use super::trust::{Policy, TrustFlags, leave};
use crate::failure::{Failure, chain};
use crate::signals::Signals;
use crate::terminal;
use crate::view::View;

const HELP: &str = "\
Examples:
  nodewire nnrp top nnrps://gpu.example:9444
  nodewire nnrp top nnrps://127.0.0.1:9444 --ca serve.pem --once --json

  # With what a `nodewire nnrp serve --stats 127.0.0.1:0` counts
  nodewire nnrp top nnrps://127.0.0.1:9444 --ca serve.pem --stats 'http://127.0.0.1:40000/stats?token=..'

Of any server, a client sees whether it gives sessions, what it allows, and how long a PING takes there and back (the reference \
answers none). One session is kept for that, and begun again when it is lost. The address of --stats is what `serve` prints; with \
it, sessions, frames by outcome, rates and stalls of all clients are shown.

On a terminal the view is redrawn in place; otherwise, and with --json, there is one line, or JSON object, for each look.

Exit status: 0 the server is there, when it ends; 2 wrong usage; 3 it is not.";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct TopArgs {
    /// The server: nnrps://host:port, or nnrp+tcp://host:port for plain TCP.
    #[arg(value_name = "ENDPOINT")]
    endpoint: Endpoint,
    /// Where `nodewire nnrp serve --stats` tells its counts.
    #[arg(long, value_name = "URL")]
    stats: Option<String>,
    /// Look once, print it and end.
    #[arg(long)]
    once: bool,
    /// Print JSON objects, one per line.
    #[arg(long)]
    json: bool,
    /// How often to look, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = crate::micro::seconds)]
    interval: Duration,
    /// End after this time.
    #[arg(long = "for", value_name = "SECONDS", value_parser = crate::micro::seconds)]
    for_seconds: Option<Duration>,
    /// For connecting, and for each answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = crate::micro::seconds)]
    timeout: Duration,
    /// Which transport.
    #[arg(long, value_enum, default_value_t = Policy::Auto)]
    transport: Policy,
    #[command(flatten)]
    trust: TrustFlags,
}

/// The shortest time between two looks.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

/// How long the session may take to end.
const LEAVE: Duration = Duration::from_secs(2);

pub(super) async fn top(args: TopArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let mut watching = Watching {
        dialer: args.trust.dialer()?,
        args,
        session: None,
        counts: None,
        view: None,
        is_there: false,
    };
    if watching.args.once {
        let look = async { Ok(watching.look().await) };
        let seen = signals.unless_stopped(Box::pin(look)).await?;
        watching.show(&seen);
    } else {
        watching.is_drawn();
        tokio::select! {
            biased;
            () = signals.stop.cancelled() => {}
            () = until(watching.args.for_seconds) => {}
            () = Box::pin(watching.follow()) => {}
        }
    }
    watching.leave().await;
    terminal::results_written()?;
    if watching.is_there {
        return Ok(());
    }
    Err(Failure::servers("the server is not there"))
}

async fn until(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

#[derive(Debug)]
struct Watching {
    args: TopArgs,
    dialer: Dialer,
    session: Option<Session>,
    /// What was told last, and when: rates come of two.
    counts: Option<(Instant, Value)>,
    view: Option<View>,
    is_there: bool,
}

impl Watching {
    fn is_drawn(&mut self) {
        if !self.args.json && std::io::stdout().is_terminal() {
            self.view = Some(View::stdout());
        }
    }

    /// Goes on until nobody reads what is printed.
    async fn follow(&mut self) {
        let mut ticks = tokio::time::interval(self.args.interval.max(INTERVAL_MIN));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !terminal::nobody_reads() {
            ticks.tick().await;
            let seen = self.look().await;
            self.show(&seen);
        }
    }

    async fn look(&mut self) -> Value {
        let server = self.look_at_server().await;
        self.is_there = server["up"] == true;
        let mut seen = json!({
            "type": "top", "endpoint": self.args.endpoint.to_string(), "server": server,
        });
        if let Some(url) = &self.args.stats {
            match fetch(url, self.args.timeout).await {
                Ok(counts) => {
                    let now = Instant::now();
                    let rates = self
                        .counts
                        .as_ref()
                        .map(|(at, old)| rates(old, &counts, now - *at));
                    seen["rates"] = rates.unwrap_or_default();
                    seen["stats"] = counts.clone();
                    self.counts = Some((now, counts));
                }
                Err(error) => seen["stats_error"] = error.into(),
            }
        }
        seen
    }

    async fn look_at_server(&mut self) -> Value {
        let is_over = self
            .session
            .as_ref()
            .is_none_or(|session| session.end().is_some());
        if is_over {
            match self.connect().await {
                Ok(session) => self.session = Some(session),
                Err(error) => return json!({"up": false, "error": error}),
            }
        }
        let Some(session) = &self.session else {
            return json!({"up": false});
        };
        let ping = tokio::time::timeout(self.args.timeout, session.ping()).await;
        let counters = session.counters();
        let trips = counters.round_trips;
        let mean = u32::try_from(trips.count)
            .ok()
            .and_then(|count| trips.total.checked_div(count));
        let ack = session.established().map(|established| established.ack);
        json!({
            "up": session.end().is_none(),
            "transport": transport_name(session.transport()),
            "session_id": session.id(),
            "ping_us": ping.ok().and_then(Result::ok).map(as_micros),
            "pings": trips.count,
            "ping_min_us": (trips.count > 0).then(|| as_micros(trips.min)),
            "ping_mean_us": mean.map(as_micros),
            "ping_max_us": (trips.count > 0).then(|| as_micros(trips.max)),
            "reconnects": counters.reconnects,
            "max_concurrent_frames": ack.map(|ack| ack.max_concurrent_frames),
            "max_body_bytes": ack.map(|ack| ack.max_body_bytes),
            "max_cache_bytes": ack.map(|ack| ack.max_cache_bytes),
        })
    }

    async fn connect(&self) -> Result<Session, String> {
        let options = ConnectOptions::default()
            // The reference gives what is asked for, 0 too, which is no session.
            .with_requested_session_id(std::process::id().max(1))
            .with_connect_timeout(self.args.timeout)
            .with_policy(self.args.transport.into())
            .with_reconnect(ReconnectOptions::default());
        let connecting = Session::connect(&self.dialer, &self.args.endpoint, options);
        Box::pin(connecting).await.map_err(|error| chain(&error))
    }

    /// The server need not find out by itself.
    async fn leave(&self) {
        if let Some(session) = &self.session {
            // Nothing depends on how long the other side takes for that.
            let _ = tokio::time::timeout(LEAVE, session.close("done")).await;
        }
        leave(Some(&self.dialer), None).await;
    }

    fn show(&mut self, seen: &Value) {
        if self.args.json {
            return terminal::json(seen);
        }
        let lines = lines(seen);
        match &mut self.view {
            Some(view) => view.draw(&lines),
            None if self.args.once => lines.iter().for_each(terminal::result),
            None => terminal::result(
                lines
                    .iter()
                    .map(|line| squeezed(line))
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
        }
    }
}

/// Without what aligns it.
fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What happened in between, per second.
fn rates(old: &Value, new: &Value, between: Duration) -> Value {
    let seconds = between.as_secs_f64().max(1e-3);
    let (Some(old), Some(new)) = (old["frames"].as_object(), new["frames"].as_object()) else {
        return Value::Null;
    };
    let rate = |(name, count): (&String, &Value)| {
        let before = old.get(name).and_then(Value::as_f64)?;
        Some((name.clone(), json!((count.as_f64()? - before) / seconds)))
    };
    let flowing = new.iter().filter(|(name, _)| *name != "in_flight");
    Value::Object(flowing.filter_map(rate).collect())
}

fn lines(seen: &Value) -> Vec<String> {
    let server = &seen["server"];
    let text =
        |value: &Value| terminal::plain(value.as_str().unwrap_or("-")).replace(['\n', '\t'], " ");
    let mut lines = Vec::new();
    let endpoint = text(&seen["endpoint"]);
    if server["up"] == true {
        lines.push(format!(
            "{endpoint} {} over {}, session {}",
            style("is there").green(),
            text(&server["transport"]),
            server["session_id"]
        ));
        lines.push(format!(
            "allows {} frames in flight, bodies of {} bytes, {} bytes of cached objects",
            server["max_concurrent_frames"], server["max_body_bytes"], server["max_cache_bytes"]
        ));
        let time = |key: &str| server[key].as_u64().map_or_else(|| "-".to_owned(), micros);
        lines.push(format!(
            "ping {}; {} answered: shortest {}, mean {}, longest {}",
            time("ping_us"),
            server["pings"],
            time("ping_min_us"),
            time("ping_mean_us"),
            time("ping_max_us")
        ));
    } else {
        lines.push(format!(
            "{endpoint} {}: {}",
            style("is not there").red(),
            text(&server["error"])
        ));
    }
    if let Some(error) = seen["stats_error"].as_str() {
        lines.push(format!(
            "{} {}",
            style("stats:").red(),
            terminal::plain(error)
        ));
    }
    lines.extend(stats_lines(&seen["stats"], &seen["rates"]));
    lines
}

fn stats_lines(stats: &Value, rates: &Value) -> Vec<String> {
    let Some(frames) = stats["frames"].as_object() else {
        return Vec::new();
    };
    let mut lines = vec![format!(
        "sessions {} of {} begun, connections {}, migrations {}, stalls {}, late answers {}",
        stats["sessions"],
        stats["sessions_begun"],
        stats["connections"],
        stats["migrations"],
        stats["stalls"],
        stats["late_answers"]
    )];
    for (name, count) in frames {
        if count.as_u64() == Some(0)
            && !matches!(name.as_str(), "submitted" | "in_flight" | "complete")
        {
            continue;
        }
        let rate = rates[name]
            .as_f64()
            .map_or_else(String::new, |rate| format!("  {rate:.0}/s"));
        let name = terminal::plain(name);
        lines.push(format!("  {name:<16}{:>14}{rate}", count.to_string()));
    }
    lines
}
