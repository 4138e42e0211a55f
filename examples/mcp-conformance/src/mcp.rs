//! One session of an MCP client over streamable HTTP: initialize, list the tools, call each.

use aims::Agent;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::Failure;

/// The maximum length of an answer, in bytes.
const LIMIT: usize = 1024 * 1024;

pub(crate) async fn session(agent: &Agent, url: &str) -> Result<(), Failure> {
    let client = json!({"name": "aims-conformance", "version": "0.1.0"});
    let capabilities = json!({});
    let hello = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities,
        "clientInfo": client});
    call(agent, url, Some(0), "initialize", hello).await?;
    call(agent, url, None, "notifications/initialized", json!({})).await?;
    let listed = call(agent, url, Some(1), "tools/list", json!({})).await?;
    let tools = listed.pointer("/result/tools").and_then(Value::as_array);
    for (number, tool) in tools.into_iter().flatten().enumerate() {
        let name = tool.get("name").cloned().unwrap_or_default();
        let tool = json!({"name": name, "arguments": {}});
        let id = u64::try_from(number)?.saturating_add(2);
        let answer = call(agent, url, Some(id), "tools/call", tool).await?;
        println!("called {name}: {}", answer.get("result").is_some());
    }
    Ok(())
}

async fn call(
    agent: &Agent,
    url: &str,
    id: Option<u64>,
    method: &str,
    params: Value,
) -> Result<Value, Failure> {
    let mut message = json!({"jsonrpc": "2.0", "method": method, "params": params});
    if let (Some(id), Some(members)) = (id, message.as_object_mut()) {
        members.insert("id".to_owned(), id.into());
    }
    let request = Request::post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .body(message.to_string())?;
    let answer = agent.send(request).await?;
    let status = answer.status();
    println!("{method}: {status}");
    let content = answer.into_body().bytes(LIMIT).await?;
    match status {
        StatusCode::OK => read(&content),
        StatusCode::ACCEPTED => Ok(Value::Null),
        _ => Err(format!("{method} was answered with {status}").into()),
    }
}

/// Reads a JSON answer, or the first message of a stream of events.
fn read(content: &[u8]) -> Result<Value, Failure> {
    let text = std::str::from_utf8(content)?;
    let event = text.lines().find_map(|line| line.strip_prefix("data:"));
    Ok(serde_json::from_str(event.unwrap_or(text).trim())?)
}
