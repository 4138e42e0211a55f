use proptest::prelude::*;

use super::item::{read, write_parameter};
use super::{BareItem, Cursor, Malformed, is_whole_key};

fn item(text: &str) -> Result<BareItem<'_>, Malformed> {
    let mut cursor = Cursor::new(text.as_bytes())?;
    let item = read(&mut cursor)?;
    if cursor.is_empty() {
        Ok(item)
    } else {
        Err(Malformed)
    }
}

/// A canonical text parses and is written the same.
#[test]
fn canonical_items_are_read() {
    for text in [
        "0",
        "-1",
        "999999999999999",
        "1.0",
        "1.5",
        "-0.5",
        "123456789012.125",
        "\"\"",
        r#""a \"b\" \\""#,
        "token",
        "*a/b:c",
        "::",
        ":AA==:",
        ":AAA=:",
        ":AAAA:",
        "?0",
        "@0",
        "@-1",
        "%\"f%c3%bc\"",
        "%\"%25%22\"",
    ] {
        assert_eq!(item(text).unwrap().to_string(), text);
    }
}

/// Each text differs from a canonical one in one property.
#[test]
fn other_spellings_are_refused() {
    for text in [
        "",
        "00",
        "01",
        "-0",
        "-01",
        "1000000000000000",
        "9223372036854775808",
        "1.",
        "1.50",
        "-0.0",
        "1.0000",
        "1234567890123.1",
        ".5",
        "+1",
        "\"a",
        "\"\\a\"",
        "\"\u{7f}\"",
        "\"\t\"",
        ":AA:",
        ":AB==:",
        ":AA=:",
        ":A:",
        ":AA==",
        ":A A=:",
        ":__8=:",
        "?2",
        "?",
        "@1.5",
        "@",
        "%\"F%C3%BC\"",
        "%\"%41\"",
        "%\"%c3\"",
        "%\"%4\"",
        "=",
        "Ü",
    ] {
        assert_eq!(item(text), Err(Malformed), "{text:?}");
    }
}

#[test]
fn parameters_are_read_as_they_are_written() {
    let mut cursor = Cursor::new(b";a;b=?0;c=1").unwrap();
    assert_eq!(
        cursor.parameter().unwrap(),
        Some(("a", BareItem::Boolean(true)))
    );
    assert_eq!(
        cursor.parameter().unwrap(),
        Some(("b", BareItem::Boolean(false)))
    );
    assert_eq!(
        cursor.parameter().unwrap(),
        Some(("c", BareItem::Integer(1)))
    );
    assert_eq!(cursor.parameter().unwrap(), None);
    for bad in [";", "; a", ";A", ";a=", ";a=?1", ";1"] {
        assert_eq!(
            Cursor::new(bad.as_bytes()).unwrap().parameter(),
            Err(Malformed),
            "{bad}"
        );
    }
}

#[test]
fn keys_have_their_alphabet() {
    for good in ["sig1", "*", "a-b_c.d*", "sig-b21"] {
        assert!(is_whole_key(good), "{good}");
    }
    for bad in ["", "1", "-a", "A", "aB", "a b", "a=", "ü"] {
        assert!(!is_whole_key(bad), "{bad}");
    }
}

proptest! {
    /// A parsed text is written the same.
    #[test]
    fn reading_and_writing_agree(text in "[ -~]{0,24}") {
        if let Ok(read) = item(&text) {
            prop_assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn strings_come_back(text in "[ -~]{0,40}", number in -999_999_999_999_999_i64..=999_999_999_999_999) {
        let string = BareItem::string(&text).unwrap();
        prop_assert_eq!(string.text().unwrap(), text.as_str());
        let written = string.to_string();
        let read = item(&written).unwrap();
        prop_assert_eq!(&read, &string);
        let mut parameter = String::new();
        write_parameter(&mut parameter, "key", &BareItem::Integer(number));
        let read = Cursor::new(parameter.as_bytes()).unwrap().parameter().unwrap();
        prop_assert_eq!(read, Some(("key", BareItem::Integer(number))));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(mut cursor) = Cursor::new(&bytes) {
            let _ignored = read(&mut cursor);
        }
    }
}
