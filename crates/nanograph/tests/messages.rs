//! Messages read and written: whatever one side writes, the other reads as it was meant.

#![expect(clippy::expect_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use nanograph::message::{
    ClientMessage, DefinitionsUpdate, ExecutionRequest, Handshake, MessageError, NodeDefinition,
    NodeId, NodeKind, Parameter, Port, Progress, SelectOption, ServerMessage, SizeHint, Status,
    StatusKind, StopAck,
};
use nodewire_json::Json;
use proptest::prelude::*;

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        prop_oneof![
            Just("NaN"),
            Just("-Infinity"),
            Just("1e999"),
            Just("123456789012345678901234567890")
        ]
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| Json::from(text.as_str()).to_string()),
        Just(r#""\ud800 \u00e9""#.to_owned()),
    ];
    let text = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((any::<String>(), inner), 0..3).prop_map(object_text),
        ]
    });
    text.prop_map(|text| Json::parse(text).expect("well-formed"))
}

fn object_text(members: Vec<(String, String)>) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(key, value)| format!("{}: {value}", Json::from(key.as_str())))
        .collect();
    format!("{{{}}}", members.join(","))
}

fn object() -> impl Strategy<Value = Json> {
    prop::collection::vec(
        (any::<String>(), json().prop_map(|value| value.to_string())),
        0..4,
    )
    .prop_map(|members| Json::parse(object_text(members)).expect("well-formed"))
}

fn number() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(prop_oneof![any::<i32>().prop_map(f64::from), -1e9..1e9])
}

prop_compose! {
    fn port()(name in any::<String>(), kind in "[a-z:]{0,8}", optional: bool, prevent_cross_domain: bool,
        size_hint in prop::option::of(prop_oneof![
            Just(SizeHint::Small), Just(SizeHint::Medium), Just(SizeHint::Large), Just(SizeHint::XLarge)]),
        description in any::<String>()) -> Port {
        Port { name, kind, optional, prevent_cross_domain, size_hint, description }
    }
}

prop_compose! {
    fn parameter()(name in any::<String>(), kind in "[a-z]{0,8}", value in json(), default in json(),
        label in any::<String>(), min in number(), max in number(), step in number(),
        precision in prop::option::of(any::<u32>()),
        options in prop::collection::vec((json(), any::<String>()), 0..3), multiline: bool) -> Parameter {
        let options = options.into_iter().map(|(value, label)| SelectOption { value, label }).collect();
        Parameter { name, kind, value, default, label, min, max, step, precision, options, multiline, ..Parameter::default() }
    }
}

prop_compose! {
    fn definition()(uid in any::<String>(), name in any::<String>(), category in any::<String>(),
        version in any::<String>(), description in any::<String>(), client: bool, active: bool, muted: bool,
        inputs in prop::collection::vec(port(), 0..3), outputs in prop::collection::vec(port(), 0..3),
        parameters in prop::collection::vec(parameter(), 0..3)) -> NodeDefinition {
        let kind = if client { NodeKind::Client } else { NodeKind::Server };
        NodeDefinition {
            name, category, version, description, kind, inputs, outputs, parameters, active, muted,
            ..NodeDefinition::new(uid)
        }
    }
}

fn without_raw(mut definition: NodeDefinition) -> NodeDefinition {
    definition.raw = Json::null();
    definition
}

