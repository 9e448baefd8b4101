//! `nodewire top`.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nodewire::capability::Wire;
use nodewire::client::{Load, Remote, RemoteOptions, Target};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::found::Found;
use super::places::{PlaceFlags, WHERE, wire};
use super::show;
use crate::failure::Failure;
use crate::micro::Table;
use crate::signals::Signals;
use crate::terminal;
use crate::view::View;

const HELP: &str = "\
Examples:
  nodewire top --nats nats://127.0.0.1:4222
  nodewire top --http http://127.0.0.1:8080 --once --json

A line for each node and wire: executions that ended per second since the last look, what runs and waits, the median and the \
99th of 100 times of its handler since the server started, and how many failed, were dropped and were refused since then. \
The Nanograph wire tells none of this; of services that are none of ours, NATS tells requests, errors and the mean time.

On a terminal the view is redrawn in place; otherwise, and with --json, each look is printed.

Exit status: 0 a server was reached at the last look; 2 wrong usage; 3 none was.";

#[derive(Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{WHERE}"))]
pub(crate) struct TopArgs {
    /// Look twice, an interval apart, print what was seen and end.
    #[arg(long)]
    once: bool,
    /// Print JSON objects, one per line.
    #[arg(long)]
    json: bool,
    /// How often to look, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = crate::micro::seconds)]
    interval: Duration,
    /// On this wire only.
    #[arg(long, value_name = "WIRE", value_parser = wire)]
    via: Option<Wire>,
    #[command(flatten)]
    places: PlaceFlags,
}

/// The shortest time between two looks.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

pub(super) async fn top(args: TopArgs) -> Result<(), Failure> {
    let signals = Signals::listen()?;
    let places = signals.unless_stopped(args.places.find(args.via)).await?;
    let is_drawn = !args.json && !args.once && std::io::stdout().is_terminal();
    let targets = places.targets.into_iter();
    let mut watching = Watching {
        watched: targets.map(|target| (target, None)).collect(),
        options: places.options,
        seen: HashMap::new(),
        view: is_drawn.then(View::stdout),
        is_json: args.json,
        is_there: false,
    };
    let follow = async {
        watching
            .follow(args.interval.max(INTERVAL_MIN), args.once)
            .await;
        Ok(())
    };
    let followed = signals.unless_stopped(Box::pin(follow)).await;
    if args.once {
        followed?;
    }
    join_all(
        watching
            .watched
            .iter()
            .filter_map(|(_, remote)| remote.as_ref())
            .map(Remote::close),
    )
    .await;
    if watching.is_there {
        return Ok(());
    }
    Err(Failure::servers("no server was reached"))
}

/// A node on a wire, at one target.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    target: usize,
    server: String,
    instance: Option<String>,
    node: String,
}

#[derive(Debug)]
struct Watching {
    watched: Vec<(Target, Option<Remote>)>,
    options: RemoteOptions,
    /// What was told last, and when: rates come of two.
    seen: HashMap<Key, (Instant, Load)>,
    view: Option<View>,
    is_json: bool,
    is_there: bool,
}

