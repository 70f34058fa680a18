//! Phase 2, pure: page bytes → samples → columns → Parquet. No clock, no network, no environment.

pub mod column;
pub mod time;
pub mod unit;
