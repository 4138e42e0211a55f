//! Step-up authentication: a login that a token must come from (RFC 9470 §3).

use core::time::Duration;

use super::Challenge;
use crate::Error;

/// The login that a resource server requires (RFC 9470 §3).
///
/// ```
/// use std::time::Duration;
///
/// use aims_oauth_wire::challenge::{Challenge, StepUp};
///
/// let step_up = StepUp::new().acr_values(["myACR"])?.max_age(Duration::from_secs(5));
/// let challenge = Challenge::bearer()
///     .with_error("insufficient_user_authentication")?
///     .with_step_up(&step_up)?;
/// assert_eq!(
///     challenge.to_string(),
///     r#"Bearer error="insufficient_user_authentication", acr_values="myACR", max_age="5""#,
/// );
/// assert_eq!(challenge.step_up(), step_up);
/// # Ok::<(), aims_oauth_wire::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StepUp {
    acr_values: Vec<String>,
    max_age: Option<Duration>,
}

impl StepUp {
    /// Creates an empty requirement, which every login meets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the accepted authentication context class references (`acr`), the preferred one first.
    ///
    /// # Errors
    ///
    /// `challenge.value` for a value that is empty, or has a blank or characters other than
    /// printable ASCII; `challenge.repeated` for a value that occurs twice; `challenge.size` for
    /// more than 4096 bytes.
    pub fn acr_values<V: Into<String>>(
        mut self,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, Error> {
        self.acr_values = values.into_iter().map(Into::into).collect();
        let is_good = |value: &String| {
            !value.is_empty() && value.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
        };
        if !self.acr_values.iter().all(is_good) {
            return Err(Error::ChallengeValue {
                parameter: ACR_VALUES,
            });
        }
        let is_before = |(at, value): (usize, &String)| {
            self.acr_values
                .iter()
                .take(at)
                .any(|before| before == value)
        };
        if self.acr_values.iter().enumerate().any(is_before) {
            return Err(Error::ChallengeRepeated);
        }
        if self.acr_values.join(" ").len() > super::MAX_VALUE {
            return Err(Error::ChallengeSize);
        }
        Ok(self)
    }

    /// Sets the maximum time since the login, in full seconds.
    #[must_use]
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(Duration::from_secs(age.as_secs()));
        self
    }

    /// Iterates over the accepted values of `acr`, the preferred one first.
    pub fn accepted_acr(&self) -> impl Iterator<Item = &str> {
        self.acr_values.iter().map(String::as_str)
    }

    /// Returns the maximum time since the login.
    #[must_use]
    pub const fn greatest_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Returns whether nothing is required.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.acr_values.is_empty() && self.max_age.is_none()
    }
}

impl Challenge {
    /// Adds `acr_values` and `max_age` (RFC 9470 §3), as far as they are required.
    ///
    /// # Errors
    ///
    /// Those of [`with`](Self::with).
    pub fn with_step_up(mut self, step_up: &StepUp) -> Result<Self, Error> {
        if !step_up.acr_values.is_empty() {
            self = self.with(ACR_VALUES, &step_up.acr_values.join(" "))?;
        }
        match step_up.max_age {
            Some(age) => self.with(MAX_AGE, &age.as_secs().to_string()),
            None => Ok(self),
        }
    }

    /// Returns `acr_values` and `max_age`, as far as they are there and well-formed.
    #[must_use]
    pub fn step_up(&self) -> StepUp {
        let values = self.get(ACR_VALUES).unwrap_or_default();
        let values = values.split(' ').filter(|it| !it.is_empty());
        let read = StepUp::new().acr_values(values).unwrap_or_default();
        let age = self.get(MAX_AGE).and_then(|age| age.parse().ok());
        match age {
            Some(seconds) => read.max_age(Duration::from_secs(seconds)),
            None => read,
        }
    }
}

const ACR_VALUES: &str = "acr_values";
const MAX_AGE: &str = "max_age";
