//! No sequence of hops yields more than its root: random graphs of delegations, judged against a
//! second model that knows nothing of the comparison. `AIMS_DELEGATE_GRAPHS` sets their number.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use aims_oauth_wire::delegate::{Crossing, Kind, Rights, ScopeTable, delegate};
use serde_json::{Map, Value, json};

const OUTER: &str = "https://as.example";
const GATEWAY: &str = "https://gateway.example";
const ARCHIVE: &str = "https://archive.example";
const GATEWAY_DOMAIN: &str = "gateway.domain.example";
const ARCHIVE_DOMAIN: &str = "archive.domain.example";
const KEYS: [&str; 3] = [
    "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
    "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    "5HyvLQAYb9pYzwqpLFhGyvG6YSBh5VXbCl3cWK7xZWM",
];

/// The model of a token, in the vocabulary of access tokens.
#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    audiences: BTreeSet<usize>,
    scopes: BTreeSet<usize>,
    start: u64,
    end: u64,
    entries: Vec<Entry>,
    call: Option<usize>,
    context: BTreeMap<usize, usize>,
    chain: Vec<usize>,
    key: Option<usize>,
    acr: Option<usize>,
    subject: usize,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Entry {
    locations: BTreeSet<usize>,
    actions: Option<BTreeSet<usize>>,
    call: Option<usize>,
}

/// A generator that is good enough for tests, and repeats from its seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.0;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^= drawn >> 31;
        usize::try_from(drawn % u64::try_from(most).unwrap()).unwrap()
    }

    fn set(&mut self, most: usize) -> BTreeSet<usize> {
        let mut set: BTreeSet<usize> = (0..most).filter(|_| self.below(2) == 0).collect();
        set.insert(self.below(most));
        set
    }

    fn maybe(&mut self, most: usize) -> Option<usize> {
        Some(self.below(most + 1)).filter(|drawn| *drawn < most)
    }

    fn entry(&mut self) -> Entry {
        Entry {
            locations: self.set(2),
            actions: (self.below(8) > 0).then(|| self.set(2)),
            call: self.maybe(2).filter(|_| self.below(3) == 0),
        }
    }

    fn token(&mut self, kind: Kind) -> Token {
        let count = self.below(3);
        Token {
            kind,
            audiences: if kind == Kind::AccessToken {
                self.set(2)
            } else {
                BTreeSet::from([self.below(2)])
            },
            scopes: self.set(3),
            start: u64::try_from(self.below(2)).unwrap(),
            end: u64::try_from(3 + self.below(3)).unwrap(),
            entries: (0..count).map(|_| self.entry()).collect(),
            call: self.maybe(2).filter(|_| self.below(4) == 0),
            context: (0..2)
                .filter_map(|name| Some((name, self.maybe(2)?)))
                .collect(),
            chain: vec![self.below(6)],
            key: self.maybe(3),
            acr: self.maybe(2),
            subject: 0,
        }
    }

    /// A request for a child: the parent's rights with a few changes, to less and to more.
    fn request(&mut self, parent: &Token, kind: Kind) -> Token {
        let mut child = parent.clone();
        child.kind = kind;
        let other = self.token(kind);
        for _ in 0..self.below(4) {
            match self.below(14) {
                0 => child.audiences = other.audiences.clone(),
                1 => child.scopes = other.scopes.clone(),
                2 => {
                    let some = self.below(3);
                    child.scopes.remove(&some);
                }
                3 => child.start = other.start,
                4 => child.end = other.end,
                5 => child.entries = other.entries.clone(),
                6 => drop(child.entries.pop()),
                7 => {
                    if let Some(entry) = child.entries.first_mut() {
                        *entry = self.entry();
                    }
                }
                8 => child.call = other.call,
                9 => child.context.extend(other.context.clone()),
                10 => child.context = other.context.clone(),
                11 => child.chain.insert(0, self.below(6)),
                12 => child.key = other.key,
                _ => match self.below(4) {
                    // An access token has a client.
                    2 if child.chain.len() < 2 && kind == Kind::AccessToken => {}
                    0 => child.subject = self.below(2),
                    1 => child.acr = other.acr,
                    2 => drop(child.chain.pop()),
                    _ => child.chain.reverse(),
                },
            }
        }
        if self.below(3) == 0 {
            child.chain.insert(0, self.below(6));
            child.key = other.key;
        }
        if child.chain.is_empty() && kind == Kind::AccessToken {
            child.chain.push(self.below(6));
        }
        // As the service of a domain does: what an entry is for is the transaction's call.
        if kind == Kind::TransactionToken {
            let drop_entries = self.below(2) == 0;
            if drop_entries {
                let of_entry = child.entries.first().and_then(|it| it.call);
                child.call = child.call.or(of_entry);
                child.entries.clear();
            }
        }
        child
    }
}

