//! The request to a person.

use aims_oauth_wire::call::ToolCall;
use aims_oauth_wire::challenge::StepUp;
use aims_oauth_wire::names::{Resource, ScopeSet};

use crate::{Error, Target};

/// One call that a person is to approve, and what the tool demands of the token.
///
/// The tool names its demands in the challenge of its refusal (RFC 6750 §3, RFC 9470 §3). The
/// agent does not trust them: [`within`](Self::within) limits the scopes.
///
/// ```
/// use aims_oauth_client::ApprovalRequest;
/// use aims_oauth_wire::call::ToolCall;
///
/// let call = ToolCall::new("transfer", Some(br#"{"to":"bob"}"#))?;
/// let request = ApprovalRequest::new(call, "https://bank.example/mcp".parse()?)
///     .requiring("payments".parse()?)
///     .within("payments accounts".parse()?);
/// assert_eq!(request.call().tool(), "transfer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a person is asked by `Approve::approve`"]
pub struct ApprovalRequest {
    call: ToolCall,
    resource: Resource,
    required: ScopeSet,
    allowed: Option<ScopeSet>,
    login: StepUp,
}

impl ApprovalRequest {
    /// Creates a request for this call at this resource. The tool demands nothing else.
    pub fn new(call: ToolCall, resource: Resource) -> Self {
        Self {
            call,
            resource,
            required: ScopeSet::new(),
            allowed: None,
            login: StepUp::new(),
        }
    }

    /// Sets the scopes that the tool requires of the token.
    pub fn requiring(mut self, scopes: ScopeSet) -> Self {
        self.required = scopes;
        self
    }

    /// Sets which scopes a tool may require. Without this, it may require any.
    ///
    /// Scopes that the program asks for by itself, such as [`ByBackchannel::scopes`], are allowed
    /// as well.
    ///
    /// [`ByBackchannel::scopes`]: crate::ByBackchannel::scopes
    pub fn within(mut self, allowed: ScopeSet) -> Self {
        self.allowed = Some(allowed);
        self
    }

    /// Sets the login of the person that the tool requires (RFC 9470 §3).
    pub fn with_login(mut self, login: StepUp) -> Self {
        self.login = login;
        self
    }

    /// Returns the call.
    #[must_use]
    pub const fn call(&self) -> &ToolCall {
        &self.call
    }

    /// Returns the resource that the token is for.
    #[must_use]
    pub const fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Returns the login of the person that the tool requires.
    #[must_use]
    pub const fn login(&self) -> &StepUp {
        &self.login
    }

    /// Returns the scopes to ask for: `own`, which the program asks for by itself, and those that
    /// the tool requires.
    ///
    /// # Errors
    ///
    /// `connect.scope` if the tool requires scopes that the program does not allow.
    pub fn scopes(&self, own: &ScopeSet) -> Result<ScopeSet, Error> {
        let mut scopes = own.clone();
        for scope in self.required.iter() {
            scopes.insert(scope.clone())?;
        }
        let is_refused = |scope: &str| {
            let allowed = self.allowed.as_ref();
            !own.contains(scope) && allowed.is_some_and(|it| !it.contains(scope))
        };
        let wider = self.required.iter().map(|it| it.as_str());
        let mut wider = wider.filter(|it| is_refused(it)).peekable();
        if wider.peek().is_some() {
            return Err(Error::ScopeNotAllowed {
                wider: aims_error::shown(wider),
            });
        }
        Ok(scopes)
    }

    /// Returns the accepted classes of the login, separated by spaces, if the tool names any.
    pub(super) fn accepted_acr(&self) -> Option<String> {
        let classes: Vec<&str> = self.login.accepted_acr().collect();
        (!classes.is_empty()).then(|| classes.join(" "))
    }

    /// Returns the target of the token: this call alone, with these scopes.
    pub(super) fn target(&self, scopes: ScopeSet) -> Result<Target, Error> {
        let details = self.call.details(self.resource.as_str()).to_json();
        Target::new(self.resource.clone(), scopes).with_details(&details)
    }
}
