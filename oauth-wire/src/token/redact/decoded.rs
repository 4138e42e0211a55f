//! Decodes text in all encodings, to find encoded secrets.

use aims_jose::secret::SecretText;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// The maximum number of nested encodings.
const MAX_LAYERS: usize = 3;
/// The maximum length of a text that is searched, in bytes. A longer one counts as one with a
/// secret.
pub(super) const MAX_SEARCHED: usize = 16 * 1024;
/// The maximum total length of all decoded forms of a text, in bytes. A text with more counts as
/// one with a secret.
const MAX_DECODED: usize = 256 * 1024;
/// The minimum length of a secret that is searched without regard to white space and case.
const MIN_FOLDED: usize = 6;
/// The minimum length of a secret that is searched in base64 and hex. Ordinary words contain many
/// shorter ones.
const MIN_BINARY: usize = 3;

/// Returns whether the text contains one of these secrets, plain or encoded.
///
/// It decodes percent-encoding, escapes of JSON, JavaScript and C, and character references of
/// HTML, up to three nested ones, and base64 or hex inside them. For secrets of at least six
/// characters it ignores white space and case. It may find a secret that is not there, but not the
/// reverse.
pub(super) fn has_encoded(text: &str, secrets: &[SecretText]) -> bool {
    if secrets.is_empty() {
        return text.len() > MAX_SEARCHED;
    }
    Search::of(text).is_none_or(|search| secrets.iter().any(|it| search.finds(it)))
}

/// A decoded text in which several secrets can be searched.
pub(super) struct Search(Vec<Reading>);

/// One decoded form of a text.
struct Reading {
    text: Zeroizing<String>,
    folded: Zeroizing<String>,
    binary: Zeroizing<String>,
}

impl Search {
    /// Decodes a text. Returns `None` if it is too long or has too many decoded forms.
    pub(super) fn of(text: &str) -> Option<Self> {
        if text.len() > MAX_SEARCHED {
            return None;
        }
        let reading = |text: Zeroizing<String>| Reading {
            folded: folded(&text),
            binary: binary(&text),
            text,
        };
        Some(Self(readings(text)?.into_iter().map(reading).collect()))
    }

    pub(super) fn finds(&self, secret: &SecretText) -> bool {
        let plain = Zeroizing::new(spaced(secret.expose()));
        if plain.is_empty() {
            return false;
        }
        let folded = folded(&plain);
        let is_long = folded.chars().count() >= MIN_FOLDED;
        self.0.iter().any(|it| {
            it.text.contains(&**plain)
                || (is_long && it.folded.contains(&**folded))
                || (plain.len() >= MIN_BINARY && it.binary.contains(&**plain))
        })
    }
}

/// Returns the text and its forms with one to three encodings decoded, in every order. A part that
/// looks like one encoding may be the result of another. Returns `None` if that is too much.
fn readings(text: &str) -> Option<Vec<Zeroizing<String>>> {
    let mut all = vec![Zeroizing::new(spaced(text))];
    let mut left = MAX_DECODED.checked_sub(text.len())?;
    let mut done = 0;
    for _layer in 0..MAX_LAYERS {
        let mut next = Vec::new();
        for text in all.iter().skip(done) {
            for undo in [percent, escape, reference] {
                let read = Zeroizing::new(spaced(&undone(text, undo)));
                if !all.contains(&read) && !next.contains(&read) {
                    left = left.checked_sub(read.len())?;
                    next.push(read);
                }
            }
        }
        done = all.len();
        all.append(&mut next);
    }
    Some(all)
}

/// Returns the text in lower case, without white space, invisible characters, and HTML tags for
/// line breaks.
fn folded(text: &str) -> Zeroizing<String> {
    let mut lower = Zeroizing::new(text.to_lowercase());
    for tag in ["<wbr>", "<wbr/>", "<wbr />", "<br>", "<br/>", "<br />"] {
        if lower.contains(tag) {
            lower = Zeroizing::new(lower.replace(tag, ""));
        }
    }
    let is_shown = |c: &char| {
        let is_invisible = matches!(
            c,
            '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
        );
        !c.is_whitespace() && !is_invisible
    };
    Zeroizing::new(lower.chars().filter(is_shown).collect())
}

