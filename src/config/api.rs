//! The API's host and how to talk to it: the section `[api]`.

use std::time::Duration;

use chrono::FixedOffset;
use serde::Deserialize;
use url::Url;

use super::{
    ConfigError,
    layers::Layers,
    url::{BASE_URL_RULE, base_url},
};

/// The API's host and how to talk to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Api {
    /// Scheme and host, without a path.
    pub base_url: Url,
    /// Kind of the manifest's user ids.
    pub user_id_type: UserIdType,
    /// Offset of the API's time texts without a zone.
    pub naive_utc_offset: FixedOffset,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for a whole answer.
    pub request_timeout: Duration,
}

/// The three ways in which the API names a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserIdType {
    /// A user within one app.
    OpenId,
    /// A user within one developer's apps.
    UnionId,
    /// A user within the tenant.
    UserId,
}

impl UserIdType {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenId => "open_id",
            Self::UnionId => "union_id",
            Self::UserId => "user_id",
        }
    }
}

impl Layers {
    pub(super) fn check_api(&self) -> Result<Api, ConfigError> {
        Ok(Api {
            base_url: self.read("api.base_url", BASE_URL_RULE, base_url)?,
            user_id_type: self
                .read("api.user_id_type", "`open_id`, `union_id` or `user_id`", |v| v.clone().try_into().ok())?,
            naive_utc_offset: self
                .read("api.naive_utc_offset", "a UTC offset such as `+08:00`", |v| v.as_str()?.parse().ok())?,
            connect_timeout: self.duration("api.connect_timeout", "a duration of 1s to 2m", "1s", "2m")?,
            request_timeout: self.duration("api.request_timeout", "a duration of 1s to 5m", "1s", "5m")?,
        })
    }
}
