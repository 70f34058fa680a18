//! Tables of the page: what stands in their cells, and how it is shown.

/// A table with its heading.
#[derive(Default)]
pub(super) struct Table {
    pub(super) heading: String,
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// What is said where it has no rows.
    pub(super) when_empty: &'static str,
    /// What is said below it.
    pub(super) notes: Vec<String>,
}

/// One cell.
pub(super) struct Cell {
    pub(super) text: String,
    /// Its class in the style sheet.
    pub(super) class: &'static str,
    /// How much of the cell a bar fills, in percent.
    pub(super) bar: Option<String>,
}

impl Cell {
    /// A text, from the data or not.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), class: "text", bar: None }
    }

    /// A number.
    pub(super) fn number(text: String) -> Self {
        Self { text, class: "number", bar: None }
    }

    /// A number from 0 to 1, with a bar.
    pub(super) fn bar(text: String, share: Option<f64>) -> Self {
        let bar = share.map(|share| format!("{:.1}", share.clamp(0.0, 1.0) * 100.0));
        Self { text, class: "number", bar }
    }

    /// Whether it is a number, as most cells are: those have no class of their own.
    pub(super) fn is_number(&self) -> bool {
        self.class == "number"
    }

    /// The same with another class.
    pub(super) fn classed(self, class: &'static str) -> Self {
        Self { class, ..self }
    }
}
