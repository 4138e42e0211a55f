//! Limits (HMS-08, T-071), and the absence of panics.

use aims_http_sig::{Limits, Policy, ReceivedFields, Section, Signing};
use aims_jose::provider::AWS_LC;
use allocation_counter::measure;
use proptest::prelude::*;

use crate::support::{
    CREATED, ED25519, Text, at, code, components, policy, post, public_key, signed, signing,
    verdict,
};

fn received(message: &Text, limits: &Limits) -> &'static str {
    code(
        ReceivedFields::of(message, Section::Headers, limits)
            .and_then(|fields| fields.signatures(limits).map(|all| all.len())),
    )
}

fn numbered(count: usize, one: impl Fn(usize) -> String, between: &str) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(between)
}

/// Returns the result, and the number of bytes that were allocated for it.
fn cost(message: &Text, limits: &Limits) -> (&'static str, u64) {
    let mut verdict = "";
    let bytes = measure(|| verdict = received(message, limits)).bytes_total;
    (verdict, bytes)
}

fn with(input: &str, signature: &str) -> Text {
    post()
        .replacing("Signature-Input", &[input])
        .replacing("Signature", &[signature])
}

fn labels(count: usize) -> String {
    numbered(count, |n| format!("l{n}=()"), ", ")
}

fn values(count: usize) -> String {
    numbered(count, |n| format!("l{n}=:AAAA:"), ", ")
}

fn list(count: usize) -> String {
    format!("l0=({})", numbered(count, |n| format!("\"x-{n}\""), " "))
}

fn parameters(count: usize) -> String {
    format!("l0=(){}", numbered(count, |n| format!(";p{n}"), ""))
}

/// Ten thousand of any element are refused while they are read, in little memory.
#[test]
fn floods_are_refused_soon() {
    let large = Limits::default()
        .with_field_len(8 << 20)
        .with_components(usize::MAX)
        .with_signatures(usize::MAX);
    let mut lines = post().with("Signature-Input: l0=()");
    for n in 0..10_000 {
        lines = lines.with(&format!("Signature: l{n}=:AAAA:"));
    }
    let floods = [
        with(&labels(10_000), &values(10_000)),
        with("l0=()", &values(10_000)),
        with(&labels(10_000), "l0=:AAAA:"),
        with(&list(10_000), "l0=:AAAA:"),
        with(&parameters(10_000), "l0=:AAAA:"),
        with(
            &format!("l0=();tag=\"{}\"", "a".repeat(16 << 20)),
            "l0=:AAAA:",
        ),
        lines,
    ];
    for (limits, most) in [(Limits::default(), 1 << 17), (large, 1 << 20)] {
        for (at, flood) in floods.iter().enumerate() {
            let (verdict, bytes) = cost(flood, &limits);
            let expected = match at {
                2 if limits == large => "sig.labels_differ",
                _ => "sig.limit",
            };
            assert_eq!(verdict, expected, "{at}");
            assert!(bytes <= most, "{at}: {bytes} bytes");
        }
    }
}

/// T-071: sixty-four elements cost at most sixty-four times one element.
#[test]
fn what_is_read_costs_what_it_is_long() {
    let limits = Limits::default().with_signatures(64).with_components(64);
    let message = |what: &str, count: usize| match what {
        "members" => with(&labels(count), &values(count)),
        "components" => with(&list(count), "l0=:AAAA:"),
        _ => with(&parameters(count), "l0=:AAAA:"),
    };
    for (what, count) in [("members", 64), ("components", 64), ("parameters", 32)] {
        let one = cost(&message(what, 1), &limits);
        let many = cost(&message(what, count), &limits);
        assert_eq!((one.0, many.0), ("good", "good"), "{what}");
        assert!(many.1 <= 64 * one.1, "{what}: {many:?}, one {one:?}");
    }
}

/// Each limit is exact.
#[test]
fn limits_are_exact() {
    let limits = Limits::default().with_signatures(2).with_components(3);
    assert_eq!(received(&with("a=(), b=()", "a=::, b=::"), &limits), "good");
    assert_eq!(
        received(&with("a=(), b=(), c=()", "a=::, b=::, c=::"), &limits),
        "sig.limit"
    );
    assert_eq!(
        received(&with("a=(\"a\" \"b\" \"c\")", "a=::"), &limits),
        "good"
    );
    assert_eq!(
        received(&with("a=(\"a\" \"b\" \"c\" \"d\")", "a=::"), &limits),
        "sig.limit"
    );
    let short = Limits::default().with_field_len(6);
    assert_eq!(received(&with("a=();b", "a=::"), &short), "sig.limit");
    assert_eq!(received(&with("a=()", "a=:::::"), &short), "sig.limit");
    assert_eq!(received(&with("a=()", "a=::"), &short), "good");
    let parameters = |n: usize| with(&parameters(n), "l0=::");
    let most = Limits::default().with_parameters(usize::MAX);
    for (limits, count) in [
        (Limits::default(), 32),
        (Limits::default().with_parameters(3), 3),
        (most, 256),
    ] {
        assert_eq!(received(&parameters(count), &limits), "good");
        assert_eq!(received(&parameters(count + 1), &limits), "sig.limit");
    }
}

