use aims::guard::{BuildError, CallReader};
use aims::oauth_wire::call::ToolCall;
use aims::{Guard, Principal, Requirements};
use axum::extract::Extension;
use axum::{Router, routing::post};

async fn transfer(who: Principal, Extension(call): Extension<ToolCall>) -> String {
    format!("{} {} for {}", call.tool(), call.arguments(), who.subject())
}

fn router(guard: &Guard) -> Result<Router, BuildError> {
    let approved = guard.requiring(Requirements::new().approved_call())?;
    // A message of MCP. For another API, `CallReader::new` takes a function.
    let layer = approved.call_layer(CallReader::mcp());
    let routes = Router::new().route("/mcp/transfer", post(transfer)).layer(layer);
    // Clients read the metadata without a token.
    Ok(routes.merge(guard.metadata_routes()))
}
