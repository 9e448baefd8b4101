//! Malformed messages, and what is counted of them. spec: autotrainer 2.3

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use autotrainer_api::{Anomaly, AnomalyCounters, Event, Limits, Received, Topic};
use bytes::Bytes;

fn frame(topic: Topic) -> Bytes {
    Bytes::copy_from_slice(&topic.to_frame())
}

fn payload(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn receive(frames: &[Bytes]) -> Result<(Topic, Option<Anomaly>), Anomaly> {
    let received = Received::from_frames(frames, &Limits::default())?;
    Ok((received.topic, received.anomaly))
}

#[test]
fn of_several_topics_the_last_that_fits_is_taken() {
    let event = payload(r#"{"kind": 1}"#);
    let surplus = Some(Anomaly::SurplusFrames);
    let both = [
        frame(Topic::PROPERTY_CHANGE),
        frame(Topic::EVENT),
        event.clone(),
    ];
    assert_eq!(receive(&both), Ok((Topic::EVENT, surplus)));
    let both = [
        frame(Topic::PROPERTY_CHANGE),
        frame(Topic::COMMAND_RESULT),
        event.clone(),
    ];
    assert_eq!(receive(&both), Ok((Topic::PROPERTY_CHANGE, surplus)));
    let result = payload(r#"{"result": 100, "nonce": 1}"#);
    let both = [
        frame(Topic::COMMAND_RESULT),
        frame(Topic::EVENT),
        result.clone(),
    ];
    assert_eq!(receive(&both), Ok((Topic::COMMAND_RESULT, surplus)));
    assert_eq!(
        receive(&[result]),
        Ok((Topic::COMMAND_RESULT, Some(Anomaly::TopicMissing)))
    );
    // None fits: the last.
    let both = [frame(Topic(7)), frame(Topic::EVENT), payload("[]")];
    assert_eq!(receive(&both), Ok((Topic::EVENT, surplus)));
    // A frame of another length is no topic.
    let odd = [payload("abc"), frame(Topic::EVENT), event];
    assert_eq!(receive(&odd), Ok((Topic::EVENT, surplus)));
}

#[test]
fn two_well_formed_frames_are_not_looked_into() {
    let message = [frame(Topic::HEARTBEAT), payload("not JSON")];
    assert_eq!(receive(&message), Ok((Topic::HEARTBEAT, None)));
}

#[test]
fn what_cannot_be_received_has_a_reason() {
    assert_eq!(receive(&[]), Err(Anomaly::NoFrames));
    assert_eq!(receive(&[payload("[1]")]), Err(Anomaly::Unclassifiable));
    assert_eq!(
        receive(&[payload("abc"), payload("{}")]),
        Err(Anomaly::NoTopic)
    );
    assert_eq!(
        receive(&vec![frame(Topic::EVENT); 17]),
        Err(Anomaly::TooManyFrames)
    );
    let long = [frame(Topic::EVENT), Bytes::from(vec![b' '; (1 << 20) + 1])];
    assert_eq!(receive(&long), Err(Anomaly::TooLong));
}

#[test]
fn each_kind_is_counted_by_itself() {
    let counters = AnomalyCounters::default();
    for (times, &anomaly) in Anomaly::ALL.iter().enumerate() {
        (0..times).for_each(|_| counters.count(anomaly));
    }
    for (times, &anomaly) in Anomaly::ALL.iter().enumerate() {
        assert_eq!(counters.of(anomaly), times as u64, "{}", anomaly.name());
    }
    assert_eq!(counters.total(), 28);
}

#[test]
fn an_emergency_is_published_twice_and_is_the_same_event() {
    assert_eq!(Topic::of_event(101), [Topic::EMERGENCY, Topic::EVENT]);
    assert_eq!(Topic::of_event(102), [Topic::EMERGENCY, Topic::EVENT]);
    assert_eq!(Topic::of_event(201), [Topic::EVENT]);
    let read = |text| Event::parse(&payload(text), &Limits::default()).unwrap();
    let (first, later) = (
        read(r#"{"kind": 101, "index": 1, "context": {"reason": "x"}}"#),
        read(r#"{"kind": 101.0, "index": 2, "context": {"reason": "x"}, "repeat": 1}"#),
    );
    assert!(first.is_same_as(&later) && first != later);
}

#[test]
fn events_may_lack_everything_but_their_kind() {
    let read = |text| Event::parse(&payload(text), &Limits::default());
    let event =
        read(r#"{"kind": 7, "index": 18446744073709551615, "mine": {"a_b": NaN}}"#).unwrap();
    assert_eq!(event.index, Some(u64::MAX));
    assert_eq!((event.when, event.repeat), (None, None));
    assert_eq!(
        event.to_payload(),
        r#"{"kind": 7, "index": 18446744073709551615, "context": null, "mine": {"a_b": null}}"#
    );
    assert_eq!(read(r#"{"kind": 7, "index": -1}"#).unwrap().index, None);
    // Nothing else of the event is lost by them.
    let odd = read(r#"{"kind": 7, "index": 18446744073709551616, "when": 1e999}"#).unwrap();
    assert_eq!((odd.kind_number, odd.index, odd.when), (7, None, None));
    assert_eq!(read(r#"{"kind": "emergencyStop"}"#), Err(Anomaly::Payload));
    assert_eq!(read(r#"{"when": 1}"#), Err(Anomaly::Payload));
    assert_eq!(read("[101]"), Err(Anomaly::Payload));
}
