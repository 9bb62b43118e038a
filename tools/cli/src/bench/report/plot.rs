//! Plots as SVG, to stand in a page.

use crate::page::escaped;
use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
/// Room for the labels of the axes.
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 8.0;
const RIGHT: f64 = 12.0;

/// A line through points, in the style of the class.
pub(super) struct Line {
    pub(super) class: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A span along the x axis, shaded.
pub(super) struct Span {
    pub(super) class: String,
    pub(super) from: f64,
    pub(super) to: f64,
}

/// Lines over two axes; what lies outside of them is cut off.
pub(super) struct Plot {
    pub(super) x: (f64, f64),
    pub(super) y: (f64, f64),
    /// Whether the y axis is logarithmic.
    pub(super) logarithmic: bool,
    /// Places on the axes, and what stands there.
    pub(super) x_ticks: Vec<(f64, String)>,
    pub(super) y_ticks: Vec<(f64, String)>,
    pub(super) spans: Vec<Span>,
    pub(super) lines: Vec<Line>,
}

impl Plot {
    fn across(&self, x: f64) -> f64 {
        let (from, to) = self.x;
        let part = (x - from) / (to - from).max(f64::MIN_POSITIVE);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, y: f64) -> f64 {
        let scale = |y: f64| if self.logarithmic { y.max(f64::MIN_POSITIVE).ln() } else { y };
        let (from, to) = (scale(self.y.0), scale(self.y.1));
        let part = (scale(y) - from) / (to - from).max(f64::MIN_POSITIVE);
        HEIGHT - BOTTOM - part.clamp(0.0, 1.0) * (HEIGHT - BOTTOM - TOP)
    }

    /// The plot.
    pub(super) fn svg(&self) -> String {
        let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#);
        // Writing to a string does not fail.
        for Span { class, from, to } in &self.spans {
            let (left, right) = (self.across(*from), self.across(*to));
            let (width, height) = ((right - left).max(1.0), HEIGHT - BOTTOM - TOP);
            let _ = write!(
                svg,
                r#"<rect class="span {class}" x="{left:.1}" y="{TOP}" width="{width:.1}" height="{height}"/>"#
            );
        }
        let right = WIDTH - RIGHT;
        for (y, label) in &self.y_ticks {
            let (at, label) = (self.up(*y), escaped(label));
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{at:.1}" y2="{at:.1}"/><text class="y" x="{}" y="{:.1}">{label}</text>"#,
                LEFT - 6.0,
                at + 4.0
            );
        }
        let floor = HEIGHT - BOTTOM;
        for (x, label) in &self.x_ticks {
            let (at, label) = (self.across(*x), escaped(label));
            let _ = write!(
                svg,
                r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{floor}"/><text class="x" x="{at:.1}" y="{}">{label}</text>"#,
                floor + 16.0
            );
        }
        for Line { class, points } in &self.lines {
            let _ = write!(svg, r#"<polyline class="line {class}" points=""#);
            for (x, y) in points {
                let _ = write!(svg, "{:.1},{:.1} ", self.across(*x), self.up(*y));
            }
            svg.push_str(r#""/>"#);
        }
        svg.push_str("</svg>");
        svg
    }
}

/// A bar, and what it says.
pub(super) struct Bar {
    pub(super) class: String,
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) text: String,
}

/// Bars below each other, the longest across the plot.
pub(super) fn bars(bars: &[Bar]) -> String {
    const STEP: f64 = 24.0;
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let height = STEP * bars.len() as f64 + 4.0;
    let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img">"#);
    for (at, Bar { class, label, value, text }) in bars.iter().enumerate() {
        let top = STEP * at as f64 + 4.0;
        // Room for the label before it and the text behind it.
        let width = (value / most * (WIDTH - 2.2 * LEFT - 90.0)).max(1.0);
        let left = LEFT + 40.0;
        let _ = write!(
            svg,
            r#"<text class="y" x="{}" y="{}">{}</text><rect class="bar {class}" x="{left}" y="{top}" width="{width:.1}" height="18"/><text x="{:.1}" y="{}">{}</text>"#,
            left - 6.0,
            top + 13.0,
            escaped(label),
            left + width + 6.0,
            top + 13.0,
            escaped(text)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// The powers of ten that enclose positive values; a decade at least.
pub(super) fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values
        .filter(|value| *value > 0.0)
        .fold((f64::INFINITY, 0_f64), |(least, most), value| (least.min(value), most.max(value)));
    if least > most {
        return (1.0, 10.0);
    }
    let (from, to) = (least.log10().floor(), most.log10().ceil());
    (10_f64.powf(from), 10_f64.powf(to.max(from + 1.0)))
}

/// A round step that divides `0..most` into four to ten.
pub(super) fn step(most: f64) -> f64 {
    let raw = (most / 5.0).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= raw);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_round() {
        assert_eq!(decades([120.0, 45_000.0].into_iter()), (100.0, 100_000.0));
        assert_eq!(decades([100.0].into_iter()), (100.0, 1_000.0));
        assert_eq!(decades(std::iter::empty()), (1.0, 10.0));
        for (most, expected) in [(10.0, 2.0), (9.0, 2.0), (6.0, 2.0), (4.9, 1.0), (260.0, 100.0)] {
            assert!((step(most) - expected).abs() < 1e-9, "{most}: {}", step(most));
        }
    }

    #[test]
    fn points_lie_where_the_axes_say() {
        let plot = Plot {
            x: (0.0, 10.0),
            y: (1.0, 100.0),
            logarithmic: true,
            x_ticks: vec![(5.0, "<5>".into())],
            y_ticks: vec![(10.0, "ten".into())],
            spans: vec![Span { class: "b0".into(), from: 2.0, to: 4.0 }],
            lines: vec![Line { class: "b0".into(), points: vec![(0.0, 1.0), (10.0, 100.0)] }],
        };
        let svg = plot.svg();
        assert!(svg.contains(r#"points="70.0,226.0 548.0,8.0 ""#), "{svg}");
        assert!(svg.contains("&lt;5&gt;") && !svg.contains("<5>"), "{svg}");
        // Ten is halfway from one to a hundred.
        assert!(svg.contains(r#"y1="117.0" y2="117.0""#), "{svg}");
        assert!(svg.contains(r#"x="165.6" y="8" width="95.6""#), "{svg}");
    }
}
