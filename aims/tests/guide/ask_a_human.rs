use aims::oauth_wire::call::ToolCall;
use aims::{Guard, Principal, Requirements};
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::post};

async fn read_call(request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let Ok(content) = axum::body::to_bytes(body, 64 * 1024).await else {
        return http::StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    // A message of MCP. For another API, `ToolCall::new` takes the name and the arguments.
    match ToolCall::from_mcp(&content) {
        Ok(Some(call)) => drop(head.extensions.insert(call)),
        Ok(None) => {}
        // A request without content, such as one for the metadata, has no call.
        Err(_) if content.is_empty() => {}
        Err(_) => return http::StatusCode::BAD_REQUEST.into_response(),
    }
    next.run(Request::from_parts(head, Body::from(content))).await
}

async fn transfer(who: Principal, Extension(call): Extension<ToolCall>) -> String {
    format!("{} {} for {}", call.tool(), call.arguments(), who.subject())
}

fn router(guard: &Guard) -> Result<Router, aims::guard::BuildError> {
    let approved = guard.requiring(Requirements::new().approved_call())?;
    let routes = Router::new().route("/mcp/transfer", post(transfer));
    let routes = routes.layer(approved.layer()).layer(from_fn(read_call));
    // Clients read the metadata without a token.
    Ok(routes.merge(guard.metadata_routes()))
}
