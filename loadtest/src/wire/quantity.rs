//! Quantities of the command line: `Share`, `BurstLoss`, `Rate`, and durations.

use std::str::FromStr;
use std::time::Duration;

/// A chance, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(f64);

/// Loss in bursts, after Gilbert and Elliott: every frame is lost from when a burst is entered until it
/// is left. The mean share lost is `enter / (enter + leave)`, the mean burst `1 / leave` frames, as long as
/// frames come: a silence ends a burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurstLoss {
    /// Chance of a frame outside a burst to begin one.
    pub enter: Share,
    /// Chance of a frame within a burst to be the first behind it.
    pub leave: Share,
}

/// Bits a second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not from 0 to 1.
    #[error("`{0}` is no share: write it from 0 to 1, as 0.02, or in percent, as 2%")]
    Share(String),
    /// Not two shares.
    #[error(
        "`{0}` is no burst loss: write the chances to enter and to leave a burst, as 0.01,0.3; a burst \
         that is entered must be left"
    )]
    BurstLoss(String),
    /// Does not begin with a number.
    #[error("`{0}` does not begin with a number")]
    Number(String),
    /// No unit, or another one.
    #[error("`{text}` does not end in a unit: one of {units}")]
    Unit {
        /// The text.
        text: String,
        /// What it may end in.
        units: String,
    },
    /// Nothing could pass, or not in time.
    #[error("`{0}` is out of range")]
    Range(String),
}

/// Names of units, and what they are in the base unit.
type Units = [(&'static str, f64)];

const TIMES: &Units = &[("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
const RATES: &Units = &[("bit", 1.0), ("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];

/// The longest duration.
const HOUR: f64 = 3600.0;

impl Share {
    /// `share`, if it is one.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// From 0 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Share {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (number, divisor) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
        let share = number.parse::<f64>().ok().and_then(|number| Self::new(number / divisor));
        share.ok_or_else(|| QuantityError::Share(text.to_owned()))
    }
}

impl FromStr for BurstLoss {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let refused = || QuantityError::BurstLoss(text.to_owned());
        let (enter, leave) = text.split_once(',').ok_or_else(refused)?;
        let (enter, leave): (Share, Share) = (enter.parse()?, leave.parse()?);
        if leave.get() == 0.0 { Err(refused()) } else { Ok(Self { enter, leave }) }
    }
}

impl Rate {
    /// How long a frame of `length` bytes occupies the line, in nanoseconds.
    #[must_use]
    pub fn frame_ns(self, length: usize) -> u64 {
        let seconds = length as f64 * 8.0 / self.0;
        u64::try_from(Duration::from_secs_f64(seconds).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Rate {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let rate = measure(text, RATES)?;
        if (1.0..1e15).contains(&rate) { Ok(Self(rate)) } else { Err(QuantityError::Range(text.to_owned())) }
    }
}

/// Reads a duration of at most an hour, as 20ms.
pub(super) fn duration(text: &str) -> Result<Duration, QuantityError> {
    let seconds = measure(text, TIMES)?;
    if seconds <= HOUR {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(QuantityError::Range(text.to_owned()))
    }
}

/// A number without sign and its unit, in the base unit.
fn measure(text: &str, units: &Units) -> Result<f64, QuantityError> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, name) = text.split_at(end);
    let number: f64 = number.parse().map_err(|_| QuantityError::Number(text.to_owned()))?;
    let unit = units.iter().find(|(unit, _)| unit.eq_ignore_ascii_case(name));
    let (_, factor) = unit.ok_or_else(|| QuantityError::Unit {
        text: text.to_owned(),
        units: units.iter().map(|(unit, _)| *unit).collect::<Vec<_>>().join(", "),
    })?;
    Ok(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        for (text, share) in [("0", 0.0), ("1", 1.0), ("0.02", 0.02), ("2%", 0.02), ("100%", 1.0)] {
            assert_eq!(text.parse(), Ok(Share(share)), "{text}");
        }
        for text in ["2", "-0.1", "101%", "%", "", "two", "NaN", "inf", "2 %x"] {
            assert_eq!(text.parse::<Share>(), Err(QuantityError::Share(text.into())), "{text}");
        }
    }

    #[test]
    fn burst_losses() {
        let burst = BurstLoss { enter: Share(0.01), leave: Share(0.3) };
        assert_eq!("0.01,0.3".parse(), Ok(burst));
        assert_eq!("1%,30%".parse(), Ok(burst));
        for text in ["0.01", "0.01,0", ""] {
            assert_eq!(text.parse::<BurstLoss>(), Err(QuantityError::BurstLoss(text.into())), "{text}");
        }
        assert_eq!("0.01,0.3,0.1".parse::<BurstLoss>(), Err(QuantityError::Share("0.3,0.1".into())));
    }

    #[test]
    fn durations() {
        for (text, ns) in [("20ms", 20_000_000), ("1.5us", 1500), ("7ns", 7), ("2S", 2_000_000_000)] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
        let unit = |text: &str| QuantityError::Unit { text: text.into(), units: "ns, us, ms, s".into() };
        for text in ["20", "20 ms", "20parsec", "20m"] {
            assert_eq!(duration(text), Err(unit(text)), "{text}");
        }
        for text in ["", "ms", "-5ms", "1.2.3s"] {
            assert_eq!(duration(text), Err(QuantityError::Number(text.into())), "{text}");
        }
        assert_eq!(duration("3601s"), Err(QuantityError::Range("3601s".into())));
    }

    #[test]
    fn rates() {
        for (text, rate) in [("100mbit", 1e8), ("1.5Gbit", 1.5e9), ("64kbit", 64e3), ("9bit", 9.0)] {
            assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
        }
        let unit = QuantityError::Unit { text: "5MB".into(), units: "bit, kbit, mbit, gbit".into() };
        assert_eq!("5MB".parse::<Rate>(), Err(unit));
        assert_eq!("0mbit".parse::<Rate>(), Err(QuantityError::Range("0mbit".into())));
        assert_eq!("fast".parse::<Rate>(), Err(QuantityError::Number("fast".into())));
        assert_eq!(Rate(1e7).frame_ns(1250), 1_000_000);
    }
}
