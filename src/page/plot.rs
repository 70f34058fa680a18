//! A metric over time as SVG: median, 95th percentile and limit.
//!
//! The colours stand in the picture; in the dark the page's style sheet changes them by their names, which are in
//! `page.css` as well.

use plotters::{backend::SVGBackend, style::IntoFont as _};
use plotters::{
    chart::ChartBuilder,
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _},
    element::{Circle, PathElement},
    series::LineSeries,
    style::{Color as _, RGBColor, ShapeStyle, TextStyle},
};

/// Fits a telephone's screen.
const SIZE_PX: (u32, u32) = (320, 132);

const MEDIAN: RGBColor = RGBColor(0x1b, 0x62, 0xc4);
const P95: RGBColor = RGBColor(0xb3, 0x5c, 0x00);
const LIMIT: RGBColor = RGBColor(0xc6, 0x28, 0x28);
const GRID: RGBColor = RGBColor(0xd6, 0xda, 0xe0);
const INK: RGBColor = RGBColor(0x4f, 0x57, 0x62);

/// What is drawn of larger values, and the same below zero: nothing that a meeting has comes near it, and a picture's arithmetic ends
/// somewhere.
const DRAWN_MAX: f64 = 1e9;

/// Up to so many points each has a dot.
const DOTS_MAX: usize = 31;

/// What is drawn, period by period.
pub(super) struct Lines {
    /// What stands below, for each period.
    pub(super) labels: Vec<String>,
    /// The medians; none where nothing was measured.
    pub(super) medians: Vec<Option<f64>>,
    /// The 95th percentiles.
    pub(super) p95s: Vec<Option<f64>>,
    /// The limit; 0: there is none.
    pub(super) limit: f64,
}

/// Draws the picture.
pub(super) fn draw(lines: &Lines) -> String {
    let mut svg = String::new();
    draw_on(&SVGBackend::with_string(&mut svg, SIZE_PX).into_drawing_area(), lines)
        .expect("a string takes all there is memory for");
    svg
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw_on(area: &DrawingArea<SVGBackend<'_>, Shift>, lines: &Lines) -> Drawn {
    let drawn = || lines.p95s.iter().chain(&lines.medians).flatten().map(|value| drawable(*value));
    let (lowest, highest) = (drawn().fold(0.0, f64::min), drawn().fold(0.0, f64::max));
    // A limit far above all values would press them to the ground.
    let shows_limit = lines.limit > 0.0 && lines.limit <= 2.0 * highest;
    let top = if shows_limit { highest.max(lines.limit) } else { highest };
    let (bottom, top) = match (lowest * 1.08, top * 1.08) {
        (0.0, 0.0) => (0.0, 1.0),
        range => range,
    };
    let periods = i32::try_from(lines.labels.len()).unwrap_or(i32::MAX);
    let mut chart = ChartBuilder::on(area)
        .margin(4)
        .margin_right(10)
        .x_label_area_size(18)
        .y_label_area_size(34)
        .build_cartesian_2d(-1..periods, bottom..top)?;
    let label = |index: &i32| usize::try_from(*index).ok().and_then(|index| lines.labels.get(index)).cloned();
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(5)
        .y_labels(4)
        .x_label_formatter(&|index| label(index).unwrap_or_default())
        .y_label_formatter(&|value| super::number::decimal(*value))
        .label_style(text())
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(GRID.mix(0.0))
        .max_light_lines(1)
        .draw()?;
    if shows_limit {
        chart.draw_series([PathElement::new([(-1, lines.limit), (periods, lines.limit)], LIMIT.stroke_width(1))])?;
    }
    for (values, color) in [(&lines.p95s, P95), (&lines.medians, MEDIAN)] {
        for run in runs(values) {
            chart.draw_series(LineSeries::new(run.iter().copied(), color.stroke_width(2)))?;
            if lines.labels.len() <= DOTS_MAX {
                let dot = |point: &(i32, f64)| Circle::new(*point, 2, ShapeStyle::from(&color).filled());
                chart.draw_series(run.iter().map(dot))?;
            }
        }
    }
    area.present()
}

fn drawable(value: f64) -> f64 {
    value.clamp(-DRAWN_MAX, DRAWN_MAX)
}

fn text() -> TextStyle<'static> {
    TextStyle::from(("sans-serif", 11).into_font()).color(&INK)
}

/// The points, in runs of periods that follow each other.
fn runs(values: &[Option<f64>]) -> Vec<Vec<(i32, f64)>> {
    let mut runs = vec![Vec::new()];
    for (index, value) in (0..).zip(values) {
        match (value, runs.last_mut()) {
            (Some(value), Some(run)) => run.push((index, drawable(*value))),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str = include_str!("page.css");

    #[test]
    fn the_style_sheet_knows_each_color() {
        for RGBColor(red, green, blue) in [MEDIAN, P95, LIMIT, GRID, INK] {
            let name = format!("#{red:02X}{green:02X}{blue:02X}");
            assert!(STYLE.contains(&name), "{name}");
        }
    }

    #[test]
    fn gaps_one_point_none_and_any_numbers_are_drawn() {
        let huge = vec![Some(f64::MAX), Some(1.0), Some(f64::MIN)];
        let negative = vec![Some(-1e13), Some(-2.0)];
        for values in [vec![], vec![None], vec![Some(1.0)], vec![Some(0.0), None, Some(2.5), Some(3.0)], huge, negative]
        {
            let labels = values.iter().map(|_| "03-02".to_owned()).collect();
            let lines = Lines { labels, medians: values.clone(), p95s: values, limit: 2.0 };
            assert!(draw(&lines).starts_with("<svg "), "{:?}", lines.p95s);
        }
    }
}
