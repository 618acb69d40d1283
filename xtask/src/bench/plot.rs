//! Draws curves as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#d1480b", "#1a7f37", "#8250df"];

/// What equal lengths on an axis mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Equal differences; axes begin at 0.
    Even,
    /// Equal ratios; growth in proportion is a straight line that rises by a power of ten on each.
    Powers,
}

/// One axis: its least and greatest value as they are scaled.
struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let to = values.clone().fold(1e-9, f64::max);
        match scale {
            Scale::Even => Self { scale, from: 0.0, to },
            Scale::Powers => {
                let least = values.fold(to, f64::min).max(1e-3);
                let (from, to) = (least.log10().floor(), to.log10().ceil());
                Self { scale, from, to: to.max(from + 1.0) }
            }
        }
    }

    /// Where a value lies, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let scaled = if self.scale == Scale::Even { value } else { value.max(1e-3).log10() };
        (scaled - self.from) / (self.to - self.from)
    }

    /// The values that the axis tells.
    fn marks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Even => (0..=4).map(|quarter| self.to * f64::from(quarter) / 4.0).collect(),
            Scale::Powers => {
                (self.from as i32..=self.to as i32).map(|power| 10_f64.powi(power)).collect()
            }
        }
    }
}

/// Curves, each with its name.
pub(super) fn svg(
    scale: Scale,
    across: &str,
    up: &str,
    curves: &[(&str, Vec<(f64, f64)>)],
) -> String {
    let points = || curves.iter().flat_map(|(_, points)| points);
    let (right, top) = (
        Axis::over(scale, points().map(|(x, _)| *x)),
        Axis::over(scale, points().map(|(_, y)| *y)),
    );
    let x = |value: f64| MARGIN + right.share(value) * (WIDTH - 2.0 * MARGIN);
    let y = |value: f64| HEIGHT - MARGIN - top.share(value) * (HEIGHT - 2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut add = |line: String| writeln!(text, "{line}").expect("a String takes all text");
    add(format!(
        "<path d=\"M{MARGIN} {MARGIN}V{0}H{1}\" fill=\"none\" stroke=\"black\"/>",
        HEIGHT - MARGIN,
        WIDTH - MARGIN
    ));
    for value in right.marks() {
        let (at, below) = (x(value), HEIGHT - MARGIN + 18.0);
        add(format!("<text x=\"{at:.0}\" y=\"{below}\" text-anchor=\"middle\">{value}</text>"));
    }
    for value in top.marks() {
        let (left, at) = (MARGIN - 6.0, y(value) + 4.0);
        let value = if scale == Scale::Even { format!("{value:.2}") } else { value.to_string() };
        add(format!("<text x=\"{left}\" y=\"{at:.0}\" text-anchor=\"end\">{value}</text>"));
    }
    add(format!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{across}</text>",
        WIDTH / 2.0,
        HEIGHT - 16.0
    ));
    add(format!("<text x=\"{MARGIN}\" y=\"{}\">{up}</text>", MARGIN - 16.0));
    for (index, (name, points)) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let mut points = points.clone();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let path: Vec<String> =
            points.iter().map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up))).collect();
        add(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        ));
        for (across, up) in &points {
            add(format!(
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>",
                x(*across),
                y(*up)
            ));
        }
        let below = MARGIN + 16.0 * index as f64;
        add(format!("<text x=\"{}\" y=\"{below}\" fill=\"{colour}\">{name}</text>", MARGIN + 16.0));
    }
    text + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_point_lies_in_the_corner() {
        let curve = || vec![(0.0, 0.0), (2.0, 4.0)];
        let drawn = svg(Scale::Even, "x", "y", &[("c", curve())]);
        assert!(drawn.contains("points=\"60.0,300.0 580.0,60.0\""), "{drawn}");
    }

    #[test]
    fn growth_in_proportion_is_straight_in_powers() {
        let curve = vec![(1.0, 1.0), (10.0, 10.0), (100.0, 100.0)];
        let drawn = svg(Scale::Powers, "x", "y", &[("c", curve)]);
        assert!(drawn.contains("points=\"60.0,300.0 320.0,180.0 580.0,60.0\""), "{drawn}");
    }
}
