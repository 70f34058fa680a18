//! One file for each command: checked arguments in, what came of it out. What only one command needs stands beside it.

pub mod adopt;
pub mod archive;
pub mod check;
pub mod cost;
pub mod decode;
pub mod demo;
pub mod discover;
pub mod drop;
pub mod export;
pub mod login;
pub mod notify;
pub mod plan;
pub mod rebuild;
pub mod report;
pub mod runs;
pub mod schema;
pub mod simulate;
pub mod standing;
pub mod status;
pub mod verify;
