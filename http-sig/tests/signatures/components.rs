//! Component values: the examples of RFC 9421 §2, and components without a value.

use aims_http_sig::{Component, Exchange, FieldType, FieldTypes, component_value};

use crate::support::{Text, code};

fn value(message: &Text, component: &str) -> Result<String, aims_http_sig::Error> {
    let types = FieldTypes::known().with("example-dict", FieldType::Dictionary);
    component_value(
        &message.exchange().with_types(&types),
        component.parse::<Component>()?.id(),
    )
}

fn check(message: &Text, values: &[(&str, &str)]) {
    for (component, expected) in values {
        assert_eq!(&value(message, component).unwrap(), expected, "{component}");
    }
}

fn fails(message: &Text, components: &[(&str, &str)]) {
    for (component, expected) in components {
        assert_eq!(code(value(message, component)), *expected, "{component}");
    }
}

fn get(target: &str) -> Text {
    Text::parse(&format!("GET {target} HTTP/1.1\nHost: www.example.com"))
}

/// §2.1. HMS-03, HMS-11, T-065
#[test]
fn fields() {
    let message = get("/").with(
        "Date: Tue, 20 Apr 2021 02:07:56 GMT\nX-OWS-Header:   Leading and trailing whitespace.  \nCache-Control: max-age=60\nCache-Control:    must-revalidate\nExample-Dict:  a=1,    b=2;x=1;y=2,   c=(a   b   c)\nX-Empty-Header:",
    );
    let message = message
        .replacing("X-Obs-Fold-Header", &["Obsolete\r\n    line folding."])
        .replacing("X-Folds", &["a \t\r\n\tb\r\n c"]);
    check(
        &message,
        &[
            ("host", "www.example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:56 GMT"),
            ("x-ows-header", "Leading and trailing whitespace."),
            ("x-obs-fold-header", "Obsolete line folding."),
            ("x-folds", "a b c"),
            ("cache-control", "max-age=60, must-revalidate"),
            ("example-dict", "a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
            ("x-empty-header", ""),
            ("x-empty-header;bs", "::"),
        ],
    );
    fails(
        &message,
        &[
            ("x-none", "sig.component_absent"),
            ("x-none;bs", "sig.component_absent"),
            ("date;tr", "sig.component_absent"),
        ],
    );
}

/// §2.1.1-2.1.2. HMS-03, T-065
#[test]
fn structured_fields() {
    let message =
        get("/").with("Example-Dict:  a=1,    b=2;x=1;y=2,   c=(a   b   c), d\nX-Plain: a=1");
    check(
        &message,
        &[
            ("example-dict;sf", "a=1, b=2;x=1;y=2, c=(a b c), d"),
            ("example-dict;key=\"a\"", "1"),
            ("example-dict;key=\"d\"", "?1"),
            ("example-dict;key=\"b\"", "2;x=1;y=2"),
            ("example-dict;key=\"c\";sf", "(a b c)"),
        ],
    );
    fails(
        &message,
        &[
            ("example-dict;key=\"e\"", "sig.component_absent"),
            ("x-plain;sf", "sig.field_type_unknown"),
            ("x-plain;key=\"a\"", "sig.field_type_unknown"),
        ],
    );
    let split = message
        .clone()
        .replacing("Example-Dict", &["a=1", "b=(x  y), a=2"]);
    check(
        &split,
        &[
            ("example-dict;sf", "a=2, b=(x y)"),
            ("example-dict;key=\"b\"", "(x y)"),
        ],
    );
    for (name, bad) in [
        ("Example-Dict", "a=1,"),
        ("Client-Cert", "a, b"),
        ("Accept-CH", "(a"),
        ("Example-Dict", "A=1"),
        ("Example-Dict", ""),
    ] {
        let message = message.clone().replacing(name, &[bad, "b=1"]);
        fails(
            &message,
            &[(&format!("{};sf", name.to_lowercase()), "sig.field_type")],
        );
    }
    let items = get("/").with("Client-Cert:  :AAA=: ; a\nAccept-CH: a ,  b");
    fails(
        &items,
        &[
            ("client-cert;sf", "sig.field_type"),
            ("client-cert;key=\"a\"", "sig.field_type_unknown"),
        ],
    );
    let items = items.replacing("Client-Cert", &[" :AAA=:; a"]);
    check(
        &items,
        &[("client-cert;sf", ":AAA=:;a"), ("accept-ch;sf", "a, b")],
    );
}

/// §2.1.3. T-065: two different lists of lines never have the same value.
#[test]
fn binary_wrapped_fields() {
    let two = get("/").with("Example-Header: value, with, lots\nExample-Header: of, commas");
    let one = get("/").with("Example-Header: value, with, lots, of, commas");
    check(
        &two,
        &[
            ("example-header", "value, with, lots, of, commas"),
            (
                "example-header;bs",
                ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:",
            ),
        ],
    );
    check(
        &one,
        &[
            ("example-header", "value, with, lots, of, commas"),
            (
                "example-header;bs",
                ":dmFsdWUsIHdpdGgsIGxvdHMsIG9mLCBjb21tYXM=:",
            ),
        ],
    );
    let cookies = get("/").with("Set-Cookie: a=1; Expires=Tue, 20 Apr 2021 02:07:56 GMT");
    check(
        &cookies,
        &[("set-cookie", "a=1; Expires=Tue, 20 Apr 2021 02:07:56 GMT")],
    );
    let cookies = cookies.with("Set-Cookie: b=2");
    fails(&cookies, &[("set-cookie", "sig.component_ambiguous")]);
    assert!(
        value(&cookies, "set-cookie;bs")
            .unwrap()
            .ends_with(":, :Yj0y:")
    );
}

/// §2.1.4
#[test]
fn trailers() {
    let mut message = Text::parse("HTTP/1.1 200 OK\nTrailer: Expires");
    message.trailers.push((
        "Expires".to_owned(),
        b"Wed, 9 Nov 2022 07:28:00 GMT".to_vec(),
    ));
    check(
        &message,
        &[
            ("@status", "200"),
            ("trailer", "Expires"),
            ("expires;tr", "Wed, 9 Nov 2022 07:28:00 GMT"),
        ],
    );
    fails(
        &message,
        &[
            ("expires", "sig.component_absent"),
            ("trailer;tr", "sig.component_absent"),
        ],
    );
    let both = message.with("Expires: never");
    check(
        &both,
        &[
            ("expires", "never"),
            ("expires;tr", "Wed, 9 Nov 2022 07:28:00 GMT"),
        ],
    );
}

/// §2.2. HMS-02
#[test]
fn derived_components() {
    let mut message = Text::parse("POST /path?param=value HTTP/1.1\nHost: www.example.com");
    check(
        &message,
        &[
            ("@method", "POST"),
            ("@target-uri", "https://www.example.com/path?param=value"),
            ("@authority", "www.example.com"),
            ("@scheme", "https"),
            ("@request-target", "/path?param=value"),
            ("@path", "/path"),
            ("@query", "?param=value"),
        ],
    );
    fails(
        &message,
        &[
            ("@status", "sig.component_misplaced"),
            ("@method;req", "sig.component_misplaced"),
        ],
    );
    message.scheme = "HTTP";
    check(
        &message,
        &[
            ("@scheme", "http"),
            ("@target-uri", "http://www.example.com/path?param=value"),
        ],
    );
    let lower = message.changed("POST", "post");
    check(&lower, &[("@method", "post")]);
    let response = Text::parse("HTTP/1.1 200 OK");
    fails(
        &response,
        &[
            ("@method", "sig.component_misplaced"),
            ("@query", "sig.component_misplaced"),
            ("@method;req", "sig.component_misplaced"),
        ],
    );
}

/// §2.4: `req` is for responses only, even if there is another request.
#[test]
fn components_of_the_request() {
    let request = get("/asked").with("X-A: asked");
    let other = get("/other").with("X-A: other");
    let response = Text::parse("HTTP/1.1 200 OK\nX-A: answered");
    let value = |exchange: &Exchange<'_>, component: &str| {
        let component: Component = component.parse().unwrap();
        component_value(exchange, component.id()).map_err(|error| error.code())
    };
    for (component, asked) in [("@path;req", "/asked"), ("x-a;req", "asked")] {
        let answer = Exchange::of(&response).answering(&request);
        assert_eq!(value(&answer, component).unwrap(), asked);
        for misplaced in [
            Exchange::of(&response),
            Exchange::of(&request),
            Exchange::of(&request).answering(&other),
            Exchange::of(&request).answering(&request),
        ] {
            let found = value(&misplaced, component);
            assert_eq!(found, Err("sig.component_misplaced"), "{misplaced:?}");
        }
    }
}

