//! The forms in which a client's certificate arrives.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests"
)]

use aims_oauth_wire::Error;
use aims_oauth_wire::certificate::{
    CertificateField, ClientCertificates, FieldProblem, Peer, PeerCertificate,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::Value;

/// The certificate of RFC 8705 appendix A in base64, and its thumbprint.
fn published() -> (String, String) {
    let all = std::fs::read_to_string("../testdata/oauth/vectors.json").unwrap();
    let all: Value = serde_json::from_str(&all).unwrap();
    let find = |all: &Value| {
        let all = all.as_object().unwrap().values();
        let mut lists = all.filter_map(Value::as_array).flatten().cloned();
        lists.find(|it| it["id"] == "MTLS-X5T-S256").unwrap()
    };
    let vector = find(&all);
    let digits = vector["input"]["certificate_der_base64"].as_str().unwrap();
    let expected = vector["expected"].as_str().unwrap();
    (digits.to_owned(), expected.to_owned())
}

fn der() -> Vec<u8> {
    STANDARD.decode(published().0).unwrap()
}

fn pem() -> String {
    let digits = published().0;
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in digits.as_bytes().chunks(64) {
        text.push_str(str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

/// As nginx writes `$ssl_client_escaped_cert`.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn field(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

/// MTLS-05: one thumbprint, in whatever form the certificate arrives.
#[test]
fn each_form_has_the_published_thumbprint() {
    let (digits, expected) = published();
    let crlf = pem().replace('\n', "\r\n");
    for certificate in [
        PeerCertificate::from_der(&der()),
        PeerCertificate::from_pem(&pem()),
        PeerCertificate::from_pem(pem().trim_end()),
        PeerCertificate::from_pem(&crlf),
        PeerCertificate::from_client_cert(&field(&format!(":{digits}:"))),
        PeerCertificate::from_client_cert(&field(&format!(" :{digits}: "))),
        PeerCertificate::from_escaped_pem(&field(&escaped(&pem()))),
        PeerCertificate::from_escaped_pem(&field(&escaped(&crlf))),
    ] {
        let thumbprint = *certificate.unwrap().thumbprint();
        assert_eq!(thumbprint.to_string(), expected);
    }
}

#[test]
fn anything_else_is_no_certificate() {
    let (digits, _) = published();
    let good = der();
    let mut longer = good.clone();
    longer.push(0);
    let mut other_tag = good.clone();
    *other_tag.first_mut().unwrap() = 0x31;
    for der in [
        &[][..],
        &[0x30],
        &[0x30, 0],
        &[0x30, 0x80],
        &[0x30, 0x81, 0x01, 0x00],
        &longer,
        &other_tag,
        good.get(1..).unwrap(),
        good.get(..good.len() - 1).unwrap(),
    ] {
        let error = PeerCertificate::from_der(der).unwrap_err();
        assert_eq!(error.code(), "oauth.certificate", "{der:?}");
    }
    // A length with a needless zero, around a whole certificate.
    let mut long_form = vec![0x30, 0x83, 0];
    long_form.extend(good.get(2..).unwrap());
    assert!(PeerCertificate::from_der(&long_form).is_err());
    let two = pem() + &pem();
    let key = pem().replace("CERTIFICATE", "PRIVATE KEY");
    for text in [
        "",
        "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
        &two,
        &key,
        &digits,
    ] {
        assert!(PeerCertificate::from_pem(text).is_err(), "{text}");
        assert!(PeerCertificate::from_escaped_pem(&field(&escaped(text))).is_err());
    }
    for text in [
        "",
        ":",
        "::",
        ":a:",
        &digits,
        &format!(":{digits}"),
        &format!(":{digits}:, :{digits}:"),
        &format!(":{digits}:;a=1"),
        &format!(":{}:", digits.trim_end_matches('=')),
        &format!("\"{digits}\""),
    ] {
        assert!(
            PeerCertificate::from_client_cert(&field(text)).is_err(),
            "{text}"
        );
    }
    for text in ["%", "%2", "%zz", "%+1", "%ff"] {
        assert!(
            PeerCertificate::from_escaped_pem(&field(text)).is_err(),
            "{text}"
        );
    }
}

/// The error has the name of the field, and why it is refused.
#[test]
fn a_refused_field_is_named() {
    let good = format!(":{}:", published().0);
    let name = HeaderName::from_static("client-cert");
    let own = CertificateField::client_cert();
    let behind = ClientCertificates::from_proxy([Peer::UnixSocket], own);
    let read = |peer: Option<Peer>, fields: &[(HeaderName, &str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.clone(), field(value));
        }
        let mut extensions = Extensions::new();
        if let Some(peer) = peer {
            extensions.insert(peer);
        }
        behind.read(&headers, &extensions)
    };
    let proxy = Some(Peer::UnixSocket);
    let alike = HeaderName::from_static("client_cert");
    let one = [(name.clone(), good.as_str())];
    assert!(read(proxy, &one).unwrap().is_some());
    for (peer, fields, refused, expected) in [
        (None, one.to_vec(), &name, "NotFromProxy"),
        (proxy, [one.clone(), one].concat(), &name, "Repeated"),
        (proxy, vec![(alike.clone(), &*good)], &alike, "PassedOn"),
        (proxy, vec![(name.clone(), "x")], &name, "Malformed"),
    ] {
        let error = read(peer, &fields).unwrap_err();
        assert_eq!(error.code(), "oauth.certificate_field");
        let Error::CertificateField { field, problem } = error else {
            panic!("{error:?}");
        };
        assert_eq!(field, refused);
        let found = match problem {
            FieldProblem::Malformed(source) => {
                assert_eq!(source.code(), "oauth.certificate");
                "Malformed"
            }
            FieldProblem::NotFromProxy => "NotFromProxy",
            FieldProblem::PassedOn => "PassedOn",
            FieldProblem::Repeated => "Repeated",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected);
    }
}

proptest! {
    /// No bytes make a reader fail in another way than with its error, and a certificate that was
    /// changed has another thumbprint or is none.
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _unused = PeerCertificate::from_der(&bytes);
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let _unused = PeerCertificate::from_client_cert(&value);
            let _unused = PeerCertificate::from_escaped_pem(&value);
        }
        if let Ok(text) = str::from_utf8(&bytes) {
            let _unused = PeerCertificate::from_pem(text);
        }
    }

    #[test]
    fn a_changed_certificate_is_another(at in 0_usize..256, change in 1_u8..=255) {
        let good = PeerCertificate::from_der(&der()).unwrap();
        let mut bytes = der();
        let index = at % bytes.len();
        *bytes.get_mut(index).unwrap() ^= change;
        if let Ok(other) = PeerCertificate::from_der(&bytes) {
            prop_assert_ne!(other.thumbprint(), good.thumbprint());
        }
    }
}
