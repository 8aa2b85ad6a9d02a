//! Plots as SVG: lines over logarithmic axes, and dots on one.

use std::fmt::Write;

/// One line of a plot.
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// Which colour: lines that belong together have the same.
    pub colour: usize,
    /// Whether it is the reference that another is compared with.
    pub dashed: bool,
    /// Where it goes, both coordinates above zero.
    pub points: Vec<(f64, f64)>,
}

/// One row of dots.
pub struct Row {
    /// What stands on the left.
    pub name: String,
    /// Values above zero, the first the main one.
    pub values: Vec<f64>,
}

/// How a value is written at an axis.
pub type Unit = fn(f64) -> String;

/// Easy to tell apart, also for those who see fewer colours.
const COLOURS: [&str; 10] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999", "#7f3c8d", "#a5aa00",
];
const WIDTH: f64 = 820.0;
const STYLE: &str = "text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:14px}.grid{stroke:#ddd}\
                     .axis{stroke:#888}.line{fill:none;stroke-width:2}.bound{stroke:#c00;stroke-dasharray:4 3}";

/// A logarithmic axis from one end of the picture to another.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Wide enough for the values, in whole powers of ten.
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Axis> {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        (most > 0.0).then(|| Axis {
            least: least.log10().floor(),
            most: most.log10().ceil().max(least.log10().floor() + 1.0),
            from,
            to,
        })
    }

    /// From the least of the values to the greatest, and each of them once.
    fn through(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<(Axis, Vec<f64>)> {
        let mut values: Vec<f64> = values.filter(|value| *value > 0.0 && value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (least, most) = (values.first()?.log10(), values.last()?.log10());
        // A single value stands on the left.
        let most = most.max(least + 0.1);
        Some((Axis { least, most, from, to }, values))
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.max(1e-12).log10() - self.least) / (self.most - self.least);
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.least as i32..=self.most as i32).map(|power| 10f64.powi(power))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn begin(title: &str, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>{0}</title><style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text class=\"title\" x=\"10\" y=\"20\">{0}</text>\n",
        escaped(title)
    )
}

