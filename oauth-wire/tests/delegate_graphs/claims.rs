//! The claims of a token of the model, in the vocabulary of its form.

use std::collections::BTreeSet;

use aims_oauth_wire::delegate::Rights;
use serde_json::{Map, Value, json};

use super::model::{Entry, Form, Token};

pub(crate) const OWN: &str = "https://as.example";
pub(crate) const OTHER: &str = "https://as.other.example";

const KEYS: [&str; 3] = [
    "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
    "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    "5HyvLQAYb9pYzwqpLFhGyvG6YSBh5VXbCl3cWK7xZWM",
];

impl Form {
    pub(crate) const fn issuer(self) -> Option<&'static str> {
        match self {
            Self::Access | Self::Grant => Some(OWN),
            Self::Transaction => None,
            Self::Foreign => Some(OTHER),
        }
    }

    pub(crate) const fn audiences(self) -> [&'static str; 2] {
        match self {
            Self::Access => ["https://gateway.example", "https://archive.example"],
            Self::Transaction => ["gateway.domain.example", "archive.domain.example"],
            Self::Grant => [OTHER, "https://as.archive.other.example"],
            Self::Foreign => ["https://bank.other.example", "https://vault.other.example"],
        }
    }

    /// The name of each scope of the model. The first one is two scopes in some forms.
    const fn scopes(self) -> [&'static str; 3] {
        match self {
            Self::Access => ["s0", "s1", "s2"],
            Self::Transaction => ["i0a i0b", "i1", "i2"],
            Self::Grant => ["g0", "g1", "g2"],
            Self::Foreign => ["f0a f0b", "f1", "f2"],
        }
    }

    pub(crate) fn subject(self, index: usize) -> String {
        match self {
            Self::Access | Self::Transaction => format!("user{index}"),
            Self::Grant => format!("customer{index}"),
            Self::Foreign => format!("account{index}"),
        }
    }

    /// The claim with the facts of a transaction.
    const fn context(self) -> &'static str {
        match self {
            Self::Grant => "txn_claims",
            Self::Access | Self::Transaction | Self::Foreign => "tctx",
        }
    }
}

/// The issuer and the name of an actor. The same name stands for two of them.
fn actor(index: usize) -> (&'static str, String) {
    let issuer = if index < 3 { OWN } else { OTHER };
    (issuer, format!("agent{}", index % 3))
}

fn names(set: &BTreeSet<usize>, name: impl Fn(usize) -> String) -> Vec<String> {
    set.iter().map(|index| name(*index)).collect()
}

impl Token {
    pub(crate) fn rights(&self) -> Rights {
        Rights::read(self.form.kind(), self.claims().to_string().as_bytes()).unwrap()
    }

    fn claims(&self) -> Value {
        let mut all = Map::new();
        let mut add = |name: &str, value: Value| all.insert(name.to_owned(), value);
        let of = |all: &[&str], index: usize| (*all.get(index).unwrap()).to_owned();
        let audiences = names(&self.audiences, |it| of(&self.form.audiences(), it));
        add("aud", json!(audiences));
        add("iat", json!(0));
        add("exp", json!(self.end));
        add("sub", json!(self.form.subject(self.subject)));
        if !self.scopes.is_empty() {
            let scopes = names(&self.scopes, |it| of(&self.form.scopes(), it));
            add("scope", json!(scopes.join(" ")));
        }
        if self.start > 0 {
            add("nbf", json!(self.start));
        }
        if let Some(issuer) = self.form.issuer() {
            add("iss", json!(issuer));
            add("jti", json!("1"));
        }
        if self.form == Form::Transaction {
            add("req_wl", json!("w"));
        }
        if let Some(transaction) = self.transaction {
            add("txn", json!(format!("t{transaction}")));
        }
        if let Some(client) = self.client() {
            add("client_id", json!(client));
        }
        if let Some(act) = self.act() {
            add("act", act);
        }
        if let Some(key) = self.key {
            add("cnf", json!({"jkt": KEYS.get(key).unwrap()}));
        }
        if let Some(acr) = self.acr {
            add("acr", json!(format!("level{acr}")));
        }
        let context = self.facts();
        if !context.is_empty() {
            add(self.form.context(), Value::Object(context));
        }
        if !self.entries.is_empty() {
            let entries: Vec<Value> = self.entries.iter().map(Entry::value).collect();
            add("authorization_details", json!(entries));
        }
        Value::Object(all)
    }

    fn client(&self) -> Option<String> {
        match self.form {
            Form::Access | Form::Foreign => Some(actor(*self.chain.first()?).1),
            Form::Transaction => None,
            Form::Grant => Some(format!("client{}", self.presenter?)),
        }
    }

    fn act(&self) -> Option<Value> {
        // The client alone is its server's.
        let is_client = matches!(self.form, Form::Access | Form::Foreign)
            && matches!(*self.chain, [only] if Some(actor(only).0) == self.form.issuer());
        let chain = self.chain.iter().rev().filter(|_| !is_client);
        chain.fold(None, |inner, index| {
            let (issuer, name) = actor(*index);
            let mut act = json!({"iss": issuer, "sub": name});
            let members = act.as_object_mut().unwrap();
            members.extend(inner.map(|inner| ("act".to_owned(), inner)));
            Some(act)
        })
    }

    fn facts(&self) -> Map<String, Value> {
        let members = self.context.iter();
        let mut all: Map<String, Value> = members
            .map(|(name, value)| (format!("member{name}"), json!(value)))
            .collect();
        let call = self.call.map(|call| json!(format!("digest{call}")));
        all.extend(call.map(|call| ("call_digest".to_owned(), call)));
        all
    }
}

impl Entry {
    fn value(&self) -> Value {
        let mut entry = json!({
            "type": "aims_tool",
            "locations": names(&self.locations, |index| format!("https://{index}.example")),
        });
        let members = entry.as_object_mut().unwrap();
        if let Some(actions) = &self.actions {
            let actions = names(actions, |index| format!("tool{index}"));
            members.insert("actions".to_owned(), json!(actions));
        }
        if let Some(call) = self.call {
            members.insert("call_digest".to_owned(), json!(format!("digest{call}")));
        }
        entry
    }
}
