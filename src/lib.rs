//! vcq exports Feishu/Lark meeting-quality data to Parquet.
//!
//! Data flows one way, in two phases with the journal between them:
//!
//! ```text
//! manifest ─► validate ─► enqueue ─► JOURNAL                                no network
//! next stay ─► pace ─► transport ─► classify ─► land page ─► JOURNAL        phase 1: async, network
//! JOURNAL ─► page bytes ─► samples ─► columns ─► Parquet ─► publish         phase 2: sync, CPU, no network
//! ```
//!
//! What is deliberately absent:
//!
//! - Nothing in [`quality`], [`manifest`], [`config`] or [`report`] is async, reads a clock, the environment or
//!   opens a file.
//! - Production code does not know the [`simulator`]; only the command line does. The simulator shares no code with
//!   the pacer, the classifier or the unit reader, so that it can convict them.
//! - Only [`feishu`] knows the vendor's protocol, only `feishu/transport.rs` names reqwest, only `fetch/pace.rs` names
//!   governor, and SQL lives in `journal/*.sql`.

pub mod adopt;
pub mod archive;
pub mod check;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod dataset;
pub mod demo;
pub mod drop;
pub mod error;
pub mod event;
pub mod feishu;
pub mod fetch;
pub mod file;
pub mod intake;
pub mod journal;
pub mod log;
pub mod manifest;
pub mod metrics;
pub mod observe;
pub mod plan;
pub mod progress;
pub mod publish;
pub mod quality;
pub mod rebuild;
pub mod refresh;
pub mod report;
pub mod run;
pub mod simulator;
pub mod start;
pub mod status;
pub mod stay;
pub mod verify;
