//! Signatures of raw messages.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aims_http_sig::http1::{RawRequest, Reader};
use aims_http_sig::{
    Algorithm, Algorithms, BareItem, Error, Exchange, Key, Keys, Limits, Message, Parameters,
    Policy, ReceivedFields, Section, SharedKey, Start, UnverifiedSignature,
};

use crate::known::{NOW, at, known};
use crate::{Outcome, refused};

const LIMIT: usize = 64 * 1024;

/// The messages that the holders of the keys have signed. No other message verifies.
const SIGNED: [&[u8]; 5] = [
    REQUEST,
    include_bytes!("../../corpus/signature/ok-parameters"),
    include_bytes!("../../corpus/signature/ok-response"),
    include_bytes!("../../corpus/signature/ok-shared_key"),
    include_bytes!("../../corpus/signature/ok-two_signatures"),
];
const REQUEST: &[u8] = include_bytes!("../../corpus/signature/ok-request");

/// Verifies a request, or, if the input begins like one, the response to the first signed request.
/// Accepted if all its signatures verify. Their bases are then byte for byte those that were
/// signed.
pub fn signature(data: &[u8]) -> Outcome {
    let reader = Reader::new(LIMIT);
    if !data.starts_with(b"HTTP/") {
        return match reader.request(data, "https") {
            Ok(request) => judge(&Exchange::of(&request), &request),
            Err(error) => refused(error.code(), &[Error::CODES]),
        };
    }
    let asked = asked();
    match reader.response(data, asked.method()) {
        Ok(response) => judge(&Exchange::of(&response).answering(&asked), &response),
        Err(error) => refused(error.code(), &[Error::CODES]),
    }
}

fn asked() -> RawRequest<'static> {
    match Reader::new(LIMIT).request(REQUEST, "https") {
        Ok(request) => request,
        Err(error) => unreachable!("{error}"),
    }
}

fn judge(exchange: &Exchange<'_>, message: &dyn Message) -> Outcome {
    let limits = Limits::default();
    let read = ReceivedFields::of(message, Section::Headers, &limits);
    if let Ok(signatures) = read.as_ref().map(|fields| fields.signatures(&limits)) {
        for signature in signatures.iter().flatten() {
            check_read(signature, exchange, &limits);
        }
    }
    let policy = Policy::requiring([])
        .with_any_tag()
        .with_algorithms(Algorithms::of(Algorithm::ALL));
    let verified = [0, 1].map(|provider| {
        let verified = policy.verify_each(exchange, &Known(provider), at(NOW));
        verified.map_err(|error| error.code())
    });
    let bases = match verified {
        [Ok(one), Ok(_other)] => one,
        [Err(code), Err(other)] => {
            assert_eq!(code, other, "the providers differ");
            return refused(code, &[Error::CODES]);
        }
        _ => unreachable!("the providers differ"),
    };
    for verified in bases {
        let verified = verified.accept_replays();
        assert!(
            BASES.contains(verified.base().as_bytes()),
            "no key signed this"
        );
        let in_message = verified.components().all(|(id, value)| {
            aims_http_sig::component_value(exchange, id).is_ok_and(|it| it == value)
        });
        assert!(in_message, "a value is not that of the message");
    }
    Outcome::Accepted
}

/// The base contains the received text, and parses to the same.
fn check_read(signature: &UnverifiedSignature<'_>, exchange: &Exchange<'_>, limits: &Limits) {
    let Ok(components) = signature.components() else {
        return;
    };
    let Ok(base) = signature.base(exchange, limits) else {
        return;
    };
    let own: Vec<(&str, BareItem<'_>)> = signature.parameters().iter().collect();
    let again: Vec<(&str, BareItem<'_>)> = base.parameters().iter().collect();
    assert_eq!(own, again);
    let names: Vec<&str> = base.components().map(|(id, _)| id.as_str()).collect();
    let covered: Vec<&str> = components.iter().map(|id| id.as_str()).collect();
    assert_eq!(names, covered);
    // The base has one line for each component, and one for the list. No value adds a line.
    let lines = base.as_bytes().split(|byte| *byte == b'\n').count();
    assert_eq!(lines, components.len().saturating_add(1));

    let input = format!("a={}", base.signature_params());
    let fields = Fields {
        input: input.as_bytes(),
    };
    let Ok(read) = ReceivedFields::of(&fields, Section::Headers, limits) else {
        unreachable!("what was read is not read again");
    };
    let Ok(read) = read.signatures(limits) else {
        unreachable!("what was read is not read again");
    };
    let [one] = read.as_slice() else {
        unreachable!("one signature became several");
    };
    assert_eq!(one.parameters().iter().collect::<Vec<_>>(), own);
    let again = one.components();
    assert!(again.is_ok_and(|again| again == components));
}

/// The bases of the signed messages.
static BASES: LazyLock<BTreeSet<Vec<u8>>> = LazyLock::new(|| {
    let mut bases = BTreeSet::new();
    let (reader, limits, asked) = (Reader::new(LIMIT), Limits::default(), asked());
    for data in SIGNED {
        let mut add = |exchange: &Exchange<'_>, message: &dyn Message| -> Result<(), Error> {
            let fields = ReceivedFields::of(message, Section::Headers, &limits)?;
            for signature in fields.signatures(&limits)? {
                bases.insert(signature.base(exchange, &limits)?.as_bytes().to_vec());
            }
            Ok(())
        };
        let added = if data.starts_with(b"HTTP/") {
            reader
                .response(data, asked.method())
                .and_then(|it| add(&Exchange::of(&it).answering(&asked), &it))
        } else {
            reader
                .request(data, "https")
                .and_then(|it| add(&Exchange::of(&it), &it))
        };
        assert!(added.is_ok(), "{added:?}");
    }
    bases
});

/// The key of the published workload with one of the providers, and a shared key.
#[derive(Debug)]
struct Known(usize);

impl Keys for Known {
    fn find(&self, parameters: &Parameters<'_>) -> Result<Key, Error> {
        if parameters.key_id().as_deref() == Some("shared") {
            return SharedKey::new("shared", *b"01234567890123456789012345678901").map(Key::Shared);
        }
        let [_, workload] = &known().printed;
        let key = workload.get(self.0).ok_or(Error::KeyUnknown)?;
        key.find(parameters)
    }
}

/// The two fields of an invalid signature.
struct Fields<'a> {
    input: &'a [u8],
}

impl Message for Fields<'_> {
    fn start(&self) -> Start<'_> {
        Start::Response { status: 200 }
    }

    fn lines<'m>(&'m self, _section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        match name {
            "signature-input" => each(self.input),
            "signature" => each(b"a=:AAAA:"),
            _ => {}
        }
    }
}
