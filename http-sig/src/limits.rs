//! Limits on the input.

/// Limits on the signatures of a message. Input beyond a limit is refused while it is read.
///
/// ```
/// use aims_http_sig::{Component, Limits, Policy};
///
/// let limits = Limits::default().with_signatures(2).with_field_len(4 * 1024);
/// let policy = Policy::requiring([Component::METHOD]).with_limits(limits);
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    pub(crate) signatures: usize,
    pub(crate) components: usize,
    pub(crate) parameters: usize,
    pub(crate) field_len: usize,
    pub(crate) base_len: usize,
}

impl Default for Limits {
    /// 8 signatures with 64 components and 32 parameters each, 16 KiB for each of the two fields,
    /// 64 KiB for a signature base.
    fn default() -> Self {
        Self {
            signatures: 8,
            components: 64,
            parameters: 32,
            field_len: 16 * 1024,
            base_len: 64 * 1024,
        }
    }
}

impl Limits {
    /// Sets the maximum number of signatures, up to 64.
    #[must_use]
    pub const fn with_signatures(mut self, most: usize) -> Self {
        self.signatures = if most < 64 { most } else { 64 };
        self
    }

    /// Sets the maximum number of components of a signature, up to 256.
    #[must_use]
    pub const fn with_components(mut self, most: usize) -> Self {
        self.components = if most < 256 { most } else { 256 };
        self
    }

    /// Sets the maximum number of parameters of a signature, up to 256.
    #[must_use]
    pub const fn with_parameters(mut self, most: usize) -> Self {
        self.parameters = if most < 256 { most } else { 256 };
        self
    }

    /// Sets the maximum length in bytes of all lines of `Signature-Input`, and of all lines of
    /// `Signature`.
    #[must_use]
    pub const fn with_field_len(mut self, most: usize) -> Self {
        self.field_len = most;
        self
    }

    /// Sets the maximum length in bytes of a signature base, and so of all covered values together.
    ///
    /// The same limit applies to the bytes that are parsed for it. A field is parsed for each
    /// covered member, and the query for each covered parameter.
    #[must_use]
    pub const fn with_base_len(mut self, most: usize) -> Self {
        self.base_len = most;
        self
    }
}