/// Replaces `+` by a blank, because a form encodes a blank as `+`.
fn spaced(text: &str) -> String {
    text.replace('+', " ")
}

/// Decodes an encoded sequence at the start of the text, and returns the rest.
type Undo = for<'a> fn(&'a str, &mut String) -> Option<&'a str>;

fn undone(text: &str, undo: Undo) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '\\', '&']) {
        let (before, encoded) = super::split(rest, at);
        out.push_str(before);
        rest = undo(encoded, &mut out).unwrap_or_else(|| {
            let (mark, after) = super::split(encoded, 1);
            out.push_str(mark);
            after
        });
    }
    out.push_str(rest);
    out
}

/// Decodes percent-encoding (RFC 3986 §2.1), and `%u0041` of old web servers. Bytes that are not
/// UTF-8 are read as Latin-1.
fn percent<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    if let Some(after) = text.strip_prefix("%u").or_else(|| text.strip_prefix("%U")) {
        let (unit, after) = number(after, 16, 4, 4)?;
        out.push(char::from_u32(unit)?);
        return Some(after);
    }
    bytes(text, &["%"], out)
}

/// Decodes the escapes of JSON, JavaScript, C and shells: `\"`, `\n`, `\x41`, `\u0041`, `\u{41}`,
/// `\U00000041`, `\101`.
fn escape<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    if let Some(after) = bytes(text, &["\\x", "\\X"], out) {
        return Some(after);
    }
    let escaped = text.strip_prefix('\\')?;
    if let Some((char, after)) = unicode(escaped).or_else(|| octal(escaped)) {
        out.push(char);
        return Some(after);
    }
    let char = escaped.chars().next()?;
    out.push(match char {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    });
    escaped.get(char.len_utf8()..)
}

/// Decodes `u0041`, `u{41}`, `U00000041`, and the two halves of a surrogate pair (RFC 8259 §7).
fn unicode(text: &str) -> Option<(char, &str)> {
    if let Some(after) = text.strip_prefix("u{") {
        let (scalar, after) = number(after, 16, 1, 6)?;
        return Some((char::from_u32(scalar)?, after.strip_prefix('}')?));
    }
    if let Some(after) = text.strip_prefix('U') {
        let (scalar, after) = number(after, 16, 8, 8)?;
        return Some((char::from_u32(scalar)?, after));
    }
    let (first, after) = number(text.strip_prefix('u')?, 16, 4, 4)?;
    if let Some(char) = char::from_u32(first) {
        return Some((char, after));
    }
    let (second, after) = number(after.strip_prefix("\\u")?, 16, 4, 4)?;
    let units = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    let char = char::decode_utf16(units).next()?.ok()?;
    Some((char, after))
}

fn octal(text: &str) -> Option<(char, &str)> {
    let (value, after) = number(text, 8, 3, 3)?;
    Some((char::from_u32(value)?, after))
}

/// Decodes a character reference of HTML (§13.5 of the HTML standard): `&amp;`, `&#65;`, `&#x41;`.
/// The semicolon may be missing.
fn reference<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    let text = text.strip_prefix('&')?;
    let (char, after) = match text.strip_prefix('#') {
        Some(digits) => {
            let hex = digits.strip_prefix(['x', 'X']);
            let (scalar, after) = match hex {
                Some(digits) => number(digits, 16, 1, 8)?,
                None => number(digits, 10, 1, 10)?,
            };
            (char::from_u32(scalar)?, after)
        }
        None => REFERENCES.iter().find_map(|(name, char)| {
            let after = text.strip_prefix(name)?;
            Some((*char, after))
        })?,
    };
    out.push(char);
    Some(after.strip_prefix(';').unwrap_or(after))
}

