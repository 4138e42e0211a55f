//! Web Bot Auth.