fn names(set: &BTreeSet<usize>, name: impl Fn(usize) -> String) -> Vec<String> {
    set.iter().map(|index| name(*index)).collect()
}

impl Token {
    /// The claims of the token, in the vocabulary of its kind.
    fn claims(&self) -> Value {
        let mut all = Map::new();
        let is_outer = self.kind == Kind::AccessToken;
        let audiences = names(&self.audiences, |index| {
            let names = if is_outer {
                [GATEWAY, ARCHIVE]
            } else {
                [GATEWAY_DOMAIN, ARCHIVE_DOMAIN]
            };
            (*names.get(index).unwrap()).to_owned()
        });
        // `s0` is two scopes within the domain.
        let scopes = self.scopes.iter().map(|index| match (is_outer, index) {
            (true, index) => format!("s{index}"),
            (false, 0) => "i0a i0b".to_owned(),
            (false, index) => format!("i{index}"),
        });
        let scopes: Vec<String> = scopes.collect();
        for (name, value) in [
            ("aud", json!(audiences)),
            ("iat", json!(0)),
            ("exp", json!(self.end)),
            ("sub", json!(format!("user{}", self.subject))),
        ] {
            all.insert(name.to_owned(), value);
        }
        if !scopes.is_empty() {
            all.insert("scope".to_owned(), json!(scopes.join(" ")));
        }
        if self.start > 0 {
            all.insert("nbf".to_owned(), json!(self.start));
        }
        if is_outer {
            all.insert("iss".to_owned(), json!(OUTER));
            all.insert("jti".to_owned(), json!("1"));
            let client = self.chain.first().copied().unwrap_or_default();
            all.insert("client_id".to_owned(), json!(format!("agent{client}")));
        } else {
            all.insert("txn".to_owned(), json!("t"));
            all.insert("req_wl".to_owned(), json!("w"));
        }
        let act = self.chain.iter().rev().fold(Value::Null, |inner, index| {
            let mut act = json!({"iss": OUTER, "sub": format!("agent{index}")});
            if !inner.is_null() {
                act.as_object_mut().unwrap().insert("act".to_owned(), inner);
            }
            act
        });
        if !act.is_null() && (self.chain.len() > 1 || !is_outer) {
            all.insert("act".to_owned(), act);
        }
        if let Some(key) = self.key {
            all.insert("cnf".to_owned(), json!({"jkt": KEYS.get(key).unwrap()}));
        }
        if let Some(acr) = self.acr {
            all.insert("acr".to_owned(), json!(format!("level{acr}")));
        }
        let mut context = Map::new();
        for (name, value) in &self.context {
            context.insert(format!("member{name}"), json!(value));
        }
        if let Some(call) = self.call {
            context.insert("call_digest".to_owned(), json!(format!("digest{call}")));
        }
        if !context.is_empty() {
            all.insert("tctx".to_owned(), Value::Object(context));
        }
        if !self.entries.is_empty() {
            let entries: Vec<Value> = self.entries.iter().map(Entry::value).collect();
            all.insert("authorization_details".to_owned(), json!(entries));
        }
        Value::Object(all)
    }

    fn rights(&self) -> Rights {
        Rights::read(self.kind, self.claims().to_string().as_bytes()).unwrap()
    }

    /// The calls that it is for; `None` is a call of which no digest is known.
    fn permits_call(&self, call: Option<usize>) -> bool {
        let bound: Vec<usize> = self.entries.iter().filter_map(|it| it.call).collect();
        let by_entry = bound.is_empty() || call.is_some_and(|call| bound.contains(&call));
        by_entry && self.call.is_none_or(|own| call == Some(own))
    }

    fn permits_action(&self, location: usize, action: usize) -> bool {
        self.entries.iter().any(|entry| {
            let actions = entry.actions.as_ref();
            entry.locations.contains(&location)
                && actions.is_none_or(|actions| actions.contains(&action))
        })
    }

    fn permits_context(&self, one: usize, other: usize) -> bool {
        let is =
            |name: usize, value: usize| self.context.get(&name).is_none_or(|own| *own == value);
        is(0, one) && is(1, other)
    }