impl Watching {
    /// Goes on until nobody reads what is printed.
    async fn follow(&mut self, interval: Duration, once: bool) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = 0;
        while terminal::lost_results().is_none() {
            ticks.tick().await;
            let seen = self.look().await;
            looks += 1;
            if once && looks < 2 {
                continue;
            }
            self.show(&seen);
            if once {
                return;
            }
        }
    }

    async fn look(&mut self) -> Value {
        let options = &self.options;
        let looks = self.watched.iter().map(|(target, remote)| {
            let (target, remote, options) = (target.clone(), remote.clone(), options.clone());
            Box::pin(async move {
                let Some(remote) = remote else {
                    return Found::look(target, options).await;
                };
                let servers = remote.describe().await;
                Found {
                    target,
                    remote: Some(remote),
                    servers,
                }
            })
        });
        let found = join_all(looks).await;
        self.is_there = false;
        let mut rows = Vec::new();
        let mut unreachable = Vec::new();
        let mut seen = HashMap::new();
        for (place, found) in found.into_iter().enumerate() {
            match &found.servers {
                Ok(servers) => {
                    self.is_there |= !servers.is_empty();
                    for server in servers {
                        for node in &server.nodes {
                            let key = Key {
                                target: place,
                                server: server.name.clone(),
                                instance: server.instance.clone(),
                                node: node.uid.clone(),
                            };
                            let load = node.load.unwrap_or_default();
                            let now = Instant::now();
                            let rate = self.seen.get(&key).and_then(|old| rate(old, &load, now));
                            rows.push(json!({
                                "wire": server.wire.name(),
                                "server": server.name,
                                "instance": server.instance,
                                "node": node.uid,
                                "round_trip_us": server.round_trip.map(show::as_micros),
                                "rate": rate,
                                "load": node.load.as_ref().map(show::load),
                            }));
                            seen.insert(key, (now, load));
                        }
                    }
                    self.watched[place].1 = found.remote;
                }
                Err(error) => {
                    unreachable.push(show::unreachable(&found.target, error));
                    // It is connected to again at the next look.
                    self.watched[place].1 = None;
                }
            }
        }
        self.seen = seen;
        json!({"type": "top", "nodes": rows, "unreachable": unreachable})
    }

    fn show(&mut self, seen: &Value) {
        if self.is_json {
            return terminal::json(seen);
        }
        let lines = lines(seen);
        match &mut self.view {
            Some(view) => view.draw(&lines),
            None => lines.iter().for_each(terminal::result),
        }
    }
}

/// Executions that ended, per second.
fn rate((then, old): &(Instant, Load), new: &Load, now: Instant) -> Option<f64> {
    let ended = |load: &Load| {
        let all = [load.completed, load.failed, load.cancelled, load.dropped];
        let told = all.iter().flatten();
        load.completed?;
        Some(told.fold(0_u64, |sum, count| sum.saturating_add(*count)))
    };
    let ended = ended(new)?.saturating_sub(ended(old)?);
    #[expect(clippy::cast_precision_loss, reason = "it is a rate")]
    let ended = ended as f64;
    Some(ended / (now - *then).as_secs_f64().max(1e-3))
}

fn lines(seen: &Value) -> Vec<String> {
    let names = [
        "NODE", "WIRE", "SERVER", "RATE/S#", "RUN#", "WAIT#", "P50#", "P99#", "FAILED#",
        "DROPPED#", "REFUSED#", "TRIP#",
    ];
    let mut table = Table::new(&names);
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for row in seen["nodes"].as_array().into_iter().flatten() {
        let load = &row["load"];
        let count = |key: &str| show::count(load[key].as_u64());
        let time = |key: &str| show::time(load[key].as_u64());
        let rate = row["rate"].as_f64();
        table.row([
            text(&row["node"]),
            text(&row["wire"]),
            text(&row["server"]),
            rate.map_or_else(show::dash, |rate| format!("{rate:.1}")),
            count("running"),
            count("waiting"),
            time("run_p50_us"),
            time("run_p99_us"),
            count("failed"),
            count("dropped"),
            count("refused"),
            show::time(row["round_trip_us"].as_u64()),
        ]);
    }
    let mut lines = table.lines();
    for gone in seen["unreachable"].as_array().into_iter().flatten() {
        let line = format!("{}: {}", text(&gone["target"]), text(&gone["error"]));
        lines.push(terminal::plain(&line).replace(['\n', '\t'], " "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_ended_in_between() {
        let load = |completed: u64, failed: u64| {
            let mut load = Load::default();
            (load.completed, load.failed) = (Some(completed), Some(failed));
            load
        };
        let then = Instant::now();
        let now = then + Duration::from_secs(2);
        assert_eq!(rate(&(then, load(10, 0)), &load(18, 2), now), Some(5.0));
        // A server that was started anew.
        assert_eq!(rate(&(then, load(10, 0)), &load(1, 0), now), Some(0.0));
        assert_eq!(rate(&(then, load(10, 0)), &Load::default(), now), None);
    }
}
