//! Each finding about a graph, one test each. spec: nanograph 17.4

use std::collections::BTreeSet;

use nanocore::workflow::{
    Graph, Level, Problem, ProblemCode, Server, ServerSet, TypeCheck, ValidateOptions, validate,
};
use nanograph::message::{NodeDefinition, Parameter, SelectOption, SizeHint};
use nodewire_json::Json;

use crate::support::*;

/// A server `s` with a node for texts, one for images, and one with parameters; and a server `far` in another domain.
fn servers() -> ServerSet {
    let mut large = port("image", "asset:image");
    large.size_hint = Some(SizeHint::Large);
    let mut local = port("image", "asset:image");
    local.prevent_cross_domain = true;
    let here = [
        definition(
            "text",
            vec![optional("in", "string")],
            vec![port("out", "string")],
        ),
        definition("needs", vec![port("in", "string")], vec![]),
        definition("number", vec![], vec![port("out", "number")]),
        definition("image", vec![], vec![large]),
        definition("file", vec![port("in", "asset:file")], vec![]),
        settings(),
    ];
    let far = [
        definition("far", vec![optional("any", "asset")], vec![]),
        definition("far-local", vec![local], vec![]),
    ];
    let mut servers = ServerSet::default();
    servers.insert(server("s"), here);
    servers.insert(
        Server {
            domain: Some("far.nanograph".to_owned()),
            ..server("far")
        },
        far,
    );
    servers
}

