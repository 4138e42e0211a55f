//! The two fields: labels, spellings, identifiers.

use aims_http_sig::{Limits, Policy, ReceivedFields, Section};

use crate::support::{CREATED, Text, code, line, policy, post, signed, signing, verdict};

fn good() -> Text {
    signed(post(), &signing(), CREATED)
}

fn refused(message: &Text, expected: &str) {
    assert_eq!(
        verdict(&policy(), message, CREATED),
        expected,
        "{message:?}"
    );
    let any = Policy::requiring([]).with_any_tag();
    assert_eq!(verdict(&any, message, CREATED), expected, "{message:?}");
}

#[test]
fn the_good_one_is_good() {
    assert_eq!(verdict(&policy(), &good(), CREATED), "good");
}

/// T-063, HMS-07
#[test]
fn labels_stand_once_and_in_both_fields() {
    let message = good();
    let (input, signature) = (
        line(&message, "Signature-Input"),
        line(&message, "Signature"),
    );
    let twice = |name: &str, value: &str| {
        message
            .clone()
            .replacing(name, &[&format!("{value}, {value}")])
    };
    refused(&twice("Signature-Input", &input), "sig.label_repeated");
    refused(&twice("Signature", &signature), "sig.label_repeated");
    let lines = |name: &str, value: &str| message.clone().replacing(name, &[value, value]);
    refused(&lines("Signature-Input", &input), "sig.label_repeated");
    refused(&lines("Signature", &signature), "sig.label_repeated");
    refused(
        &message.clone().replacing("Signature", &[]),
        "sig.labels_differ",
    );
    refused(
        &message.clone().replacing("Signature-Input", &[]),
        "sig.labels_differ",
    );
    refused(&post(), "sig.missing");
    refused(
        &message.clone().changed("sig1=:", "sig2=:"),
        "sig.labels_differ",
    );
    refused(
        &message.clone().with("Signature: sig2=:AAAA:"),
        "sig.labels_differ",
    );
    refused(
        &message.with("Signature-Input: sig2=()"),
        "sig.labels_differ",
    );
}

