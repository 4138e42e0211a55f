//! Signs messages (RFC 9421 §3.1). Settings are created once; each message is prepared, signed by
//! the holder of the key, and gets two fields.

mod prepared;

use std::borrow::Cow;
use std::time::Duration;

use aims_error::shown;
use aims_jose::random::SecureRandom;
use aims_jose::time::UnixTime;

pub use prepared::{PreparedSignature, SignatureFields};

use crate::base::Draft;
use crate::sf::{BareItem, is_whole_key, write_parameter};
use crate::{Algorithm, Component, Error, Exchange, Limits};

/// Settings for signatures of one kind: the covered components and the parameters. The parameters
/// are written in the order of the calls.
///
/// ```
/// use std::time::Duration;
/// use aims_http_sig::{BareItem, Component, Exchange, HttpRequest, Signing};
/// use aims_jose::{alg::Algorithm, key::SigningKey, provider::AWS_LC, random, time::UnixTime};
///
/// let signing = Signing::new("sig1")
///     .covering([Component::METHOD, Component::TARGET_URI])
///     .with_created()
///     .with_expires_after(Duration::from_secs(60))
///     .with_random_nonce()
///     .with_tag("payments")
///     .with_parameter("wimse-aud", BareItem::string("https://tools.example/pay")?);
///
/// let now = UnixTime::now();
/// let key = SigningKey::generate(Algorithm::Ed25519, AWS_LC)?;
/// let (mut parts, ()) = http::Request::post("https://tools.example/pay").body(())?.into_parts();
/// let message = HttpRequest::to_send(&parts)?;
/// let prepared = signing.prepare(&Exchange::of(&message), random::SYSTEM, now)?;
/// prepared.sign(&key)?.apply(&mut parts.headers)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is signed until `prepare` is called"]
pub struct Signing {
    label: String,
    components: Vec<Component>,
    parameters: Vec<(String, Value)>,
    alg: Option<Algorithm>,
    limits: Limits,
    /// The first invalid setting, which `prepare` returns.
    problem: Option<Error>,
}

#[derive(Clone, Debug)]
enum Value {
    Created,
    ExpiresAfter(u64),
    /// The complete text `;name=value`.
    Given(String),
    RandomNonce,
}

impl Signing {
    /// Creates settings with this label that cover no component yet. A signature without components
    /// is valid for every message, so call [`covering`](Self::covering).
    ///
    /// A verifier of this crate requires [`created`](Self::with_created), and
    /// [`spend`](crate::UnspentSignature::spend) requires a [nonce](Self::with_random_nonce).
    /// Neither is added by default.
    pub fn new(label: impl Into<String>) -> Self {
        let label = label.into();
        let problem = (!is_whole_key(&label)).then(|| Error::Label {
            found: shown([label.as_str()]),
        });
        Self {
            label,
            components: Vec::new(),
            parameters: Vec::new(),
            alg: None,
            limits: Limits::default(),
            problem,
        }
    }

    /// Adds components to cover, in this order.
    pub fn covering(mut self, components: impl IntoIterator<Item = Component>) -> Self {
        for component in components {
            if self.components.contains(&component) {
                self.problem.get_or_insert(Error::ComponentRepeated {
                    component: component.as_str().to_owned(),
                });
            }
            self.components.push(component);
        }
        self
    }

    pub(crate) fn covers(&self, component: &Component) -> bool {
        self.components.contains(component)
    }

    /// Adds `created`, the time of signing.
    pub fn with_created(self) -> Self {
        self.with("created", Value::Created)
    }

    /// Adds `expires`: this long after the time of signing, in whole seconds, at least one.
    pub fn with_expires_after(mut self, lifetime: Duration) -> Self {
        if lifetime.as_secs() == 0 {
            self.problem.get_or_insert(Error::Prepare {
                reason: "the lifetime is less than a second",
            });
        }
        self.with("expires", Value::ExpiresAfter(lifetime.as_secs()))
    }

