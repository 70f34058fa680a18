//! Where an access token comes from.

pub mod tenant;