/// Decodes a sequence of bytes, each written as two hexadecimal digits after one of these marks.
fn bytes<'a>(text: &'a str, marks: &[&str], out: &mut String) -> Option<&'a str> {
    let mut run = Zeroizing::new(Vec::new());
    let mut rest = text;
    while let Some(digits) = marks.iter().find_map(|mark| rest.strip_prefix(mark))
        && let Some((byte, after)) = number(digits, 16, 2, 2)
    {
        run.extend(u8::try_from(byte));
        rest = after;
    }
    if run.is_empty() {
        return None;
    }
    match core::str::from_utf8(&run) {
        Ok(text) => out.push_str(text),
        Err(_latin) => out.extend(run.iter().map(|byte| char::from(*byte))),
    }
    Some(rest)
}

/// Parses the number at the start of the text, which has from `least` to `most` digits.
fn number(text: &str, radix: u32, least: usize, most: usize) -> Option<(u32, &str)> {
    let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
    let count = text
        .bytes()
        .take(most)
        .take_while(|it| is_digit(it))
        .count();
    let (digits, after) = text.split_at_checked(count)?;
    let value = u32::from_str_radix(digits, radix).ok()?;
    (count >= least).then_some((value, after))
}

/// Decodes each sequence of base64 or hex characters in a text, one result per line. A sequence may
/// continue in the next line of the text.
fn binary(text: &str) -> Zeroizing<String> {
    let text = Zeroizing::new(text.replace(['\r', '\n'], ""));
    // Treat both alphabets of base64 as one. A blank may have been a `+`.
    let plain = Zeroizing::new(text.replace([' ', '-'], "+").replace('_', "/"));
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/');
    let base64 = plain.split(|c| !is_base64(c)).flat_map(|run| {
        // Other characters before it in the same sequence shift the start of the secret.
        let starts = (0..4).filter_map(|start| run.get(start..));
        starts.filter_map(from_base64)
    });
    let hex = text
        .split(|c: char| !c.is_ascii_hexdigit())
        .flat_map(|run| {
            let starts = (0..2).filter_map(|start| run.get(start..));
            starts.map(from_hex)
        });
    // Each byte of a sequence has at most four base64 and two hex results, so the buffer does not
    // grow.
    let mut all = Zeroizing::new(String::with_capacity(text.len().saturating_mul(5)));
    for bytes in base64.chain(hex).map(Zeroizing::new) {
        if bytes.len() >= MIN_BINARY {
            all.push_str(&String::from_utf8_lossy(&bytes));
            all.push('\n');
        }
    }
    Zeroizing::new(spaced(&all))
}

fn from_base64(run: &str) -> Option<Vec<u8>> {
    // A last single character cannot be part of base64.
    let whole = run.len().saturating_sub(usize::from(run.len() % 4 == 1));
    LENIENT.decode(run.get(..whole)?).ok()
}

