//! The header fields of HTTP requests (draft-ietf-wimse-workload-creds §5.1.1, draft-ietf-wimse-wpt
//! §3).

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::uri::Uri;

use crate::{Error, Revision, Revisions};

/// `Workload-Identity-Token`.
pub const WORKLOAD_IDENTITY_TOKEN: HeaderName = HeaderName::from_static("workload-identity-token");

/// `Workload-Proof-Token`, the field of a proof of draft-ietf-wimse-wpt-01.
pub const WORKLOAD_PROOF_TOKEN: HeaderName = HeaderName::from_static("workload-proof-token");

/// `WPT`, the scheme of `Authorization` for a proof of draft-ietf-wimse-wpt-02.
pub const SCHEME: &str = "WPT";

/// The value of `WWW-Authenticate` that asks for a proof of draft-ietf-wimse-wpt-02. The challenge
/// has no parameters.
pub const CHALLENGE: HeaderValue = HeaderValue::from_static(SCHEME);

/// `Txn-Token`.
pub const TXN_TOKEN: HeaderName = HeaderName::from_static("txn-token");

/// The longest token in any of these fields, in bytes.
pub const MAX_FIELD_LEN: usize = 8 * 1024;

/// The WIT and the proof of a request. Nothing of them is verified.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    wit: &'a str,
    proof: Proof<'a>,
}

impl<'a> Presented<'a> {
    /// Finds the WIT and a proof of one of these revisions: both once, or neither. Their length and
    /// shape are checked before anything else.
    ///
    /// # Errors
    ///
    /// `wpt.field_missing`, `wpt.field_repeated`, `wpt.field_too_long`, `wpt.field_syntax`,
    /// `wpt.both_forms`; `wpt.revision` where the request has a WIT and a proof of a revision that
    /// is not accepted.
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

    /// The WIT's text.
    #[must_use]
    pub const fn wit(&self) -> &'a str {
        self.wit
    }

    /// The WPT's text.
    #[must_use]
    pub const fn wpt(&self) -> &'a str {
        self.proof.text
    }

    /// The revision of the draft by whose form the proof was sent.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.proof.revision
    }

    /// The WPT with its revision.
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

/// A proof as it stands in a request, of which nothing is verified.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    text: &'a str,
    revision: Revision,
}

impl<'a> Proof<'a> {
    /// The WPT's text.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The revision of the draft by whose form the proof was sent.
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

/// Finds the `Workload-Identity-Token` field alone: once, or not at all
/// (draft-ietf-wimse-workload-creds §5.1.1).
///
/// # Errors
///
/// `wpt.field_repeated`, `wpt.field_too_long`, `wpt.field_syntax`.
pub fn workload_identity_token(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    sole_jwt(headers, &WORKLOAD_IDENTITY_TOKEN, WIT)
}

/// Finds the proof alone: `Authorization: WPT` as the one `Authorization` field
/// (draft-ietf-wimse-wpt-02), or one `Workload-Proof-Token` field (-01). The form of a revision
/// that is not accepted is no proof.
///
/// # Errors
///
/// `wpt.both_forms` where the request has both, whatever is accepted; `wpt.field_repeated`,
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

/// Why a request with a WIT has no proof that this receiver accepts: it has none, or one of another
/// revision.
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

/// The refusal of a request with a proof and without a WIT: `wpt.field_missing`.
#[must_use]
pub const fn identity_missing() -> Error {
    Error::FieldMissing { field: WIT }
}

/// Finds the `Txn-Token` field: once, or not at all.
///
/// # Errors
///
/// `wpt.field_repeated`, `wpt.field_too_long`, `wpt.field_syntax`.
pub fn txn_token(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    sole_jwt(headers, &TXN_TOKEN, TXN)
}

/// Adds the WIT and a proof of this revision to a request's headers, in place of a WIT or
/// `Workload-Proof-Token` that is there, and marks them as sensitive.
///
/// # Errors
///
/// `wpt.authorization` where the proof would share the request with another credential: in
/// [`Revision::Draft02`] any `Authorization` field, in [`Revision::Draft01`] one of the scheme
/// `WPT`. `wpt.field_syntax` where a text is no compact JWT. The headers are unchanged then.
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

/// Whether a response asks for a proof by `WWW-Authenticate: WPT`. Parameters of the challenge are
/// ignored, and so are challenges of other schemes.
#[must_use]
pub fn is_challenged(headers: &HeaderMap) -> bool {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let mut texts = values.filter_map(|value| str::from_utf8(value.as_bytes()).ok());
    texts.any(|text| elements(text).any(is_wpt_challenge))
}

/// The status of the answer to a request that is refused for its WIT, its proof or its transaction
/// token, where `revision` is the one of the proof, or the one that the receiver asks for.
///
/// | status | where |
/// |---|---|
/// | 400 | the WIT or the transaction token is malformed; in -01 also where the proof is not accepted |
/// | 401 | in -02, the proof is missing or not accepted; with [`CHALLENGE`] as `WWW-Authenticate` |
/// | 431 | a field is too long |
/// | 503 | the replay store cannot tell |
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

/// The audience of a proof for a request to this URI: the URI without query and fragment. For the
/// sender; a receiver knows its own from its configuration (draft-ietf-wimse-wpt §2).
///
/// # Errors
///
/// `wpt.target` where it is not absolute, or has user information.
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

/// In which forms a request has proofs, well-formed or not.
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

/// Whether credentials or a challenge are of the scheme `WPT`, in any case.
fn has_scheme(value: &[u8]) -> bool {
    let (scheme, rest) = value.split_at_checked(SCHEME.len()).unwrap_or((value, b""));
    scheme.eq_ignore_ascii_case(SCHEME.as_bytes())
        && rest
            .first()
            .is_none_or(|next| matches!(next, b' ' | b'\t' | b','))
}

/// The JWT of `Authorization: WPT`, which is the one field of this name.
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

/// A field's value that holds this token.
fn sensitive(token: &str, text: &str, field: &'static str) -> Result<HeaderValue, Error> {
    if !is_compact(token) {
        return Err(Error::FieldSyntax { field });
    }
    let mut value = HeaderValue::from_str(text).or(Err(Error::FieldSyntax { field }))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The elements of a list, which commas separate that are in no quoted string (RFC 9110 §5.6.1).
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

/// Whether an element begins a challenge of this scheme, and is not the parameter `wpt=…` of
/// another one (RFC 9110 §11.3).
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
