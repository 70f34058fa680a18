//! Texts → numbers: what the API's answers mean. Pure.

pub mod batch;
pub mod decode;
pub mod listed;
pub mod time;
pub mod unit;
pub mod unread;
