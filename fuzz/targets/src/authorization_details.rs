//! Authorization details of a token, and whether they permit a call.

use aims_oauth_wire::authorization_details::{AuthorizationDetails, DetailType as _, ToolDetail};

use crate::{NO_TEXT, Outcome, refused, text};

/// Reads the claim. What is read is written and read again, and each entry of the type `aims_tool`
/// permits itself.
pub fn authorization_details(data: &[u8]) -> Outcome {
    let Some(text) = text(data) else {
        return NO_TEXT;
    };
    let read = match AuthorizationDetails::parse(text) {
        Ok(read) => read,
        Err(error) => return refused(error.code(), &[aims_oauth_wire::Error::CODES]),
    };
    let again = AuthorizationDetails::parse(&read.to_json());
    assert!(again.is_ok_and(|again| again == read));
    let resource = "https://tools.example/mcp";
    for entry in read.of::<ToolDetail>(resource) {
        assert!(entry.permits(&entry, resource));
        let written = ToolDetail::parse(&entry.to_json());
        assert!(written.is_some_and(|written| written == entry));
        assert!(read.permit(&entry, resource));
    }
    Outcome::Accepted
}
