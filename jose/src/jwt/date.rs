//! Seconds since 1970 as a JSON number (RFC 7519 §2).

use rustls_pki_types::UnixTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

/// A time in whole seconds since 1970-01-01T00:00:00Z, up to the end of the year 9999.
///
/// It is parsed from the text of the number. Neither the rounding of floats nor a feature of
/// serde_json that another crate enables changes the result. Fractions are rounded down. A negative
/// number, a string, `null` and later years are refused (RFC 7519 §2, `NumericDate`).
///
/// ```
/// use aims_jose::jwt::NumericDate;
///
/// let date: NumericDate = serde_json::from_str("1800000000.9")?;
/// assert_eq!(date.as_secs(), 1_800_000_000);
/// assert!(serde_json::from_str::<NumericDate>("-1").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NumericDate(u64);

impl NumericDate {
    /// The last second of the year 9999.
    pub const MAX: Self = Self(253_402_300_799);

    /// Creates a date from seconds since 1970. Returns `None` after the year 9999.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Option<Self> {
        if seconds > Self::MAX.0 {
            None
        } else {
            Some(Self(seconds))
        }
    }

    /// Returns the seconds since 1970.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The whole seconds of a JSON number, by its digits, and whether it has a fraction.
    fn of_number(text: &str) -> Option<(Self, bool)> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent
            .parse()
            .ok()
            .filter(|e| (-MAX_EXPONENT..=MAX_EXPONENT).contains(e))?;
        let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
        let mut digits = whole
            .bytes()
            .chain(fraction.bytes())
            .chain(std::iter::repeat(b'0'));
        let mut seconds: u64 = 0;
        for _ in 0..point {
            let digit = digits
                .next()?
                .checked_sub(b'0')
                .filter(|digit| *digit <= 9)?;
            seconds = seconds.checked_mul(10)?.checked_add(u64::from(digit))?;
        }
        let all = whole.bytes().chain(fraction.bytes());
        let has_fraction = all
            .skip(usize::try_from(point).unwrap_or(0))
            .any(|digit| digit != b'0');
        Some((Self::from_secs(seconds)?, has_fraction))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(Self, bool), D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        Some(raw)
            .filter(|raw| raw.starts_with(|first: char| first.is_ascii_digit()))
            .and_then(Self::of_number)
            .ok_or_else(|| de::Error::custom("not a date"))
    }
}

/// Reads an optional `nbf` whose fraction is rounded up, for `#[serde(deserialize_with = …)]`: a
/// token that is made from this one with the result begins no earlier.
///
/// # Errors
///
/// Those of [`NumericDate`], and for `null`.
pub fn not_before<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NumericDate>, D::Error> {
    let (NumericDate(seconds), has_fraction) = NumericDate::read(deserializer)?;
    let date = NumericDate::from_secs(seconds + u64::from(has_fraction));
    date.map(Some)
        .ok_or_else(|| de::Error::custom("not a date"))
}

impl From<NumericDate> for UnixTime {
    fn from(date: NumericDate) -> Self {
        crate::time::at(date.0)
    }
}

impl TryFrom<UnixTime> for NumericDate {
    type Error = crate::Error;

    fn try_from(time: UnixTime) -> Result<Self, crate::Error> {
        Self::from_secs(time.as_secs()).ok_or(crate::Error::Claim { claim: "time" })
    }
}

impl Serialize for NumericDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::read(deserializer)?.0)
    }
}

/// More than any date needs.
const MAX_EXPONENT: i32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::from_object;

    #[derive(Deserialize)]
    struct Claims {
        exp: NumericDate,
    }

    fn read(number: &str) -> Option<u64> {
        let json = format!("{{\"exp\":{number}}}");
        from_object::<Claims>(json.as_bytes())
            .ok()
            .map(|claims| claims.exp.as_secs())
    }

    #[test]
    fn reads_numbers_and_floors_fractions() {
        for (number, seconds) in [
            ("0", 0),
            ("1745512510", 1_745_512_510),
            ("1745512510.999999999999", 1_745_512_510),
            ("1.7455125105e9", 1_745_512_510),
            ("17455125105E-1", 1_745_512_510),
            ("1e-5", 0),
            ("253402300799.9", 253_402_300_799),
        ] {
            assert_eq!(read(number), Some(seconds), "{number}");
        }
    }

    #[derive(Deserialize)]
    struct Start {
        #[serde(default, deserialize_with = "not_before")]
        nbf: Option<NumericDate>,
    }

    #[test]
    fn a_start_is_rounded_up() {
        for (number, seconds) in [
            ("0", Some(0)),
            ("1745512510", Some(1_745_512_510)),
            ("1745512510.000", Some(1_745_512_510)),
            ("1745512510.0000001", Some(1_745_512_511)),
            ("1.7455125105e9", Some(1_745_512_511)),
            ("17455125100E-1", Some(1_745_512_510)),
            ("1e-5", Some(1)),
            ("253402300799.9", None),
            ("-1", None),
            ("null", None),
        ] {
            let json = format!("{{\"nbf\":{number}}}");
            let start = from_object::<Start>(json.as_bytes());
            let start = start.ok().map(|it| it.nbf.unwrap().as_secs());
            assert_eq!(start, seconds, "{number}");
        }
        assert_eq!(from_object::<Start>(b"{}").unwrap().nbf, None);
    }

    /// Values that are not a date.
    #[test]
    fn refuses_what_is_no_date() {
        for bad in [
            "-1",
            "-0",
            "253402300800",
            "1e12",
            "1e400",
            "1e-400",
            "18446744073709551616",
            "\"1745512510\"",
            "null",
            "[]",
            "[1]",
            "{}",
            "true",
            "1e99999999999",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
