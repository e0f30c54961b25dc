//! From the values of all rounds to one line for each row: medians, ratios, spreads, and who was the limit.

use serde::Serialize;

use super::rows::Better;

/// Rounds that a figure must have before anybody quotes it.
pub(super) const QUOTABLE: usize = 5;

/// A CPU that is busy for this share of a run is what limited it.
const FULL: f64 = 0.9;

/// What one round says of a row and a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Measured {
    /// Not there when it could not be measured.
    pub(super) value: Option<f64>,
    pub(super) remark: Option<String>,
    /// Shares of the run that the server's CPU and the load's were busy, of values that depend on it.
    pub(super) busy: Option<Busy>,
}

/// Shares from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Busy {
    pub(super) server: f64,
    pub(super) load: f64,
}

/// What a row's values were limited by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Limit {
    #[serde(rename = "server")]
    Server,
    #[serde(rename = "load")]
    Load,
    #[serde(rename = "neither")]
    Neither,
    /// The row does not ask how much a server can do.
    #[serde(rename = "n/a")]
    NotApplicable,
}

/// Levee beside another server in a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Comparison {
    /// Medians over the rounds.
    pub(super) levee: Option<f64>,
    pub(super) peer_value: Option<f64>,
    /// How many times better Levee is: the median over the rounds.
    pub(super) ratio: Option<f64>,
    /// The least and the greatest ratio of a round.
    pub(super) spread: Option<[f64; 2]>,
    pub(super) limited_by: Limit,
    /// What each was limited by.
    pub(super) levee_limited_by: Limit,
    pub(super) peer_limited_by: Limit,
    /// Rounds in which both were measured; where there is no peer, those of Levee.
    pub(super) rounds: usize,
    /// Whether there are rounds enough, and the load was nowhere the limit.
    pub(super) quotable: bool,
    pub(super) remark: Option<String>,
}

/// Compares two series, each in the order of rounds. Either may be empty, when that server was not asked for.
pub(super) fn compare(levee: &[Measured], peer: &[Measured], better: Better) -> Comparison {
    let ratios: Vec<f64> =
        levee.iter().zip(peer).filter_map(|(levee, peer)| ratio(levee.value?, peer.value?, better)).collect();
    let limits = [limit(levee), limit(peer)];
    let limited_by = match limits {
        [one, Limit::NotApplicable] | [Limit::NotApplicable, one] => one,
        [Limit::Load, _] | [_, Limit::Load] => Limit::Load,
        [one, other] if one == other => one,
        _ => Limit::Neither,
    };
    let rounds = match (levee.is_empty(), peer.is_empty()) {
        (false, false) => ratios.len(),
        _ => levee.iter().chain(peer).filter(|measured| measured.value.is_some()).count(),
    };
    Comparison {
        levee: median_of(levee),
        peer_value: median_of(peer),
        ratio: median(&ratios),
        spread: spread(&ratios),
        limited_by,
        levee_limited_by: limits[0],
        peer_limited_by: limits[1],
        rounds,
        quotable: rounds >= QUOTABLE && limited_by != Limit::Load,
        remark: remark(levee, peer),
    }
}

/// How many times better the first is.
fn ratio(levee: f64, peer: f64, better: Better) -> Option<f64> {
    let (above, below) = match better {
        Better::Higher => (levee, peer),
        Better::Lower => (peer, levee),
    };
    (above > 0.0 && below > 0.0).then(|| above / below)
}

/// Who limited a server's runs, taken together.
fn limit(series: &[Measured]) -> Limit {
    let share = |of: fn(Busy) -> f64| {
        median(&series.iter().filter_map(|measured| measured.busy).map(of).collect::<Vec<_>>())
    };
    match (share(|busy| busy.server), share(|busy| busy.load)) {
        // With both at their end nobody knows what the server could do.
        (_, Some(load)) if load >= FULL => Limit::Load,
        (Some(server), _) if server >= FULL => Limit::Server,
        (Some(_), Some(_)) => Limit::Neither,
        _ => Limit::NotApplicable,
    }
}

fn median_of(series: &[Measured]) -> Option<f64> {
    median(&series.iter().filter_map(|measured| measured.value).collect::<Vec<_>>())
}

/// The value in the middle, or between the two there.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        0 => Some(f64::midpoint(*sorted.get(sorted.len() / 2 - 1)?, upper)),
        _ => Some(upper),
    }
}

fn spread(values: &[f64]) -> Option<[f64; 2]> {
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    let greatest = values.iter().copied().max_by(f64::total_cmp)?;
    Some([least, greatest])
}

