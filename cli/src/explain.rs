//! `aims explain`: what an error code means, its likely cause, and what to do.

use aims_error::index::{Entry, entries, explain};
use aims_error::shown;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::secret;

/// The most codes that are proposed in place of an unknown one.
const MOST: usize = 6;

pub(crate) fn run(code: &str) -> Result<Zeroizing<String>, Failure> {
    if secret::may_be_in(code.as_ref()) || secret::may_be_drawn(code) {
        return Err(Failure::SecretInArguments);
    }
    let Some(entry) = explain(code) else {
        return Err(Failure::UnknownCode {
            found: shown([code]),
            near: near(code),
        });
    };
    let Entry {
        code,
        kind,
        meaning,
        cause,
        remedy,
        ..
    } = entry;
    Ok(Zeroizing::new(format!(
        "code     {code}\nkind     {kind}\nmeaning  {meaning}\ncause    {cause}\nremedy   {remedy}\n"
    )))
}

/// The codes that may be meant: of a similar spelling, of the same family, or with the same name in
/// another family.
fn near(found: &str) -> String {
    let found = found.to_ascii_lowercase();
    let (family, name) = found.split_once('.').unwrap_or((&found, ""));
    let codes = || entries().map(|entry| entry.code);
    let similar = codes().filter(|code| is_similar(code, &found));
    let of_family = codes().filter(|code| code.split('.').next() == Some(family));
    let of_name = codes().filter(|code| code.split('.').nth(1) == Some(name));
    let mut near: Vec<&str> = Vec::new();
    for code in similar.chain(of_name).chain(of_family) {
        if near.len() < MOST && !near.contains(&code) {
            near.push(code);
        }
    }
    if near.is_empty() {
        return "expected a code such as `wpt.audience`".to_owned();
    }
    format!("did you mean {}?", near.join(", "))
}

/// Whether the texts differ in at most two letters at one place: added, lost, exchanged or swapped.
fn is_similar(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let pairs = |reversed: bool| {
        let same = |(a, b): &(&u8, &u8)| a == b;
        if reversed {
            one.iter()
                .rev()
                .zip(other.iter().rev())
                .take_while(same)
                .count()
        } else {
            one.iter().zip(other).take_while(same).count()
        }
    };
    let longer = one.len().max(other.len());
    pairs(false).saturating_add(pairs(true)).saturating_add(2) >= longer
        && one.len().abs_diff(other.len()) <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_codes_are_similar_or_related() {
        assert!(near("wpt.audiense").starts_with("did you mean wpt.audience"));
        assert!(near("WPT.audience").starts_with("did you mean wpt.audience"));
        assert!(near("wtp.audience").contains("wpt.audience"));
        assert!(near("keys.lost").contains("keys.unusable"));
        assert!(near("nothing").contains("a code such as"));
        assert!(near("jwk.").matches(", ").count() < MOST);
    }

    /// Each code that the program has of its own is explained.
    #[test]
    fn every_code_of_the_program_is_explained() {
        let mut of_index: Vec<&str> = entries()
            .map(|entry| entry.code)
            .filter(|code| code.starts_with("cli."))
            .collect();
        let mut own = Failure::CODES.to_vec();
        of_index.sort_unstable();
        own.sort_unstable();
        assert_eq!(of_index, own);
    }
}
