//! The header fields of HTTP requests (draft-ietf-wimse-workload-creds §5.1.1, draft-ietf-wimse-wpt
//! §3).

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::uri::Uri;

use crate::{Error, Revision, Revisions};

/// The field `Workload-Identity-Token`.
pub const WORKLOAD_IDENTITY_TOKEN: HeaderName = HeaderName::from_static("workload-identity-token");

/// The field `Workload-Proof-Token`, for a proof of draft-ietf-wimse-wpt-01.
pub const WORKLOAD_PROOF_TOKEN: HeaderName = HeaderName::from_static("workload-proof-token");

/// The scheme `WPT` of `Authorization`, for a proof of draft-ietf-wimse-wpt-02.
pub const SCHEME: &str = "WPT";

/// The value of `WWW-Authenticate` that asks for a proof of draft-ietf-wimse-wpt-02. The challenge
/// has no parameters.
pub const CHALLENGE: HeaderValue = HeaderValue::from_static(SCHEME);

/// The field `Txn-Token`.
pub const TXN_TOKEN: HeaderName = HeaderName::from_static("txn-token");

/// Maximum length in bytes of a token in any of these fields.
pub const MAX_FIELD_LEN: usize = 8 * 1024;

/// The WIT and the proof of a request, not verified.
///
/// ```
/// use aims_wimse_wpt::{Revisions, fields::Presented};
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// assert!(Presented::find(&headers, Revisions::default())?.is_none());
///
/// headers.insert("workload-identity-token", "e30.e30.c2ln".parse()?);
/// let error = Presented::find(&headers, Revisions::default()).unwrap_err();
/// assert_eq!(error.code(), "wpt.field_missing"); // a WIT without its proof
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    wit: &'a str,
    proof: Proof<'a>,
}

impl<'a> Presented<'a> {
    /// Finds the WIT and a proof of one of these revisions. Returns `None` if the request has
    /// neither.
    ///
    /// It checks length and shape of the fields, and nothing else.
    ///
    /// # Errors
    ///
    /// `wpt.field_missing`, `wpt.field_repeated`, `wpt.field_too_long`, `wpt.field_syntax`,
    /// `wpt.both_forms`; `wpt.revision` if the request has a WIT and a proof of a revision that is
    /// not accepted.
    pub fn find(headers: &'a HeaderMap, accepted: Revisions) -> Result<Option<Self>, Error> {
        let wit = workload_identity_token(headers)?;
        let proof = workload_proof_token(headers, accepted)?;
        match (wit, proof) {
            (Some(wit), Some(proof)) => Ok(Some(Self { wit, proof })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(identity_missing()),
            (Some(_), None) => Err(proof_missing(headers, accepted)),
        }
    }

    /// Returns the text of the WIT.
    #[must_use]
    pub const fn wit(&self) -> &'a str {
        self.wit
    }

    /// Returns the text of the WPT.
    #[must_use]
    pub const fn wpt(&self) -> &'a str {
        self.proof.text
    }

    /// Returns the revision of the draft, as given by the form in which the proof was sent.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.proof.revision
    }

    /// Returns the WPT with its revision.
    #[must_use]
    pub const fn proof(&self) -> Proof<'a> {
        self.proof
    }
}

impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented").finish_non_exhaustive()
    }
}

/// A proof as it was sent in a request, not verified.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    text: &'a str,
    revision: Revision,
}

impl<'a> Proof<'a> {
    /// Returns the text of the WPT.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the revision of the draft, as given by the form in which the proof was sent.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }
}

impl std::fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// Returns the value of `Workload-Identity-Token`, or `None` without that field
/// (draft-ietf-wimse-workload-creds §5.1.1).
///
/// # Errors
///
/// `wpt.field_repeated`, `wpt.field_too_long`, `wpt.field_syntax`.
pub fn workload_identity_token(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    sole_jwt(headers, &WORKLOAD_IDENTITY_TOKEN, WIT)
}

/// Finds the proof alone, without a WIT.
///
/// The proof is `Authorization: WPT` as the only `Authorization` field (draft-ietf-wimse-wpt-02),
/// or one `Workload-Proof-Token` field (-01). The form of a revision that is not accepted counts as
/// no proof.
///
/// # Errors
///
/// `wpt.both_forms` if the request has both forms, whichever are accepted; `wpt.field_repeated`,
/// `wpt.field_too_long`, `wpt.field_syntax`.
pub fn workload_proof_token(
    headers: &HeaderMap,
    accepted: Revisions,
) -> Result<Option<Proof<'_>>, Error> {
    let forms = Forms::of(headers);
    if forms == Forms::BOTH {
        return Err(Error::BothForms);
    }
    let revision = match forms.sole() {
        Some(revision) if accepted.accepts(revision) => revision,
        _ => return Ok(None),
    };
    let text = match revision {
        Revision::Draft01 => sole_jwt(headers, &WORKLOAD_PROOF_TOKEN, WPT_DRAFT_01)?,
        Revision::Draft02 => sole_credentials(headers)?,
    };
    Ok(text.map(|text| Proof { text, revision }))
}

