//! The graph file: what is read, what is kept, what is refused.

use nanocore::workflow::{Graph, OnError};

// spec: nanograph 17.1, own example
const PUBLIC: &str = r#"{"uid":"7f0c2e6e-2b57-4f0e-9a52-1f3e5d0c8b11","type":"nanograph",
 "meta":{"name":"Diamond","version":"1.0.0"},
 "graph":{"grid":{"large":100,"small":10,"show":true,"snap":false},"zoom":1,"positionX":0,"positionY":0},
 "nodes":[
  {"id":1,"uid":"text-input","version":"1.0.0","inputs":[],"outputs":[{"name":"text","type":"string"}],
   "params":[{"name":"text","type":"text","value":"a"}],"pos":[0,0],"size":[256,120],
   "serverPackageId":"builtin","serverUid":"builtin"},
  {"id":2,"uid":"echo","version":"1.0.0","inputs":[{"name":"text","type":"string"}],
   "outputs":[{"name":"text","type":"string"}],"params":[{"name":"prefix","type":"text","value":"> ","options":[1e400]}],
   "pos":[300,0],"size":[256,146],"muted":false,"active":true,
   "serverPackageId":"trace-server-package","serverUid":"trace-server"}],
 "links":[{"id":1,"link":[1,"text",2,"text"],"color":"red"}],
 "last_node_id":2,"last_link_id":1}"#;

#[test]
fn the_public_format_is_read_and_everything_in_it_kept() {
    let graph = Graph::parse(PUBLIC).unwrap();
    assert_eq!(graph.nodes[1].param("prefix").unwrap().as_str(), r#""> ""#);
    assert_eq!(graph.links[0].input, "text");
    let written = graph.to_json();
    assert_eq!(Graph::from_json(&written).unwrap(), graph);
    let again = |key| written.get(key).unwrap().to_string();
    assert_eq!(again("last_node_id"), "2");
    assert_eq!(written.get("graph").unwrap(), graph.extra[0].1);
    assert!(written.as_str().contains("[1e400]") && written.as_str().contains(r#""color": "red""#));
}

#[test]
fn parameters_may_be_an_object_and_limits_are_read() {
    let graph = Graph::parse(
        r#"{"nodes": [{"id": 0, "uid": "n", "name": "first", "parameters": {"x": 1, "y": null}, "values": {"in": [1]},
            "exec": {"retries": 2, "timeout": 1.5, "onError": "continue", "retryBackoff": 1.5, "cache": "off"}}]}"#,
    )
    .unwrap();
    let node = graph.find("first").unwrap();
    assert_eq!(node.param("x").unwrap().as_str(), "1");
    assert_eq!(node.value("in").unwrap().as_str(), "[1]");
    assert_eq!(node.exec.timeout.unwrap().as_millis(), 1_500);
    assert_eq!(node.exec.on_error, Some(OnError::Continue));
    assert_eq!(Graph::from_json(&graph.to_json()).unwrap(), graph);
}

#[test]
fn every_wrong_place_is_named() {
    let refused = |text: &str| {
        let problems = Graph::parse(text).unwrap_err().problems;
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        refused(
            r#"{"type": "litegraph", "nodes": [{"id": -1, "uid": "n"}, {"uid": 3}, {"id": 2, "uid": "n", "muted": "yes",
            "params": [{"value": 1}], "exec": {"timeot": 3, "retries": 1.5, "onError": "panic"}}],
            "links": [{"id": 1, "link": [1, "a", "2", "b"]}, {"link": [1]}]}"#
        ),
        [
            r#"error bad_graph: type: expected one of "nanograph", found "litegraph""#,
            "error bad_node_id: nodes[0].id: a node id must be an integer of at least 0, found -1",
            "error bad_graph: nodes[1].uid: expected a string, found 3",
            r#"error bad_node_id: nodes[1]: a node needs an "id", an integer of at least 0"#,
            r#"error bad_graph: nodes[2].muted: expected true or false, found "yes""#,
            r#"error bad_graph: nodes[2].params[0]: "name" is missing"#,
            "error bad_graph: nodes[2].exec.timeot: unknown setting; known are retries, retryDelay, retryBackoff, \
             retryMaxDelay, timeout, idleTimeout, startTimeout, onError, cache, idempotent",
            "error bad_graph: nodes[2].exec.retries: expected an integer from 0 to 100, found 1.5",
            r#"error bad_graph: nodes[2].exec.onError: expected one of "stop", "abort", "continue", found "panic""#,
            r#"error bad_node_id: links[0].link[2]: a node id must be an integer of at least 0, found "2""#,
            "error bad_graph: links[1].link: a link is [source id, output name, target id, input name]",
            r#"error bad_graph: links[1]: "id" is missing"#,
        ]
    );
    assert_eq!(
        refused("{}"),
        [r#"error bad_graph: a graph needs "nodes", an array"#]
    );
    assert_eq!(
        refused("[]"),
        ["error bad_graph: expected an object, found an array"]
    );
    assert_eq!(
        refused("{\"nodes\":\n  [}"),
        ["error bad_graph: not JSON: unexpected character in JSON text, line 2 column 4"]
    );
}

#[test]
fn a_node_is_found_by_name_or_id() {
    let graph = Graph::parse(
        r#"{"nodes": [{"id": 1, "uid": "n", "name": "2"}, {"id": 2, "uid": "n"}, {"id": 3, "uid": "n", "name": "x"},
            {"id": 4, "uid": "n", "name": "x"}]}"#,
    )
    .unwrap();
    assert_eq!(graph.find("2").unwrap().id, 1);
    assert_eq!(graph.find("3").unwrap().id, 3);
    assert!(
        graph
            .find("x")
            .unwrap_err()
            .to_string()
            .contains("several nodes")
    );
    assert!(
        graph
            .find("y")
            .unwrap_err()
            .to_string()
            .contains("its nodes: 2, 2 (n), x, x")
    );
}

#[test]
fn a_node_without_a_name_is_found_as_it_is_shown_and_by_its_definition() {
    let graph = Graph::parse(
        r#"{"nodes": [{"id": 1, "uid": "py1-echo"}, {"id": 2, "uid": "other"}, {"id": 3, "uid": "other"}]}"#,
    )
    .unwrap();
    let found = |name| graph.find(name).map(|node| node.id);
    assert_eq!(found("py1-echo"), Ok(1));
    assert_eq!(found("py1-echo-1"), Ok(1));
    assert_eq!(found("other-3"), Ok(3));
    let several = found("other").unwrap_err().to_string();
    assert!(several.contains("use the id"), "{several}");
    let none = found("py1-echo-2").unwrap_err().to_string();
    assert!(none.contains("1 (py1-echo), 2 (other)"), "{none}");
}

#[test]
fn of_very_many_problems_the_rest_is_counted() {
    let nodes = vec!["0"; 5_000].join(",");
    let problems = Graph::parse(&format!(r#"{{"nodes": [{nodes}]}}"#))
        .unwrap_err()
        .problems;
    assert_eq!(problems.len(), 1_001);
    assert_eq!(
        problems[1_000].to_string(),
        "error bad_graph: 4000 further problems are not listed"
    );
}