fn settings() -> NodeDefinition {
    let parameter = |name: &str, kind: &str| Parameter {
        name: name.to_owned(),
        kind: kind.to_owned(),
        default: Json::from("x"),
        ..Parameter::default()
    };
    let option = |value: &str| SelectOption {
        value: json(value),
        label: String::new(),
    };
    NodeDefinition {
        parameters: vec![
            Parameter {
                min: Some(0.0),
                max: Some(10.0),
                step: Some(0.1),
                precision: Some(1),
                ..parameter("number", "number")
            },
            Parameter {
                min: Some(1.0),
                step: Some(2.0),
                ..parameter("odd", "slider")
            },
            parameter("text", "text"),
            parameter("flag", "boolean"),
            Parameter {
                options: vec![option(r#""a""#), option("1")],
                ..parameter("choice", "select")
            },
            parameter("color", "color"),
            parameter("file", "filepicker"),
            Parameter {
                default: Json::null(),
                ..parameter("nullable", "text")
            },
            parameter("later", "kind-of-a-later-version"),
        ],
        ..NodeDefinition::new("settings")
    }
}

fn found(graph: &Graph, options: &ValidateOptions) -> Vec<Problem> {
    validate(graph, &servers(), options)
}

fn texts(graph: &Graph) -> Vec<String> {
    found(graph, &ValidateOptions::default())
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// One finding, with this text.
#[track_caller]
fn only(graph: &Graph, text: &str) -> Problem {
    assert_eq!(texts(graph), [text]);
    found(graph, &ValidateOptions::default()).remove(0)
}

#[test]
fn nothing_is_wrong() {
    assert_eq!(
        texts(&graph(&[(1, "text"), (2, "needs")], &[(1, "out", 2, "in")])),
        [""; 0]
    );
}

#[test]
fn duplicate_ids() {
    let mut graph = graph(
        &[(1, "text"), (1, "text")],
        &[(1, "out", 1, "in"), (1, "out", 1, "in")],
    );
    graph.links[1].id = 1;
    let texts = texts(&graph);
    assert!(texts.contains(&"error duplicate_node_id: two nodes have the id 1".to_owned()));
    assert!(texts.contains(&"error duplicate_link_id: two links have the id 1".to_owned()));
}

#[test]
fn unknown_node() {
    let graph = graph(&[(1, "text")], &[(1, "out", 7, "in")]);
    let problem = only(
        &graph,
        "error unknown_node: link 1 names node 7, which is not there",
    );
    let wire = serde_json::json!({"code": "unknown_node", "level": "error", "nodeId": 7, "linkId": 1,
        "message": "link 1 names node 7, which is not there"});
    assert_eq!(serde_json::to_value(problem).unwrap(), wire);
    let options = ValidateOptions {
        targets: vec![9],
        ..ValidateOptions::default()
    };
    assert_eq!(
        found(&graph, &options)[0].to_string(),
        "error unknown_node: the graph has no node 9 to run"
    );
}

#[test]
fn unknown_port() {
    let unknown_input = graph(&[(1, "text"), (2, "text")], &[(1, "out", 2, "txt")]);
    let problem = only(
        &unknown_input,
        r#"error unknown_port: node 2 (text) has no input "txt"; it has "in""#,
    );
    assert_eq!(
        (problem.node_id, problem.link_id, problem.port.as_deref()),
        (Some(2), Some(1), Some("txt"))
    );
    let unknown_output = graph(&[(1, "needs"), (2, "text")], &[(1, "out", 2, "in")]);
    assert_eq!(
        texts(&unknown_output)[0],
        r#"error unknown_port: node 1 (needs) has no output "out"; it has none"#
    );
    let mut constant = graph(&[(1, "text")], &[]);
    constant.nodes[0].set_value("other", json("[1]"));
    only(
        &constant,
        r#"error unknown_port: node 1 (text) has no input "other" for the constant; it has "in""#,
    );
}

#[test]
fn node_missing() {
    let mut graph = graph(&[(1, "nobody"), (2, "needs")], &[(1, "out", 2, "in")]);
    graph.nodes[0].server_package_id = Some("gone".to_owned());
    only(
        &graph,
        r#"error node_missing: no server offers "nobody" for node 1 (nobody); it was placed from package "gone""#,
    );
    graph.nodes[0].muted = true;
    assert_eq!(texts(&graph), [""; 0]);
    graph.nodes[0].muted = false;
    graph.nodes[0].client = true;
    assert_eq!(texts(&graph), [""; 0]);
}

#[test]
fn cycle() {
    let links = [
        (3, "out", 1, "in"),
        (1, "out", 2, "in"),
        (2, "out", 3, "in"),
        (3, "out", 4, "in"),
        (5, "out", 5, "in"),
    ];
    let mut graph = graph(
        &[
            (4, "needs"),
            (3, "text"),
            (2, "text"),
            (1, "text"),
            (5, "text"),
        ],
        &links,
    );
    let texts_found = texts(&graph);
    assert_eq!(
        texts_found,
        [
            "error cycle: nodes wait for each other: 3 → 1 → 2 → 3",
            "error cycle: nodes wait for each other: 5 → 5"
        ]
    );
    assert_eq!(
        found(&graph, &ValidateOptions::default())[0].node_ids,
        [3, 1, 2]
    );
    graph.nodes[2].active = false;
    graph.nodes[4].active = false;
    assert_eq!(texts(&graph), [""; 0]);
}

#[test]
fn type_mismatch() {
    let graph = graph(&[(1, "number"), (2, "needs")], &[(1, "out", 2, "in")]);
    let ends =
        r#"output "out" of node 1 (number) is "number", input "in" of node 2 (needs) is "string""#;
    let problem = only(&graph, &format!("error type_mismatch: {ends}"));
    assert_eq!(
        (problem.node_id, problem.link_id, problem.port.as_deref()),
        (Some(2), Some(1), Some("in"))
    );
    let with = |types| {
        found(
            &graph,
            &ValidateOptions {
                types,
                ..ValidateOptions::default()
            },
        )
    };
    assert_eq!(with(TypeCheck::Warn)[0].level, Level::Warning);
    assert_eq!(with(TypeCheck::Off), []);
}

#[test]
fn types_that_fit_in_part() {
    let graph = graph(
        &[(1, "image"), (2, "needs"), (3, "file")],
        &[(1, "image", 2, "in"), (1, "image", 3, "in")],
    );
    let found = found(&graph, &ValidateOptions::default());
    assert!(
        found.len() == 2
            && found.iter().all(|problem| problem.level == Level::Warning
                && problem.code == ProblemCode::TypeMismatch)
    );
}

#[test]
fn cross_domain_forbidden_and_large_transfer() {
    let forbidden = graph(
        &[(1, "image"), (2, "far-local")],
        &[(1, "image", 2, "image")],
    );
    only(
        &forbidden,
        "error cross_domain_forbidden: the port must not be linked across domains: output \"image\" of node 1 (image) \
         in the local domain to input \"image\" of node 2 (far-local) in far.nanograph",
    );
    let large = graph(&[(1, "image"), (2, "far")], &[(1, "image", 2, "any")]);
    assert_eq!(
        only_code(&large),
        (ProblemCode::LargeTransfer, Level::Warning)
    );
}

fn only_code(graph: &Graph) -> (ProblemCode, Level) {
    let problems = found(graph, &ValidateOptions::default());
    assert_eq!(problems.len(), 1, "{problems:?}");
    (problems[0].code, problems[0].level)
}

#[test]
fn required_input_missing() {
    let mut graph = graph(&[(1, "needs")], &[]);
    only(
        &graph,
        r#"error required_input_missing: input "in" of node 1 (needs) needs a link or a constant"#,
    );
    graph.nodes[0].set_value("in", json(r#"["x"]"#));
    assert_eq!(texts(&graph), [""; 0]);
}

#[test]
fn multiple_links() {
    let graph = graph(
        &[(1, "text"), (2, "needs")],
        &[(1, "out", 2, "in"), (1, "out", 2, "in")],
    );
    assert_eq!(
        only_code(&graph),
        (ProblemCode::MultipleLinks, Level::Warning)
    );
}

#[test]
fn version_differs_and_server_substituted() {
    let mut graph = graph(&[(1, "text")], &[]);
    graph.nodes[0].version = Some("9.0.0".to_owned());
    only(
        &graph,
        "warning version_differs: node 1 (text) was saved with version 9.0.0, the server has 0.0.0",
    );
    graph.nodes[0].version = None;
    graph.nodes[0].server_uid = Some("elsewhere".to_owned());
    only(
        &graph,
        r#"warning server_substituted: node 1 (text) runs on server "s" instead of the one it was placed from"#,
    );
    graph.nodes[0].server_package_id = Some("s-package".to_owned());
    assert_eq!(texts(&graph), [""; 0]);
}

// spec: nanograph 14.1: at last, any server that offers the uid
#[test]
fn a_builtin_is_found_without_its_server_being_named() {
    let mut graph = graph(
        &[(1, "text-input"), (2, "viewer")],
        &[(1, "text", 2, "value")],
    );
    for node in &mut graph.nodes {
        node.server_uid = None;
        node.server_package_id = None;
    }
    let unnamed = r#"runs on server "builtin" as it names none"#;
    assert_eq!(
        texts(&graph),
        [
            format!("warning server_substituted: node 1 (text-input) {unnamed}"),
            format!("warning server_substituted: node 2 (viewer) {unnamed}"),
        ]
    );
    graph.nodes[1].server_package_id = Some("builtin".to_owned());
    graph.nodes[0].server_uid = Some("gone".to_owned());
    only(
        &graph,
        r#"warning server_substituted: node 1 (text-input) runs on server "builtin" instead of the one it was placed from"#,
    );
    // A server that offers it goes first.
    let mut servers = servers();
    let own = definition("text-input", vec![], vec![port("text", "string")]);
    servers.insert(server("gone"), [own]);
    assert_eq!(validate(&graph, &servers, &ValidateOptions::default()), []);
    graph.nodes[0].server_uid = None;
    graph.nodes[0].muted = true;
    assert_eq!(texts(&graph), [""; 0], "it is run nowhere");
}

#[test]
fn no_outputs_used() {
    let loose = graph(
        &[(1, "text"), (2, "text"), (3, "viewer")],
        &[(2, "out", 3, "value")],
    );
    only(
        &loose,
        "warning no_outputs_used: nothing takes what node 1 (text) makes",
    );
    // Without a node that only takes, the last nodes' outputs are the results.
    assert_eq!(texts(&graph(&[(1, "text"), (2, "text")], &[])), [""; 0]);
}

#[test]
fn parameters() {
    for (name, value, finding) in [
        ("number", "3.1", None),
        ("number", "10", None),
        (
            "number",
            r#""3""#,
            Some(
                "error param_type: parameter \"number\" of node 1 (settings): must be a number, is \"3\"",
            ),
        ),
        (
            "number",
            "NaN",
            Some(
                "error param_type: parameter \"number\" of node 1 (settings): must be a number, is NaN",
            ),
        ),
        (
            "number",
            "null",
            Some(
                "error param_type: parameter \"number\" of node 1 (settings): must be a number, is null",
            ),
        ),
        (
            "number",
            "-0.1",
            Some(
                "error param_range: parameter \"number\" of node 1 (settings): -0.1 is less than 0",
            ),
        ),
        (
            "number",
            "11",
            Some(
                "error param_range: parameter \"number\" of node 1 (settings): 11 is more than 10",
            ),
        ),
        ("odd", "7", None),
        (
            "odd",
            "2",
            Some(
                "warning param_step: parameter \"odd\" of node 1 (settings): 2 is between steps of 2",
            ),
        ),
        ("text", r#""x""#, None),
        (
            "text",
            "1",
            Some(
                "error param_type: parameter \"text\" of node 1 (settings): must be a string, is 1",
            ),
        ),
        ("flag", "true", None),
        (
            "flag",
            "0",
            Some(
                "error param_type: parameter \"flag\" of node 1 (settings): must be true or false, is 0",
            ),
        ),
        ("choice", r#""a""#, None),
        ("choice", r#""\u0061""#, None),
        ("choice", "1", None),
        (
            "choice",
            r#""b""#,
            Some(
                "error param_option: parameter \"choice\" of node 1 (settings): \"b\" is none of \"a\", 1",
            ),
        ),
        ("color", r##""#fff""##, None),
        ("color", r##""#ffeedd80""##, None),
        ("color", r#""rgb(1, 2, 3)""#, None),
        ("color", r#""rgba(1 2 3 / 50%)""#, None),
        (
            "color",
            "1",
            Some(
                "error param_type: parameter \"color\" of node 1 (settings): must be a string, is 1",
            ),
        ),
        (
            "color",
            r#""red""#,
            Some(
                "warning param_color: parameter \"color\" of node 1 (settings): \"red\" is no colour",
            ),
        ),
        (
            "color",
            r##""#ffff""##,
            Some(
                "warning param_color: parameter \"color\" of node 1 (settings): \"#ffff\" is no colour",
            ),
        ),
        (
            "color",
            r#""rgba(1, 2, 3)""#,
            Some(
                "warning param_color: parameter \"color\" of node 1 (settings): \"rgba(1, 2, 3)\" is no colour",
            ),
        ),
        ("file", "null", None),
        (
            "file",
            "1",
            Some(
                "error param_type: parameter \"file\" of node 1 (settings): must be a string or null, is 1",
            ),
        ),
        ("nullable", "null", None),
        ("later", "[1, 2]", None),
        (
            "unheard",
            "1",
            Some(
                "warning unknown_param: parameter \"unheard\" of node 1 (settings): the node does not know it",
            ),
        ),
    ] {
        let mut graph = graph(&[(1, "settings")], &[]);
        graph.nodes[0].set_param(name, json(value));
        let texts = texts(&graph);
        assert_eq!(
            texts.first().map(String::as_str),
            finding,
            "{name} = {value}"
        );
        assert!(texts.len() <= 1, "{texts:?}");
    }
    let mut fine = graph(&[(1, "settings")], &[]);
    fine.nodes[0].set_param("number", json("3.14"));
    let codes: Vec<ProblemCode> = found(&fine, &ValidateOptions::default())
        .iter()
        .map(|problem| problem.code)
        .collect();
    assert_eq!(codes, [ProblemCode::ParamStep, ProblemCode::ParamPrecision]);
}

#[test]
fn only_nodes_that_will_run_are_checked() {
    let graph = graph(
        &[(1, "text"), (2, "needs"), (3, "nobody"), (4, "text")],
        &[(1, "out", 4, "in"), (3, "x", 2, "in")],
    );
    let options = ValidateOptions {
        targets: vec![4],
        ..ValidateOptions::default()
    };
    assert_eq!(found(&graph, &options), []);
}

#[test]
fn everything_is_found_at_once() {
    let mut graph = graph(
        &[(1, "number"), (2, "needs"), (3, "settings"), (4, "nobody")],
        &[(1, "out", 2, "in")],
    );
    graph.nodes[2].set_param("text", json("1"));
    graph.nodes[2].set_param("flag", json("1"));
    let codes: BTreeSet<ProblemCode> = found(&graph, &ValidateOptions::default())
        .iter()
        .map(|problem| problem.code)
        .collect();
    assert_eq!(
        codes,
        [
            ProblemCode::NodeMissing,
            ProblemCode::TypeMismatch,
            ProblemCode::ParamType
        ]
        .into()
    );
}

#[test]
fn every_word_is_said_once() {
    let words: BTreeSet<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words.len(), ProblemCode::ALL.len());
}

#[test]
fn a_message_names_some_ports_of_many() {
    let mut node = nanocore::workflow::GraphNode::new(2, "shown");
    node.client = true;
    node.inputs = (0..1_000)
        .map(|number| nanocore::workflow::SavedPort {
            name: format!("port{number}"),
            kind: String::new(),
            extra: Vec::new(),
        })
        .collect();
    let mut many = graph(&[(1, "text-input")], &[(1, "text", 2, "other")]);
    many.nodes.push(node);
    let problem = found(&many, &ValidateOptions::default()).remove(0);
    assert!(
        problem.message.contains("\"port0\"") && problem.message.contains("and 980 more"),
        "{problem}"
    );
    assert!(problem.message.len() < 400, "{problem}");
}
