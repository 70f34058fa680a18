//! The vendor's protocol: nothing outside of this module knows it.

pub mod transport;