/// §2.2.3. HMS-02
#[test]
fn authorities() {
    for (scheme, given, expected) in [
        ("https", "Www.EXAMPLE.com", "www.example.com"),
        ("https", "www.example.com:443", "www.example.com"),
        ("https", "www.example.com:80", "www.example.com:80"),
        ("http", "www.example.com:80", "www.example.com"),
        ("https", "www.example.com:", "www.example.com"),
        ("https", "[2001:DB8::1]:8443", "[2001:db8::1]:8443"),
        ("https", "[::1]:443", "[::1]"),
        ("https", "127.0.0.1:8080", "127.0.0.1:8080"),
    ] {
        let mut message = get("/a");
        message.scheme = scheme;
        message.authority = given.to_owned();
        check(
            &message,
            &[
                ("@authority", expected),
                ("@target-uri", &format!("{scheme}://{expected}/a")),
            ],
        );
    }
    for bad in [
        "",
        "user@www.example.com",
        "a b",
        "a/b",
        "a:b",
        "a:65536",
        "a:0443",
        ":443",
        "[::1",
        "[1.2.3.4]",
        "::1",
        "a\n",
        "ä",
        "a%2e",
        "a,b",
        "a!b",
    ] {
        let mut message = get("/");
        message.authority = bad.to_owned();
        fails(
            &message,
            &[("@authority", "sig.target"), ("@target-uri", "sig.target")],
        );
    }
}

