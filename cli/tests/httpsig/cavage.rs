//! A message that is signed by the draft before RFC 9421 has its own refusal.

use crate::common::Folder;

#[test]
fn a_message_of_the_earlier_draft_is_named() {
    let folder = Folder::new();
    folder.write(
        "request.http",
        include_str!("../../../testdata/cavage/request.http"),
    );
    folder.write(
        "keys.json",
        include_str!("../../../testdata/cavage/keys.json"),
    );
    let args = "httpsig verify --unix-lines --request request.http --keys keys.json";
    let ran = folder.run(args);
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("sig.cavage"), "{}", ran.err);
    assert!(ran.err.contains("the draft before RFC 9421"), "{}", ran.err);
}