    /// Adds `nonce`: 128 random bits, new for each signature.
    pub fn with_random_nonce(self) -> Self {
        self.with("nonce", Value::RandomNonce)
    }

    /// Adds `nonce` with this text, which the verifier asked for.
    pub fn with_nonce(self, nonce: &str) -> Self {
        self.with_text("nonce", nonce)
    }

    /// Adds `alg`, the name of the algorithm. A key of another algorithm is then refused.
    pub fn with_alg(mut self, algorithm: Algorithm) -> Self {
        self.alg = Some(algorithm);
        self.with_text("alg", algorithm.name())
    }

    /// Adds `keyid`, the name of the key.
    pub fn with_key_id(self, key_id: &str) -> Self {
        self.with_text("keyid", key_id)
    }

    /// Adds `tag`, the purpose of the signature.
    pub fn with_tag(self, tag: &str) -> Self {
        self.with_text("tag", tag)
    }

    /// Adds a parameter of a profile. The six registered parameters have their own methods and are
    /// refused here.
    pub fn with_parameter(mut self, name: &str, value: BareItem<'_>) -> Self {
        if ["created", "expires", "nonce", "alg", "keyid", "tag"].contains(&name) {
            self.problem.get_or_insert(Error::Prepare {
                reason: "a registered parameter is given by its own method",
            });
        }
        self.with_item(name, &value)
    }

    /// Sets the limits on the signature base. Defaults to [`Limits::default`].
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn with_text(mut self, name: &str, text: &str) -> Self {
        let wrong = match BareItem::string(text) {
            Ok(value) if !text.is_empty() => return self.with_item(name, &value),
            Ok(_) => Error::Prepare {
                reason: "a parameter is empty",
            },
            Err(error) => error,
        };
        self.problem.get_or_insert(wrong);
        self
    }

    fn with_item(mut self, name: &str, item: &BareItem<'_>) -> Self {
        if !item.is_canonical() {
            self.problem.get_or_insert(Error::Prepare {
                reason: "the value of a parameter is not what its type says",
            });
        }
        let mut text = String::new();
        write_parameter(&mut text, name, item);
        self.with(name, Value::Given(text))
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        let wrong = if !is_whole_key(name) {
            Some("the name of a parameter is no key of a structured field")
        } else if self.parameters.iter().any(|(other, _)| other == name) {
            Some("a parameter is given twice")
        } else {
            None
        };
        if let Some(reason) = wrong {
            self.problem.get_or_insert(Error::Prepare { reason });
        }
        self.parameters.push((name.to_owned(), value));
        self
    }

    /// Returns the label.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Prepares the signature of a message.
    ///
    /// # Errors
    ///
    /// `sig.prepare` and `sig.component_repeated` for invalid settings; the errors of
    /// [`component_value`](crate::component_value) if a component has no value; `sig.limit`;
    /// `random.unavailable`.
    pub fn prepare(
        &self,
        exchange: &Exchange<'_>,
        random: &dyn SecureRandom,
        now: UnixTime,
    ) -> Result<PreparedSignature, Error> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let mut draft = Draft::new(exchange, &self.limits, self.components.len(), 512);
        for component in &self.components {
            draft.cover(component.id())?;
        }
        draft.list();
        for (name, value) in &self.parameters {
            match value {
                Value::Created => draft.time(name, now, 0)?,
                Value::ExpiresAfter(lifetime) => draft.time(name, now, *lifetime)?,
                Value::Given(parameter) => draft.parameters(parameter),
                Value::RandomNonce => {
                    let nonce = aims_jose::random::id128(random).map_err(Error::Sign)?;
                    draft.string(name, &nonce);
                }
            }
        }
        let label = Cow::Owned(self.label.clone());
        Ok(PreparedSignature::new(label, draft.finish(), self.alg))
    }
}
