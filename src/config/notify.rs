//! Who is told how runs end: the section `[notify]`.

use std::path::PathBuf;

use super::{ConfigError, layers::Layers};

/// Who is told how runs end, and of which.
#[derive(Clone, Debug, PartialEq)]
pub struct Notify {
    /// The file that holds the address, if one is named.
    pub url_file: Option<PathBuf>,
    /// The file that holds a bot's secret for signatures, if one is named.
    pub secret_file: Option<PathBuf>,
    /// What is sent there.
    pub form: NoticeForm,
    /// Which ends are told.
    pub of: NoticeOf,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeForm {
    /// JSON of vcq's own.
    Json,
    /// The message of a custom bot of Feishu or Lark.
    Bot,
}

/// Which ends of runs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeOf {
    /// Those with an exit code that a person may have to do something about: every one but 0 and 3.
    Problems,
    /// Every one.
    All,
}

impl Layers {
    pub(super) fn check_notify(&self) -> Result<Notify, ConfigError> {
        Ok(Notify {
            url_file: self.optional_file("notify.url_file")?,
            secret_file: self.optional_file("notify.secret_file")?,
            form: self.read("notify.form", "`json` or `bot`", |value| match value.as_str()? {
                "json" => Some(NoticeForm::Json),
                "bot" => Some(NoticeForm::Bot),
                _ => None,
            })?,
            of: self.read("notify.of", "`problems` or `all`", |value| match value.as_str()? {
                "problems" => Some(NoticeOf::Problems),
                "all" => Some(NoticeOf::All),
                _ => None,
            })?,
        })
    }
}
