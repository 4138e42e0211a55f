//! The two header fields of HTTP requests (draft-ietf-wimse-workload-creds §3.2,
//! draft-ietf-wimse-wpt §3).

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::Uri;

use crate::Error;

/// `Workload-Identity-Token`.
pub const WORKLOAD_IDENTITY_TOKEN: HeaderName = HeaderName::from_static("workload-identity-token");

/// `Workload-Proof-Token`.
pub const WORKLOAD_PROOF_TOKEN: HeaderName = HeaderName::from_static("workload-proof-token");

/// `Txn-Token`.
pub const TXN_TOKEN: HeaderName = HeaderName::from_static("txn-token");

/// Longest value of either field, in bytes.
pub const MAX_FIELD_LEN: usize = 8 * 1024;

/// The texts of the two fields of a request. Nothing of them is verified.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    wit: &'a str,
    wpt: &'a str,
}

impl<'a> Presented<'a> {
    /// Finds the two fields: both once, or neither. Their length and shape are looked at before
    /// anything else (WIT-06, WPT-08).
    ///
    /// # Errors
    ///
    /// `wpt.field_missing`, `wpt.field_repeated`, `wpt.field_too_long`, `wpt.field_syntax`.
    pub fn find(headers: &'a HeaderMap) -> Result<Option<Self>, Error> {
        let wit = workload_identity_token(headers)?;
        let wpt = sole_jwt(headers, &WORKLOAD_PROOF_TOKEN, "workload-proof-token")?;
        match (wit, wpt) {
            (Some(wit), Some(wpt)) => Ok(Some(Self { wit, wpt })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Error::FieldMissing {
                field: "workload-identity-token",
            }),
            (Some(_), None) => Err(Error::FieldMissing {
                field: "workload-proof-token",
            }),
        }
    }

    /// The WIT's text.
    #[must_use]
    pub const fn wit(&self) -> &'a str {
        self.wit
    }

    /// The WPT's text.
    #[must_use]
    pub const fn wpt(&self) -> &'a str {
        self.wpt
    }
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").finish_non_exhaustive()
    }
}

/// Finds the `Workload-Identity-Token` field alone, for a proof that is no WPT: once, or not at all
/// (WIT-06).
///
/// # Errors
///
/// `wpt.field_repeated`, `wpt.field_too_long`, `wpt.field_syntax`.
pub fn workload_identity_token(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    sole_jwt(headers, &WORKLOAD_IDENTITY_TOKEN, "workload-identity-token")
}

/// Finds the `Txn-Token` field: once, or not at all.
///
/// # Errors
///
/// `wpt.field_repeated`, `wpt.field_too_long`, `wpt.field_syntax`.
pub fn txn_token(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    sole_jwt(headers, &TXN_TOKEN, "txn-token")
}

/// Puts both tokens into a request's headers, instead of any that are there, and marks them as
/// sensitive.
///
/// # Errors
///
/// `wpt.field_syntax` where a text is no compact JWT.
pub fn apply(headers: &mut HeaderMap, wit: &str, wpt: &str) -> Result<(), Error> {
    let wit = value(wit, "workload-identity-token")?;
    let wpt = value(wpt, "workload-proof-token")?;
    headers.insert(WORKLOAD_IDENTITY_TOKEN, wit);
    headers.insert(WORKLOAD_PROOF_TOKEN, wpt);
    Ok(())
}

/// The audience of a proof for a request to this URI: the URI without query and fragment (WPT-02).
/// For the sender; a receiver knows its own from its configuration.
///
/// # Errors
///
/// `wpt.target` where it is not absolute, or has user information.
pub fn audience(target: &Uri) -> Result<String, Error> {
    let (Some(scheme), Some(authority)) = (target.scheme_str(), target.authority()) else {
        return Err(Error::Target);
    };
    if authority.as_str().contains('@') {
        return Err(Error::Target);
    }
    Ok(format!("{scheme}://{authority}{}", target.path()))
}

fn value(text: &str, field: &'static str) -> Result<HeaderValue, Error> {
    if !is_compact(text) {
        return Err(Error::FieldSyntax { field });
    }
    let mut value = HeaderValue::from_str(text).or(Err(Error::FieldSyntax { field }))?;
    value.set_sensitive(true);
    Ok(value)
}

fn sole_jwt<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    field: &'static str,
) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::FieldRepeated { field });
    }
    if value.len() > MAX_FIELD_LEN {
        let limit = MAX_FIELD_LEN;
        return Err(Error::FieldTooLong { field, limit });
    }
    match str::from_utf8(value.as_bytes()) {
        Ok(text) if is_compact(text) => Ok(Some(text)),
        // A list of fields that something on the way has joined.
        Ok(text) if text.contains(',') && text.split(',').all(|part| is_compact(part.trim())) => {
            Err(Error::FieldRepeated { field })
        }
        _ => Err(Error::FieldSyntax { field }),
    }
}

/// `base64url "." base64url "." base64url`, none of them empty.
fn is_compact(text: &str) -> bool {
    let Some((signed, signature)) = text.rsplit_once('.') else {
        return false;
    };
    let Some((header, payload)) = signed.split_once('.') else {
        return false;
    };
    // Every byte is looked at, so that many can be at once.
    let known = text
        .bytes()
        .fold(true, |all, byte| all & is_base64url_or_dot(byte));
    let empty = header.is_empty() || payload.is_empty() || signature.is_empty();
    known && !empty && !payload.contains('.')
}

/// `-`, `.` and the digits stand in one row but for the slash.
const fn is_base64url_or_dot(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26
        || byte.wrapping_sub(b'-') < 13 && byte != b'/'
        || byte == b'_'
}