    /// Everything that a token permits, by asking for one thing after the other: a bit for each.
    fn powers(&self) -> u64 {
        let mut all = 0_u64;
        let mut add = |permitted: bool| all = (all << 1) | u64::from(permitted);
        for index in 0..6 {
            let time = u64::try_from(index).unwrap();
            add(self.audiences.contains(&index));
            add(self.scopes.contains(&index));
            add(self.start <= time && time < self.end);
            add(self.acr == Some(index));
            add(self.subject == index);
        }
        for call in [None, Some(0), Some(1)] {
            add(self.permits_call(call));
        }
        for one in 0..2 {
            for other in 0..2 {
                add(self.permits_action(one, other));
                add(self.permits_context(one, other));
            }
        }
        all
    }

    /// Whether it is more than the root of its graph.
    fn exceeds(&self, root: &Self) -> bool {
        let is_new = self.powers() & !root.powers() != 0;
        let is_tail = self.chain.ends_with(&root.chain);
        let is_twice = self.chain.iter().collect::<BTreeSet<_>>().len() < self.chain.len();
        let is_unbound = root.key.is_some() && self.key.is_none();
        // Another key is another actor's.
        let is_rebound =
            root.key.is_some() && self.key != root.key && self.chain.len() == root.chain.len();
        is_new || !is_tail || is_twice || self.chain.len() > 5 || is_unbound || is_rebound
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

/// The crossings between the two kinds.
struct Border {
    inward: Crossing,
    outward: Crossing,
}

impl Border {
    fn new() -> Self {
        let rows = [("s0", "i0a"), ("s0", "i0b"), ("s1", "i1"), ("s2", "i2")];
        let table = ScopeTable::new(rows).unwrap();
        Self {
            inward: Crossing::new(Kind::TransactionToken, None)
                .scopes_inward(table.clone())
                .audience(GATEWAY, GATEWAY_DOMAIN)
                .audience(ARCHIVE, ARCHIVE_DOMAIN)
                .claim("txn", "t"),
            outward: Crossing::new(Kind::AccessToken, Some(OUTER))
                .scopes_outward(table)
                .audience(GATEWAY_DOMAIN, GATEWAY)
                .audience(ARCHIVE_DOMAIN, ARCHIVE),
        }
    }

    /// The parent's rights in the vocabulary of the child.
    fn parent(&self, (parent, rights): &(Token, Rights), kind: Kind) -> Rights {
        match (parent.kind, kind) {
            (Kind::AccessToken, Kind::TransactionToken) => self.inward.translate(rights),
            (Kind::TransactionToken, Kind::AccessToken) => self.outward.translate(rights),
            _ => rights.clone(),
        }
    }
}

fn count() -> u64 {
    let asked = std::env::var("AIMS_DELEGATE_GRAPHS").ok();
    asked.map_or(5_000, |text| text.parse().expect("a number of graphs"))
}

#[test]
fn no_sequence_of_hops_yields_more_than_its_root() {
    let border = Border::new();
    let (mut handed_on, mut refused, mut needless) = (0_u64, 0_u64, 0_u64);
    for seed in 0..count() {
        let mut random = Random(seed);
        let kind = |random: &mut Random| match random.below(2) {
            0 => Kind::AccessToken,
            _ => Kind::TransactionToken,
        };
        let first = kind(&mut random);
        let root = random.token(first);
        let mut tokens = vec![(root.clone(), root.rights())];
        for _ in 0..5 {
            let parent = tokens.get(random.below(tokens.len())).unwrap();
            let to = kind(&mut random);
            let child = random.request(&parent.0, to);
            let is_more = child.exceeds(&parent.0);
            match delegate(&border.parent(parent, to), child.rights()) {
                Ok(narrower) => {
                    let exceeds = is_more || child.exceeds(&root);
                    assert!(!exceeds, "seed {seed}: {root:?} {:?} {child:?}", parent.0);
                    handed_on += 1;
                    // In its own vocabulary.
                    tokens.push((child, narrower.into_rights()));
                }
                Err(_) => {
                    refused += 1;
                    needless += u64::from(!is_more);
                }
            }
        }
    }
    // The graphs are no trivial ones: many hops are accepted, many are refused, and few of those
    // that the model permits.
    let all = handed_on + refused;
    assert!(handed_on * 4 > all, "{handed_on} of {all} accepted");
    assert!(refused * 4 > all, "{refused} of {all} refused");
    assert!(
        needless * 4 < all,
        "{needless} of {all} refused without need"
    );
}
