//! Forms, as a token endpoint parses them.

use std::collections::BTreeSet;

use aims_oauth_wire::Error;
use aims_oauth_wire::token::{Form, MAX_FORM, MAX_PARAMETERS};

use crate::{Outcome, refused};

/// Parses the body of a request. Accepted if the form has a parameter.
pub fn form(data: &[u8]) -> Outcome {
    let form = match Form::parse(data) {
        Ok(form) => form,
        Err(error) => return refused(error.code(), &[Error::CODES]),
    };
    assert!(data.len() <= MAX_FORM);
    let names: Vec<&str> = form.names().collect();
    assert!(names.len() <= MAX_PARAMETERS);
    let mut seen = BTreeSet::new();
    for name in &names {
        let repeatable = matches!(*name, "audience" | "resource");
        assert!(seen.insert(*name) || repeatable, "`{name}` stands twice");
        assert!(!name.is_empty() && form.all(name).all(|value| !value.is_empty()));
        assert_eq!(form.get(name), form.all(name).next());
    }
    let pairs = || {
        let all = seen
            .iter()
            .flat_map(|name| form.all(name).map(move |it| (*name, it)));
        all.collect::<Vec<_>>()
    };
    assert_eq!(pairs().len(), names.len());
    // The parser of the WHATWG gives the same result for a strict form.
    let mut web: Vec<_> = url::form_urlencoded::parse(data).collect();
    web.retain(|(_, value)| !value.is_empty());
    web.sort_by(|(one, _), (other, _)| one.cmp(other));
    let web: Vec<_> = web
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(web, pairs());
    // A written form parses to the same.
    let written = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs())
        .finish();
    if written.len() <= MAX_FORM {
        let again = Form::parse(written.as_bytes());
        let same = |again: &Form| seen.iter().all(|it| again.all(it).eq(form.all(it)));
        assert!(again.is_ok_and(|again| same(&again) && again.names().count() == names.len()));
    }
    if names.is_empty() {
        Outcome::Refused("no parameter")
    } else {
        Outcome::Accepted
    }
}
