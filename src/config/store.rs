//! How object stores are reached: the section `[store]`.

use toml::Value;
use url::Url;

use super::{
    ConfigError,
    layers::{Layers, optional},
    url::{bare_url, is_private_way},
};

/// How object stores are reached. Credentials are never part of it: they come from the environment, a web identity, the
/// container or the instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectStores {
    /// The store's address, without the bucket; none: AWS.
    pub endpoint: Option<Url>,
    /// The region that requests are signed for; none: the environment's, or `us-east-1`.
    pub region: Option<String>,
    /// Whether the bucket is part of the host's name and not of the path.
    pub virtual_hosted: bool,
}

impl Layers {
    pub(super) fn check_store(&self) -> Result<ObjectStores, ConfigError> {
        let allows_http = self.flag("store.allow_http")?;
        let endpoint = |value: &Value| {
            optional(value, |text| {
                let url = bare_url(text)?;
                (url.scheme() == "https" || (allows_http && is_private_way(&url))).then_some(url)
            })
        };
        let is_region = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        Ok(ObjectStores {
            endpoint: self.read(
                "store.endpoint",
                "an https URL of a host without bucket, path, query or user, or empty (http on a loopback address only, with \
                 `store.allow_http`)",
                endpoint,
            )?,
            region: self.read("store.region", "a region such as `cn-hangzhou`, or empty", |value| {
                optional(value, |text| is_region(text).then(|| text.to_owned()))
            })?,
            virtual_hosted: self.flag("store.virtual_hosted")?,
        })
    }
}