/// What the rounds had to say, each thing once.
fn remark(levee: &[Measured], peer: &[Measured]) -> Option<String> {
    let mut remarks: Vec<String> = Vec::new();
    for (whose, series) in [("Levee", levee), ("peer", peer)] {
        for said in series.iter().filter_map(|measured| measured.remark.as_ref()) {
            let said = format!("{whose}: {said}");
            if !remarks.contains(&said) {
                remarks.push(said);
            }
        }
    }
    (!remarks.is_empty()).then(|| remarks.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[f64]) -> Vec<Measured> {
        values.iter().map(|&value| Measured { value: Some(value), ..Measured::default() }).collect()
    }

    fn busy(server: f64, load: f64) -> Vec<Measured> {
        vec![Measured { value: Some(1.0), remark: None, busy: Some(Busy { server, load }) }]
    }

    fn close(one: Option<f64>, other: f64) -> bool {
        one.is_some_and(|one| (one - other).abs() < 1e-9)
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_own() {
        // Of the medians it would be 2; a slow round that both went through says more.
        let compared = compare(&values(&[30.0, 20.0, 4.0]), &values(&[10.0, 10.0, 1.0]), Better::Higher);
        assert!(close(compared.ratio, 3.0), "{compared:?}");
        assert_eq!(compared.spread, Some([2.0, 4.0]));
        assert!(close(compared.levee, 20.0) && close(compared.peer_value, 10.0));
        let inverted = compare(&values(&[10.0, 5.0]), &values(&[20.0, 30.0]), Better::Lower);
        assert!(close(inverted.ratio, 4.0));
        assert_eq!(inverted.spread, Some([2.0, 6.0]));
    }

    #[test]
    fn rounds_without_a_value_are_left_out() {
        let mut levee = values(&[1.0, 2.0, 3.0]);
        levee[1] = Measured { value: None, remark: Some("broke".into()), busy: None };
        let compared = compare(&levee, &values(&[1.0, 1.0, 1.0]), Better::Higher);
        assert_eq!(compared.rounds, 2);
        assert!(close(compared.ratio, 2.0));
        assert_eq!(compared.remark.as_deref(), Some("Levee: broke"));
        let never = [Measured { remark: Some("too few files".into()), ..Measured::default() }];
        let compared = compare(&values(&[1.0]), &never, Better::Lower);
        assert_eq!((compared.ratio, compared.peer_value, compared.rounds), (None, None, 0));
        assert_eq!(compared.remark.as_deref(), Some("peer: too few files"));
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let compared = compare(&values(&[0.0, 5.0]), &values(&[5.0, 0.0]), Better::Higher);
        assert_eq!(compared.ratio, None);
        assert_eq!(compare(&[], &[], Better::Lower).ratio, None);
    }

    #[test]
    fn levee_can_be_alone() {
        let alone = compare(&values(&[1.0; 5]), &[], Better::Higher);
        assert_eq!((alone.rounds, alone.ratio, alone.quotable), (5, None, true));
    }

    #[test]
    fn the_busy_side_is_the_limit() {
        let of =
            |levee: Vec<Measured>, peer: Vec<Measured>| compare(&levee, &peer, Better::Higher).limited_by;
        assert_eq!(of(busy(0.95, 0.5), busy(1.0, 0.3)), Limit::Server);
        assert_eq!(of(busy(0.95, 0.99), busy(1.0, 0.3)), Limit::Load);
        assert_eq!(of(busy(0.6, 0.95), busy(1.0, 0.3)), Limit::Load);
        assert_eq!(of(busy(1.0, 0.3), busy(0.5, 0.9)), Limit::Load);
        assert_eq!(of(busy(0.5, 0.5), busy(0.5, 0.5)), Limit::Neither);
        assert_eq!(of(busy(0.95, 0.5), busy(0.5, 0.5)), Limit::Neither);
        assert_eq!(of(values(&[1.0]), values(&[1.0])), Limit::NotApplicable);
    }

    #[test]
    fn what_is_quoted_has_rounds_and_a_load_that_could_do_more() {
        let quotable = |load: f64, rounds: usize| {
            let [levee, peer] = [busy(0.5, load), busy(1.0, 0.2)].map(|one| vec![one; rounds].concat());
            compare(&levee, &peer, Better::Higher).quotable
        };
        assert!(quotable(0.5, 5));
        assert!(!quotable(0.5, 4));
        assert!(!quotable(0.95, 5));
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert!(close(median(&[3.0]), 3.0));
        assert!(close(median(&[9.0, 1.0, 5.0]), 5.0));
        assert!(close(median(&[9.0, 1.0, 5.0, 7.0]), 6.0));
    }
}
