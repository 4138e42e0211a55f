//! [Keycloak]: keycloak
//! [Entra ID]: entra
//! [Auth0]: auth0
//! [Okta]: okta
//! [Cognito]: cognito
//! [Accept opaque tokens]: opaque_tokens
//! [Require proof of possession]: proof_of_possession
//! [Require a stronger login]: step_up
//! [Revoke at once]: revoke
//! [Call a tool]: call_a_tool
//! [Log a user in]: log_in
//! [Act for a user]: act_for_user
//! [Call on from a tool]: call_on
//! [Cross a domain]: cross_a_domain
//! [Ask a human]: ask_a_human
//! [Call from CI]: from_ci
//! [Serve many users]: many_users
//! [Stream from an MCP server]: mcp
//! [Make an MCP server]: mcp_server
//! [Behind a proxy]: proxies
//! [Several servers]: several_servers
//! [Verify a WIT]: verify_wit
//! [Transactions]: transactions
//! [Delegation]: delegation
//! [Users]: users
//! [Sign a request]: http_signatures
//! [Web Bot Auth]: web_bot_auth
//! [Rotate keys]: rotate_keys
//! [Test my tool]: testing
//! [Move from API keys]: from_api_keys
//! [Read the records]: records
//! [Find why a request is refused]: refused
//! [index of errors]: crate::errors
#![doc = ""]
#![doc = include_str!("../guide/README.md")]

// Each text has links to files, for those who read it in the repository. Where a link is defined
// twice, the first definition counts: here, those above and those
// of `guide/links.md`.

/// A page: a module whose documentation is the text of a file.
macro_rules! pages {
    ($($name:ident $file:literal)*) => {$(
        #[doc = include_str!("guide/links.md")]
        #[doc = include_str!(concat!("../guide/", $file))]
        pub mod $name {}
    )*};
}

pages! {
    keycloak "keycloak.md"
    entra "entra.md"
    auth0 "auth0.md"
    okta "okta.md"
    cognito "cognito.md"
    opaque_tokens "opaque_tokens.md"
    proof_of_possession "proof_of_possession.md"
    step_up "step_up.md"
    revoke "revoke.md"
    call_a_tool "call_a_tool.md"
    log_in "log_in.md"
    act_for_user "act_for_user.md"
    call_on "call_on.md"
    cross_a_domain "cross_a_domain.md"
    ask_a_human "ask_a_human.md"
    from_ci "from_ci.md"
    many_users "many_users.md"
    mcp "mcp.md"
    mcp_server "mcp_server.md"
    proxies "proxies.md"
    several_servers "several_servers.md"
    verify_wit "verify_wit.md"
    transactions "transactions.md"
    delegation "delegation.md"
    users "users.md"
    http_signatures "http_signatures.md"
    web_bot_auth "web_bot_auth.md"
    rotate_keys "rotate_keys.md"
    testing "testing.md"
    from_api_keys "from_api_keys.md"
    records "records.md"
    refused "refused.md"
}
