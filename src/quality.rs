//! Phase 2, pure: page bytes → samples → columns → Parquet. No clock, no network, no environment.

pub mod batch;
pub mod column;
pub mod decode;
pub mod parquet;
pub mod time;
pub mod unit;