/// T-074: spellings of the same structure, and malformed ones.
#[test]
fn other_spellings_are_refused() {
    let message = good();
    for (from, to) in [
        ("sig1=(", "sig1= ("),
        ("sig1=(", "Sig1=("),
        ("(\"@method\"", "( \"@method\""),
        ("\"@method\" ", "\"@method\"  "),
        ("\"@method\" ", "\"@method\"\t"),
        ("\"@method\" ", "\"@method\""),
        ("\"@method\" ", "\"@method\", "),
        ("\"@method\" ", "@method "),
        ("\"@method\" ", "\"@method\";req=?1 "),
        ("\"authorization\")", "\"authorization\" )"),
        ("\"authorization\")", "\"authorization\""),
        (");created=", ") ;created="),
        (");created=", "); created="),
        (");created=", ");created= "),
        (";created=1", ";created=01"),
        (";created=1", ";created=+1"),
        (";tag=\"payments\"", ";tag=\"payment\\s\""),
        (";tag=\"payments\"", ";tag=\"payments\";"),
        (";tag=\"payments\"", ";tag=\"payments\"x"),
        (";tag=\"payments\"", ";tag=\"payments\";x=?1"),
        (";tag=\"payments\"", ";tag=\"payments\","),
        (";tag=\"payments\"", ";tag=\"payments\",,a=()"),
        ("sig1=:", "sig1=: "),
        ("sig1=:", "sig1:"),
        ("==:", "=:"),
        ("==:", ":"),
        ("==:", "==:;a"),
        ("==:", "=="),
    ] {
        refused(&message.clone().changed(from, to), "sig.syntax");
    }
    // The last letter before the padding has four bits that must be zero.
    let signature = line(&message, "Signature");
    let (head, _) = signature.split_once("==:").unwrap();
    let (head, last) = head.split_at(head.len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    refused(
        &message
            .clone()
            .replacing("Signature", &[&format!("{head}{next}==:")]),
        "sig.syntax",
    );
    refused(
        &message.clone().replacing("Signature-Input", &[""]),
        "sig.syntax",
    );
    refused(
        &message.clone().replacing("Signature-Input", &["sig1"]),
        "sig.syntax",
    );
    refused(
        &message
            .clone()
            .replacing("Signature-Input", &["sig1=\"@method\""]),
        "sig.syntax",
    );
    refused(&message.clone().with("Signature-Input: "), "sig.syntax");
    refused(&message.clone().with("Signature: ü=:AA==:"), "sig.syntax");
    refused(
        &message.replacing("Signature-Input", &["sig1=(\n\"@method\")"]),
        "sig.syntax",
    );
}

/// White space around a member, and the division into lines, are not signed. HMS-11
#[test]
fn blanks_around_members_do_not_matter() {
    let message = good();
    let (input, signature) = (
        line(&message, "Signature-Input"),
        line(&message, "Signature"),
    );
    for message in [
        message
            .clone()
            .replacing("SIGNATURE-input", &[])
            .replacing("Signature-Input", &[&format!(" \t{input}\t ")]),
        message
            .clone()
            .replacing("signature", &[&format!("  {signature} ")]),
        message
            .clone()
            .replacing(
                "Signature-Input",
                &[&format!("{input}\t,  b=()"), "c=();tag=\"x\""],
            )
            .replacing("Signature", &[&format!("c=:AA==: ,b=:AA==:,{signature}")]),
        message
            .clone()
            .replacing("Signature-Input", &[&input.replace("\" \"", "\"\r\n  \"")]),
        message
            .clone()
            .replacing("Signature-Input", &[&format!("\r\n {input}")]),
    ] {
        assert_eq!(verdict(&policy(), &message, CREATED), "good", "{message:?}");
    }
}

/// HMS-01, HMS-04, T-066
#[test]
fn identifiers_are_components() {
    let message = good();
    for (to, expected) in [
        ("\"@signature-params\"", "sig.component_unknown"),
        ("\"@nothing\"", "sig.component_unknown"),
        ("\"Authorization\"", "sig.component_unknown"),
        ("\"authorization\\\"\"", "sig.component_unknown"),
        ("\"\"", "sig.component_unknown"),
        ("\"authorization\";x", "sig.component_parameter"),
        ("\"authorization\";bs;sf", "sig.component_parameter"),
        ("\"authorization\";tr;tr", "sig.component_parameter"),
        ("\"@method\";sf", "sig.component_parameter"),
        ("\"@query-param\"", "sig.component_parameter"),
        ("\"@method\"", "sig.component_repeated"),
        (
            "\"authorization\" \"authorization\"",
            "sig.component_repeated",
        ),
        (
            "\"a\";tr;key=\"k\" \"a\";key=\"k\";tr",
            "sig.component_repeated",
        ),
    ] {
        refused(
            &message
                .clone()
                .changed("\"authorization\")", &format!("{to})")),
            expected,
        );
    }
}

/// A field with the name `@method` is not a component, and a derived component is not read from a
/// field.
#[test]
fn derived_components_are_not_fields() {
    let message = signed(post().replacing("@method", &["GET"]), &signing(), CREATED);
    assert_eq!(verdict(&policy(), &message, CREATED), "good");
    let message = message.replacing("@method", &["PUT"]);
    assert_eq!(verdict(&policy(), &message, CREATED), "good");
}

/// HMS-05
#[test]
fn parameters_have_their_types() {
    let message = good();
    for (from, to) in [
        ("created=1618884473", "created=\"1618884473\""),
        ("created=1618884473", "created=-1"),
        ("created=1618884473", "created=1618884473.0"),
        ("created=1618884473", "created"),
        ("created=1618884473", "created=@1618884473"),
        ("expires=1618884533", "expires=?0"),
        ("nonce=\"n-1\"", "nonce=n-1"),
        ("nonce=\"n-1\"", "nonce=\"\""),
        ("nonce=\"n-1\"", "nonce=1"),
        ("tag=\"payments\"", "tag=payments"),
        ("tag=\"payments\"", "tag=\"payments\";alg"),
        ("tag=\"payments\"", "tag=\"payments\";keyid=:AAAA:"),
    ] {
        refused(&message.clone().changed(from, to), "sig.parameter_type");
    }
    for twice in [";tag=\"payments\"", ";nonce=\"n-1\"", ";created=1618884473"] {
        refused(
            &message.clone().changed(twice, &twice.repeat(2)),
            "sig.parameter_repeated",
        );
    }
    let message = message.changed(";tag=", ";a=1;a=2;tag=");
    refused(&message, "sig.parameter_repeated");
    refused(
        &good().changed("created=1618884473", "created=9223372036854775808"),
        "sig.syntax",
    );
}

/// Parsed signatures are untrusted, but can be listed.
#[test]
fn unverified_signatures_can_be_listed() {
    let message =
        good().with("Signature-Input: b=(\"@path\";x);keyid=\"k\\\"2\"\nSignature: b=:AA==:");
    let limits = Limits::default();
    let fields = ReceivedFields::of(&message, Section::Headers, &limits).unwrap();
    let signatures = fields.signatures(&limits).unwrap();
    assert_eq!(
        signatures.iter().map(|one| one.label()).collect::<Vec<_>>(),
        ["sig1", "b"]
    );
    assert_eq!(signatures[0].components().unwrap().len(), 4);
    assert_eq!(code(signatures[1].components()), "sig.component_parameter");
    assert_eq!(signatures[1].parameters().key_id().as_deref(), Some("k\"2"));
    // Signatures for other verifiers are ignored.
    assert_eq!(verdict(&policy(), &message, CREATED), "good");
    assert_eq!(
        code(ReceivedFields::of(&message, Section::Trailers, &limits)),
        "sig.missing"
    );
}
