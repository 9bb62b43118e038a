//! Areas by weight: rectangles in a rectangle, as near to squares as can be. Source: Bruls, Huizing, van
//! Wijk, "Squarified Treemaps", 2000.

/// A rectangle: its corner at the top left, width and height.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    /// The same without `by` at each side, and `top` more at the top; nothing is left of a small one.
    pub(super) fn shrunk(self, by: f64, top: f64) -> Self {
        let less = |length: f64, by: f64| (length - by).max(0.0);
        Self {
            x: self.x + by,
            y: self.y + by + top,
            width: less(self.width, 2.0 * by),
            height: less(self.height, 2.0 * by + top),
        }
    }
}

/// `within`, dealt out by `weights`, in their order; those of no weight get nothing.
pub(super) fn squarified(weights: &[f64], within: Area) -> Vec<Area> {
    let mut areas = vec![Area { width: 0.0, height: 0.0, ..within }; weights.len()];
    let all: f64 = weights.iter().sum();
    if all <= 0.0 || all.is_nan() {
        return areas;
    }
    let scale = within.width * within.height / all;
    let mut sorted: Vec<(usize, f64)> =
        weights.iter().map(|weight| weight * scale).enumerate().collect();
    sorted.retain(|(_, size)| *size > 0.0);
    sorted.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let (mut left, mut rest) = (within, sorted.as_slice());
    while !rest.is_empty() {
        let side = left.width.min(left.height);
        // As many in a row as make its worst one better.
        let count = (1..rest.len())
            .find(|count| worst(&rest[..*count], side) < worst(&rest[..count + 1], side))
            .unwrap_or(rest.len());
        let (row, behind) = rest.split_at(count);
        left = place(row, left, &mut areas);
        rest = behind;
    }
    areas
}

/// How far the rectangles of a row along a `side` are from squares: 1 at best.
fn worst(row: &[(usize, f64)], side: f64) -> f64 {
    let sum: f64 = row.iter().map(|(_, size)| size).sum();
    let depth = sum / side;
    let ratio = |size: f64| (size / depth / depth).max(depth * depth / size);
    row.iter().map(|(_, size)| ratio(*size)).fold(1.0, f64::max)
}

/// Puts a row along the shorter side of `left`; returns what is left then.
fn place(row: &[(usize, f64)], left: Area, areas: &mut [Area]) -> Area {
    let sum: f64 = row.iter().map(|(_, size)| size).sum();
    let is_wide = left.width >= left.height;
    let side = if is_wide { left.height } else { left.width };
    let depth = if side > 0.0 { sum / side } else { 0.0 };
    let mut at = 0.0;
    for (number, size) in row {
        let length = if depth > 0.0 { size / depth } else { 0.0 };
        let area = match is_wide {
            true => Area { x: left.x, y: left.y + at, width: depth, height: length },
            false => Area { x: left.x + at, y: left.y, width: length, height: depth },
        };
        if let Some(place) = areas.get_mut(*number) {
            *place = area;
        }
        at += length;
    }
    match is_wide {
        true => Area { x: left.x + depth, width: (left.width - depth).max(0.0), ..left },
        false => Area { y: left.y + depth, height: (left.height - depth).max(0.0), ..left },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Area = Area { x: 10.0, y: 20.0, width: 600.0, height: 400.0 };

    #[test]
    fn areas_are_as_weights_and_fill_all_of_it_without_overlap() {
        for weights in [
            vec![6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0],
            vec![1.0],
            vec![1e-9, 1e12, 3.0, 0.0, 1e12],
            (1..60).map(f64::from).collect(),
        ] {
            let areas = squarified(&weights, WITHIN);
            let all: f64 = weights.iter().sum();
            for (area, weight) in areas.iter().zip(&weights) {
                let share = area.width * area.height / (WITHIN.width * WITHIN.height);
                assert!((share - weight / all).abs() < 1e-6, "{area:?} for {weight}");
                assert!(area.x >= WITHIN.x - 1e-6 && area.y >= WITHIN.y - 1e-6);
                assert!(area.x + area.width <= WITHIN.x + WITHIN.width + 1e-6);
                assert!(area.y + area.height <= WITHIN.y + WITHIN.height + 1e-6);
            }
            for (number, a) in areas.iter().enumerate() {
                for b in &areas[number + 1..] {
                    let wide = (a.x + a.width).min(b.x + b.width) - a.x.max(b.x);
                    let high = (a.y + a.height).min(b.y + b.height) - a.y.max(b.y);
                    assert!(wide < 1e-6 || high < 1e-6, "{a:?} over {b:?}");
                }
            }
        }
    }

    #[test]
    fn rectangles_are_near_to_squares() {
        let areas = squarified(&[6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0], WITHIN);
        let ratio = |area: &Area| (area.width / area.height).max(area.height / area.width);
        assert!(areas.iter().map(ratio).fold(1.0, f64::max) < 3.0, "{areas:?}");
    }

    #[test]
    fn nothing_has_no_area() {
        assert!(squarified(&[], WITHIN).is_empty());
        let none = squarified(&[0.0, 0.0], WITHIN);
        assert!(none.iter().all(|area| area.width * area.height == 0.0));
        let flat = squarified(&[1.0, 2.0], Area { width: 0.0, ..WITHIN });
        assert!(flat.iter().all(|area| area.width * area.height == 0.0));
    }
}
