//! The canonical form of JSON (RFC 8785), for digests that two parties compute.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Text;
use crate::Error;

/// Returns the canonical form of an object: one text for all spellings of the same members, strings
/// and doubles (RFC 8785).
///
/// Numbers are IEEE 754 doubles, so fractions that round to the same double have one text:
/// `333333333.33333329` is `333333333.3333333`. A number that a double cannot represent is refused,
/// because two programs could read it as two numbers (RFC 7493 §2.2):
///
/// - a whole number that is not exact;
/// - a fraction of more than 17 significant digits, unless it is exactly a double;
/// - a fraction that rounds to a whole number or to one with another whole part, as every fraction
///   from 2^53 on does;
/// - a number that is out of range.
///
/// A member that occurs twice is refused as well.
///
/// ```
/// use aims_jose::json::canonical;
///
/// let text = canonical(br#"{"b": [1.0, 1E2, "\u0041"], "a": null}"#)?;
/// assert_eq!(text, r#"{"a":null,"b":[1,100,"A"]}"#);
/// assert_eq!(canonical(br#"{"a":9007199254740993}"#).unwrap_err().code(), "json.number");
/// # Ok::<(), aims_jose::Error>(())
/// ```
///
/// # Errors
///
/// Those of [`check_object`](super::check_object); [`Error::JsonNumber`].
pub fn canonical(json: &[u8]) -> Result<String, Error> {
    let text = super::object(json)?;
    let mut out = String::with_capacity(text.len());
    value(text.trim_ascii(), &mut out)?;
    Ok(out)
}

/// Writes one JSON value. The caller has checked its grammar.
fn value(text: &str, out: &mut String) -> Result<(), Error> {
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<Text<'_>, &RawValue> = read(text)?;
            let mut members: Vec<_> = members.iter().collect();
            // Sort by UTF-16 code units (RFC 8785 §3.2.3).
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            out.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                string(name, out)?;
                out.push(':');
                value(member.get(), out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = read(text)?;
            out.push('[');
            for (index, element) in elements.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                value(element.get(), out)?;
            }
            out.push(']');
        }
        Some(b'"') => string(&read::<Text<'_>>(text)?, out)?,
        Some(b'-' | b'0'..=b'9') => number(text, out)?,
        // `true`, `false`, `null`
        _ => out.push_str(text),
    }
    Ok(())
}

fn read<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).or(Err(Error::Json))
}

/// Writes a string by RFC 8785 §3.2.2.2, which is how serde writes it.
fn string(text: &str, out: &mut String) -> Result<(), Error> {
    out.push_str(&serde_json::to_string(text).or(Err(Error::Json))?);
    Ok(())
}

/// Writes a number by RFC 8785 §3.2.2.3, which is how ECMAScript writes a double.
fn number(text: &str, out: &mut String) -> Result<(), Error> {
    let double: f64 = text.parse().or(Err(Error::JsonNumber))?;
    if !double.is_finite() || text.len() > MAX_NUMBER {
        return Err(Error::JsonNumber);
    }
    let found = Decimal::of(text).ok_or(Error::JsonNumber)?;
    let mut buffer = ryu_js::Buffer::new();
    let shortest = buffer.format_finite(double);
    // Accept a number that programs print for the double, or that is exactly the double.
    let is = |text: &str| Decimal::of(text).as_ref() == Some(&found);
    let shown = [shortest, &format!("{double:e}")];
    if !found.is_fraction_of(double)
        && !shown.into_iter().any(is)
        && !is(&format!("{double:.MAX_DIGITS$e}"))
    {
        return Err(Error::JsonNumber);
    }
    out.push_str(shortest);
    Ok(())
}

/// A decimal number without its sign: significant digits, and the power of ten of the last one.
#[derive(Debug, Eq, PartialEq)]
struct Decimal {
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let text = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0').trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self {
                digits: String::new(),
                exponent: 0,
            });
        }
        let zeros = all.len() - all.trim_end_matches('0').len();
        let exponent = exponent
            .checked_sub(i64::try_from(fraction.len()).ok()?)?
            .checked_add(i64::try_from(zeros).ok()?)?;
        Some(Self {
            digits: digits.to_owned(),
            exponent,
        })
    }

    /// Returns whether this is a fraction of at most 17 digits that rounds to a fraction with the
    /// same whole part. Fraction and double then differ by less than half of the last place of a
    /// double.
    fn is_fraction_of(&self, double: f64) -> bool {
        let double = double.abs();
        let keeps_a_fraction = double.is_normal() && double.fract() > 0.0;
        if self.exponent >= 0 || self.digits.len() > MAX_FRACTION_DIGITS || !keeps_a_fraction {
            return false;
        }
        let places = usize::try_from(self.exponent.unsigned_abs()).unwrap_or(usize::MAX);
        let whole = self.digits.len().saturating_sub(places);
        let whole = self.digits.get(..whole).filter(|it| !it.is_empty());
        whole.unwrap_or("0") == format!("{:.0}", double.trunc())
    }
}

