//! A token that crossed to another kind, issuer or vocabulary, compared over explicit tables.

use std::collections::BTreeSet;

use aims_oauth_wire::delegate::{
    Amplification, Crossing, Dimension, Kind, Rights, ScopeTable, Verdict, delegate as judge,
};
use serde::Deserialize;
use serde_json::Value;

use super::check_reflexive;
use crate::{Outcome, refused};

/// The tables, as the third line of an input.
#[derive(Deserialize)]
struct Tables {
    /// The kind of the child: `at`, `txn`, or else a grant.
    kind: String,
    iss: Option<String>,
    #[serde(default)]
    scopes: Vec<(String, String)>,
    #[serde(default)]
    outward: bool,
    #[serde(default)]
    audiences: Vec<(String, String)>,
    #[serde(default)]
    carry: Vec<String>,
    #[serde(default)]
    set: Vec<(String, String)>,
    #[serde(default)]
    without_actors: bool,
}

/// Translates the parent and compares. Accepted if the child permits no more.
pub(super) fn crossing(kind: Kind, parent: &[u8], child: &[u8], tables: &[u8]) -> Outcome {
    let tables: Tables = match aims_jose::json::from_object(tables) {
        Ok(tables) => tables,
        Err(error) => return refused(error.code(), &[aims_jose::Error::CODES]),
    };
    let to = match &*tables.kind {
        "at" => Kind::AccessToken,
        "txn" => Kind::TransactionToken,
        _ => Kind::AuthorizationGrant,
    };
    let (own, other) = match (Rights::read(kind, parent), Rights::read(to, child)) {
        (Ok(own), Ok(other)) => (own, other),
        (Err(error), _) | (_, Err(error)) => {
            return refused(error.code(), &[aims_jose::Error::CODES]);
        }
    };
    let rows = tables.scopes.iter().map(|(a, b)| (&**a, &**b));
    let table = match ScopeTable::new(rows) {
        Ok(table) => table,
        Err(error) => return refused(error.code(), &[aims_oauth_wire::Error::CODES]),
    };
    let there = tables.crossing(to).scopes(table.clone(), tables.outward);
    let translated = there.0.translate(&own);
    check_reflexive(&translated);
    check_way_back(kind, parent, &own, &translated, (table, tables.outward));
    match judge(&translated, other) {
        Ok(_) => {
            // A number that is out of range stands in no dimension.
            let read = |text| serde_json::from_slice::<Value>(text).ok();
            if let (Some(parent), Some(child)) = (read(parent), read(child)) {
                tables.check(to, &parent, &child);
            }
            Outcome::Accepted
        }
        Err(refusal) => refused(refusal.code(), &[Amplification::CODES]),
    }
}

/// There and back over one table yields no scope more.
fn check_way_back(
    kind: Kind,
    parent: &[u8],
    own: &Rights,
    translated: &Rights,
    (table, outward): (ScopeTable, bool),
) {
    let parent: Value = serde_json::from_slice(parent).unwrap_or_default();
    let issuer = parent.get("iss").and_then(Value::as_str);
    let back = Ways(Crossing::new(kind, issuer)).scopes(table, !outward);
    let back = own.compare(&back.0.translate(translated));
    assert_ne!(back.of(Dimension::Scope), Verdict::Wider);
}

/// A crossing that takes its table of scopes in either direction.
struct Ways(Crossing);

impl Ways {
    fn scopes(self, table: ScopeTable, outward: bool) -> Self {
        Self(match outward {
            true => self.0.scopes_outward(table),
            false => self.0.scopes_inward(table),
        })
    }
}

impl Tables {
    /// The crossing without its scopes.
    fn crossing(&self, to: Kind) -> Ways {
        let mut crossing = Crossing::new(to, self.iss.as_deref());
        for (from, to) in &self.audiences {
            crossing = crossing.audience(&**from, &**to);
        }
        for name in &self.carry {
            crossing = crossing.carry(&**name);
        }
        for (name, value) in &self.set {
            crossing = crossing.claim(&**name, &**value);
        }
        Ways(match self.without_actors {
            true => crossing.without_actors(),
            false => crossing,
        })
    }

