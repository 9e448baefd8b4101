//! All that a device has counted.

use autotrainer_api::zmq::ConnectionCounts;
use autotrainer_api::{DURATION_BOUNDS, Json, ServiceCounts};

use crate::device::show::{object, value};

/// By what, and how often.
type Counted = Vec<(String, u64)>;

/// Lines for people: what has numbers of its own for each kind first.
pub(super) fn line(counts: &ServiceCounts) -> String {
    let kinds = by_kind(counts).into_iter();
    let kinds = kinds.map(|(_, name, counted)| format!("{name}: {}", listed(&counted)));
    let totals = totals(counts).into_iter();
    let totals = totals.map(|(_, name, count)| format!("{name}: {count}"));
    kinds.chain(totals).collect::<Vec<_>>().join("\n")
}

/// An object for programs.
pub(super) fn json(counts: &ServiceCounts) -> Json {
    let kinds = by_kind(counts).into_iter();
    let kinds = kinds.map(|(key, _, counted)| (key, mapping(&counted)));
    let totals = totals(counts).into_iter();
    let totals = totals.map(|(key, _, count)| (key, value(count)));
    object("counts", kinds.chain(totals))
}

fn by_kind(counts: &ServiceCounts) -> [(&'static str, &'static str, Counted); 6] {
    let requests = counts.requests.iter();
    let requests = requests.map(|(command, result, count)| (format!("{command} {result}"), *count));
    let malformed = counts.malformed.iter();
    let malformed = malformed.map(|(reason, count)| ((*reason).to_owned(), *count));
    let published = counts.publications.iter().map(|(topic, count)| {
        let topic = topic.map_or_else(|| "other".to_owned(), |topic| topic.to_string());
        (topic, *count)
    });
    [
        ("requests", "requests", requests.collect()),
        ("malformed", "malformed requests", malformed.collect()),
        ("published", "published", published.collect()),
        ("durations", "requests by duration", durations(counts)),
        (
            "eventConnections",
            "connections for events",
            connections(&counts.event_connections),
        ),
        (
            "commandConnections",
            "connections for commands",
            connections(&counts.command_connections),
        ),
    ]
}

fn totals(counts: &ServiceCounts) -> [(&'static str, &'static str, u64); 17] {
    [
        ("dropped", "dropped publications", counts.dropped),
        (
            "refusedPublications",
            "refused publications",
            counts.refused_publications,
        ),
        (
            "undelimited",
            "requests without an empty frame",
            counts.undelimited,
        ),
        (
            "refusedPerClient",
            "requests refused, too many of a client",
            counts.refused_per_client,
        ),
        (
            "refusedInAll",
            "requests refused, too many in all",
            counts.refused_in_all,
        ),
        (
            "repliesGone",
            "replies to clients that were gone",
            counts.replies_gone,
        ),
        (
            "repliesNotRead",
            "replies to clients that do not read",
            counts.replies_not_read,
        ),
        (
            "madePending",
            "requests made pending by the deadline",
            counts.made_pending,
        ),
        (
            "timedOut",
            "requests failed by the deadline",
            counts.timed_out,
        ),
        ("lateResults", "late results", counts.late_results),
        (
            "lateResultsGivenUp",
            "late results given up",
            counts.late_results_given_up,
        ),
        ("logKept", "events kept", counts.log_kept),
        (
            "logNotKept",
            "events published but not kept",
            counts.log_not_kept,
        ),
        (
            "logUnpublished",
            "events neither kept nor published",
            counts.log_unpublished,
        ),
        ("replays", "pages of replays", counts.replays),
        ("replayedEvents", "replayed events", counts.replayed_events),
        ("replaysRefused", "replays refused", counts.replays_refused),
    ]
}

/// Those that occurred, as all that is by kind.
fn durations(counts: &ServiceCounts) -> Counted {
    let bounds = DURATION_BOUNDS.iter().map(|bound| format!("<= {bound:?}"));
    let names = bounds.chain([format!(
        "> {:?}",
        DURATION_BOUNDS[DURATION_BOUNDS.len() - 1]
    )]);
    let counted = names.zip(counts.durations);
    counted.filter(|(_, count)| *count > 0).collect()
}

fn connections(counts: &ConnectionCounts) -> Counted {
    let all = [
        ("opened", counts.opened),
        ("closed", counts.closed),
        ("broken", counts.broken),
        ("refused", counts.refused),
        ("handshakesFailed", counts.handshakes_failed),
        ("subscriptionsRefused", counts.subscriptions_refused),
        ("missed", counts.missed),
    ];
    all.map(|(name, count)| (name.to_owned(), count)).into()
}

fn listed(counts: &[(String, u64)]) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let each = counts.iter().map(|(name, count)| format!("{name} {count}"));
    each.collect::<Vec<_>>().join(", ")
}

fn mapping(counts: &[(String, u64)]) -> Json {
    Json::object(
        counts
            .iter()
            .map(|(name, count)| (name.as_str(), value(count))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number of all that a service counts is another one.
    fn counts() -> (ServiceCounts, u64) {
        let mut next = 1000;
        let mut count = || {
            next += 1;
            next
        };
        let mut counts = ServiceCounts::default();
        let connections = |count: &mut dyn FnMut() -> u64| {
            let mut connections = ConnectionCounts::default();
            for field in [
                &mut connections.opened,
                &mut connections.closed,
                &mut connections.broken,
                &mut connections.refused,
                &mut connections.handshakes_failed,
                &mut connections.subscriptions_refused,
                &mut connections.missed,
            ] {
                *field = count();
            }
            connections
        };
        counts.event_connections = connections(&mut count);
        counts.command_connections = connections(&mut count);
        counts.durations = counts.durations.map(|_| count());
        for field in [
            &mut counts.undelimited,
            &mut counts.refused_per_client,
            &mut counts.refused_in_all,
            &mut counts.replies_gone,
            &mut counts.replies_not_read,
            &mut counts.made_pending,
            &mut counts.timed_out,
            &mut counts.late_results,
            &mut counts.late_results_given_up,
            &mut counts.dropped,
            &mut counts.refused_publications,
            &mut counts.log_kept,
            &mut counts.log_not_kept,
            &mut counts.log_unpublished,
            &mut counts.replays,
            &mut counts.replayed_events,
            &mut counts.replays_refused,
        ] {
            *field = count();
        }
        (counts, next)
    }

    #[test]
    fn every_count_is_shown() {
        let (counts, last) = counts();
        // A count that is added to the library is 0 here, and is to be added above.
        assert!(!format!("{counts:?}").contains(": 0"), "{counts:?}");
        let (line, json) = (line(&counts), json(&counts));
        for count in 1001..=last {
            let count = count.to_string();
            assert!(line.contains(&count), "{count} in {line}");
            assert!(json.as_str().contains(&count), "{count} in {json}");
        }
        assert!(line.contains("requests: none"), "{line}");
    }
}
