//! Metadata of a guard that accepts one binding of access tokens alone (RFC 9728 §2).

use aims::guard::{ClientCertificates, Dpop, GuardBuilder, HttpSignatures, Trusting};
use aims::oauth_wire::metadata::ResourceMetadata;
use aims::{Guard, Requirements};
use serde_json::Value;

use crate::common::TOOL;
use crate::support::{AS, BUNDLE, JWKS, ORIGIN, Web};

const DPOP: &str = "dpop_bound_access_tokens_required";
const CERTIFICATE: &str = "tls_client_certificate_bound_access_tokens";

/// A guard whose issuer is known, and with `agents` also the bundle of an origin.
fn builder(agents: bool) -> GuardBuilder<Trusting> {
    let keys = Web::new().keys();
    let keys = keys.issuer_at(AS.parse().unwrap(), &JWKS.parse().unwrap());
    let mut keys = keys.unwrap();
    if agents {
        keys = keys.bundle(ORIGIN.parse().unwrap(), BUNDLE).unwrap();
    }
    let metadata = ResourceMetadata::new(TOOL.parse().unwrap());
    Guard::builder(TOOL).keys(&keys.build()).metadata(metadata)
}

/// Returns the two members of the metadata.
fn announced(builder: GuardBuilder<Trusting>) -> [Value; 2] {
    let guard = builder.build().unwrap();
    let document = guard.published().unwrap().to_response::<Vec<u8>>();
    let document: Value = serde_json::from_slice(document.body()).unwrap();
    [DPOP, CERTIFICATE].map(|name| document.get(name).cloned().unwrap_or_default())
}

/// A member is there if tokens of no other binding are accepted, and absent otherwise.
#[tokio::test]
async fn the_only_binding_is_announced() {
    let dpop = |builder: GuardBuilder<Trusting>| builder.dpop(Dpop::new());
    let certificates = |builder: GuardBuilder<Trusting>| {
        builder.client_certificates(ClientCertificates::from_connection())
    };
    let bearer = || Requirements::new().accept_bearer();
    let (yes, no) = (Value::Bool(true), Value::Null);
    for (builder, expected) in [
        (dpop(builder(false)), [&yes, &no]),
        (certificates(builder(false)), [&no, &yes]),
        (dpop(certificates(builder(false))), [&no, &no]),
        (dpop(builder(true)), [&no, &no]),
        (certificates(builder(true)), [&no, &no]),
        (dpop(builder(false)).require(bearer()), [&no, &no]),
        (certificates(builder(false)).require(bearer()), [&no, &no]),
        (builder(false).require(bearer()), [&no, &no]),
        (
            builder(true).http_signatures(HttpSignatures::new()),
            [&no, &no],
        ),
    ] {
        assert_eq!(announced(builder).each_ref(), expected);
    }
}