    /// Asserts that no dimension of an accepted child exceeds the parent over the tables, by the
    /// claims as they stand.
    fn check(&self, to: Kind, parent: &Value, child: &Value) {
        self.check_scopes(&words(parent), &words(child));
        let (own, others) = (texts(parent, "aud"), texts(child, "aud"));
        for audience in others {
            let mut rows = self.audiences.iter().filter(|(_, to)| *to == audience);
            assert!(rows.any(|(from, _)| own.contains(&**from)), "{audience}");
        }
        assert_eq!(
            child.get("iss").and_then(Value::as_str),
            self.iss.as_deref()
        );
        let time = |token: &Value, name| token.get(name).and_then(Value::as_f64);
        assert!(time(child, "exp") <= time(parent, "exp"), "exp");
        assert!(time(child, "nbf") >= time(parent, "nbf"), "nbf");
        if !self.without_actors {
            let is_grant = to == Kind::AuthorizationGrant;
            let (own, others) = (actors(parent, false), actors(child, is_grant));
            assert!(others.ends_with(&own), "{own:?} {others:?}");
        }
        let has = |token: &Value, name: &str| token.get(name).is_some();
        assert!(has(child, "cnf") || !has(parent, "cnf"), "cnf");
        for name in ["auth_time", "acr", "amr"] {
            assert!(has(parent, name) || !has(child, name), "{name}");
        }
        check_context(parent, context(to, child));
        check_details(parent, child);
        self.check_others(to, parent, child);
    }

    fn check_scopes(&self, own: &BTreeSet<&str>, others: &BTreeSet<&str>) {
        for scope in others {
            let of_scope = |(outer, inner): &&(String, String)| match self.outward {
                true => outer == scope,
                false => inner == scope,
            };
            let mut rows = self.scopes.iter().filter(of_scope).peekable();
            assert!(rows.peek().is_some(), "{scope} is in no row");
            let is_had = match self.outward {
                true => rows.all(|(_, inner)| own.contains(&**inner)),
                false => rows.any(|(outer, _)| own.contains(&**outer)),
            };
            assert!(is_had, "{scope}");
        }
    }

    /// A claim that no dimension knows is set, or the parent has it.
    fn check_others(&self, to: Kind, parent: &Value, child: &Value) {
        for name in child.as_object().into_iter().flat_map(|all| all.keys()) {
            let is_presenter = to == Kind::AuthorizationGrant && name == "client_id";
            let is_context = name == context_name(to);
            if !is_presenter && (is_context || KNOWN.contains(&&**name)) {
                continue;
            }
            let is_set = self.set.iter().any(|(it, _)| it == name);
            assert!(is_set || parent.get(name).is_some(), "{name}");
        }
    }
}

/// The claims that a dimension knows, or that say nothing.
const KNOWN: [&str; 16] = [
    "iss",
    "scope",
    "aud",
    "authorization_details",
    "exp",
    "nbf",
    "act",
    "client_id",
    "cnf",
    "jti",
    "iat",
    "rctx",
    "req_wl",
    "auth_time",
    "acr",
    "amr",
];

fn words(token: &Value) -> BTreeSet<&str> {
    let scope = token.get("scope").and_then(Value::as_str);
    scope.into_iter().flat_map(|text| text.split(' ')).collect()
}

/// A text or a list of texts.
fn texts<'a>(object: &'a Value, name: &str) -> BTreeSet<&'a str> {
    match object.get(name) {
        Some(Value::String(text)) => BTreeSet::from([&**text]),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

/// The names in `act`, or else the client.
fn actors(token: &Value, is_grant: bool) -> Vec<&str> {
    let Some(mut act) = token.get("act") else {
        let client = token.get("client_id").filter(|_| !is_grant);
        return client.and_then(Value::as_str).into_iter().collect();
    };
    let mut all = Vec::new();
    loop {
        all.extend(act.get("sub").and_then(Value::as_str));
        match act.get("act") {
            Some(inner) => act = inner,
            None => return all,
        }
    }
}

const fn context_name(kind: Kind) -> &'static str {
    match kind {
        Kind::AuthorizationGrant => "txn_claims",
        _ => "tctx",
    }
}

fn context(kind: Kind, token: &Value) -> Option<&Value> {
    token.get(context_name(kind))
}

/// Every member of the parent's context stays.
fn check_context(parent: &Value, child: Option<&Value>) {
    let own = parent.get("tctx").and_then(Value::as_object);
    for (name, value) in own.into_iter().flatten() {
        let kept = child.and_then(|it| it.get(name));
        match value {
            Value::String(_) => assert_eq!(kept, Some(value), "{name}"),
            _ => assert!(kept.is_some(), "{name}"),
        }
    }
}

/// Each entry of a tool is within one entry of the parent.
fn check_details(parent: &Value, child: &Value) {
    let entries = |token: &Value| match token.get("authorization_details") {
        Some(Value::Array(all)) => all.clone(),
        _ => Vec::new(),
    };
    let own = entries(parent);
    for entry in entries(child) {
        let is_within = |of: &&Value| {
            of.get("type") == entry.get("type")
                && ["locations", "actions", "datatypes", "privileges"]
                    .iter()
                    .all(|set| texts(&entry, set).is_subset(&texts(of, set)))
        };
        assert!(own.iter().any(|of| is_within(&of)), "{entry}");
    }
}