/// A covered field of a megabyte is not copied into a base.
#[test]
fn the_base_is_bounded() {
    let large = post().with(&format!("X-Large: {}", "a".repeat(1 << 20)));
    let covering = Signing::new("a")
        .covering(components(&["x-large"]))
        .with_created();
    assert_eq!(
        code(covering.prepare(&large.exchange(), aims_jose::random::SYSTEM, at(CREATED))),
        "sig.limit"
    );
    let roomy = covering.with_limits(Limits::default().with_base_len(2 << 20));
    let message = signed(large, &roomy, CREATED);
    assert_eq!(
        verdict(&Policy::requiring([]), &message, CREATED),
        "sig.limit"
    );
    assert_eq!(
        verdict(
            &Policy::requiring([]).with_limits(Limits::default().with_base_len(2 << 20)),
            &message,
            CREATED
        ),
        "good"
    );
    for component in ["x-large;bs", "accept-ch;sf"] {
        let flood = post()
            .replacing("X-Large", &["a"; 9000])
            .replacing("Accept-CH", &["a"; 30_000]);
        let covering = Signing::new("a").covering(components(&[component]));
        assert_eq!(
            code(covering.prepare(&flood.exchange(), aims_jose::random::SYSTEM, at(CREATED))),
            "sig.limit",
            "{component}"
        );
    }
    let long_target = Text::parse(&format!("GET /{} HTTP/1.1\nHost: a", "a".repeat(1 << 17)));
    let covering = Signing::new("a").covering(components(&["@path"]));
    assert_eq!(
        code(covering.prepare(
            &long_target.exchange(),
            aims_jose::random::SYSTEM,
            at(CREATED)
        )),
        "sig.limit"
    );
}

proptest! {
    /// Any changed byte in the two fields is refused, without a panic. T-026, T-074
    #[test]
    fn no_changed_byte_passes(at_byte in 0_usize..400, byte in 0_u8..128, second in any::<bool>()) {
        let message = signed(post(), &signing(), CREATED);
        let name = if second { "Signature" } else { "Signature-Input" };
        let mut changed = message.clone();
        let (_, value) = changed.headers.iter_mut().find(|(own, _)| own == name).unwrap();
        let place = at_byte % value.len();
        // White space around a member is not signed.
        let at_end = place + 1 == value.len();
        prop_assume!(value[place] != byte && !(byte.is_ascii_whitespace() && at_end));
        value[place] = byte;
        let key = public_key(ED25519, "EdDSA", AWS_LC);
        prop_assert!(policy().verify(&changed.exchange(), &key, at(CREATED)).is_err());
    }

    #[test]
    fn no_text_panics(input in "[ -~\t\r\n]{0,80}", signature in "[ -~]{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let key = public_key(ED25519, "EdDSA", AWS_LC);
        let mut message = post().replacing("Signature-Input", &[&input]).replacing("Signature", &[&signature]);
        let policy = Policy::requiring([]).with_any_tag();
        let _ignored = policy.verify(&message.exchange(), &key, at(CREATED));
        message.headers.push(("Signature".to_owned(), bytes));
        let policy = Policy::requiring([]).with_any_tag();
        let _ignored = policy.verify(&message.exchange(), &key, at(CREATED));
    }

    /// A signed list parses to itself.
    #[test]
    fn what_is_signed_is_read(label in "[a-z][a-z0-9-]{0,8}", names in proptest::collection::btree_set("[a-z][a-z0-9-]{0,8}", 0..6), tag in "[ -~]{1,16}", nonce in "[ -~]{1,16}") {
        let mut message = post();
        for name in &names {
            message = message.replacing(name, &["v"]);
        }
        let covered: Vec<String> = names.iter().cloned().collect();
        let covered = components(&covered.iter().map(String::as_str).collect::<Vec<_>>());
        let signing = Signing::new(label.clone()).covering(covered.clone()).with_created();
        let signing = signing.with_tag(&tag).with_nonce(&nonce);
        let message = signed(message, &signing, CREATED);
        let key = public_key(ED25519, "EdDSA", AWS_LC);
        let policy = Policy::requiring(covered).with_tag(tag.clone()).with_label(label.clone());
        let verified = policy.verify(&message.exchange(), &key, at(CREATED)).unwrap();
        let verified = verified.accept_replays();
        prop_assert_eq!(verified.label(), label);
        let parameters = verified.parameters();
        prop_assert_eq!(parameters.tag().unwrap(), tag);
        prop_assert_eq!(parameters.nonce().unwrap(), nonce);
        prop_assert_eq!(verified.components().count(), names.len());
    }
}
