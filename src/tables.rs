//! The datasets' columns: one table for each dataset, and what is built from it. Pure.

pub mod quality;
