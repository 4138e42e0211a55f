//! Checks the validity period of a token (RFC 7519 §4.1.4 to §4.1.6).

use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::NumericDate;
use crate::Error;
use crate::time::Skew;

/// The dates of a token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Times {
    /// `exp`: the token is expired from this time on.
    pub exp: Option<NumericDate>,
    /// `nbf`: the token is not valid before this time.
    pub nbf: Option<NumericDate>,
    /// `iat`: the time at which the token was issued.
    pub iat: Option<NumericDate>,
}

impl Times {
    /// Creates the dates from the claims.
    #[must_use]
    pub const fn new(
        exp: Option<NumericDate>,
        nbf: Option<NumericDate>,
        iat: Option<NumericDate>,
    ) -> Self {
        Self { exp, nbf, iat }
    }
}

/// Rules for the dates of a token. `exp` is required.
///
/// ```
/// use std::time::Duration;
/// use aims_jose::jwt::{NumericDate, TimeRules, Times};
/// use aims_jose::time::at;
///
/// let rules = TimeRules::new().with_max_lifetime(Duration::from_secs(300));
/// let times = Times::new(NumericDate::from_secs(1_000), None, None);
///
/// assert!(rules.check(&times, at(900)).is_ok());
/// assert_eq!(rules.check(&times, at(1_030)).unwrap_err().code(), "jwt.expired"); // 30 s of skew
/// assert_eq!(rules.check(&times, at(600)).unwrap_err().code(), "jwt.lifetime");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeRules {
    skew: Skew,
    max_lifetime: Option<u64>,
    max_age: Option<u64>,
    future_iat: bool,
}

impl TimeRules {
    /// Creates rules that require and check `exp`, and check `nbf` and `iat` if present. The skew
    /// is 30 s; there is no other limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the clock skew. Defaults to 30 s.
    #[must_use]
    pub const fn with_skew(mut self, skew: Skew) -> Self {
        self.skew = skew;
        self
    }

    /// Sets how far `exp` may be after now and after `iat`, in whole seconds. Defaults to no limit.
    #[must_use]
    pub const fn with_max_lifetime(mut self, most: Duration) -> Self {
        self.max_lifetime = Some(most.as_secs());
        self
    }

    /// Sets how long ago a token may have been issued, in whole seconds. It makes `iat` required.
    /// Defaults to no limit.
    #[must_use]
    pub const fn with_max_age(mut self, most: Duration) -> Self {
        self.max_age = Some(most.as_secs());
        self
    }

    /// Accepts an `iat` in the future (WIT-SVID §3). The token is then valid from its `nbf`, or at
    /// once without one. By default, a token is not valid before its `iat`.
    #[must_use]
    pub const fn with_future_iat(mut self) -> Self {
        self.future_iat = true;
        self
    }

    /// Returns the clock skew.
    #[must_use]
    pub const fn skew(&self) -> Skew {
        self.skew
    }

    /// Checks the dates at a time. The skew is applied once to each date.
    ///
    /// # Errors
    ///
    /// [`Error::Claim`] if `exp` is missing, or `iat` with a maximum age; [`Error::EndsFirst`] if
    /// `exp` is before `nbf` or `iat`; [`Error::Expired`], [`Error::NotYetValid`],
    /// [`Error::Lifetime`], [`Error::TooOld`].
    pub fn check(&self, times: &Times, now: UnixTime) -> Result<(), Error> {
        let (now, skew) = (now.as_secs(), self.skew);
        let exp = times.exp.ok_or(Error::Claim { claim: "exp" })?.as_secs();
        let iat = times.iat.filter(|_| !self.future_iat);
        let starts = [times.nbf, iat].map(|date| date.map_or(0, NumericDate::as_secs));
        for (claim, start) in ["nbf", "iat"].into_iter().zip(starts) {
            if start > exp {
                return Err(Error::EndsFirst { exp, claim, start });
            }
        }
        if skew.has_ended(exp, now) {
            return Err(Error::Expired {
                until: exp,
                now,
                skew: skew.as_secs(),
            });
        }
        let from = starts.into_iter().max().unwrap_or(0);
        if skew.is_future(from, now) {
            let skew = skew.as_secs();
            return Err(Error::NotYetValid { from, now, skew });
        }
        if let Some(most) = self.max_lifetime {
            let whole = times.iat.map_or(0, |iat| exp.saturating_sub(iat.as_secs()));
            if whole > most || skew.is_beyond(exp, most, now) {
                return Err(Error::Lifetime);
            }
        }
        if let Some(most) = self.max_age {
            let iat = times.iat.ok_or(Error::Claim { claim: "iat" })?.as_secs();
            if skew.is_past(iat.saturating_add(most), now) {
                return Err(Error::TooOld);
            }
        }
        Ok(())
    }