proptest! {
    #[test]
    fn requests_are_read_as_they_were_written(instance_id: String, node_id: u64, uid: String, inputs in object(),
        graph_node in object(), server: String, trace_parent in prop::option::of(".{0,60}")) {
        let graph_node = Json::parse(format!("{{\"id\": {node_id}, \"graph\": {graph_node}, \"parameters\": [{inputs}]}}"))?;
        let mut request = ExecutionRequest::new(instance_id, NodeId::from(node_id), uid, inputs, graph_node);
        request.trace_parent = trace_parent.map(Into::into);
        let text = ClientMessage::RequestExecution(request.clone()).to_text(&server);
        prop_assert_eq!(request.parameters().map(Json::kind), Some(nodewire_json::Kind::Array));
        prop_assert_eq!(ClientMessage::parse(text)?, ClientMessage::RequestExecution(request));
    }

    #[test]
    fn stops_and_their_acks_are_read_as_they_were_written(instance: String, server: String, message: String) {
        let stop = ClientMessage::StopWorkflowInstance { instance_id: instance.as_str().into() };
        prop_assert_eq!(ClientMessage::parse(stop.to_text(&server))?, stop);
        let ack = StopAck { server_uid: Some(server), instance_id: instance.into(), success: true, message };
        prop_assert_eq!(ServerMessage::parse(ack.to_text())?, ServerMessage::AckStopWorkflow(ack));
    }

    #[test]
    fn definitions_are_read_as_they_were_written(definition in definition()) {
        let raw = definition.to_json();
        prop_assert!(raw.as_str().is_ascii() || !definition.parameters.is_empty(), "{}", raw);
        let read = NodeDefinition::from_json(raw.clone())?;
        prop_assert_eq!(&read.to_json(), &raw);
        prop_assert_eq!(without_raw(read), definition);
    }

    #[test]
    fn handshakes_and_updates_are_read_as_they_were_written(definitions in prop::collection::vec(definition(), 0..3),
        uid in ".+", package: String, domain in prop::option::of(any::<String>())) {
        let handshake = Handshake {
            server_uid: uid.clone(), server_package_id: Some(package.clone()), domain,
            node_definitions: definitions.clone(), ..Handshake::default()
        };
        let ServerMessage::Handshake(mut read) = ServerMessage::parse(handshake.to_text())? else {
            return Err(TestCaseError::fail("not a handshake"));
        };
        read.node_definitions = read.node_definitions.into_iter().map(without_raw).collect();
        prop_assert_eq!(read, handshake);
        let update = DefinitionsUpdate { server_uid: uid, server_package_id: Some(package), node_definitions: definitions };
        let ServerMessage::DefinitionsUpdate(mut read) = ServerMessage::parse(update.to_text())? else {
            return Err(TestCaseError::fail("not an update"));
        };
        read.node_definitions = read.node_definitions.into_iter().map(without_raw).collect();
        prop_assert_eq!(read, update);
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = ClientMessage::parse(text.as_str());
        let _ = ServerMessage::parse(text);
    }

    #[test]
    fn damaged_messages_do_not_panic(instance: String, inputs in object(), at: prop::sample::Index, byte: u8, cut: bool) {
        let request = ExecutionRequest::new(instance, NodeId::from(1), "x", inputs.clone(), inputs);
        let mut bytes = request.to_text("server").into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let _ = ServerMessage::parse(text.as_str());
        let read = ClientMessage::parse(text.as_str());
        prop_assert!(!cut || read.is_err());
        // Whatever else may be wrong: the whole text was checked.
        let is_object = Json::parse(text).is_ok_and(|json| json.kind() == nodewire_json::Kind::Object);
        let refused = read.is_err_and(|error| matches!(error.error, MessageError::NotAnObject(_)));
        prop_assert_eq!(refused, !is_object);
    }

    #[test]
    fn any_object_is_a_definition_if_it_has_a_uid(members in object(), uid: String) {
        let text = &members.as_str()[..members.as_str().len() - 1];
        let comma = if text.len() > 1 { ", " } else { "" };
        let raw = Json::parse(format!("{text}{comma}\"uid\": {}}}", Json::from(uid.as_str())))?;
        let read = NodeDefinition::from_json(raw.clone())?;
        prop_assert_eq!(read.uid, uid);
        prop_assert_eq!(read.raw, raw);
    }
}

fn status_of(text: &str) -> Status {
    let message = format!(
        r#"{{"type":"node_status","instanceId":"i","payload":{{"nodeId":1,"status":{text}}}}}"#
    );
    let ServerMessage::NodeStatus {
        status,
        server_uid: None,
        ..
    } = ServerMessage::parse(message).unwrap()
    else {
        panic!("not a status")
    };
    status
}

#[test]
fn statuses_are_read_leniently() {
    let status = status_of(
        r#"{"type": "running", "message": "m", "progress": {"step": 2, "total": 3.0}, "more": [NaN]}"#,
    );
    assert_eq!(
        (status.kind, status.message.as_deref()),
        (StatusKind::Running, Some("m"))
    );
    assert_eq!(status.progress, Some(Progress { step: 2, total: 3 }));
    assert_eq!(status.raw.get("more"), Some(Json::parse("[NaN]").unwrap()));
    let status = status_of(
        r#"{"type": "weird", "message": 7, "progress": {"step": -1, "total": 3}, "outputs": null}"#,
    );
    assert_eq!(status.kind, StatusKind::Other("weird".into()));
    assert_eq!(
        (status.message, status.progress, status.outputs),
        (None, None, Some(Json::null()))
    );
    assert_eq!(status_of("17").kind, StatusKind::Other(String::new()));
}

#[test]
fn definitions_have_defaults_for_everything_but_the_uid() {
    let definition = NodeDefinition::from_json(
        Json::parse(r#"{"uid": "u", "inputs": 7, "name": null}"#).unwrap(),
    )
    .unwrap();
    assert_eq!(without_raw(definition), NodeDefinition::new("u"));
    let missing = NodeDefinition::from_json(Json::parse("{}").unwrap());
    assert_eq!(missing, Err(MessageError::Missing { field: "uid" }));
    NodeDefinition::from_json(Json::parse(r#"{"uid": 7}"#).unwrap()).unwrap_err();
    let text = r#"{"type": "handshake", "payload": {"serverUid": "s", "nodeDefinitions": [{"uid": "a"}, {}, 7, {"uid": null}]}}"#;
    let ServerMessage::Handshake(handshake) = ServerMessage::parse(text).unwrap() else {
        panic!("not one")
    };
    assert_eq!(handshake.node_definitions.len(), 1);
    ServerMessage::parse(r#"{"type": "handshake", "payload": {}}"#).unwrap_err();
}

#[test]
fn ranges_and_bare_options_are_understood() {
    let text = r#"{"name": "p", "type": "select", "range": [0, 1.5], "max": 1, "options": ["a", 2, {"value": true}]}"#;
    let parameter = Parameter::from_json(&Json::parse(text).unwrap()).unwrap();
    assert_eq!((parameter.min, parameter.max), (Some(0.0), Some(1.0)));
    let labels: Vec<_> = parameter
        .options
        .iter()
        .map(|option| option.label.as_str())
        .collect();
    assert_eq!(labels, ["a", "2", "true"]);
}
