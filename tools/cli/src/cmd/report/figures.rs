//! What is drawn: sizes as a treemap, counts and bytes as bars. All of it SVG that needs no script.

use super::treemap::{Area, squarified};
use crate::page::{escaped, units};
use std::fmt::Write;

/// Width of all drawings, in units of their own.
const WIDTH: f64 = 1200.0;
const TREE_HEIGHT: f64 = 520.0;
/// Room for an operator's name.
const HEAD_HEIGHT: f64 = 18.0;
/// About how wide a letter is.
const LETTER_WIDTH: f64 = 7.0;
const BARS_WIDTH: f64 = 560.0;
const BARS_HEIGHT: f64 = 150.0;

/// A state, and what its area stands for.
pub(super) struct Leaf {
    pub(super) name: String,
    pub(super) len_bytes: u64,
    /// What is said of it where the pointer is.
    pub(super) about: String,
}

/// An operator and its states.
pub(super) struct Branch {
    pub(super) name: String,
    pub(super) leaves: Vec<Leaf>,
}

/// Sizes by operator and state.
pub(super) fn treemap(branches: &[Branch]) -> String {
    let sum =
        |branch: &Branch| -> f64 { branch.leaves.iter().map(|leaf| leaf.len_bytes as f64).sum() };
    let weights: Vec<f64> = branches.iter().map(sum).collect();
    let within = Area { x: 0.0, y: 0.0, width: WIDTH, height: TREE_HEIGHT };
    let mut svg = format!(
        "<svg class=\"treemap\" role=\"img\" aria-label=\"sizes by operator and state\" \
         viewBox=\"0 0 {WIDTH} {TREE_HEIGHT}\">\n"
    );
    for (number, (branch, area)) in branches.iter().zip(squarified(&weights, within)).enumerate() {
        if area.width * area.height <= 0.0 {
            continue;
        }
        rect(&mut svg, area, "class=\"operator\"", &branch.name);
        label(&mut svg, area, &branch.name, "");
        let inner = area.shrunk(2.0, HEAD_HEIGHT);
        let weights: Vec<f64> = branch.leaves.iter().map(|leaf| leaf.len_bytes as f64).collect();
        let leaves = branch.leaves.iter().zip(squarified(&weights, inner));
        for (at, (leaf, area)) in leaves.enumerate().filter(|(_, (leaf, _))| leaf.len_bytes > 0) {
            // Golden angles keep neighbours apart; each operator has a hue of its own.
            let (hue, light) = ((number as f64 * 137.5 + 215.0) % 360.0, 34 + at % 4 * 5);
            let fill = format!("class=\"state\" fill=\"hsl({hue:.0} 48% {light}%)\"");
            let about = format!("{}/{}: {}", branch.name, leaf.name, leaf.about);
            rect(&mut svg, area, &fill, &about);
            label(&mut svg, area, &leaf.name, " class=\"label\"");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn rect(svg: &mut String, area: Area, attributes: &str, about: &str) {
    let Area { x, y, width, height } = area;
    // Writing to a string does not fail.
    let _ = writeln!(
        svg,
        "<rect {attributes} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
         <title>{}</title></rect>",
        escaped(about)
    );
}

/// A name at the top left of an area, as much of it as fits.
fn label(svg: &mut String, area: Area, name: &str, class: &str) {
    let letters = ((area.width - 10.0) / LETTER_WIDTH).max(0.0) as usize;
    if area.height < HEAD_HEIGHT || letters < 3 {
        return;
    }
    let shown: String = match name.chars().count() > letters {
        true => name.chars().take(letters - 1).chain(['…']).collect(),
        false => name.to_owned(),
    };
    let (x, y) = (area.x + 5.0, area.y + 14.0);
    let _ = writeln!(svg, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(&shown));
}

/// One bar: what it is for, how high it is, and what it is of; of the height, the lower part may be of
/// another kind.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) height: u64,
    pub(super) lower: u64,
    pub(super) about: String,
}

/// Bars side by side; `mean` is drawn across, and every `named`th bar has its name below.
pub(super) fn bars(bars: &[Bar], mean: Option<f64>, named: usize) -> String {
    let most = bars.iter().map(|bar| bar.height).max().unwrap_or(0).max(1) as f64;
    let foot = 18.0;
    let mut svg = format!(
        "<svg class=\"hist\" role=\"img\" viewBox=\"0 0 {BARS_WIDTH} {:.0}\">\n",
        BARS_HEIGHT + foot
    );
    let width = BARS_WIDTH / bars.len().max(1) as f64;
    for (number, bar) in bars.iter().enumerate() {
        let high = |count: u64| count as f64 / most * (BARS_HEIGHT - 4.0);
        let x = number as f64 * width;
        let mut part = |class: &str, from: u64, to: u64| {
            let (top, height) = (BARS_HEIGHT - high(to), high(to) - high(from));
            let (left, width) = (x + width * 0.08, width * 0.84);
            let area = Area { x: left, y: top, width, height };
            if to > from {
                rect(&mut svg, area, class, &format!("{}: {}", bar.name, bar.about));
            }
        };
        part("class=\"bar-kept\"", 0, bar.lower.min(bar.height));
        part("class=\"bar-new\"", bar.lower.min(bar.height), bar.height);
        if number % named.max(1) == 0 {
            let (x, y) = (x + width / 2.0, BARS_HEIGHT + 13.0);
            let name = escaped(&bar.name);
            let _ = writeln!(svg, "<text class=\"x\" x=\"{x:.1}\" y=\"{y:.1}\">{name}</text>");
        }
    }
    if let Some(mean) = mean {
        let y = BARS_HEIGHT - mean / most * (BARS_HEIGHT - 4.0);
        let _ = writeln!(
            svg,
            "<line class=\"mean\" x1=\"0\" x2=\"{BARS_WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\">\
             <title>mean: {}</title></line>",
            units::bytes(mean)
        );
    }
    svg.push_str("</svg>\n");
    svg
}
