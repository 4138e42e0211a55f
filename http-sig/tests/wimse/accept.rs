//! `Accept-Signature` (SIG-10, T-077).

use aims_http_sig::profile::wimse::{
    LABEL, TAG, is_signature_wanted, wanted_request_signature, wanted_response_signature,
};
use aims_http_sig::{HttpResponse, Limits};
use http::{request, response};

use crate::support::*;

fn wants(value: &str) -> Result<bool, &'static str> {
    let parts: request::Parts = {
        let mut parts = request();
        parts
            .headers
            .insert("accept-signature", value.parse().unwrap());
        parts
    };
    is_signature_wanted(&seen(&parts), &Limits::default()).map_err(|error| error.code())
}

fn response_wants(value: &str) -> Result<bool, &'static str> {
    let parts: response::Parts = {
        let mut parts = response();
        parts
            .headers
            .insert("accept-signature", value.parse().unwrap());
        parts
    };
    is_signature_wanted(&HttpResponse::new(&parts), &Limits::default())
        .map_err(|error| error.code())
}

#[test]
fn what_we_ask_for_lists_every_component() {
    assert_eq!(
        wanted_response_signature().to_field_value().unwrap(),
        concat!(
            r#"wimse=("@status" "workload-identity-token" "content-type" "content-digest" "content-encoding" "@method";req "@path";req "@query";req)"#,
            r#";created;expires;tag="wimse-workload-to-workload""#
        )
    );
    assert_eq!(
        wanted_request_signature().to_field_value().unwrap(),
        concat!(
            r#"wimse=("@method" "@path" "@query" "workload-identity-token" "content-type" "content-digest" "authorization" "txn-token" "content-encoding")"#,
            r#";created;expires;tag="wimse-workload-to-workload""#
        )
    );
}

#[test]
fn what_we_ask_for_is_what_we_answer() {
    let value = wanted_response_signature().to_string();
    assert_eq!(wants(&value), Ok(true));
    let value = wanted_request_signature().to_string();
    assert_eq!(response_wants(&value), Ok(true));
}

#[test]
fn nothing_is_wanted_without_the_field_or_the_tag() {
    assert!(!is_signature_wanted(&seen(&request()), &Limits::default()).unwrap());
    assert_eq!(wants(r#"wimse=("@status")"#), Ok(false));
    assert_eq!(wants(r#"wimse=("@status" "x-any");tag="cdn""#), Ok(false));
}

/// HMS-09, SIG-10: other members of the field, with unknown components, do not affect ours.
#[test]
fn a_wish_for_others_does_not_undo_ours() {
    let ours = wanted_response_signature();
    let theirs = r#"cdn=("@new" "a";x "b" "b");tag="cdn""#;
    assert_eq!(wants(theirs), Ok(false));
    assert_eq!(wants(&format!("{theirs}, {ours}")), Ok(true));
    assert_eq!(wants(&format!("{ours}, {theirs}")), Ok(true));
}

/// T-077: a peer cannot choose the covered components.
#[test]
fn no_more_than_the_profile_is_signed() {
    let wish = |components: &str, parameters: &str| {
        wants(&format!(
            r#"{LABEL}=({components});tag="{TAG}"{parameters}"#
        ))
    };
    assert_eq!(wish(r#""@status" "@method";req"#, ";created"), Ok(true));
    let refused = Err("sig.not_offered");
    for components in [
        r#""@status" "set-cookie""#,
        r#""@status" "x-other""#,
        r#""authorization";req"#,
        r#""content-type";bs"#,
        r#""@new""#,
    ] {
        assert_eq!(wish(components, ""), refused, "{components}");
    }
    for parameters in [
        r#";nonce="theirs""#,
        r#";keyid="k""#,
        r#";alg="ed25519""#,
        r#";wimse-req-nonce="n-1""#,
        r#";wimse-aud="https://other.example""#,
    ] {
        assert_eq!(wish(r#""@status""#, parameters), refused, "{parameters}");
    }
    // A request for a signed request names only components of requests.
    let of_response = wanted_response_signature().to_string();
    assert_eq!(response_wants(&of_response), refused);
    assert_eq!(wants("wimse=("), Err("sig.syntax"));
}
