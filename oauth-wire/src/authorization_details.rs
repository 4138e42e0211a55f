//! `authorization_details` (RFC 9396): what a token permits, in entries that have a `type` each.
//!
//! An application describes one `type` by implementing [`DetailType`]: how an entry is parsed, and
//! how two entries compare. [`ToolDetail`] is the type `aims_tool`.
//!
//! ```
//! use aims_oauth_wire::authorization_details::{AuthorizationDetails, ToolDetail};
//!
//! let claim = r#"[{"type":"aims_tool","actions":["read","write"]}]"#;
//! let granted = AuthorizationDetails::parse(claim)?;
//! let tool = "https://tools.example/mcp";
//! assert!(granted.permit(&ToolDetail::new().actions(["read"]), tool));
//! assert!(!granted.permit(&ToolDetail::new().actions(["delete"]), tool));
//! # Ok::<(), aims_oauth_wire::Error>(())
//! ```

mod tool;

use core::fmt;

use serde_json::value::RawValue;

pub use tool::ToolDetail;

use crate::Error;
use crate::delegate::claim::{members, parsed, text, texts};
use crate::delegate::{Entry as Compared, Verdict};
use crate::names::root_slash_variant;

/// The maximum number of entries.
pub const MAX_ENTRIES: usize = 64;

/// One `type` of authorization details (RFC 9396 §2): parses its entries and compares them.
///
/// ```
/// use aims_oauth_wire::authorization_details::{AuthorizationDetails, DetailType};
/// use aims_oauth_wire::delegate::Verdict;
///
/// /// Permits payments up to an amount.
/// #[derive(Debug, serde::Deserialize, serde::Serialize)]
/// struct Payment {
///     amount: u64,
/// }
///
/// impl DetailType for Payment {
///     const TYPE: &'static str = "payment";
///
///     fn parse(entry: &str) -> Option<Self> {
///         serde_json::from_str(entry).ok()
///     }
///
///     fn to_json(&self) -> String {
///         format!(r#"{{"type":"payment","amount":{}}}"#, self.amount)
///     }
///
///     fn compare(&self, wanted: &Self) -> Verdict {
///         match wanted.amount.cmp(&self.amount) {
///             std::cmp::Ordering::Less => Verdict::Narrower,
///             std::cmp::Ordering::Equal => Verdict::Equal,
///             std::cmp::Ordering::Greater => Verdict::Wider,
///         }
///     }
/// }
///
/// let granted = AuthorizationDetails::parse(r#"[{"type":"payment","amount":50}]"#)?;
/// assert!(granted.permit(&Payment { amount: 20 }, "https://bank.example"));
/// assert!(!granted.permit(&Payment { amount: 51 }, "https://bank.example"));
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
pub trait DetailType: fmt::Debug + Sized + Send + Sync + 'static {
    /// The value of `type`.
    const TYPE: &'static str;

    /// Parses an entry of this type: a JSON object in which no member occurs twice. Returns `None`
    /// for an entry that is not well-formed. Such an entry permits nothing.
    fn parse(entry: &str) -> Option<Self>;

    /// Returns the entry as a JSON object with the member `type`, as a client asks for it.
    fn to_json(&self) -> String;

    /// Compares `wanted` with this entry, which is granted.
    fn compare(&self, wanted: &Self) -> Verdict;

    /// Returns whether this granted entry permits `wanted` at a resource. The resource is one of
    /// the entry's `locations`, if it has any.
    ///
    /// By default it does if `wanted` is equal or narrower.
    fn permits(&self, wanted: &Self, resource: &str) -> bool {
        let _same_for_all = resource;
        self.compare(wanted).is_no_more()
    }
}

/// The entries of `authorization_details` of a token, in order. Nothing is known about their types.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuthorizationDetails(Vec<Entry>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Entry {
    kind: Box<str>,
    json: Box<str>,
}

