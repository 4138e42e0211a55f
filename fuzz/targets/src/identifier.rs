//! Identifiers, origins, trust domains and patterns.

use core::fmt::{Debug, Display};
use core::str::FromStr;

use aims_wimse_id::{Error, IdPattern, Origin, Scheme, TrustDomain, WorkloadId};

use crate::{NO_TEXT, Outcome, refused, text};

/// Parses one line as an identifier, an origin, a trust domain and a pattern. Of two lines, the
/// first is a pattern and the second an identifier. Accepted for a valid identifier, or a pattern
/// that matches.
pub fn identifier(data: &[u8]) -> Outcome {
    let Some(text) = text(data) else {
        return NO_TEXT;
    };
    if let Some((pattern, id)) = text.split_once('\n') {
        return pair(pattern, id);
    }
    let id = round_trip::<WorkloadId>(text);
    let origin = round_trip::<Origin>(text);
    let domain = round_trip::<TrustDomain>(text);
    let pattern = round_trip::<IdPattern>(text);
    if let Ok(origin) = &origin {
        check_origin(origin);
    }
    if let Ok(domain) = &domain {
        check_domain(domain);
    }
    // No text is both an identifier and a pattern with `/*`.
    if let Ok(id) = &id {
        assert_eq!(pattern, Ok(IdPattern::exact(id.clone())));
        check_id(id);
    } else if pattern.is_ok() {
        assert!(text.ends_with("/*"), "{text:?} is a pattern of its own");
    }
    match id {
        Ok(_) => Outcome::Accepted,
        Err(error) => refused(error.code(), &[Error::CODES]),
    }
}

/// A parsed value is written as it was, and parses to the same value.
fn round_trip<T>(text: &str) -> Result<T, Error>
where
    T: Debug + Display + FromStr<Err = Error> + PartialEq + TryFrom<String, Error = Error>,
{
    let read: Result<T, Error> = text.parse();
    assert_eq!(T::try_from(text.to_owned()), read);
    match &read {
        Ok(value) => {
            assert_eq!(value.to_string(), text);
            assert_eq!(value.to_string().parse().as_ref(), Ok(value));
        }
        Err(error) => drop(refused(error.code(), &[Error::CODES])),
    }
    read
}

fn check_id(id: &WorkloadId) {
    let text = id.as_str();
    assert!(text.len() <= 2048);
    assert_eq!(WorkloadId::parse(text).as_ref(), Ok(id));
    assert_eq!(format!("{}{}", id.origin_str(), id.path()), text);
    assert_eq!(id.origin().as_str(), id.origin_str());
    assert_eq!(id.origin().trust_domain(), id.trust_domain());
    check_origin(&id.origin());
    let path: String = id.segments().map(|segment| format!("/{segment}")).collect();
    assert_eq!(path, id.path());
    for segment in id.segments() {
        assert!(!matches!(segment, "" | "." | ".."), "{text:?}");
        let plain = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || b".-_".contains(&byte)
                || (byte == b'~' && id.scheme() == Scheme::Wimse)
        };
        assert!(segment.bytes().all(plain), "{text:?}");
    }
    let any = IdPattern::any_of(id.origin());
    assert!(any.matches(id) && IdPattern::exact(id.clone()).matches(id));
    let beneath = IdPattern::beneath(id.clone());
    assert_eq!(beneath.matches(id), id.path().is_empty());
    // A pattern is written so that it parses again, even for the longest identifier.
    assert_eq!(beneath.to_string().parse(), Ok(beneath));
    assert_eq!(any.to_string().parse(), Ok(any));
}

fn check_origin(origin: &Origin) {
    let (scheme, domain) = (origin.scheme(), origin.trust_domain());
    assert_eq!(origin.as_str(), format!("{scheme}://{domain}"));
    let domain: Result<TrustDomain, Error> = domain.parse();
    assert_eq!(
        domain.and_then(|domain| Origin::new(scheme, &domain)),
        Ok(origin.clone())
    );
}

fn check_domain(domain: &TrustDomain) {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b".-_".contains(&byte);
    assert!((1..=255).contains(&domain.as_str().len()) && domain.as_str().bytes().all(plain));
    let dotted = domain.as_str().ends_with('.');
    for scheme in [Scheme::Spiffe, Scheme::Wimse] {
        let origin = Origin::new(scheme, domain);
        assert_eq!(origin.is_err(), dotted && scheme == Scheme::Wimse);
        if let Ok(origin) = origin {
            assert_eq!(origin.as_str().parse(), Ok(origin.clone()));
        }
    }
}

/// A pattern matches segment by segment.
fn pair(pattern: &str, id: &str) -> Outcome {
    let (read, id) = match (pattern.parse::<IdPattern>(), id.parse::<WorkloadId>()) {
        (Ok(read), Ok(id)) => (read, id),
        (Err(error), _) | (_, Err(error)) => return refused(error.code(), &[Error::CODES]),
    };
    let parts = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
    let own = parts(id.as_str());
    let expected = match pattern.strip_suffix("/*") {
        None => pattern == id.as_str(),
        // An origin has three parts (`scheme:`, empty, trust domain), and its pattern matches its
        // own identifier too.
        Some(above) if parts(above).len() == 3 => own.starts_with(&parts(above)),
        Some(above) => own.len() > parts(above).len() && own.starts_with(&parts(above)),
    };
    assert_eq!(read.matches(&id), expected, "{pattern} and {id}");
    if expected {
        Outcome::Accepted
    } else {
        Outcome::Refused("no match")
    }
}
