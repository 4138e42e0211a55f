//! Tests of `aims token verify`.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use aims_jose::alg::Algorithm;
use aims_jose::base64url::encode;
use aims_jose::key::{Signer as _, SigningKey};
use aims_jose::provider::AWS_LC;
use common::Folder;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://as.example";
const API: &str = "https://api.example";
const TENANT: &str = "11111111-2222-4333-8444-555555555555";

/// A server's key, its set `keys.json`, and a folder.
struct World {
    folder: Folder,
    key: SigningKey,
}

impl World {
    fn new() -> Self {
        let key = SigningKey::generate(Algorithm::Es256, AWS_LC)
            .unwrap()
            .with_key_id("k");
        let folder = Folder::new();
        let keys = format!(r#"{{"keys":[{}]}}"#, key.public_jwk().to_json());
        folder.write("keys.json", keys);
        Self { folder, key }
    }

    /// Writes a token with this header `typ` into the file `token`.
    fn write(&self, typ: Option<&str>, claims: &Value) {
        let mut header = json!({"alg": "ES256", "kid": "k"});
        if let Some(typ) = typ {
            header["typ"] = json!(typ);
        }
        let (header, claims) = (header.to_string(), claims.to_string());
        let text = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        );
        let signature = self.key.sign(text.as_bytes()).unwrap();
        self.folder
            .write("token", format!("{text}.{}\n", encode(signature.as_ref())));
    }

    /// Returns the status and the JSON answer.
    fn json(&self, options: &str) -> (i32, Value) {
        let args = format!("token verify --keys keys.json --now {NOW} --json {options} token");
        let ran = self.folder.run(&args);
        (ran.status, ran.json())
    }

    /// Returns the status and the code: `ok`, or that of the refusal.
    fn code(&self, options: &str) -> (i32, String) {
        let (status, answer) = self.json(options);
        assert_eq!(answer["verified"], status == 0, "{answer}");
        let code = answer["error"].as_str().unwrap_or("ok").to_owned();
        (status, code)
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": API, "sub": "u-17", "client_id": "agent-1", "jti": "j",
        "iat": NOW, "exp": NOW + 300, "scope": "read write", "roles": ["admin"],
    })
}

fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value == "-" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

const PLAIN: &str = "--issuer https://as.example --audience https://api.example";

/// The object of a verified token, and the text for people.
#[test]
fn a_good_token_is_verified() {
    let world = World::new();
    world.write(Some("at+jwt"), &claims());
    let (status, answer) = world.json(PLAIN);
    let expected = json!({
        "verified": true, "issuer": ISSUER, "subject": "u-17", "client": "agent-1",
        "scopes": ["read", "write"], "roles": ["admin"], "audiences": [API],
        "expires": NOW + 300, "profile": "rfc9068", "binding": "none",
    });
    assert_eq!((status, answer), (0, expected));
    let args = format!("token verify --keys keys.json --now {NOW} {PLAIN} token");
    let text = world.folder.ok(&args);
    assert!(text.starts_with("verified"), "{text}");
    assert!(
        text.contains("client     agent-1\nscopes     read write\n"),
        "{text}"
    );
    let token = world.folder.read("token");
    let args = format!("token verify --keys keys.json --now {NOW} {PLAIN} -");
    assert_eq!(world.folder.run_with(&args, token.as_bytes()).status, 0);
}

/// A bound token is verified, and the answer says that the binding was not proven.
#[test]
fn a_binding_is_told() {
    let world = World::new();
    let thumbprint = world.key.verifying_key().thumbprint().to_string();
    let jwk: Value = serde_json::from_str(&world.key.public_jwk().to_json()).unwrap();
    for (cnf, binding) in [
        (json!({"jkt": thumbprint}), "jkt"),
        (json!({"jwk": jwk}), "jwk"),
        (json!({"x5t#S256": thumbprint}), "x5t#S256"),
    ] {
        world.write(Some("at+jwt"), &with(&json!({"cnf": cnf})));
        let (status, answer) = world.json(PLAIN);
        let found = (status, &answer["binding"], &answer["proven"]);
        assert_eq!(found, (0, &json!(binding), &json!(false)));
    }
    world.write(Some("at+jwt"), &with(&json!({"cnf": {"kid": "k"}})));
    assert_eq!(world.code(PLAIN), (1, "token.confirmation".to_owned()));
}

