//! The approval of one call by a person.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Error, Token};

mod asker;
mod backchannel;
mod browser;
mod granted;
mod request;

pub use backchannel::ByBackchannel;
pub use browser::ByBrowser;
pub use request::ApprovalRequest;

/// The token of an approved call, or why there is none.
pub type ApproveFuture<'a> = Pin<Box<dyn Future<Output = Result<Token, Error>> + Send + 'a>>;

/// Asks a person for the approval of one call of a tool.
///
/// Only an authorization server approves: the result is its [`Token`], which no program can make.
/// So a dialog of the program itself never counts, and neither does text of a model.
///
/// ```compile_fail,E0599
/// use aims_oauth_client::{Error, Token};
///
/// fn the_user_clicked_ok() -> Result<Token, Error> {
///     Ok(Token::new("approved")) // no such function
/// }
/// ```
///
/// [`ByBackchannel`] asks on the person's own device, and [`ByBrowser`] in a browser on this one.
/// An implementation may choose between them for each call:
///
/// ```
/// use aims_oauth_client::{
///     ApprovalRequest, Approve, ApproveFuture, ByBackchannel, ByBrowser,
/// };
///
/// /// Asks on the phone for payments, and in the browser for everything else.
/// #[derive(Debug)]
/// struct ByTool {
///     phone: ByBackchannel,
///     browser: ByBrowser,
/// }
///
/// impl Approve for ByTool {
///     fn approve<'a>(&'a self, request: &'a ApprovalRequest) -> ApproveFuture<'a> {
///         match request.call().tool() {
///             "pay" => self.phone.approve(request),
///             _ => self.browser.approve(request),
///         }
///     }
/// }
/// ```
pub trait Approve: fmt::Debug + Send + Sync {
    /// Asks, and waits for the decision. The token is for this call at this resource, and is used
    /// once. Dropping the future ends the wait.
    ///
    /// # Errors
    ///
    /// - `oauth.refused` or `authorize.refused` if the person denies or does not decide in time.
    /// - `connect.scope` if the tool requires scopes that the program does not allow. The person is
    ///   not asked then.
    /// - `grant.approval` if the token is not for this call.
    /// - The errors of the requests.
    fn approve<'a>(&'a self, request: &'a ApprovalRequest) -> ApproveFuture<'a>;
}

impl<A: Approve + ?Sized> Approve for Arc<A> {
    fn approve<'a>(&'a self, request: &'a ApprovalRequest) -> ApproveFuture<'a> {
        (**self).approve(request)
    }
}