fn from_hex(run: &str) -> Vec<u8> {
    let mut rest = run;
    let mut out = Vec::with_capacity(run.len() / 2);
    while let Some((byte, after)) = number(rest, 16, 2, 2) {
        out.extend(u8::try_from(byte));
        rest = after;
    }
    out
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The names of the ASCII characters that have a character reference, and of blanks.
const REFERENCES: [(&str, char); 48] = [
    ("amp", '&'),
    ("AMP", '&'),
    ("lt", '<'),
    ("LT", '<'),
    ("gt", '>'),
    ("GT", '>'),
    ("quot", '"'),
    ("QUOT", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("NonBreakingSpace", ' '),
    ("shy", '\u{ad}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("hyphen", '-'),
    ("dash", '-'),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("UnderBar", '_'),
    ("grave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("rcub", '}'),
    ("rbrace", '}'),
];

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::super::{excerpt, redacted};
    use super::*;

    fn is_found(text: &str, secret: &str) -> bool {
        has_encoded(text, &[secret.into()])
    }

    /// An encoding in which a server may echo a secret.
    #[derive(Clone, Copy, Debug)]
    enum Encoding {
        Percent,
        PercentLower,
        PercentAll,
        PercentUnicode,
        Form,
        Html,
        HtmlDecimal,
        HtmlHex,
        JsonAll,
        JavaScript,
        Octal,
    }

    impl Encoding {
        const ALL: [Self; 11] = [
            Self::Percent,
            Self::PercentLower,
            Self::PercentAll,
            Self::PercentUnicode,
            Self::Form,
            Self::Html,
            Self::HtmlDecimal,
            Self::HtmlHex,
            Self::JsonAll,
            Self::JavaScript,
            Self::Octal,
        ];

        fn encode(self, text: &str) -> String {
            let form = || url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let reserved = |lower: bool| {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                let one = |byte: u8| match (plain(byte), lower) {
                    (true, _) => char::from(byte).to_string(),
                    (false, true) => format!("%{byte:02x}"),
                    (false, false) => format!("%{byte:02X}"),
                };
                text.bytes().map(one).collect::<String>()
            };
            let bytes = |one: fn(u8) -> String| text.bytes().map(one).collect::<String>();
            let chars = |one: fn(char) -> String| text.chars().map(one).collect::<String>();
            match self {
                Self::Percent => reserved(false),
                Self::PercentLower => reserved(true),
                Self::PercentAll => bytes(|it| format!("%{it:02x}")),
                Self::PercentUnicode => chars(|it| format!("%u{:04x}", u32::from(it))),
                Self::Form => form(),
                Self::Html => chars(|it| match it {
                    '&' => "&amp;".into(),
                    '<' => "&lt;".into(),
                    '>' => "&gt;".into(),
                    '"' => "&quot;".into(),
                    '\'' => "&apos;".into(),
                    '+' => "&plus;".into(),
                    '/' => "&sol;".into(),
                    '=' => "&equals;".into(),
                    '_' => "&lowbar;".into(),
                    other => other.into(),
                }),
                Self::HtmlDecimal => chars(|it| format!("&#{};", u32::from(it))),
                Self::HtmlHex => chars(|it| format!("&#x{:X};", u32::from(it))),
                Self::JsonAll => text
                    .encode_utf16()
                    .map(|it| format!("\\u{it:04x}"))
                    .collect(),
                Self::JavaScript => bytes(|it| format!("\\x{it:02X}")),
                Self::Octal => chars(|it| format!("\\{:03o}", u32::from(it))),
            }
        }
    }

    #[test]
    fn every_form_is_found() {
        for text in [
            "a&#98;c",
            "a&#98c",
            "a&#x62;c",
            "&#0000097;bc",
            r"\u0061\u0062\u0063",
            r"\u{61}bc",
            r"\U00000061bc",
            r"\x61\x62\x63",
            r"\141bc",
            "%61bc",
            "%u0061bc",
            "%2561bc",
            "%252561bc",
            "%26%2397%3Bbc",
            "&amp;amp;#97;bc",
            r"\\u0061bc",
            "&amp;#97;bc",
            "YWJj",
            "Basic YTphYmM=",
            "YTphYmM%3D",
            "616263",
            "x616263",
        ] {
            assert!(is_found(text, "abc"), "{text}");
        }
        assert!(is_found(&"x".repeat(MAX_SEARCHED + 1), "abc"));
        for (text, secret) in [
            (r"p\u00e4ss", "p\u{e4}ss"),
            ("p%E4ss", "p\u{e4}ss"),
            (r"\ud83d\udd11 x", "\u{1f511} x"),
            ("a%2Bb", "a+b"),
            ("a+b", "a b"),
            ("a%2Bb", "a b"),
            ("a%2541b", "a%41b"),
            (r"a\\nb", r"a\nb"),
            (r"a\/b", "a/b"),
            ("&quot;&lt;a&gt;&quot;", "\"<a>\""),
        ] {
            assert!(is_found(text, secret), "{text}");
        }
    }

    /// Changes that a reader of an echo would not notice.
    #[test]
    fn white_space_and_case_do_not_matter() {
        let secret = "Correct horse-battery";
        for text in [
            "Correct\r\n    horse-battery",
            "Correct  horse-battery",
            "Correct\u{a0}horse-battery",
            "Correct&nbsp;horse-battery",
            "Correct&#160;horse-battery",
            "Correcthorse-battery",
            "CORRECT HORSE-BATTERY",
            "correct horse-battery",
            "Correct horse-<wbr>battery",
            "Correct<br />horse-<BR>battery",
            "Correct horse-&lt;wbr&gt;battery",
            "Correct horse-bat&shy;tery",
            "Correct horse-bat\u{200b}tery",
            r"Correct\nhorse-battery",
            "CORRECT%0AHORSE-BATTERY",
        ] {
            assert!(is_found(text, secret), "{text}");
            assert_eq!(redacted(text, &[secret.into()]), None, "{text}");
        }
        assert!(!is_found("the correct horse", secret));
        // Ordinary words contain many short ones.
        assert!(!is_found("i n t o", "in to"));
        assert!(is_found("I N T O W N", "in town"));
        // A secret in base64 with line breaks.
        assert!(is_found("Q29ycmVjdCBo\r\nb3JzZS1iYXR0\r\nZXJ5", secret));
    }

    #[test]
    fn innocent_words_are_no_secrets() {
        for text in ["", "abd", "the client is not known", "%", "&", "\\", "&#;"] {
            assert!(!is_found(text, "abc"), "{text}");
            assert!(!is_found(text, ""), "{text}");
        }
    }

    /// Nothing is shown, however short the secret is.
    #[test]
    fn an_encoded_secret_hides_the_excerpt() {
        let secret = ["p w/".into()];
        for text in ["p%20w&#47; is wrong", "70 772f 7020772f"] {
            assert_eq!(redacted(text, &secret), None, "{text}");
            assert_eq!(excerpt(text.as_bytes(), &secret), None, "{text}");
        }
        assert!(redacted("p q/ is wrong", &secret).is_some());
    }

    proptest! {
        /// Up to three nested encodings.
        #[test]
        fn every_encoding_is_found(
            before in "[a-z =:]{0,12}",
            secret in "[ -~]{4,24}",
            layers in prop::collection::vec(prop::sample::select(&Encoding::ALL[..]), 1..=3),
            after in "[ .,:}]{0,12}",
        ) {
            let encoded = layers.iter().fold(secret.clone(), |text, it| it.encode(&text));
            let text = format!("{before}{encoded}{after}");
            prop_assert!(is_found(&text, &secret), "{text}");
            let shown = redacted(&text, &[secret.as_str().into()]).unwrap_or_default();
            prop_assert!(!is_found(&shown, &secret), "{text}: {shown}");
        }

        #[test]
        fn base64_and_hex_are_found(
            before in "[a-z :]{0,12}",
            secret in "[ -~]{4,10}",
            lower in any::<bool>(),
        ) {
            let pair = format!("{before}{secret}");
            let hex = |it: u8| if lower { format!("{it:02x}") } else { format!("{it:02X}") };
            let hex: String = secret.bytes().map(hex).collect();
            let within = URL_SAFE_NO_PAD.encode(&pair);
            for encoded in [BASE64.encode(&pair), within, BASE64.encode(&secret), hex] {
                let text = format!("{before}{encoded}");
                prop_assert!(is_found(&text, &secret), "{text}");
            }
        }

        /// A text without a secret is not hidden, and no input panics.
        #[test]
        fn all_texts_are_read(text in any::<String>()) {
            prop_assert!(!is_found(&text, ""));
        }
    }
}
