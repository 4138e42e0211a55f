//! Selection of the signature (SIG-07, T-070).

use aims_http_sig::{BareItem, Exchange};

use crate::support::*;

/// A signature of another purpose by the same key.
fn other() -> Made {
    let other = Made {
        label: "cdn",
        ..of_request()
    };
    other.with("tag", text("cdn"))
}

#[test]
fn there_is_one() {
    assert_eq!(refused(&request()), "sig.missing");
    let mut parts = request();
    other().apply(&mut parts);
    assert_eq!(refused(&parts), "sig.missing");
}

#[test]
fn alone_it_has_any_label() {
    let mut parts = request();
    let made = Made {
        label: "sig1",
        ..of_request()
    };
    made.apply(&mut parts);
    taken(&parts);
}

/// SIG-07: a label has no meaning, also among several signatures. A new label leaves the
/// signed values unchanged.
#[test]
fn among_several_it_has_any_label() {
    for label in ["wimse", "sig1", "x-1", "a.b"] {
        let mut parts = request();
        let made = Made {
            label,
            ..of_request()
        };
        made.apply(&mut parts);
        other().apply(&mut parts);
        taken(&parts);
    }
}

/// SIG-07: a signature whose label was changed on the way still verifies, and nothing else of it
/// can be changed.
#[test]
fn a_relabelled_signature_verifies() {
    let mut parts = good();
    for field in ["signature", "signature-input"] {
        let value = parts.headers.get(field).unwrap().to_str().unwrap();
        let relabelled = value.replacen("wimse=", "via-1=", 1);
        set(&mut parts.headers, field, &relabelled);
    }
    taken(&parts);
    let value = parts.headers.get("signature-input").unwrap();
    let other = value.to_str().unwrap().replacen("n-1", "n-9", 1);
    set(&mut parts.headers, "signature-input", &other);
    assert_eq!(refused(&parts), "sig.signature");
}

/// The label has no effect without the tag.
#[test]
fn the_label_alone_does_not_make_it() {
    let mut parts = request();
    of_request().with("tag", text("cdn")).apply(&mut parts);
    assert_eq!(refused(&parts), "sig.missing");
    let made = Made {
        label: "sig1",
        ..of_request()
    };
    made.apply(&mut parts);
    taken(&parts);
}

/// T-070: the verifier does not try several signatures to find a valid one.
#[test]
fn two_that_fit_are_refused_even_if_one_is_good() {
    for bad_first in [false, true] {
        let mut parts = request();
        let good = of_request().sign(&Exchange::of(&seen(&request())), &CALLER);
        let bad = Made {
            label: "sig1",
            ..of_request()
        };
        let bad = bad.sign(&Exchange::of(&seen(&request())), &TOOL);
        let (first, second) = if bad_first { (bad, good) } else { (good, bad) };
        first.apply(&mut parts.headers).unwrap();
        second.apply(&mut parts.headers).unwrap();
        assert_eq!(refused(&parts), "sig.ambiguous");
    }
}

/// A signature over a request is refused on a response, and the other way round.
#[test]
fn a_signature_is_of_its_kind_of_message() {
    let made = of_request().with("wimse-sign-response", BareItem::Boolean(true));
    let mut parts = request();
    made.apply(&mut parts);
    let mut answer = response();
    for field in ["signature", "signature-input"] {
        let value = parts.headers.get(field).unwrap().clone();
        answer.headers.insert(field, value);
    }
    let answer = aims_http_sig::HttpResponse::new(&answer);
    let error = policy().verify(&answer, CALLER.verifying_key(), at(NOW));
    assert_eq!(error.unwrap_err().code(), "sig.component_misplaced");
}