/// Each refusal has status 1 and its code.
#[test]
fn bad_tokens_are_refused() {
    let world = World::new();
    for (typ, changes, expected) in [
        ("JWT", json!({}), "token.typ"),
        (
            "at+jwt",
            json!({"iss": "https://as.example/"}),
            "token.unknown_issuer",
        ),
        (
            "at+jwt",
            json!({"aud": "https://other.example"}),
            "token.audience",
        ),
        (
            "at+jwt",
            json!({"exp": NOW - 300, "iat": NOW - 600}),
            "token.expired",
        ),
        ("at+jwt", json!({"sub": null}), "token.claim"),
        ("at+jwt", json!({"scope": ["a b"]}), "token.claim"),
    ] {
        world.write(Some(typ), &with(&changes));
        assert_eq!(world.code(PLAIN), (1, expected.to_owned()), "{changes}");
    }
    world.write(Some("at+jwt"), &claims());
    let other = SigningKey::generate(Algorithm::Es256, AWS_LC)
        .unwrap()
        .with_key_id("k");
    let forged = World {
        key: other,
        folder: Folder::new(),
    };
    forged
        .folder
        .write("keys.json", world.folder.read("keys.json"));
    forged.write(Some("at+jwt"), &claims());
    assert_eq!(forged.code(PLAIN), (1, "token.signature".to_owned()));
    world.folder.write("keys.json", r#"{"keys":[]}"#);
    assert_eq!(world.code(PLAIN), (1, "token.no_keys".to_owned()));
    world.folder.write("token", "a".repeat(70_000));
    assert_eq!(world.code(PLAIN), (1, "cli.too_long".to_owned()));
}

/// The message for a wrong `typ` names the expected one.
#[test]
fn a_wrong_type_is_explained() {
    let world = World::new();
    world.write(Some("JWT"), &claims());
    let (_, answer) = world.json(PLAIN);
    let detail = answer["detail"].as_str().unwrap();
    assert!(
        detail.contains(r#"unexpected `typ` "JWT", expected "at+jwt""#),
        "{detail}"
    );
    assert!(detail.contains("--profile"), "{detail}");
}

/// A workload identity token is recognized with every profile, and no hint is about Rust code.
#[test]
fn a_workload_identity_token_is_told() {
    let world = World::new();
    let detail = |typ, profile| {
        world.write(Some(typ), &claims());
        let (_, answer) = world.json(&format!("{PLAIN} --profile {profile}"));
        assert_eq!(answer["error"], "token.typ");
        answer["detail"].as_str().unwrap().to_owned()
    };
    for profile in ["rfc9068", "keycloak", "auth0"] {
        let wit = detail("wit+jwt", profile);
        assert!(wit.contains("use `aims wit verify`"), "{wit}");
        let other = detail("x+jwt", profile);
        assert!(
            other.contains(r#"unexpected `typ` "x+jwt", expected"#),
            "{other}"
        );
        assert!(!format!("{wit}{other}").contains("IssuerRules"), "{other}");
    }
}

/// The message for a text that is not a token says what it is, also for a URL instead of a file.
#[test]
fn what_is_no_token_is_told() {
    let world = World::new();
    for (text, expected) in [
        ("", "the input is empty"),
        (r#"{"access_token":"a"}"#, "this is JSON"),
        ("Bearer a.b.c", "this begins with `Bearer`"),
    ] {
        world.folder.write("token", text);
        let (status, answer) = world.json(PLAIN);
        assert_eq!(status, 1, "{answer}");
        assert!(
            answer["detail"].as_str().unwrap().contains(expected),
            "{answer}"
        );
    }
    let keys = "--keys https://as.example/jwks";
    let ran = world
        .folder
        .run(&format!("token verify {keys} {PLAIN} token"));
    assert_eq!(ran.status, 2);
    assert!(
        ran.err.contains("this is a URL, and a file is wanted"),
        "{}",
        ran.err
    );
}

/// `--audience` may be repeated, and one must match; every `--require-scope` must be in the token.
#[test]
fn audiences_and_scopes_may_be_several() {
    let world = World::new();
    world.write(Some("at+jwt"), &claims());
    let several = "--issuer https://as.example --audience urn:x --audience https://api.example";
    assert_eq!(world.code(several).0, 0);
    assert_eq!(world.code(&format!("{PLAIN} --require-scope read")).0, 0);
    assert_eq!(
        world
            .code(&format!(
                "{PLAIN} --require-scope read --require-scope write"
            ))
            .0,
        0
    );
    let lacks = format!("{PLAIN} --require-scope read --require-scope admin");
    assert_eq!(world.code(&lacks), (1, "cli.scope".to_owned()));
    // The root slash is significant here.
    let slash = "--issuer https://as.example --audience https://api.example/";
    assert_eq!(world.code(slash), (1, "token.audience".to_owned()));
}

/// Entra ID: the version by `ver`, the tenant by the issuer.
#[test]
fn entra_is_chosen_by_version() {
    let world = World::new();
    let v1 = format!("https://sts.windows.net/{TENANT}/");
    let v2 = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let options = |issuer: &str| format!("--profile entra --issuer {issuer} --audience {API}");
    let one = with(&json!({
        "iss": v1, "ver": "1.0", "tid": TENANT, "appid": "agent-1", "appidacr": "1", "scp": "read",
        "client_id": "-", "scope": "-",
    }));
    let two = with(&json!({
        "iss": v2, "ver": "2.0", "tid": TENANT, "azp": "agent-1", "azpacr": "1", "scp": "read",
        "client_id": "-", "scope": "-",
    }));
    let try_with = |issuer: &str, claims: &Value, name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        world.write(Some("JWT"), &claims);
        world.code(&options(issuer))
    };
    for (issuer, claims) in [(&v1, &one), (&v2, &two)] {
        world.write(Some("JWT"), claims);
        let (status, answer) = world.json(&options(issuer));
        assert_eq!(status, 0, "{answer}");
        assert_eq!(
            (&answer["profile"], &answer["scopes"]),
            (&json!("entra"), &json!(["read"]))
        );
        for ver in [json!("3.0"), json!(2), json!(null), json!("2.00")] {
            let found = try_with(issuer, claims, "ver", ver);
            assert_eq!(found, (1, "token.claim".to_owned()));
        }
        let other = json!("99999999-2222-4333-8444-555555555555");
        assert_eq!(
            try_with(issuer, claims, "tid", other),
            (1, "token.claim".to_owned())
        );
    }
    assert_eq!(
        try_with(&v2, &two, "ver", json!("1.0")).1,
        "token.not_access_token"
    );
    for issuer in [
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/organizations/v2.0",
        "https://login.microsoftonline.com",
    ] {
        assert_eq!(
            world.code(&options(issuer)),
            (2, "cli.usage".to_owned()),
            "{issuer}"
        );
    }
}

/// Each preset accepts its access token and no ID token.
#[test]
fn presets_tell_access_tokens_from_id_tokens() {
    let world = World::new();
    let none = json!({"client_id": "-", "scope": "-", "roles": "-"});
    for (profile, typ, access) in [
        (
            "auth0",
            Some("JWT"),
            json!({"azp": "c", "scope": "read", "permissions": ["p"]}),
        ),
        ("okta", None, json!({"cid": "c", "scp": ["read"]})),
        (
            "keycloak",
            Some("JWT"),
            json!({
                "azp": "c", "typ": "Bearer", "scope": "read",
                "resource_access": {API: {"roles": ["p"]}},
            }),
        ),
    ] {
        let options = format!("{PLAIN} --profile {profile}");
        let id_token = with(&none);
        let mut claims = id_token.clone();
        for (name, value) in access.as_object().unwrap() {
            claims[name] = value.clone();
        }
        world.write(typ, &claims);
        let (status, answer) = world.json(&options);
        assert_eq!((status, &answer["client"]), (0, &json!("c")), "{answer}");
        assert_eq!(answer["scopes"], json!(["read"]), "{answer}");
        if profile != "okta" {
            assert_eq!(answer["roles"], json!(["p"]), "{answer}");
        }
        world.write(Some("JWT"), &id_token);
        let expected = (1, "token.not_access_token".to_owned());
        assert_eq!(world.code(&options), expected, "{profile}");
    }
    // A client identifier replaces the audience.
    let own = with(&json!({"aud": "-", "token_use": "access"}));
    world.write(None, &own);
    let cognito = |client: &str| {
        format!("--issuer {ISSUER} --profile cognito --audience other --audience {client}")
    };
    assert_eq!(world.code(&cognito("agent-1")).0, 0);
    assert_eq!(
        world.code(&cognito("agent-2")),
        (1, "token.audience".to_owned())
    );
    world.write(None, &with(&json!({"token_use": "id", "aud": "agent-1"})));
    assert_eq!(
        world.code(&cognito("agent-1")),
        (1, "token.not_access_token".to_owned())
    );
}

/// `--marker` is for `jwt`, which requires it; a claim that ID tokens may have is refused.
#[test]
fn markers_are_for_jwt_alone() {
    let world = World::new();
    world.write(Some("JWT"), &with(&json!({"use": "access"})));
    let jwt = |marker: &str| world.code(&format!("{PLAIN} --profile jwt --marker {marker}"));
    for marker in ["use", "use=access", "scope", "client_id"] {
        assert_eq!(jwt(marker).0, 0, "{marker}");
    }
    for marker in ["use=id", "other", "typ=x+jwt"] {
        assert_eq!(
            jwt(marker),
            (1, "token.not_access_token".to_owned()),
            "{marker}"
        );
    }
    for marker in [
        "typ=JWT",
        "typ=jose",
        "typ=application/jwt",
        "typ=logout+jwt",
        "typ=wit+jwt",
        "typ",
        "iss",
        "aud=https://api.example",
        "nonce",
        "azp",
        "email",
        "token_use=id",
        "=x",
        "use=",
    ] {
        assert_eq!(jwt(marker), (2, "cli.usage".to_owned()), "{marker}");
    }
    let usage = (2, "cli.usage".to_owned());
    assert_eq!(world.code(&format!("{PLAIN} --profile jwt")), usage);
    for profile in ["rfc9068", "entra", "auth0", "okta", "keycloak", "cognito"] {
        let options = format!("{PLAIN} --profile {profile} --marker use");
        assert_eq!(world.code(&options), usage, "{profile}");
    }
    world.write(Some("x+jwt"), &claims());
    assert_eq!(jwt("typ=x+jwt").0, 0);
    assert_eq!(jwt("scope"), (1, "token.typ".to_owned()));
}

/// A wrong command line has status 2.
#[test]
fn a_wrong_command_line_is_not_a_refusal() {
    let world = World::new();
    world.write(Some("at+jwt"), &claims());
    for options in [
        "--audience https://api.example",
        "--issuer https://as.example",
        "--issuer as.example --audience a",
        "--issuer http://as.example --audience a",
        "--issuer https://as.example --audience a --profile google",
        "--issuer https://as.example --audience a --require-scope a\"b",
        "--issuer https://as.example --issuer https://as.example --audience a",
    ] {
        let args = format!("token verify --keys keys.json --now {NOW} {options} token");
        assert_eq!(world.folder.run(&args).status, 2, "{options}");
    }
    let args = format!("token verify --keys nowhere {PLAIN} token");
    assert_eq!(world.folder.failed(&args), "cli.file");
    let args = format!("token verify --keys keys.json {PLAIN} nowhere");
    assert_eq!(world.folder.failed(&args), "cli.file");
}
