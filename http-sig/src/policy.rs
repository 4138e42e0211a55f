//! The requirements of a verifier (RFC 9421 §3.2.1).

use std::time::Duration;

use aims_jose::time::{self, Skew, UnixTime};
use aims_replay::Validity;

use crate::base::first_missing;
use crate::{
    Algorithms, Component, ComponentId, Error, Limits, Parameters, Section, UnverifiedSignature,
};

/// Requirements for a signature, and the selection of one signature of a message.
///
/// The covered components have no default, so every policy names them. The other settings default
/// to: the only signature without a tag, `created` at most 5 minutes ago, 30 s of skew, the five
/// algorithms with public keys, the header section, and [`Limits::default`].
///
/// ```
/// use std::time::Duration;
/// use aims_http_sig::{Component, Policy};
///
/// let digest = Component::field("content-digest")?;
/// let policy = Policy::requiring([Component::METHOD, Component::TARGET_URI, digest])
///     .with_tag("payments")
///     .with_max_age(Duration::from_secs(60))
///     .requiring_parameters(["nonce", "keyid"]);
/// # Ok::<(), aims_http_sig::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policy {
    label: Option<String>,
    tag: Tag,
    components: Vec<Component>,
    required: Vec<String>,
    forbidden: Vec<String>,
    max_age: u64,
    skew: Skew,
    algorithms: Algorithms,
    section: Section,
    limits: Limits,
}

#[derive(Clone, Debug)]
enum Tag {
    Any,
    Is(String),
    None,
}

impl Policy {
    /// Requires a signature that covers at least these components.
    ///
    /// An empty list requires no component. A signature that covers no component is then accepted
    /// with every message. It proves only the parts of the message that
    /// [`covers`](crate::VerifiedSignature::covers) names.
    #[must_use]
    pub fn requiring(components: impl IntoIterator<Item = Component>) -> Self {
        Self {
            label: None,
            tag: Tag::None,
            components: components.into_iter().collect(),
            required: Vec::new(),
            forbidden: Vec::new(),
            max_age: 300,
            skew: Skew::default(),
            algorithms: Algorithms::PUBLIC_KEY,
            section: Section::Headers,
            limits: Limits::default(),
        }
    }

    /// Selects the signature with this label. The sender chooses a label for one message only; the
    /// purpose of a signature is in its tag (RFC 9421 §7.2.5).
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Selects the signature with this tag. Signatures of other purposes are not accepted (RFC 9421
    /// §7.2.7).
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Tag::Is(tag.into());
        self
    }

    /// Selects a signature of any purpose, with or without a tag.
    #[must_use]
    pub fn with_any_tag(mut self) -> Self {
        self.tag = Tag::Any;
        self
    }

    /// Requires these parameters. `created` is always required.
    #[must_use]
    pub fn requiring_parameters<P: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = P>,
    ) -> Self {
        self.required.extend(names.into_iter().map(Into::into));
        self
    }

    /// Refuses a signature with one of these parameters.
    #[must_use]
    pub fn forbidding_parameters<P: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = P>,
    ) -> Self {
        self.forbidden.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets the maximum age of `created` in whole seconds, whatever `expires` states. Defaults to 5
    /// min.
    #[must_use]
    pub const fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age.as_secs();
        self
    }

    /// Sets the clock skew. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Sets the accepted algorithms. Defaults to [`Algorithms::PUBLIC_KEY`]. `hmac-sha256` is
    /// accepted only if it is named here.
    #[must_use]
    pub const fn with_algorithms(mut self, algorithms: Algorithms) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// Sets the limits. Defaults to [`Limits::default`].
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Requires these components, instead of those that were set before.
    pub(crate) fn with_components(mut self, all: impl IntoIterator<Item = Component>) -> Self {
        self.components = all.into_iter().collect();
        self
    }

    /// Reads the two fields from the trailers (RFC 9421 §4.1).
    #[must_use]
    pub const fn in_trailers(mut self) -> Self {
        self.section = Section::Trailers;
        self
    }

    /// Returns the clock skew.
    #[must_use]
    pub const fn skew(&self) -> Skew {
        self.skew
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) const fn section(&self) -> Section {
        self.section
    }

    pub(crate) const fn algorithms(&self) -> Algorithms {
        self.algorithms
    }

    /// Returns whether this policy selects the signature.
    pub(crate) fn selects(&self, signature: &UnverifiedSignature<'_>) -> bool {
        match &self.label {
            Some(label) => label == signature.label(),
            None => self.has_tag(signature.parameters()),
        }
    }

    fn has_tag(&self, parameters: &Parameters<'_>) -> bool {
        match (&self.tag, parameters.tag()) {
            (Tag::Any, _) | (Tag::None, None) => true,
            (Tag::Is(wanted), Some(found)) => *wanted == found,
            _ => false,
        }
    }

    /// Checks the purpose, the times and the presence of parameters. Returns the time during
    /// which the signature is accepted.
    pub(crate) fn check_parameters(
        &self,
        parameters: &Parameters<'_>,
        now: UnixTime,
    ) -> Result<Validity, Error> {
        if !self.has_tag(parameters) {
            return Err(Error::Tag);
        }
        let mut required = self.required.iter();
        if let Some(name) = required.find(|name| !parameters.has(name)) {
            return Err(Error::ParameterRequired {
                parameter: name.clone(),
            });
        }
        let mut forbidden = self.forbidden.iter();
        if let Some(name) = forbidden.find(|name| parameters.has(name)) {
            return Err(Error::ParameterForbidden {
                parameter: name.clone(),
            });
        }
        self.check_times(parameters, now.as_secs())
    }

    fn check_times(&self, parameters: &Parameters<'_>, now: u64) -> Result<Validity, Error> {
        let Some(created) = parameters.created() else {
            return Err(Error::ParameterRequired {
                parameter: "created".to_owned(),
            });
        };
        if parameters
            .expires()
            .is_some_and(|expires| expires < created)
        {
            return Err(Error::ExpiresBeforeCreated);
        }
        if self.skew.is_future(created, now) {
            return Err(Error::CreatedInFuture);
        }
        if parameters
            .expires()
            .is_some_and(|expires| self.skew.is_past(expires, now))
        {
            return Err(Error::Expired);
        }
        let end = created.saturating_add(self.max_age);
        if self.skew.is_past(end, now) {
            return Err(Error::TooOld {
                created,
                now,
                max_age: self.max_age,
            });
        }
        let end = parameters.expires().map_or(end, |expires| expires.min(end));
        let from = time::at(created.saturating_sub(self.skew.as_secs()));
        Ok(Validity::new(from, self.skew.remember_until(end)))
    }

    /// Checks that the required components are covered.
    pub(crate) fn check_components(&self, covered: &[ComponentId<'_>]) -> Result<(), Error> {
        match first_missing(covered, self.components.iter().map(Component::id)) {
            Some(component) => Err(Error::ComponentRequired { component }),
            None => Ok(()),
        }
    }
}
