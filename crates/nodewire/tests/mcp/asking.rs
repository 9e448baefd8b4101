//! Lists and calls.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use nodewire::capability::{Feature, Wire};
use serde_json::{Value, json};

use crate::support::{Fixture, Session};

fn names(list: &Value) -> Vec<&str> {
    let tools = list["result"]["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn nodes_are_tools_with_schemas() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let list = session.ask("tools/list", json!({})).await;
    let all = [
        "about",
        "echo",
        "narrow",
        "panic",
        "progress",
        "reverse",
        "wait_here",
    ];
    assert_eq!(names(&list), all);
    let echo = &list["result"]["tools"][1];
    assert_eq!(echo["description"], "Prefixes each text.");
    let input = &echo["inputSchema"];
    assert_eq!(input["required"], json!(["text"]));
    assert_eq!(input["properties"]["prefix"]["default"], "> ");
    assert_eq!(echo["outputSchema"]["properties"]["text"]["type"], "array");
    assert_eq!(
        list["result"]["tools"][6]["_meta"]["nodewire/node"],
        "wait/here"
    );
    fixture.stop().await;
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let small = |options: &mut nodewire::mcp::McpOptions| options.tools_per_page = 3;
    let fixture = Fixture::start_with(|_| {}, small, |builder| builder).await;
    let session = fixture.session().await;
    let first = session.ask("tools/list", json!({})).await;
    assert_eq!(names(&first), ["about", "echo", "narrow"]);
    let cursor = &first["result"]["nextCursor"];
    // What is added before the cursor does not shift what follows.
    let definition = nodewire::NodeDefinition::builder("added").build().unwrap();
    let added = nodewire::node_fn(definition, |_| async { Ok(nodewire::Outputs::new()) });
    fixture.executor().registry().insert(added).unwrap();
    let second = session.ask("tools/list", json!({"cursor": cursor})).await;
    assert_eq!(names(&second), ["panic", "progress", "reverse"]);
    let cursor = &second["result"]["nextCursor"];
    let third = session.ask("tools/list", json!({"cursor": cursor})).await;
    assert_eq!(names(&third), ["wait_here"]);
    assert_eq!(third["result"].get("nextCursor"), None);
    assert_eq!(session.call("added", json!({})).await["isError"], false);
    fixture.stop().await;
}

async fn echo_and_mistakes(session: &Session) {
    let result = session.call("echo", json!({"text": ["a", "é"], "prefix": "- "}));
    let result = result.await;
    let outputs = json!({"text": ["- a", "- é"]});
    assert_eq!(result["structuredContent"], outputs);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), outputs);
    // One value need not be a list, and `null` is left out.
    let one = session
        .call("echo", json!({"text": "a", "prefix": null}))
        .await;
    assert_eq!(one["structuredContent"], json!({"text": ["> a"]}));

    for (arguments, reason) in [
        (json!({}), "input `text` is missing"),
        (json!({"text": 7}), "input `text`"),
        (
            json!({"text": "a", "txet": "b"}),
            "node `echo` has no argument `txet`; it has `text`, `prefix`",
        ),
    ] {
        let result = session.call("echo", arguments).await;
        assert_eq!(result["isError"], true);
        assert_eq!(result["_meta"]["nodewire/error"]["kind"], "invalid_input");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(reason), "{text}");
    }

    let (_, unknown) = session.begin("nobody", json!({}), json!({})).await;
    let error = unknown.error().await;
    assert_eq!(error["code"], -32602);
    assert_eq!(error["message"], "Unknown tool: nobody");
    let params = json!({"name": "echo", "arguments": [1], "_meta": {}});
    let (_, wrong) = session.request("tools/call", params).await;
    assert_eq!(wrong.error().await["code"], -32602);
    let meta = json!({"nodewire/timeoutMs": "soon"});
    let (_, wrong) = session.begin("about", json!({}), meta).await;
    assert_eq!(wrong.error().await["code"], -32602);
}

#[tokio::test]
async fn echo_and_mistakes_in_a_session() {
    let fixture = Fixture::start().await;
    echo_and_mistakes(&fixture.session().await).await;
    let counters = fixture.executor().counters();
    assert_eq!(counters.refused_for(nodewire::RefusalKind::UnknownNode), 1);
    assert_eq!(counters.refused_for(nodewire::RefusalKind::InvalidInput), 1);
    fixture.stop().await;
}