/// Returns the error for a request with a WIT and without an accepted proof: the proof is missing,
/// or is of another revision.
#[must_use]
pub fn proof_missing(headers: &HeaderMap, accepted: Revisions) -> Error {
    match Forms::of(headers).sole() {
        Some(found) if !accepted.accepts(found) => Error::Revision { found },
        _ => Error::FieldMissing {
            field: match accepted.newest() {
                Revision::Draft01 => WPT_DRAFT_01,
                Revision::Draft02 => WPT,
            },
        },
    }
}

/// Returns the error for a request with a proof and without a WIT: `wpt.field_missing`.
#[must_use]
pub const fn identity_missing() -> Error {
    Error::FieldMissing { field: WIT }
}

/// Returns the value of `Txn-Token`, or `None` without that field.
///
/// # Errors
///
/// `wpt.field_repeated`, `wpt.field_too_long`, `wpt.field_syntax`.
pub fn txn_token(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    sole_jwt(headers, &TXN_TOKEN, TXN)
}

/// Adds the WIT and a proof of this revision to the headers of a request.
///
/// It replaces a WIT and a `Workload-Proof-Token` that the headers already have, and marks the new
/// values as sensitive.
///
/// # Errors
///
/// `wpt.authorization` if the request already has credentials that conflict: any `Authorization`
/// field in [`Revision::Draft02`], one of the scheme `WPT` in [`Revision::Draft01`].
/// `wpt.field_syntax` if a text is not a compact JWT. On an error the headers are unchanged.
pub fn apply(
    headers: &mut HeaderMap,
    wit: &str,
    wpt: &str,
    revision: Revision,
) -> Result<(), Error> {
    let wit = sensitive(wit, wit, WIT)?;
    match revision {
        Revision::Draft01 => {
            if Forms::of(headers).draft02 {
                return Err(Error::Authorization);
            }
            let wpt = sensitive(wpt, wpt, WPT_DRAFT_01)?;
            headers.insert(WORKLOAD_PROOF_TOKEN, wpt);
        }
        Revision::Draft02 => {
            if headers.contains_key(AUTHORIZATION) {
                return Err(Error::Authorization);
            }
            let credentials = sensitive(wpt, &format!("{SCHEME} {wpt}"), WPT)?;
            headers.remove(WORKLOAD_PROOF_TOKEN);
            headers.insert(AUTHORIZATION, credentials);
        }
    }
    headers.insert(WORKLOAD_IDENTITY_TOKEN, wit);
    Ok(())
}

/// Returns whether a response asks for a proof by `WWW-Authenticate: WPT`.
///
/// It ignores parameters of the challenge, and challenges of other schemes.
#[must_use]
pub fn is_challenged(headers: &HeaderMap) -> bool {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let mut texts = values.filter_map(|value| str::from_utf8(value.as_bytes()).ok());
    texts.any(|text| elements(text).any(is_wpt_challenge))
}

/// Returns the HTTP status for a request that is refused for its WIT, its proof or its transaction
/// token.
///
/// `revision` is the revision of the proof, or the one that the receiver asks for.
///
/// | status | reason |
/// |---|---|
/// | 400 | the WIT or the transaction token is malformed; in -01 also: the proof is not accepted |
/// | 401 | in -02: the proof is missing or not accepted; send [`CHALLENGE`] as `WWW-Authenticate` |
/// | 431 | a field is too long |
/// | 503 | the replay store cannot tell whether the proof was used |
#[must_use]
pub fn status(error: &Error, revision: Revision) -> StatusCode {
    use aims_replay::Error as Replay;
    match error {
        Error::FieldTooLong { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Error::Replay(Replay::Replayed | Replay::Expired | Replay::Horizon) => refused(revision),
        Error::Replay(_full_or_away) => StatusCode::SERVICE_UNAVAILABLE,
        Error::FieldMissing { field }
        | Error::FieldRepeated { field }
        | Error::FieldSyntax { field }
            if matches!(*field, WIT | TXN) =>
        {
            StatusCode::BAD_REQUEST
        }
        _ => refused(revision),
    }
}

const fn refused(revision: Revision) -> StatusCode {
    match revision {
        Revision::Draft01 => StatusCode::BAD_REQUEST,
        Revision::Draft02 => StatusCode::UNAUTHORIZED,
    }
}

/// Returns the audience of a proof for a request to this URI: the URI without query and fragment.
///
/// It is for senders. A receiver takes its audience from its configuration (draft-ietf-wimse-wpt
/// §2).
///
/// ```
/// let target = "https://tool.example/search?q=1".parse()?;
/// assert_eq!(aims_wimse_wpt::fields::audience(&target)?, "https://tool.example/search");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// `wpt.target` if the URI is not absolute or has user information.
pub fn audience(target: &Uri) -> Result<String, Error> {
    let (Some(scheme), Some(authority)) = (target.scheme_str(), target.authority()) else {
        let reason = "is relative";
        return Err(Error::Target { reason });
    };
    if authority.as_str().contains('@') {
        let reason = "has user information";
        return Err(Error::Target { reason });
    }
    Ok(format!("{scheme}://{authority}{}", target.path()))
}

const WIT: &str = "workload-identity-token";
const WPT: &str = "authorization: WPT";
const WPT_DRAFT_01: &str = "workload-proof-token";
const TXN: &str = "txn-token";

/// The forms in which a request has proofs, whether well-formed or not.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Forms {
    draft01: bool,
    draft02: bool,
}

