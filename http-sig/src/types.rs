//! The structured types of fields, for `sf` and `key`.

/// A structured type (RFC 9651 §3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 9651 has these three")]
pub enum FieldType {
    /// A dictionary.
    Dictionary,
    /// An item.
    Item,
    /// A list.
    List,
}

/// The structured types of fields: those of published standards, and those that the application
/// adds.
///
/// `sf` and `key` require the type of a field, so an unknown field cannot be covered with them (RFC
/// 9421 §2.1.1).
///
/// ```
/// use aims_http_sig::{FieldType, FieldTypes};
///
/// let types = FieldTypes::known().with("signature-agent", FieldType::Dictionary);
/// assert_eq!(types.of("signature-agent"), Some(FieldType::Dictionary));
/// assert_eq!(types.of("content-digest"), Some(FieldType::Dictionary));
/// assert_eq!(types.of("accept"), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FieldTypes {
    own: Vec<(String, FieldType)>,
}

impl FieldTypes {
    /// Creates the types of the fields that a published standard defines as structured.
    #[must_use]
    pub const fn known() -> Self {
        Self { own: Vec::new() }
    }

    /// Sets the type of a field, by its name in lower case. It overrides a known type.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, field_type: FieldType) -> Self {
        self.own.push((name.into(), field_type));
        self
    }

    /// Returns the type of the field with this name.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<FieldType> {
        let own = self.own.iter().rev().find(|(own, _)| own == name);
        own.map(|(_, field_type)| *field_type).or_else(|| {
            KNOWN
                .iter()
                .find(|(_, names)| names.contains(&name))
                .map(|(field_type, _)| *field_type)
        })
    }
}

/// The types of RFC 8942, 9209, 9211, 9213, 9218, 9297, 9421, 9440, 9530, 9745, 9842 and 9875, and
/// of WHATWG and W3C specifications.
const KNOWN: &[(FieldType, &[&str])] = &[
    (
        FieldType::Dictionary,
        &[
            "accept-signature",
            "cdn-cache-control",
            "content-digest",
            "permissions-policy",
            "priority",
            "reporting-endpoints",
            "repr-digest",
            "signature",
            "signature-input",
            "use-as-dictionary",
            "want-content-digest",
            "want-repr-digest",
        ],
    ),
    (
        FieldType::Item,
        &[
            "available-dictionary",
            "capsule-protocol",
            "client-cert",
            "cross-origin-embedder-policy",
            "cross-origin-embedder-policy-report-only",
            "cross-origin-opener-policy",
            "cross-origin-opener-policy-report-only",
            "deprecation",
            "dictionary-id",
            "origin-agent-cluster",
        ],
    ),
    (
        FieldType::List,
        &[
            "accept-ch",
            "cache-groups",
            "cache-group-invalidation",
            "cache-status",
            "client-cert-chain",
            "proxy-status",
        ],
    ),
];