/// Maximum length of a number in bytes.
const MAX_NUMBER: usize = 1_100;
/// Number of significant decimal digits that distinguish every double from its neighbours.
const MAX_FRACTION_DIGITS: usize = 17;
/// Maximum number of significant decimal digits of a double.
const MAX_DIGITS: usize = 767;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(value: &str) -> Result<String, &'static str> {
        let text = canonical(format!("{{\"a\":{value}}}").as_bytes());
        let text = text.map_err(|error| error.code())?;
        let inner = text
            .strip_prefix("{\"a\":")
            .and_then(|it| it.strip_suffix('}'));
        Ok(inner.unwrap().to_owned())
    }

    /// The numbers of RFC 8785 appendix B that JSON can represent.
    #[test]
    fn numbers_are_those_of_ecmascript() {
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            let double = f64::from_bits(bits);
            assert_eq!(of(&format!("{double:e}")).as_deref(), Ok(text));
            assert_eq!(of(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn spellings_of_one_number_are_one() {
        for (written, canonical) in [
            ("1.0", "1"),
            ("1E0", "1"),
            ("10e-1", "1"),
            ("-0", "0"),
            ("-0.0e5", "0"),
            ("100", "100"),
            ("1e2", "100"),
            ("0.10", "0.1"),
            ("4.50", "4.5"),
            ("2e-3", "0.002"),
            ("1e23", "1e+23"),
            ("333333333.33333329", "333333333.3333333"),
            // Exactly the doubles of 0.1 and of 1e23.
            (
                "0.1000000000000000055511151231257827021181583404541015625",
                "0.1",
            ),
            ("99999999999999991611392", "1e+23"),
        ] {
            assert_eq!(of(written).as_deref(), Ok(canonical), "{written}");
        }
    }

    #[test]
    fn what_a_double_cannot_hold_is_refused() {
        for written in [
            "9007199254740993",
            "9007199254740993.0",
            "900719925474099.3e1",
            "-9007199254740993",
            "1e400",
            "-1e400",
            "1e-400",
            "3.141592653589793238462643383279",
            "0.1000000000000000055511151231257827",
            "100000000000000000000001",
            "1e99999999999999999999",
        ] {
            assert_eq!(of(written), Err("json.number"), "{written}");
        }
        let long = "1".repeat(2_000);
        assert_eq!(of(&long), Err("json.number"));
        let zeros = format!("0.{}1", "0".repeat(2_000));
        assert_eq!(of(&zeros), Err("json.number"));
    }

    /// A fraction is not a spelling of a whole number, nor of a fraction with another whole part.
    #[test]
    fn a_fraction_keeps_its_whole_part() {
        for (written, canonical) in [
            ("333333333.33333329", "333333333.3333333"),
            ("0.30000000000000001", "0.3"),
            ("-0.30000000000000001", "-0.3"),
            ("9007199254740992.0", "9007199254740992"),
            ("9007199254740992", "9007199254740992"),
            ("9007199254740991", "9007199254740991"),
            // The last place of a double is 1/2 here, and 1/8.
            ("4503599627370495.5", "4503599627370495.5"),
            ("1125899906842623.9", "1125899906842623.9"),
            ("12345.6789e-10", "0.00000123456789"),
        ] {
            assert_eq!(of(written).as_deref(), Ok(canonical), "{written}");
        }
        for written in [
            "9007199254740992.9",
            "9007199254740992.1",
            "-9007199254740992.9",
            "90071992547409929e-1",
            "9007199254740991.9",
            "9007199254740991.5",
            "4503599627370495.9",
            "4503599627370496.4",
            "2251799813685249.1",
            "0.99999999999999999",
            "1.0000000000000001",
            "18014398509481984.5",
        ] {
            assert_eq!(of(written), Err("json.number"), "{written}");
        }
    }

    /// The examples of RFC 8785 §3.2.2 and §3.2.3.
    #[test]
    fn the_printed_examples_are_reproduced() {
        let input = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        assert_eq!(
            canonical(input.as_bytes()).unwrap(),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,\
             1e-27],\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        let input = r#"{
            "\u20ac": "Euro Sign",
            "\r": "Carriage Return",
            "\ufb33": "Hebrew Letter Dalet With Dagesh",
            "1": "One",
            "\ud83d\ude00": "Emoji: Grinning Face",
            "\u0080": "Control",
            "\u00f6": "Latin Small Letter O With Diaeresis"
        }"#;
        let text = canonical(input.as_bytes()).unwrap();
        let order = [
            "Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew",
        ];
        let places: Vec<_> = order.iter().map(|word| text.find(word).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (json, code) in [
            (&br#"{"a":1,"a":1}"#[..], "jws.duplicate_member"),
            (br#"{"a":{"b":1,"\u0062":1}}"#, "jws.duplicate_member"),
            (br#"{"a":"\ud800"}"#, "jws.json"),
            (b"{\"a\":1}x", "jws.json"),
            (b"[1]", "jws.not_an_object"),
            (b"\xef\xbb\xbf{}", "jws.not_an_object"),
        ] {
            assert_eq!(canonical(json).unwrap_err().code(), code);
        }
        assert_eq!(canonical(b" {} \n").unwrap(), "{}");
    }

    proptest! {
        /// The result is canonical, and has the same values as the input.
        #[test]
        fn the_form_is_stable(
            members in proptest::collection::btree_map(".{0,4}", -1e15f64..1e15, 0..6),
        ) {
            let json = serde_json::to_string(&members).unwrap();
            let once = canonical(json.as_bytes()).unwrap();
            prop_assert_eq!(&canonical(once.as_bytes()).unwrap(), &once);
            let read: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&once).unwrap();
            prop_assert_eq!(read.len(), members.len());
            for (name, number) in &members {
                // serde_json alone reads some numbers as a neighbour.
                prop_assert_eq!(read[name].get().parse::<f64>().unwrap(), *number);
            }
        }
    }
}
