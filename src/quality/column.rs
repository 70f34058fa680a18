//! The table of columns: the one place where a metric is named.
