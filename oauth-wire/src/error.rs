/// Why a message was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An issuer identifier is not an https URL without query and fragment.
    #[error("not an issuer identifier: {0}")]
    Issuer(&'static str),
}
