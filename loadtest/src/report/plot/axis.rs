//! Axes: where a value lies between an axis' ends, and which values are named along it.

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    Log,
    /// Shares below one by log10(1/(1-p)): 0.9, 0.99 and 0.999 at equal distances.
    Tail,
}

/// One axis of a chart. Values beyond its ends lie at them.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) title: String,
    /// Values to draw a line at, each with its name.
    pub(super) ticks: Vec<(f64, String)>,
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    /// From 0 to the first round number not below `high`.
    pub(super) fn linear(title: &str, high: f64, name: fn(f64) -> String) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = round_up(high / LINEAR_TICKS);
        let steps = (high / step - ROUNDING).ceil();
        let ticks = count_up(0.0, steps).map(|i| i * step).map(|value| (value, name(value))).collect();
        Self { title: title.to_owned(), ticks, scale: Scale::Linear, low: 0.0, high: steps * step }
    }

    /// From 0 to `high` itself, as time is shown.
    pub(super) fn linear_to(title: &str, high: f64, name: fn(f64) -> String) -> Self {
        let mut axis = Self::linear(title, high, name);
        axis.ticks.retain(|&(value, _)| value <= high * (1.0 + ROUNDING));
        axis.high = if high > 0.0 { high } else { axis.high };
        axis
    }

    /// From the last of 1, 2 and 5 times a power of ten not above `low` to the first not below `high`;
    /// over more than four decades only powers of ten have names.
    pub(super) fn log(title: &str, low: f64, high: f64, name: fn(f64) -> String) -> Self {
        let low = round_down(low.max(f64::MIN_POSITIVE));
        let high = round_up(high).max(round_up(low * 1.5));
        let factors: &[f64] = if high / low > 1e4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let decades = count_up(low.log10().floor(), high.log10().ceil());
        let values = decades.flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powf(decade)));
        let is_inside = |value: &f64| (low * (1.0 - ROUNDING)..=high * (1.0 + ROUNDING)).contains(value);
        let ticks = values.filter(is_inside).map(|value| (value, name(value))).collect();
        Self { title: title.to_owned(), ticks, scale: Scale::Log, low, high }
    }

    /// Percentiles from the least value to the share `high`.
    pub(super) fn tail(title: &str, high: f64) -> Self {
        let high = high.clamp(0.9, 0.999_999);
        let ticks = PERCENTILES.iter().filter(|(share, _)| *share <= high + ROUNDING);
        let ticks = ticks.map(|&(share, name)| (share, name.to_owned())).collect();
        Self { title: title.to_owned(), ticks, scale: Scale::Tail, low: 0.0, high }
    }

    /// Where `value` lies: 0 at the axis' beginning, 1 at its end.
    pub(super) fn position(&self, value: f64) -> f64 {
        let on_scale = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.log10(),
            Scale::Tail => -(1.0 - value).log10(),
        };
        let [value, low, high] = [value.clamp(self.low, self.high), self.low, self.high].map(on_scale);
        (value - low) / (high - low)
    }
}

/// The first of 1, 2 and 5 times a power of ten that is not below `value`.
fn round_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= value * (1.0 - ROUNDING));
    factor.unwrap_or(10.0) * decade
}

/// The last of 1, 2 and 5 times a power of ten that is not above `value`.
fn round_down(value: f64) -> f64 {
    let decade = 10f64.powf((value * (1.0 + ROUNDING)).log10().floor());
    let factor = [5.0, 2.0].into_iter().find(|factor| factor * decade <= value * (1.0 + ROUNDING));
    factor.unwrap_or(1.0) * decade
}

/// Whole numbers from `first` to `last`.
fn count_up(first: f64, last: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(first), |n| Some(n + 1.0)).take_while(move |&n| n <= last)
}

/// Room for what binary fractions make of round decimal numbers.
const ROUNDING: f64 = 1e-9;
/// About so many steps on a linear axis.
const LINEAR_TICKS: f64 = 6.0;

const PERCENTILES: [(f64, &str); 7] = [
    (0.0, "min"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
    (0.99999, "99.999 %"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis) -> Vec<f64> {
        axis.ticks.iter().map(|(value, _)| (value * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn ticks_are_round() {
        let name = |value: f64| value.to_string();
        assert_eq!(ticks(&Axis::linear("", 13_290.0, name)), [0.0, 5e3, 10e3, 15e3]);
        assert_eq!(ticks(&Axis::linear("", 0.6, name)), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
        assert_eq!(ticks(&Axis::linear("", 0.0, name)).last(), Some(&1.0));
        assert_eq!(ticks(&Axis::linear_to("", 13_290.0, name)), [0.0, 5e3, 10e3]);
        assert_eq!(ticks(&Axis::log("", 40.0, 450.0, name)), [20.0, 50.0, 100.0, 200.0, 500.0]);
        assert_eq!(ticks(&Axis::log("", 100.0, 100.0, name)), [100.0, 200.0]);
        assert_eq!(ticks(&Axis::log("", 30.0, 1e6, name)), [100.0, 1e3, 1e4, 1e5, 1e6]);
        assert_eq!(ticks(&Axis::tail("", 0.9995)), [0.0, 0.5, 0.9, 0.99, 0.999]);
    }

    #[test]
    fn values_lie_between_the_ends() {
        let check = |axis: &Axis, value: f64, position: f64| {
            assert!((axis.position(value) - position).abs() < 1e-6, "{value} on {axis:?}");
        };
        let name = |value: f64| value.to_string();
        check(&Axis::linear("", 10.0, name), 5.0, 0.5);
        check(&Axis::linear("", 10.0, name), 50.0, 1.0);
        check(&Axis::log("", 1.0, 100.0, name), 10.0, 0.5);
        check(&Axis::log("", 1.0, 100.0, name), 0.0, 0.0);
        check(&Axis::tail("", 0.999), 0.9, 1.0 / 3.0);
        check(&Axis::tail("", 0.99), 1.0, 1.0);
    }
}
