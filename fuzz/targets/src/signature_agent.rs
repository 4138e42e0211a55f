//! `Signature-Agent`: the claimed agent of an unauthenticated client.

use aims_http_sig::profile::web_bot_auth::{
    DIRECTORY_PATH, Discovery, RequestPolicy, Revision, SignatureAgent, TAG,
};
use aims_http_sig::{
    Component, Error, Exchange, FieldType, FieldTypes, Message, Section, Start, component_value,
};
use url::Url;

use crate::head::lines;
use crate::known::{NOW, known};
use crate::{Outcome, refused};

/// Parses the lines of a field by both revisions of the draft. Accepted if its member `sig1` names
/// an agent in the earlier one. A signature over the field names the same agent.
pub fn signature_agent(data: &[u8]) -> Outcome {
    let fields = Fields::of(lines(data).filter(|line| !line.is_empty()).collect());
    if let Ok(agent) = claimed(&fields, Revision::Draft01) {
        check_key_set(&agent);
    }
    let earlier = |fields: &_| claimed(fields, Revision::Draft00);
    let agent = match earlier(&fields) {
        Ok(agent) => agent,
        Err(error) => return refused(error.code(), &[Error::CODES]),
    };
    check_place(&agent);

    // A parsed agent equals the written one, and the signed one.
    let member = agent.to_member("sig1");
    let again = earlier(&Fields::of(vec![member.as_bytes()]));
    assert_eq!(again.ok().as_ref(), Some(&agent));
    let types = FieldTypes::known().with("signature-agent", FieldType::Dictionary);
    let exchange = Exchange::of(&fields).with_types(&types);
    let Ok(component) = "signature-agent;key=\"sig1\"".parse::<Component>() else {
        unreachable!("a constant");
    };
    let Ok(signed) = component_value(&exchange, component.id()) else {
        unreachable!("what is read cannot be signed");
    };
    let signed = format!("sig1={signed}");
    // The URL of the member, which parameters may follow in any order.
    let url = member
        .rsplit_once('"')
        .map_or(member.as_str(), |(url, _)| url);
    assert!(signed.starts_with(url), "{signed} is not {member}");
    let again = earlier(&Fields::of(vec![signed.as_bytes()]));
    assert_eq!(again.ok().as_ref(), Some(&agent));
    Outcome::Accepted
}

/// The constructor creates the same agent from its location, which has one spelling.
fn check_place(agent: &SignatureAgent) {
    let location = agent.location();
    let again = match agent.discovery() {
        Discovery::Cimd => SignatureAgent::cimd(location),
        Discovery::JwksUri => SignatureAgent::jwks_uri(location),
        _ => SignatureAgent::directory(location.strip_suffix(DIRECTORY_PATH).unwrap_or_default()),
    };
    let same = again.is_ok_and(|again| again.location() == location);
    assert!(same, "{location} is not its own place");
    // A parser of URLs spells the location the same, or refuses it.
    if let Ok(url) = Url::parse(location) {
        assert_eq!(url.scheme(), "https");
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        let spelled = format!("{}{}", url.origin().ascii_serialization(), url.path());
        assert_eq!(spelled, agent.identifier());
    }
}

/// In the current revision a member is the URL of a key set: one spelling, no parameter.
fn check_key_set(agent: &SignatureAgent) {
    assert_eq!(agent.revision(), Revision::Draft01);
    let same = SignatureAgent::jwk_set(agent.location());
    assert!(same.is_ok_and(|same| same.location() == agent.location()));
    let member = agent.to_member("sig1");
    assert!(
        !member.contains(';') || agent.location().contains(';'),
        "{member}"
    );
    let again = claimed(&Fields::of(vec![member.as_bytes()]), Revision::Draft01);
    assert_eq!(again.ok().as_ref(), Some(agent));
    if let Ok(url) = Url::parse(agent.location()) {
        assert_eq!(url.scheme(), "https");
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    }
}

/// Returns the agent of the only signature.
fn claimed(fields: &Fields<'_>, revision: Revision) -> Result<SignatureAgent, Error> {
    let claims = RequestPolicy::new()
        .with_revision(revision)
        .claims(fields)?;
    let [claim] = claims.as_slice() else {
        unreachable!("one signature has {} claims", claims.len());
    };
    let Some(agent) = claim.agent() else {
        unreachable!("an agent is wanted");
    };
    Ok(agent.clone())
}

/// A request that covers its agent, with an invalid signature.
struct Fields<'a> {
    input: String,
    agent: Vec<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn of(agent: Vec<&'a [u8]>) -> Self {
        let [_, [key, _]] = &known().printed;
        let (id, end) = (key.thumbprint(), NOW.saturating_add(60));
        let input = format!(
            "sig1=(\"@authority\" \"signature-agent\";key=\"sig1\");created={NOW};expires={end};keyid=\"{id}\";tag=\"{TAG}\""
        );
        Self { input, agent }
    }
}

impl Message for Fields<'_> {
    fn start(&self) -> Start<'_> {
        Start::Request {
            method: "GET",
            target: "/",
            scheme: "https",
            authority: "shop.example",
        }
    }

    fn lines<'m>(&'m self, section: Section, name: &str, each: &mut dyn FnMut(&'m [u8])) {
        if section == Section::Trailers {
            return;
        }
        match name {
            "signature-input" => each(self.input.as_bytes()),
            "signature" => each(b"sig1=:AAAA:"),
            "signature-agent" => self.agent.iter().for_each(|line| each(line)),
            _ => {}
        }
    }
}
