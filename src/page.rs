//! Figures → the page: one file of HTML that needs nothing else. Pure.

/// The language of the page's texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Chinese, simplified.
    Chinese,
}
