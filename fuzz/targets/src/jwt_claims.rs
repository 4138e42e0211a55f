//! JSON objects and the typed claims of a JWT.

use std::time::Duration;

use aims_jose::Error;
use aims_jose::json::{self, Text};
use aims_jose::jwt::{self, Audience, MAX_AUDIENCES, NumericDate, TimeRules, Times, present};
use aims_jose::time::Skew;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::known::{NOW, at};
use crate::{Outcome, refused};

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    sub: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    aud: Option<Audience<'a>>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<NumericDate>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<NumericDate>,
}

/// Checks and deserializes one payload, and compares with serde. Accepted if the claims are valid
/// at some time.
pub fn jwt_claims(data: &[u8]) -> Outcome {
    let checked = json::check_object(data);
    let value = serde_json::from_slice::<Value>(data).ok();
    match &checked {
        // Serde also accepts every accepted text.
        Ok(()) => assert!(serde_json::from_slice::<IgnoredAny>(data).is_ok()),
        Err(error) => check_refusal(error, value.as_ref()),
    }
    check_frame(data);
    let claims = match jwt::claims::<Claims<'_>>(data) {
        Ok(claims) => claims,
        Err(error) => {
            // The error names a claim exactly if the object itself is well-formed.
            assert_eq!(checked.is_ok(), error.code() == "jwt.claim");
            return refused(error.code(), &[Error::CODES]);
        }
    };
    assert!(checked.is_ok());
    let (Some(sub), Some(aud)) = (&claims.sub, &claims.aud) else {
        return refused("jwt.claim", &[Error::CODES]);
    };
    let value = value.unwrap_or_default();
    if !value.is_null() {
        assert_eq!(value.get("sub").and_then(Value::as_str), Some(sub.as_str()));
        check_audience(aud, value.get("aud"));
        for (name, date) in [
            ("exp", claims.exp),
            ("nbf", claims.nbf),
            ("iat", claims.iat),
        ] {
            assert_eq!(value.get(name).is_some(), date.is_some());
            if let (Some(number), Some(date)) = (value.get(name), date) {
                check_date(number, date);
            }
        }
    }
    match check_times(&Times::new(claims.exp, claims.nbf, claims.iat)) {
        Ok(()) => Outcome::Accepted,
        Err(error) => refused(error.code(), &[Error::CODES]),
    }
}

/// Serde also refuses a text that is refused as malformed. It may accept texts that are refused for
/// other reasons.
fn check_refusal(error: &Error, value: Option<&Value>) {
    match error.code() {
        "jws.json" => assert!(value.is_none(), "serde reads it"),
        "jws.not_an_object" => assert!(!value.is_some_and(Value::is_object)),
        code => assert!(matches!(
            code,
            "jws.duplicate_member" | "jws.json_too_large"
        )),
    }
}

/// Removing the frame of a document removes only bytes around the object.
fn check_frame(data: &[u8]) {
    if json::check_object(data).is_ok() {
        assert!(json::document(data).is_ok_and(|object| data.trim_ascii() == object));
    }
    let marked = [b"\xef\xbb\xbf", data].concat();
    assert!(
        json::check_object(&marked).is_err(),
        "signed JSON has no byte order mark"
    );
    let object = json::from_document::<IgnoredAny>(&marked).is_ok();
    let repeated = data.trim_ascii_start().starts_with(b"\xef\xbb\xbf");
    let plain = json::from_document::<IgnoredAny>(data).is_ok();
    assert!(object == (plain && !repeated));
}

fn check_audience(aud: &Audience<'_>, value: Option<&Value>) {
    let all: Vec<&str> = aud.iter().collect();
    assert!((1..=MAX_AUDIENCES).contains(&all.len()));
    assert!(all.iter().all(|it| aud.contains(it)));
    assert_eq!(aud.sole().is_some(), all.len() == 1);
    let written: Vec<&str> = match value {
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        other => other.and_then(Value::as_str).into_iter().collect(),
    };
    assert_eq!(all, written);
}

/// A date is the second that the text of the number gives; a float may have rounded up.
fn check_date(number: &Value, date: NumericDate) {
    let seconds = date.as_secs();
    assert!(date <= NumericDate::MAX);
    assert_eq!(NumericDate::from_secs(seconds), Some(date));
    let text = seconds.to_string();
    let again = format!("{{\"exp\":{text},\"sub\":\"\",\"aud\":\"\"}}");
    let again = jwt::claims::<Claims<'_>>(again.as_bytes());
    assert!(again.is_ok_and(|again| again.exp == Some(date)));
    match (number.as_u64(), number.as_f64()) {
        (Some(whole), _) => assert_eq!(whole, seconds),
        (None, Some(float)) => {
            let near = text
                .parse::<f64>()
                .is_ok_and(|it| (-0.001..=1.0).contains(&(float - it)));
            assert!(near, "{float} is not {seconds}");
        }
        (None, None) => unreachable!("{number} is a date"),
    }
}

/// A larger skew makes no date invalid, and each rule limits its own value.
fn check_times(times: &Times) -> Result<(), Error> {
    let check = |rules: TimeRules, now| rules.check(times, at(now));
    let rules = TimeRules::new();
    let exact = check(rules.with_skew(Skew::ZERO), NOW);
    let usual = check(rules, NOW);
    let wide = check(rules.with_skew(Skew::MAX), NOW);
    assert!(exact.is_err() || usual.is_ok());
    assert!(usual.is_err() || wide.is_ok());
    let (Some(exp), Ok(())) = (times.exp.map(NumericDate::as_secs), &usual) else {
        return usual;
    };
    let starts = [times.nbf, times.iat].map(|it| it.map_or(0, NumericDate::as_secs));
    assert!(exp + 30 > NOW);
    assert!(
        starts
            .iter()
            .all(|start| *start <= NOW + 30 && *start <= exp)
    );
    let code = |result: Result<(), Error>| result.map_or_else(|it| it.code(), |()| "ok");
    assert_eq!(code(check(rules, exp + 30)), "jwt.expired");
    assert_eq!(code(check(rules, exp + 29)), "ok");
    let most = rules.with_max_lifetime(Duration::from_secs(300));
    let over = exp > NOW + 330 || times.iat.is_some_and(|iat| exp - iat.as_secs() > 300);
    assert_eq!(
        code(check(most, NOW)),
        if over { "jwt.lifetime" } else { "ok" }
    );
    let young = rules.with_max_age(Duration::from_secs(300));
    let expected = match times.iat.map(NumericDate::as_secs) {
        None => "jwt.claim",
        Some(iat) if NOW > iat + 330 => "jwt.too_old",
        Some(_) => "ok",
    };
    assert_eq!(code(check(young, NOW)), expected);
    usual
}
