//! Draws curves as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 4] = ["#1f6feb", "#d1480b", "#1a7f37", "#8250df"];

/// Curves, each with its name, over axes that begin at 0.
pub(super) fn svg(across: &str, up: &str, curves: &[(&str, Vec<(f64, f64)>)]) -> String {
    let points = || curves.iter().flat_map(|(_, points)| points);
    let right = points().map(|(x, _)| *x).fold(1e-9, f64::max);
    let top = points().map(|(_, y)| *y).fold(1e-9, f64::max);
    let x = |value: f64| MARGIN + value / right * (WIDTH - 2.0 * MARGIN);
    let y = |value: f64| HEIGHT - MARGIN - value / top * (HEIGHT - 2.0 * MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut add = |line: String| writeln!(text, "{line}").expect("a String takes all text");
    add(format!(
        "<path d=\"M{MARGIN} {MARGIN}V{0}H{1}\" fill=\"none\" stroke=\"black\"/>",
        HEIGHT - MARGIN,
        WIDTH - MARGIN
    ));
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let (at, below) = (x(right * share), HEIGHT - MARGIN + 18.0);
        add(format!(
            "<text x=\"{at:.0}\" y=\"{below}\" text-anchor=\"middle\">{:.0}</text>",
            right * share
        ));
        let (left, at) = (MARGIN - 6.0, y(top * share) + 4.0);
        add(format!(
            "<text x=\"{left}\" y=\"{at:.0}\" text-anchor=\"end\">{:.2}</text>",
            top * share
        ));
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
        let drawn = svg("x", "y", &[("c", vec![(0.0, 0.0), (2.0, 4.0)])]);
        assert!(drawn.contains("points=\"60.0,300.0 580.0,60.0\""), "{drawn}");
    }
}
