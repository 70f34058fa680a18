//! Limits of the API's answers that the network, the journal and archives all keep.

/// The largest body that is read, decompressed: 32 MiB. A page of 100 samples has about 0.14 MB.
pub const BODY_BYTES_MAX: usize = 32 << 20;