/// Lines over two logarithmic axes, of which the lower one is marked where there are points, and a legend on the right.
/// Nothing, if there is nothing to draw.
pub fn lines(title: &str, below: &str, x_unit: Unit, y_unit: Unit, series: &[Series]) -> Option<String> {
    let height = 400.0;
    let points = || series.iter().flat_map(|series| series.points.iter().copied());
    let (x, marks) = Axis::through(points().map(|(x, _)| x), 80.0, 560.0)?;
    let y = Axis::over(points().map(|(_, y)| y), height - 50.0, 40.0)?;
    let mut svg = begin(title, height);
    for value in marks {
        let at = x.at(value);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {:.1}V{:.1}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            y.from,
            y.to,
            y.from + 18.0,
            x_unit(value)
        );
    }
    for value in y.decades() {
        let at = y.at(value);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{:.1} {at:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x.from,
            x.to,
            x.from - 6.0,
            at + 4.0,
            y_unit(value)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        (x.from + x.to) / 2.0,
        height - 10.0,
        escaped(below)
    );
    for (index, series) in series.iter().enumerate() {
        let colour = COLOURS[series.colour % COLOURS.len()];
        let dashes = if series.dashed { " stroke-dasharray=\"5 3\"" } else { "" };
        let places = series
            .points
            .iter()
            .map(|(px, py)| format!("{:.1},{:.1}", x.at(*px), y.at(*py)));
        let places: Vec<String> = places.collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"line\" stroke=\"{colour}\"{dashes} points=\"{}\"/>",
            places.join(" ")
        );
        for place in &places {
            let (cx, cy) = place.split_once(',').unwrap_or_default();
            let _ = writeln!(svg, "<circle cx=\"{cx}\" cy=\"{cy}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let at = 48.0 + 18.0 * index as f64;
        let _ = writeln!(
            svg,
            "<path class=\"line\" stroke=\"{colour}\"{dashes} d=\"M575 {at:.1}h22\"/><text x=\"603\" y=\"{:.1}\">{}</text>",
            at + 4.0,
            escaped(&series.name)
        );
    }
    svg += "</svg>\n";
    Some(svg)
}

/// Rows of dots over one logarithmic axis: the first of a row filled, a line at `bound`. Nothing, if there are no rows.
pub fn dots(title: &str, unit: Unit, bound: Option<f64>, rows: &[Row]) -> Option<String> {
    let height = 70.0 + 20.0 * rows.len() as f64;
    let values = rows.iter().flat_map(|row| row.values.iter().copied());
    let x = Axis::over(values.chain(bound), 310.0, WIDTH - 40.0)?;
    let mut svg = begin(title, height);
    let bottom = height - 30.0;
    for value in x.decades() {
        let at = x.at(value);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} 32V{bottom:.1}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 18.0,
            unit(value)
        );
    }
    if let Some(bound) = bound {
        let _ = writeln!(svg, "<path class=\"bound\" d=\"M{:.1} 32V{bottom:.1}\"/>", x.at(bound));
    }
    for (index, row) in rows.iter().enumerate() {
        let y = 46.0 + 20.0 * index as f64;
        let _ = writeln!(
            svg,
            "<text x=\"300\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            y + 4.0,
            escaped(&row.name)
        );
        let places: Vec<f64> = row.values.iter().map(|value| x.at(*value)).collect();
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            continue;
        };
        let _ = writeln!(svg, "<path class=\"axis\" d=\"M{first:.1} {y:.1}H{last:.1}\"/>");
        for (place, at) in places.iter().enumerate() {
            let fill = if place == 0 { COLOURS[0] } else { "#fff" };
            let _ = writeln!(
                svg,
                "<circle cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{fill}\" stroke=\"{}\"/>",
                COLOURS[0]
            );
        }
    }
    svg += "</svg>\n";
    Some(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(value: f64) -> String {
        value.to_string()
    }

    #[test]
    fn an_axis_spans_whole_decades() {
        let axis = Axis::over([3.0, 250.0].into_iter(), 0.0, 300.0).unwrap();
        assert_eq!(axis.decades().collect::<Vec<f64>>(), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!((axis.at(1.0), axis.at(1000.0)), (0.0, 300.0));
        assert!((axis.at(10.0) - 100.0).abs() < 1e-9);
        assert!(Axis::over([].into_iter(), 0.0, 1.0).is_none());
    }

    #[test]
    fn an_axis_through_points_is_marked_at_each_of_them() {
        let (axis, marks) = Axis::through([64.0, 8.0, 64.0].into_iter(), 0.0, 300.0).unwrap();
        assert_eq!(marks, [8.0, 64.0]);
        assert_eq!((axis.at(8.0), axis.at(64.0)), (0.0, 300.0));
        let (axis, _) = Axis::through([8.0].into_iter(), 0.0, 300.0).unwrap();
        assert_eq!(axis.at(8.0), 0.0);
    }

    #[test]
    fn a_plot_names_its_series_and_escapes_them() {
        let series = [Series {
            name: "a < b".to_owned(),
            colour: 0,
            dashed: true,
            points: vec![(1.0, 2.0), (10.0, 20.0)],
        }];
        let svg = lines("title", "x", plain, plain, &series).unwrap();
        assert!(svg.contains("a &lt; b") && svg.matches("<circle").count() == 2);
        assert!(lines("title", "x", plain, plain, &[]).is_none());
        let rows = [Row {
            name: "row".to_owned(),
            values: vec![1.0, 2.0, 3.0],
        }];
        assert_eq!(
            dots("title", plain, Some(1.0), &rows)
                .unwrap()
                .matches("<circle")
                .count(),
            3
        );
    }
}