    /// Returns the first second at which [`check`](Self::check) could have accepted these dates:
    /// the latest of `nbf`, `iat`, and `exp` less the maximum lifetime, less the skew.
    ///
    /// A store of used proofs that began to remember later cannot know whether a proof was used.
    ///
    /// ```
    /// use std::time::Duration;
    /// use aims_jose::jwt::{NumericDate, TimeRules, Times};
    ///
    /// let rules = TimeRules::new().with_max_lifetime(Duration::from_secs(300));
    /// let date = NumericDate::from_secs;
    /// let times = Times::new(date(1_060), None, date(1_000));
    /// assert_eq!(rules.accepted_from(&times).as_secs(), 970);
    /// let without_iat = Times::new(date(1_060), None, None);
    /// assert_eq!(rules.accepted_from(&without_iat).as_secs(), 730);
    /// ```
    #[must_use]
    pub fn accepted_from(&self, times: &Times) -> UnixTime {
        let iat = times.iat.filter(|_| !self.future_iat);
        let by_lifetime = match (self.max_lifetime, times.exp) {
            (Some(most), Some(exp)) => exp.as_secs().saturating_sub(most),
            _ => 0,
        };
        let starts = [times.nbf, iat].map(|date| date.map_or(0, NumericDate::as_secs));
        let from = starts.into_iter().fold(by_lifetime, u64::max);
        crate::time::at(from.saturating_sub(self.skew.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::at;

    fn times(exp: u64, nbf: u64, iat: u64) -> Times {
        Times::new(
            NumericDate::from_secs(exp),
            NumericDate::from_secs(nbf),
            NumericDate::from_secs(iat),
        )
    }

    fn code(rules: TimeRules, times: Times, now: u64) -> &'static str {
        rules
            .check(&times, at(now))
            .map_or_else(|error| error.code(), |()| "ok")
    }

    /// The skew counts once, on each side.
    #[test]
    fn each_bound_is_where_it_is() {
        let rules = TimeRules::new();
        let good = times(2_000, 1_000, 1_000);
        assert_eq!(code(rules, good, 970), "ok");
        assert_eq!(code(rules, good, 969), "jwt.not_yet_valid");
        assert_eq!(code(rules, good, 2_029), "ok");
        assert_eq!(code(rules, good, 2_030), "jwt.expired");
        let exact = rules.with_skew(Skew::ZERO);
        assert_eq!(code(exact, good, 1_999), "ok");
        assert_eq!(code(exact, good, 2_000), "jwt.expired");
        assert_eq!(
            code(exact, times(2_000, 1_000, 1_001), 1_000),
            "jwt.not_yet_valid"
        );
    }

    #[test]
    fn lifetime_and_age_are_bounded() {
        let rules = TimeRules::new().with_skew(Skew::ZERO);
        let short = rules.with_max_lifetime(Duration::from_secs(300));
        assert_eq!(code(short, times(1_300, 0, 1_000), 1_000), "ok");
        assert_eq!(
            code(short, times(1_301, 0, 1_001), 1_000),
            "jwt.not_yet_valid"
        );
        assert_eq!(code(short, times(1_301, 0, 1_000), 1_100), "jwt.lifetime");
        let unissued = Times::new(NumericDate::from_secs(1_301), None, None);
        assert_eq!(code(short, unissued, 1_000), "jwt.lifetime");
        let young = rules.with_max_age(Duration::from_secs(60));
        assert_eq!(code(young, times(9_000, 0, 1_000), 1_060), "ok");
        assert_eq!(code(young, times(9_000, 0, 1_000), 1_061), "jwt.too_old");
        assert_eq!(
            code(
                young,
                Times::new(NumericDate::from_secs(9_000), None, None),
                1
            ),
            "jwt.claim"
        );
    }

    /// With the rule, an `iat` in the future is accepted; `nbf` and `exp` are still checked.
    #[test]
    fn an_iat_in_the_future_may_be_accepted() {
        let rules = TimeRules::new().with_skew(Skew::ZERO);
        let svid = rules.with_future_iat();
        for iat in [1_001, 1_500, 2_500] {
            assert_ne!(code(rules, times(2_000, 0, iat), 1_000), "ok", "{iat}");
            assert_eq!(code(svid, times(2_000, 0, iat), 1_000), "ok", "{iat}");
            assert_eq!(
                code(svid, times(2_000, 1_001, iat), 1_000),
                "jwt.not_yet_valid"
            );
            assert_eq!(code(svid, times(1_000, 0, iat), 1_000), "jwt.expired");
            assert_eq!(code(svid, times(1_000, 1_001, iat), 1_000), "jwt.claim");
            let short = svid.with_max_lifetime(Duration::from_secs(999));
            assert_eq!(code(short, times(2_000, 0, iat), 1_000), "jwt.lifetime");
        }
        let old = svid.with_max_lifetime(Duration::from_secs(1_500));
        assert_eq!(code(old, times(2_000, 0, 400), 1_000), "jwt.lifetime");
    }

    #[test]
    fn dates_that_contradict_or_lack_are_refused() {
        assert_eq!(code(TimeRules::new(), Times::default(), 0), "jwt.claim");
        assert_eq!(
            code(TimeRules::new(), times(1_000, 1_001, 0), 1_000),
            "jwt.claim"
        );
        assert_eq!(
            code(TimeRules::new(), times(1_000, 0, 1_001), 1_000),
            "jwt.claim"
        );
    }

    #[test]
    fn both_dates_are_told_where_they_contradict() {
        let told = |times: Times| {
            let refused = TimeRules::new().check(&times, at(1_000)).unwrap_err();
            refused.to_string()
        };
        let iat = told(times(1_000, 0, 1_001));
        let end = "expected it after; the issuer has to set these claims right";
        assert_eq!(iat, format!("`exp` 1000 is before `iat` 1001: {end}"));
        let nbf = told(times(1_000, 1_002, 0));
        assert_eq!(nbf, format!("`exp` 1000 is before `nbf` 1002: {end}"));
    }

    /// No number makes the arithmetic overflow.
    #[test]
    fn no_number_overflows() {
        let edges = [0, 1, 1 << 31, 1 << 53, i64::MAX.unsigned_abs(), u64::MAX];
        for now in edges {
            for limit in edges {
                let most = Duration::from_secs(limit);
                let rules = TimeRules::new().with_max_age(most).with_max_lifetime(most);
                for date in [0, 1, 1 << 31, NumericDate::MAX.as_secs()] {
                    let _ = rules.check(&times(date, date, date), at(now));
                }
            }
        }
    }
}
