//! One PEM block `PRIVATE KEY` (RFC 7468 §10).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::Error;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
const MAX_LEN: usize = 16 * 1024;
const LINE: usize = 48;

pub(super) fn read(pem: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    if pem.len() > MAX_LEN {
        return Err(Error::Pem);
    }
    let body = pem
        .trim_ascii()
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or(Error::Pem)?;
    let mut base64 = Zeroizing::new(String::with_capacity(body.len()));
    base64.extend(body.chars().filter(|char| !char.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; base64.len()]);
    let len = STANDARD
        .decode_slice(base64.as_bytes(), &mut der)
        .map_err(|_opaque| Error::Pem)?;
    der.truncate(len);
    Ok(der)
}

pub(super) fn write(der: &[u8]) -> Zeroizing<String> {
    let mut pem = Zeroizing::new(String::with_capacity(der.len() * 2 + 128));
    pem.push_str(BEGIN);
    pem.push('\n');
    for line in der.chunks(LINE) {
        let line = Zeroizing::new(STANDARD.encode(line));
        pem.push_str(&line);
        pem.push('\n');
    }
    pem.push_str(END);
    pem.push('\n');
    pem
}
