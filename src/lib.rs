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
//! Folders name only what stands before them here (`tests/layers.rs` keeps the order):
//!
//! | What | Where |
//! |---|---|
//! | what everybody may know | [`printable`], [`words`], [`guard`], [`limits`], [`endpoint`], [`dataset`], [`dates`], [`stay`], [`meeting`], [`tables`], [`place`], [`config`] |
//! | values, pure | [`read`], [`parquet`], [`manifest`], [`listings`] |
//! | the vendor's protocol | [`feishu`] |
//! | what outlives a process | [`journal`], [`store`], [`archive`] |
//! | what an operator is told | [`error`], [`event`] |
//! | what a command is given | [`start`], [`mod@file`], [`credentials`], [`access`] |
//! | the work | [`intake`], [`fetch`], [`publish`] |
//! | what people look at | [`figures`], [`page`] |
//! | folds over events | [`observe`] |
//! | the simulated tenant | [`simulator`] |
//! | commands, and their command line | [`command`], [`cli`] |
//!
//! What is deliberately absent:
//!
//! - Nothing in [`read`], [`tables`], [`parquet`], [`manifest`], [`config`] or the report is async, reads a clock, the
//!   environment or opens a file.
//! - Production code does not know the [`simulator`]; only commands do. The simulator shares no code with the pacer, the
//!   classifier or the unit reader, so that it can convict them.
//! - Only [`feishu`] knows the vendor's protocol, only `feishu/transport` and `store/s3/http.rs` name reqwest, only
//!   `fetch/pace.rs` names governor, only `store/s3` names `object_store`, only `store/table` names `delta_kernel`, and only [`journal`] speaks SQL.

pub mod access;
pub mod archive;
pub mod cli;
pub mod command;
pub mod config;
pub mod credentials;
pub mod dataset;
pub mod dates;
pub mod endpoint;
pub mod error;
pub mod event;
pub mod feishu;
pub mod fetch;
pub mod figures;
pub mod file;
pub mod guard;
pub mod intake;
pub mod journal;
pub mod limits;
pub mod listings;
pub mod manifest;
pub mod meeting;
pub mod observe;
pub mod page;
pub mod parquet;
pub mod place;
pub mod printable;
pub mod publish;
pub mod read;
pub mod simulator;
pub mod start;
pub mod stay;
pub mod store;
pub mod tables;
pub mod words;