#[tokio::test]
async fn echo_and_mistakes_without_sessions() {
    let fixture = Fixture::start().await;
    echo_and_mistakes(&fixture.sessionless()).await;
    assert_eq!(fixture.server.mcp_counts().unwrap().sessions, 0);
    fixture.stop().await;
}

#[tokio::test]
async fn progress_is_told_to_those_who_ask_and_partial_outputs_are_lost() {
    let fixture = Fixture::start().await;
    for session in [fixture.session().await, fixture.sessionless()] {
        let meta = json!({"progressToken": "mine"});
        let (_, talk) = session.begin("progress", json!({}), meta).await;
        let messages = talk.messages().await;
        let told: Vec<_> = messages[..messages.len() - 1]
            .iter()
            .map(|message| (&message["method"], &message["params"]))
            .collect();
        let step = |step: u32| {
            json!({
                "progressToken": "mine", "progress": f64::from(step), "total": 3.0,
                "message": format!("step {step}"),
            })
        };
        let method = json!("notifications/progress");
        let steps = [step(1), step(2), step(3)];
        let expected: Vec<_> = steps.iter().map(|step| (&method, step)).collect();
        assert_eq!(told, expected);
        let result = &messages[3]["result"];
        assert_eq!(result["structuredContent"], json!({"n": [3]}));
    }
    let lost: Vec<_> = fixture.server.lost().into_iter().collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(lost[0].wire, Wire::Mcp);
    assert_eq!(lost[0].feature, Feature::PartialOutputs);
    assert_eq!(lost[0].executions, 2);
    fixture.session().await.call("progress", json!({})).await;
    let lost = fixture.server.lost();
    let progress = lost.iter().find(|it| it.feature == Feature::Progress);
    assert_eq!(progress.unwrap().executions, 1);
    fixture.stop().await;
}

#[tokio::test]
async fn trace_context_and_the_callers_name_reach_the_node() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let meta = json!({"traceparent": parent, "nodewire/callerId": "me"});
    let (_, talk) = session.begin("about", json!({}), meta).await;
    let told = talk.result().await["structuredContent"]["about"].clone();
    assert_eq!(told, json!([parent, "me"]));
    let told = session.call("about", json!({})).await["structuredContent"]["about"].clone();
    assert_eq!(told, json!(["none", "bare"]));
    fixture.stop().await;
}

#[tokio::test]
async fn a_panic_is_one_failed_call() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let result = session.call("panic", json!({})).await;
    assert_eq!(result["isError"], true);
    assert_eq!(result["_meta"]["nodewire/error"]["kind"], "internal");
    assert_eq!(session.call("about", json!({})).await["isError"], false);
    fixture.stop().await;
}

#[tokio::test]
async fn a_mebibyte_goes_in_and_out() {
    let fixture = Fixture::start().await;
    let bytes: Vec<u8> = (0..1_u32 << 20).map(|i| (i % 251) as u8).collect();
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    for session in [fixture.session().await, fixture.sessionless()] {
        let data = json!({"data": {"$bytes": STANDARD.encode(&bytes)}});
        let result = session.call("reverse", data).await;
        assert_eq!(
            result["structuredContent"],
            json!({"data": [{"$content": 1}]})
        );
        let resource = &result["content"][1]["resource"];
        assert_eq!(resource["mimeType"], "application/octet-stream");
        assert_eq!(resource["uri"], "nodewire://reverse/data/0");
        let blob = resource["blob"].as_str().unwrap();
        assert!(STANDARD.decode(blob).unwrap() == reversed, "other bytes");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_callers_at_once() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let callers = (0..64).map(|i| {
        let session = session.clone();
        async move {
            let result = session.call("echo", json!({"text": i.to_string()})).await;
            assert_eq!(
                result["structuredContent"],
                json!({"text": [format!("> {i}")]})
            );
        }
    });
    join_all(callers).await;
    assert_eq!(fixture.executor().counters().completed, 64);
    fixture.stop().await;
}
