//! The vendor's protocol: nothing outside of this module knows it.

pub mod api;
pub mod auth;
pub mod body;
pub mod transport;