/// HMS-02: swapped arguments and other protocols give no component.
#[test]
fn schemes() {
    for bad in ["ht tp", "", "ftp", "wss", "https:", "tools.example"] {
        let mut message = get("/a?b=c");
        message.scheme = bad;
        for component in ["@scheme", "@authority", "@target-uri", "@path", "@query"] {
            fails(&message, &[(component, "sig.target")]);
        }
        fails(&message, &[("@request-target", "sig.target")]);
        let error = value(&message, "@path").unwrap_err().to_string();
        assert!(error.ends_with("neither `https` nor `http`"), "{error}");
    }
}

/// §2.2.5. HMS-02
#[test]
fn request_targets() {
    let absolute = get("https://WWW.example.com:443/path?param=value");
    check(
        &absolute,
        &[
            (
                "@request-target",
                "https://WWW.example.com:443/path?param=value",
            ),
            ("@target-uri", "https://www.example.com/path?param=value"),
            ("@authority", "www.example.com"),
            ("@path", "/path"),
            ("@query", "?param=value"),
        ],
    );
    check(
        &get("https://www.example.com"),
        &[
            ("@path", "/"),
            ("@query", "?"),
            ("@target-uri", "https://www.example.com/"),
        ],
    );
    check(
        &get("https://www.example.com?a"),
        &[("@path", "/"), ("@query", "?a")],
    );
    let connect = Text::parse("CONNECT www.example.com:80 HTTP/1.1\nHost: www.example.com");
    check(
        &connect,
        &[
            ("@request-target", "www.example.com:80"),
            ("@authority", "www.example.com:80"),
            ("@path", "/"),
            ("@query", "?"),
        ],
    );
    let options = Text::parse("OPTIONS * HTTP/1.1\nHost: www.example.com");
    check(
        &options,
        &[
            ("@request-target", "*"),
            ("@target-uri", "https://www.example.com"),
            ("@path", "/"),
            ("@query", "?"),
        ],
    );
    // T-064: ambiguous request targets.
    for bad in [
        "https://other.example/path",
        "http://www.example.com/path",
        "https://www.example.com:444/path",
        "path",
        "*",
        "/a#b",
        "/ä",
        "https:/www.example.com/",
        "/a\u{7f}",
    ] {
        fails(
            &get(bad),
            &[
                ("@request-target", "sig.target"),
                ("@path", "sig.target"),
                ("@query-param;name=\"a\"", "sig.target"),
            ],
        );
    }
    let connect = Text::parse("CONNECT /path HTTP/1.1\nHost: www.example.com");
    fails(&connect, &[("@request-target", "sig.target")]);
}

