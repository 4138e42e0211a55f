//! The login that a token comes from (RFC 9068 §2.2.1).

use aims_jose::jwt::NumericDate;
use aims_jose::time::UnixTime;
use serde::Deserialize;
use serde_json::value::RawValue;

/// `acr`, `amr` and `auth_time`. A member that is malformed counts as absent: it then meets no
/// requirement.
#[derive(Default)]
pub(super) struct Login {
    pub(super) acr: Option<String>,
    pub(super) amr: Vec<String>,
    pub(super) auth_time: Option<UnixTime>,
}

/// Some servers write one method as a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Methods {
    One(String),
    All(Vec<String>),
}

impl Login {
    pub(super) fn read(
        acr: Option<&RawValue>,
        amr: Option<&RawValue>,
        auth_time: Option<&RawValue>,
    ) -> Self {
        let time: Option<NumericDate> = read(auth_time);
        Self {
            acr: read(acr).filter(|it: &String| !it.is_empty()),
            amr: match read(amr) {
                Some(Methods::One(one)) => vec![one],
                Some(Methods::All(all)) => all,
                None => Vec::new(),
            },
            auth_time: time.map(Into::into),
        }
    }
}

/// Reads a text, or returns `None` if the value is another one.
pub(super) fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
}
