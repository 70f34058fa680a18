//! `vcq schema`: what the configuration and the JSON of vcq look like, for editors and for programs that check what they read.
//!
//! The files are drawn from the code and kept in step by the tests beside this module.

#[cfg(test)]
mod tests;

/// What there is a JSON Schema (draft 7) of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// The configuration file.
    Config,
    /// The report of a run.
    Report,
    /// The figures of `vcq report --json`.
    Figures,
}

impl Schema {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Config, Self::Report, Self::Figures];

    /// The schema as JSON.
    pub fn text(self) -> &'static str {
        match self {
            Self::Config => include_str!("../../config/vcq.schema.json"),
            Self::Report => include_str!("../../config/report.schema.json"),
            Self::Figures => include_str!("../../config/figures.schema.json"),
        }
    }
}
