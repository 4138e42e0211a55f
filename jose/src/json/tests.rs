use proptest::prelude::*;

use super::*;

fn code(json: &str) -> &'static str {
    check_object(json.as_bytes()).map_or_else(|error| error.code(), |()| "ok")
}

#[test]
fn takes_objects() {
    for good in [
        "{}",
        " {}",
        "\r\n\t{ }\n",
        r#"{"a":1,"b":[],"c":{}, "d" : -0.5e+3 }"#,
        r#"{"a":{"x":1},"b":{"x":1}}"#,
        r#"{"a":"\u00e9\ud83d\ude00\/","b":true,"c":false,"d":null}"#,
        "{\"a\":1}\r\n\t ",
    ] {
        assert_eq!(code(good), "ok", "{good}");
    }
}

/// Texts that are not objects.
#[test]
fn refuses_what_is_no_object() {
    for bad in [
        "",
        " ",
        "[]",
        " []",
        r#"["a"]"#,
        "1",
        "null",
        "\u{feff}{}",
        " \u{feff}{}",
        "\u{a0}{}",
        "\u{c}{}",
    ] {
        assert_eq!(code(bad), "jws.not_an_object", "{bad}");
    }
}

#[test]
fn refuses_what_is_no_json() {
    for bad in [
        "{",
        "{}{}",
        "{} x",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":NaN}"#,
        r#"{"a":tru}"#,
        r#"{a:1}"#,
        "{'a':1}",
        r#"{"a":"\x"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\ud800\u0041"}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"\u{1}\"}",
        r#"{"a":"#,
    ] {
        assert_eq!(code(bad), "jws.json", "{bad}");
    }
    assert_eq!(
        check_object(b"{\"a\":\"\xff\"}").unwrap_err().code(),
        "jws.json"
    );
}

/// A repeated member is refused at every depth and in every spelling, even if no code uses it.
#[test]
fn refuses_a_member_that_stands_twice() {
    for bad in [
        r#"{"aud":1,"aud":1}"#,
        r#"{"aud":1,"x":2,"aud":1}"#,
        r#"{"aud":1,"\u0061ud":1}"#,
        r#"{"\u0061ud":1,"aud":1}"#,
        r#"{"x":{"y":[{"z":1,"z":2}]}}"#,
        r#"{"":1,"":2}"#,
        r#"{"a/b":1,"a\/b":2}"#,
    ] {
        assert_eq!(code(bad), "jws.duplicate_member", "{bad}");
    }
}

/// Input at the limits on depth and width is accepted, and input beyond them refused.
#[test]
fn refuses_what_is_too_deep_or_too_wide() {
    let deep = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert_eq!(code(&deep(MAX_DEPTH - 1)), "ok");
    assert_eq!(code(&deep(MAX_DEPTH)), "jws.json_too_large");
    assert_eq!(
        code(&format!("{{\"a\":{}", "[".repeat(1_000_000))),
        "jws.json_too_large"
    );
    let wide = |n: usize| {
        let members: Vec<_> = (0..n).map(|i| format!("\"{i}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert_eq!(code(&wide(MAX_MEMBERS)), "ok");
    assert_eq!(code(&wide(MAX_MEMBERS + 1)), "jws.json_too_large");
    assert_eq!(code(&wide(1_000_000)), "jws.json_too_large");
}

/// White space and one byte order mark may precede the object, and white space may follow it.
#[test]
fn a_document_may_stand_in_a_frame() {
    let plain = br#"{"a": "\ufeff b"}"#;
    for before in [
        "",
        " ",
        "\n\n\t\r",
        "\u{feff}",
        "\u{feff} \n",
        "\r\n\u{feff}\t",
    ] {
        for after in ["", "\n", " \r\n\t"] {
            let framed = [before.as_bytes(), plain, after.as_bytes()].concat();
            assert_eq!(document(&framed).unwrap(), plain, "{before:?} {after:?}");
            assert!(from_document::<serde::de::IgnoredAny>(&framed).is_ok());
        }
    }
    let code = |text: &str| {
        from_document::<serde::de::IgnoredAny>(text.as_bytes())
            .map_or_else(|error| error.code(), |_value| "ok")
    };
    for bad in [
        "",
        "\u{feff}",
        "\u{feff}\u{feff}{}",
        "\u{feff} \u{feff}{}",
        "\u{200b}{}",
        "\u{b}{}",
        "\0{}",
        ")]}'\n{}",
        "for(;;);{}",
        "[{}]",
        "<html>{}",
        "\u{feff}[]",
    ] {
        assert_eq!(code(bad), "jws.not_an_object", "{bad:?}");
    }
    for bad in ["{}{}", "{} x", "{}\u{feff}", "{}\0", "{},", "{}\u{a0}"] {
        assert_eq!(code(bad), "jws.json", "{bad:?}");
    }
    assert_eq!(code(r#"  {"a":1,"a":1}"#), "jws.duplicate_member");
    let utf16 = [0xfe, 0xff, 0, b'{', 0, b'}'];
    assert_eq!(document(&utf16).unwrap_err().code(), "jws.not_an_object");
}

#[test]
fn text_borrows_within_an_option() {
    #[derive(serde::Deserialize)]
    struct Borrows<'a> {
        #[serde(borrow)]
        plain: Option<Text<'a>>,
        #[serde(borrow)]
        escaped: Option<Text<'a>>,
    }
    let read: Borrows<'_> = from_object(br#"{"plain":"a","escaped":"\u0061"}"#).unwrap();
    assert!(matches!(read.plain.unwrap().0, Cow::Borrowed("a")));
    assert_eq!(read.escaped.unwrap().as_str(), "a");
}

proptest! {
    /// On objects without a repeated member, both parsers agree on what is JSON.
    #[test]
    fn agrees_with_serde_json(text in r#"\{("[a-c]":([0-9.e-]{1,4}|"[\\"u0-9a]{0,6}"|\[[1,]{0,3}\]|null|\{\}|tru|true),?){0,2}\}?"#) {
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        match check_object(text.as_bytes()) {
            Err(Error::DuplicateMember) => {}
            ours => prop_assert_eq!(ours.is_ok(), theirs, "{}", text),
        }
    }

    /// White space around an object has no effect, and `document` returns exactly the object in a
    /// frame.
    #[test]
    fn blanks_change_nothing(before in "[ \\t\\r\\n]{0,4}", after in "[ \\t\\r\\n]{0,4}", inside in "[^\u{feff} \\t\\r\\n]{0,8}") {
        let bare = format!("{{{inside}}}");
        let padded = format!("{before}{bare}{after}");
        let outcome = |text: &str| check_object(text.as_bytes()).map_err(|error| error.code());
        prop_assert_eq!(outcome(&bare), outcome(&padded));
        prop_assert_eq!(document(padded.as_bytes()).unwrap(), bare.as_bytes());
        let marked = format!("\u{feff}{padded}");
        prop_assert_eq!(outcome(&marked), Err("jws.not_an_object"));
        prop_assert_eq!(document(marked.as_bytes()).unwrap(), bare.as_bytes());
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = check_object(&bytes);
        let _ = from_document::<serde::de::IgnoredAny>(&bytes);
        let _ = check_object(&[b"{\"".as_slice(), &bytes].concat());
    }
}
