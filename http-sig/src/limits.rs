//! How much is looked at.

/// The most that is read of a message's signatures. What is more is refused while it is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    pub(crate) signatures: usize,
    pub(crate) components: usize,
    pub(crate) parameters: usize,
    pub(crate) field_len: usize,
    pub(crate) base_len: usize,
}

impl Default for Limits {
    /// 8 signatures, 64 components and 32 parameters each, 16 KiB for each of the two fields, 64
    /// KiB for a signature base.
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
    /// At most that many signatures, up to 64.
    #[must_use]
    pub const fn with_signatures(mut self, most: usize) -> Self {
        self.signatures = if most < 64 { most } else { 64 };
        self
    }

    /// At most that many components in a signature, up to 256.
    #[must_use]
    pub const fn with_components(mut self, most: usize) -> Self {
        self.components = if most < 256 { most } else { 256 };
        self
    }

    /// At most that many parameters of a signature, up to 256.
    #[must_use]
    pub const fn with_parameters(mut self, most: usize) -> Self {
        self.parameters = if most < 256 { most } else { 256 };
        self
    }

    /// At most that many bytes in all lines of `Signature-Input`, and as many in those of
    /// `Signature`.
    #[must_use]
    pub const fn with_field_len(mut self, most: usize) -> Self {
        self.field_len = most;
        self
    }

    /// At most that many bytes in a signature base, so in all covered values together; and as many
    /// are parsed for it: a field for each of its members that is covered, and the query for each
    /// of its parameters.
    #[must_use]
    pub const fn with_base_len(mut self, most: usize) -> Self {
        self.base_len = most;
        self
    }
}