/// §2.2.6-2.2.7
#[test]
fn paths_and_queries_stay_as_they_are() {
    for (target, path, query) in [
        (
            "/path?param=value&foo=bar&baz=bat%2Dman",
            "/path",
            "?param=value&foo=bar&baz=bat%2Dman",
        ),
        ("/path?queryString", "/path", "?queryString"),
        ("/a/../%2e%2E/b//", "/a/../%2e%2E/b//", "?"),
        ("/?", "/", "?"),
        ("/a?b?c", "/a", "?b?c"),
    ] {
        check(
            &get(target),
            &[
                ("@path", path),
                ("@query", query),
                ("@request-target", target),
            ],
        );
    }
}

/// §2.2.8. HMS-02, T-066
#[test]
fn query_parameters() {
    let message = get("/path?param=value&foo=bar&baz=batman&qux=&&lone");
    check(
        &message,
        &[
            ("@query-param;name=\"baz\"", "batman"),
            ("@query-param;name=\"qux\"", ""),
            ("@query-param;name=\"param\"", "value"),
            ("@query-param;name=\"lone\"", ""),
        ],
    );
    fails(
        &message,
        &[
            ("@query-param;name=\"other\"", "sig.component_absent"),
            ("@query-param;name=\"\"", "sig.component_absent"),
        ],
    );
    let message = get(
        "/parameters?var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&raw=%zz%4&t=~!*",
    );
    check(
        &message,
        &[
            (
                "@query-param;name=\"var\"",
                "this%20is%20a%20big%0Amultiline%20value",
            ),
            ("@query-param;name=\"bar\"", "with%20plus%20whitespace"),
            ("@query-param;name=\"fa%C3%A7ade%22%3A%20\"", "something"),
            ("@query-param;name=\"raw\"", "%25zz%254"),
            ("@query-param;name=\"t\"", "%7E%21*"),
        ],
    );
    fails(
        &message,
        &[(
            "@query-param;name=\"fa%c3%a7ade%22%3A%20\"",
            "sig.component_absent",
        )],
    );
    // A component created from the decoded name matches the parameter of the query.
    let message = get("/?a+b=1&%C3%BC=2&a%2Bb=3");
    for (name, expected) in [("a b", "1"), ("ü", "2"), ("a+b", "3")] {
        let made = Component::query_param(name);
        let value = component_value(&message.exchange(), made.id());
        assert_eq!(value.unwrap(), expected, "{name}");
    }
    fails(
        &get("/?a=1&b=2&a=3"),
        &[("@query-param;name=\"a\"", "sig.component_ambiguous")],
    );
    fails(
        &get("/?a=1&b=2&%61=3"),
        &[("@query-param;name=\"a\"", "sig.component_ambiguous")],
    );
    fails(&get("/?a=%ff"), &[("@query-param;name=\"a\"", "sig.value")]);
    fails(
        &get("/?a=1&%ff"),
        &[("@query-param;name=\"a\"", "sig.value")],
    );
}

/// HMS-04: no value has a line end or a byte outside printable ASCII.
#[test]
fn values_are_printable() {
    for bad in [
        "a\nb",
        "a\r\nb",
        "a\rb",
        "a\r\n\r\n b",
        "\u{0}",
        "a\u{7f}b",
        "ä",
        "a\n b",
    ] {
        let message = get("/").replacing("X-A", &[bad]);
        fails(&message, &[("x-a", "sig.value")]);
    }
    let message = get("/").replacing("X-A", &["a\tb", "ä"]);
    fails(&message, &[("x-a", "sig.value")]);
    check(&message, &[("x-a;bs", ":YQli:, :w6Q=:")]);
    // With `bs`, a value may have any byte that a field line can have.
    for bad in ["a\nb", "a\rb", "a\r\r\n b", "a\r\nb", "a\r\n b\rc"] {
        fails(
            &get("/").replacing("X-A", &[bad]),
            &[("x-a;bs", "sig.value"), ("x-a", "sig.value")],
        );
    }
    let no_method = Text::parse("G\tT / HTTP/1.1\nHost: a");
    fails(&no_method, &[("@method", "sig.value")]);
    fails(
        &Text::parse("HTTP/1.1 99 Low"),
        &[("@status", "sig.component_misplaced")],
    );
}