impl Forms {
    const BOTH: Self = Self {
        draft01: true,
        draft02: true,
    };

    fn of(headers: &HeaderMap) -> Self {
        let mut authorization = headers.get_all(AUTHORIZATION).iter();
        Self {
            draft01: headers.contains_key(WORKLOAD_PROOF_TOKEN),
            draft02: authorization.any(|value| has_scheme(value.as_bytes())),
        }
    }

    const fn sole(self) -> Option<Revision> {
        match (self.draft01, self.draft02) {
            (true, false) => Some(Revision::Draft01),
            (false, true) => Some(Revision::Draft02),
            _ => None,
        }
    }
}

/// Returns whether credentials or a challenge have the scheme `WPT`, in any case.
fn has_scheme(value: &[u8]) -> bool {
    let (scheme, rest) = value.split_at_checked(SCHEME.len()).unwrap_or((value, b""));
    scheme.eq_ignore_ascii_case(SCHEME.as_bytes())
        && rest
            .first()
            .is_none_or(|next| matches!(next, b' ' | b'\t' | b','))
}

/// Returns the JWT of `Authorization: WPT`, which must be the only field of this name.
fn sole_credentials(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let field = WPT;
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() || value.as_bytes().contains(&b',') {
        return Err(Error::FieldRepeated { field });
    }
    let credentials = value.as_bytes().get(SCHEME.len()..).unwrap_or_default();
    let blanks = credentials.iter().take_while(|byte| **byte == b' ').count();
    let jwt = credentials.get(blanks..).unwrap_or_default();
    if jwt.len() > MAX_FIELD_LEN {
        let limit = MAX_FIELD_LEN;
        return Err(Error::FieldTooLong { field, limit });
    }
    match str::from_utf8(jwt) {
        Ok(jwt) if is_compact(jwt) => Ok(Some(jwt)),
        _ => Err(Error::FieldSyntax { field }),
    }
}

/// Creates the field value of a token and marks it as sensitive.
fn sensitive(token: &str, text: &str, field: &'static str) -> Result<HeaderValue, Error> {
    if !is_compact(token) {
        return Err(Error::FieldSyntax { field });
    }
    let mut value = HeaderValue::from_str(text).or(Err(Error::FieldSyntax { field }))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Splits a list at commas outside quoted strings (RFC 9110 §5.6.1).
fn elements(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter| {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    })
    .map(str::trim)
}

/// Returns whether an element begins a challenge of this scheme, and is not the parameter `wpt=…`
/// of another challenge (RFC 9110 §11.3).
fn is_wpt_challenge(element: &str) -> bool {
    let rest = element.get(SCHEME.len()..).unwrap_or_default();
    has_scheme(element.as_bytes()) && !rest.trim_start().starts_with('=')
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
        // An intermediary has joined several fields to a list.
        Ok(text) if text.contains(',') && text.split(',').all(|part| is_compact(part.trim())) => {
            Err(Error::FieldRepeated { field })
        }
        _ => Err(Error::FieldSyntax { field }),
    }
}

/// Returns whether the text is `base64url "." base64url "." base64url` with no empty part.
fn is_compact(text: &str) -> bool {
    let Some((signed, signature)) = text.rsplit_once('.') else {
        return false;
    };
    let Some((header, payload)) = signed.split_once('.') else {
        return false;
    };
    // Check every byte without an early exit, so that the compiler can vectorize the loop.
    let known = text
        .bytes()
        .fold(true, |all, byte| all & is_base64url_or_dot(byte));
    let empty = header.is_empty() || payload.is_empty() || signature.is_empty();
    known && !empty && !payload.contains('.')
}

/// `-`, `.` and the digits are adjacent in ASCII, except for the slash.
const fn is_base64url_or_dot(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26
        || byte.wrapping_sub(b'-') < 13 && byte != b'/'
        || byte == b'_'
}
