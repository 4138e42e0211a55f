//! JWT claims.
