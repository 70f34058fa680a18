//! The binary as its users see it: arguments, signals and files in; exit code, messages and files out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bug;
#[path = "../support/canary.rs"]
mod canary;
mod hostile;
mod job;
mod kill;
mod login;
mod memory;
mod messages;
mod network;
mod notify;
mod operator;
mod orchestrators;
mod outside;
#[path = "../support/python.rs"]
mod python;
mod readme;
mod report;
mod schema;
mod secrets;
mod surroundings;
mod tls;
mod way;
mod world;
