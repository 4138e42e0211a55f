//! Plain decisions of an operator about transactions and names.

use aims_authority::{
    Exchange, NameSubject, Replacement, ReplacementRequest, Transaction, TransactionPolicy,
};
use aims_oauth_wire::delegate::ScopeTable;
use serde_json::{Map, Value};

/// Opens transactions with the scope `order` for the scope `call`, with the details that the client
/// names, and replaces their tokens. It names no other issuer and no form of stated subjects.
#[derive(Debug)]
pub(crate) struct Orders;

impl TransactionPolicy for Orders {
    fn decide(
        &self,
        _exchange: &Exchange<'_>,
        details: &Map<String, Value>,
        _context: &Map<String, Value>,
    ) -> Option<Transaction> {
        let scopes = ScopeTable::new([("call", "order")]).unwrap();
        Some(Transaction::new(scopes).with_details(details.clone()))
    }

    fn replace(&self, _request: &ReplacementRequest<'_>) -> Option<Replacement> {
        Some(Replacement::new())
    }
}

/// Gives subjects the same name in the other domain.
#[derive(Debug)]
pub(crate) struct SameNames;

impl NameSubject for SameNames {
    fn name(&self, _audience: &str, subject: &str) -> Option<String> {
        Some(subject.to_owned())
    }
}