impl AuthorizationDetails {
    /// Parses the value of the claim or parameter: a JSON array of objects, each with a `type` (RFC
    /// 9396 §2).
    ///
    /// # Errors
    ///
    /// `oauth.authorization_details` for another form, more than [`MAX_ENTRIES`] entries, or a
    /// member that occurs twice.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let malformed = |reason| Err(Error::AuthorizationDetails { reason });
        let Some(entries) = parsed::<Vec<&RawValue>>(json) else {
            return malformed("it is not an array of objects");
        };
        if entries.len() > MAX_ENTRIES {
            return malformed("it has more than 64 entries");
        }
        let entry = |raw: &&RawValue| {
            let all = members(raw.get())?;
            Some(Entry {
                kind: text(all.get("type")?.get())?,
                json: raw.get().into(),
            })
        };
        let all: Option<_> = entries.iter().map(entry).collect();
        let reason = "an entry is no object with a `type`, or a member occurs twice";
        all.map_or_else(|| malformed(reason), |all| Ok(Self(all)))
    }

    /// Adds an entry.
    ///
    /// ```
    /// use aims_oauth_wire::authorization_details::{AuthorizationDetails, ToolDetail};
    ///
    /// let asked = AuthorizationDetails::default().with(&ToolDetail::new().actions(["read"]))?;
    /// assert_eq!(asked.to_json(), r#"[{"type":"aims_tool","actions":["read"]}]"#);
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `oauth.authorization_details` if the type writes something other than an object with its
    /// `type`, or for more than [`MAX_ENTRIES`] entries.
    pub fn with<T: DetailType>(mut self, detail: &T) -> Result<Self, Error> {
        let mut entry = Self::parse(&format!("[{}]", detail.to_json()))?;
        let is_own = entry.types().eq([T::TYPE]);
        if !is_own || self.0.len() >= MAX_ENTRIES {
            let reason = "an entry has another `type` than its own, or there are too many";
            return Err(Error::AuthorizationDetails { reason });
        }
        self.0.append(&mut entry.0);
        Ok(self)
    }

    /// Returns the entries as a JSON array.
    #[must_use]
    pub fn to_json(&self) -> String {
        let entries: Vec<&str> = self.0.iter().map(|entry| &*entry.json).collect();
        format!("[{}]", entries.join(","))
    }

    /// Returns whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Iterates over `type` of each entry.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|entry| &*entry.kind)
    }

    /// Iterates over `type` of each entry that no entry of `asked` covers.
    ///
    /// Entries of the type `aims_tool` are compared member by member, and those of any other type
    /// must be equal (RFC 8785), as in [`delegate`](crate::delegate).
    ///
    /// ```
    /// use aims_oauth_wire::authorization_details::AuthorizationDetails;
    ///
    /// let asked = r#"[{"type":"aims_tool","actions":["read"]},{"type":"pay","amount":5}]"#;
    /// let granted = r#"[{"type":"aims_tool","actions":["read"]},{"type":"pay","amount":6}]"#;
    /// let asked = AuthorizationDetails::parse(asked)?;
    /// let granted = AuthorizationDetails::parse(granted)?;
    /// assert!(granted.beyond(&asked).eq(["pay"]));
    /// # Ok::<(), aims_oauth_wire::Error>(())
    /// ```
    pub fn beyond(&self, asked: &Self) -> impl Iterator<Item = &str> {
        let asked = asked.0.iter().filter_map(|it| Compared::read(&it.json));
        let asked: Vec<Compared> = asked.collect();
        let is_covered = move |entry: &Entry| {
            Compared::read(&entry.json).is_some_and(|granted| {
                let verdicts = asked.iter().map(|own| own.compare_whole(&granted));
                verdicts.into_iter().any(Verdict::is_no_more)
            })
        };
        let beyond = self.0.iter().filter(move |entry| !is_covered(entry));
        beyond.map(|entry| &*entry.kind)
    }

    /// Returns the entries of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Iterates over the entries of one type that are for this resource. Others permit nothing
    /// there.
    ///
    /// An entry with `locations` is for a resource that is one of them (RFC 9396 §2.2). A URL
    /// without a path is the same resource with and without its root slash. Entries that are not
    /// well-formed are left out.
    pub fn of<T: DetailType>(&self, resource: &str) -> impl Iterator<Item = T> {
        let own = self.0.iter().filter(|entry| *entry.kind == *T::TYPE);
        own.filter(|entry| is_for(&entry.json, resource))
            .filter_map(|entry| T::parse(&entry.json))
    }

    /// Returns whether one entry permits `wanted` at this resource.
    pub fn permit<T: DetailType>(&self, wanted: &T, resource: &str) -> bool {
        self.of::<T>(resource)
            .any(|granted| granted.permits(wanted, resource))
    }
}

/// Returns whether an entry is for a resource: it has no `locations`, or the resource is one of
/// them.
fn is_for(entry: &str, resource: &str) -> bool {
    let Some(all) = members(entry) else {
        return false;
    };
    let Some(locations) = all.get("locations") else {
        return true;
    };
    let Some(locations) = texts(locations.get()) else {
        return false;
    };
    let variant = root_slash_variant(resource);
    locations.contains(resource) || variant.is_some_and(|it| locations.contains(it.as_str()))
}
