//! The encoding of query names and values: the rules of `application/x-www-form-urlencoded`, but
//! `%20` instead of `+` (RFC 9421 §2.2.8).

/// Appends decoded bytes in this encoding.
pub(crate) fn encode(out: &mut Vec<u8>, decoded: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in decoded {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_') {
            out.push(*byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
