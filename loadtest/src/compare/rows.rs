//! What is compared: scenarios, each one run of the load against one server, and the rows that a run fills.

use super::certificates::Certificate;

/// A run of the load, and what is read off it.
#[derive(Debug)]
pub(super) struct Scenario {
    /// For the command line and the table; a row adds its figure's suffix.
    pub(super) name: &'static str,
    /// What it is, for people.
    pub(super) about: &'static str,
    pub(super) server: Setup,
    /// Done before the run, with the server's caches empty; also tells whether the server answers.
    pub(super) warm_up: WarmUp,
    pub(super) work: Work,
    pub(super) rate: Rate,
    /// Seconds that a run takes at least, for units to become complete.
    pub(super) seconds: u32,
    pub(super) figures: &'static [Figure],
}

/// What a scenario needs of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) certificate: Certificate,
    /// Whether sessions may be resumed; else every handshake is full.
    pub(super) resumption: bool,
    /// Clients at a time.
    pub(super) connections: u32,
    /// Seconds that one of them may take to send a request.
    pub(super) patience: u32,
}

/// What the load does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// `levee-load handshake`.
    Handshake {
        mode: &'static str,
        version: Version,
        /// A client that behaves, beside the others, and asks for this path.
        legitimate: Option<&'static str>,
    },
    /// `levee-load handshake --mode stall`: connections that stay, idle.
    Idle,
    /// `levee-load http`.
    Http { path: &'static str, per_request: bool, pipeline: u16 },
}

/// A version of TLS, with the group that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// P-256.
    Tls12,
    /// X25519.
    Tls13,
    /// X25519MLKEM768 with Levee, X25519 with servers that cannot do that.
    Tls13Hybrid,
}

/// What is done for a moment before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WarmUp {
    /// The same.
    Same,
    /// Requests for a path.
    Requests(&'static str),
    /// Full handshakes.
    Handshakes,
}

/// How fast the load goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rate {
    /// As fast as the server answers.
    Unlimited,
    /// Half of what the server did in [`PACE`] in the same round.
    HalfOfOwn,
    /// Half of what the slowest server did in [`PACE`] in the same round.
    HalfOfSlowest,
}

/// The scenario that the rates of others are half of.
pub(super) const PACE: &str = "cached-1k";

/// A number that is read off a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// Units of the load each second.
    PerSecond,
    /// Those of them each second that resumed a session.
    ResumedPerSecond,
    /// Body bytes each second.
    BodyRate,
    /// CPU time of the server for one unit.
    ServerTime,
    /// That without receiving and sending frames, where the server does that itself.
    OutsidePmd,
    /// Half of the requests took less.
    Median,
    /// 99 % took less.
    P99,
    /// 99.9 % took less.
    P999,
    /// 99 % of the requests of the client that behaves took less.
    LegitimateP99,
    /// Memory of one connection.
    BytesPerConnection,
}

/// Which of two values is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

impl Scenario {
    /// The name of the row that `figure` fills.
    pub(super) fn row(&self, figure: Figure) -> String {
        format!("{}{}", self.name, figure.suffix())
    }

    /// The unit of that row.
    pub(super) fn unit(&self, figure: Figure) -> &'static str {
        let requests = self.is_http();
        match figure {
            Figure::PerSecond | Figure::ResumedPerSecond if requests => "requests/s",
            Figure::PerSecond | Figure::ResumedPerSecond => "handshakes/s",
            Figure::BodyRate => "MB/s",
            Figure::ServerTime | Figure::OutsidePmd if requests => "us/request",
            Figure::ServerTime | Figure::OutsidePmd => "us/handshake",
            Figure::Median | Figure::P99 | Figure::P999 | Figure::LegitimateP99 => "us",
            Figure::BytesPerConnection => "bytes/connection",
        }
    }

    /// Whether `pattern`, a list of parts of names with commas between them, means it.
    pub(super) fn is_meant(&self, pattern: &str) -> bool {
        pattern
            .split(',')
            .any(|part| self.figures.iter().any(|&figure| self.row(figure).contains(part.trim())))
    }

    /// Whether frames are large or many enough for offloads of the kernel to show, and a load on kernel
    /// sockets can do it.
    pub(super) fn depends_on_offloads(&self) -> bool {
        match self.work {
            Work::Handshake { legitimate, .. } => legitimate.is_none(),
            Work::Http { .. } => true,
            Work::Idle => false,
        }
    }

    /// Whether its units are requests.
    pub(super) fn is_http(&self) -> bool {
        matches!(self.work, Work::Http { .. })
    }

    /// Whether the server needs its origin.
    pub(super) fn needs_origin(&self) -> bool {
        matches!(self.work, Work::Http { .. } | Work::Handshake { legitimate: Some(_), .. })
    }
}

impl Figure {
    /// Which value of it is the better one.
    pub(super) const fn better(self) -> Better {
        match self {
            Self::PerSecond | Self::ResumedPerSecond | Self::BodyRate => Better::Higher,
            _ => Better::Lower,
        }
    }

    /// Whether it says nothing of the server where the load was the limit: a rate is then too low, and a time too
    /// long.
    pub(super) const fn depends_on_load(self) -> bool {
        !matches!(self, Self::ServerTime | Self::OutsidePmd | Self::BytesPerConnection)
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::PerSecond | Self::ResumedPerSecond | Self::BodyRate | Self::BytesPerConnection => "",
            Self::ServerTime => ".server-us",
            Self::OutsidePmd => ".outside-pmd-us",
            Self::Median => ".p50",
            Self::P99 => ".p99",
            Self::P999 => ".p99.9",
            Self::LegitimateP99 => ".legitimate-p99",
        }
    }
}

const FULL: &[Figure] = &[Figure::PerSecond, Figure::ServerTime, Figure::OutsidePmd];
const RESUMED: &[Figure] = &[Figure::ResumedPerSecond, Figure::ServerTime];
const QUANTILES: &[Figure] = &[Figure::Median, Figure::P99, Figure::P999];
const QUANTILES_AND_TIME: &[Figure] = &[Figure::Median, Figure::P99, Figure::P999, Figure::ServerTime];

/// All of them, in the order of a round.
pub(super) const SCENARIOS: &[Scenario] = &[
    full(
        "full-tls13-ecdsa",
        "full handshakes, TLS 1.3, ECDSA P-256, X25519",
        Version::Tls13,
        Certificate::Ecdsa,
    ),
    full(
        "full-tls13-rsa2048",
        "full handshakes, TLS 1.3, RSA-2048, X25519",
        Version::Tls13,
        Certificate::Rsa2048,
    ),
    full(
        "full-tls13-mlkem",
        "full handshakes, TLS 1.3, ECDSA P-256, X25519MLKEM768; the others, who cannot do it, with X25519",
        Version::Tls13Hybrid,
        Certificate::Ecdsa,
    ),
    full(
        "full-tls12-ecdsa",
        "full handshakes, TLS 1.2, ECDHE-ECDSA P-256",
        Version::Tls12,
        Certificate::Ecdsa,
    ),
    full(
        "full-tls12-rsa2048",
        "full handshakes, TLS 1.2, ECDHE-RSA-2048",
        Version::Tls12,
        Certificate::Rsa2048,
    ),
    full(
        "full-tls12-rsa3072",
        "full handshakes, TLS 1.2, ECDHE-RSA-3072",
        Version::Tls12,
        Certificate::Rsa3072,
    ),
    resumed("resumed-tls13", "resumed handshakes, TLS 1.3", Version::Tls13),
    resumed("resumed-tls12", "resumed handshakes, TLS 1.2", Version::Tls12),
    requests(PACE, "requests on kept connections, 1 KiB, cached", "/cached/1024"),
    Scenario {
        work: Work::Http { path: "/cached/1024", per_request: false, pipeline: 16 },
        figures: &[Figure::PerSecond],
        ..transfer(
            "pipelined-1k",
            "requests, 16 under way on each connection, 1 KiB, cached",
            "/cached/1024",
            64,
        )
    },
    requests("cached-16k", "requests on kept connections, 16 KiB, cached", "/cached/16384"),
    requests("proxied-1k", "requests on kept connections, 1 KiB, from the origin", "/bytes/1024"),
    requests("proxied-16k", "requests on kept connections, 16 KiB, from the origin", "/bytes/16384"),
    Scenario {
        // Levee's account is shared out by units: those of the warm-up must cost what those of the run do.
        warm_up: WarmUp::Same,
        work: Work::Http { path: "/cached/1024", per_request: true, pipeline: 1 },
        ..requests("per-request-1k", "a new connection for each request, 1 KiB, cached", "/cached/1024")
    },
    transfer("cached-1m", "responses of 1 MiB, cached", "/cached/1048576", 16),
    transfer("proxied-1m", "responses of 1 MiB, from the origin", "/bytes/1048576", 16),
    Scenario {
        seconds: 8,
        warm_up: WarmUp::Requests("/bytes/1048576"),
        ..transfer("proxied-100m", "responses of 100 MiB, from the origin", "/bytes/104857600", 2)
    },
    Scenario {
        rate: Rate::HalfOfOwn,
        figures: QUANTILES,
        ..requests("half-load", "latency at half of the server's own cached-1k", "/cached/1024")
    },
    Scenario {
        rate: Rate::HalfOfSlowest,
        figures: QUANTILES_AND_TIME,
        ..requests("same-load", "latency at half of the slowest server's cached-1k", "/cached/1024")
    },
    flood("flood-full", "a client that behaves beside a flood of full handshakes", "full"),
    flood("flood-abandon", "a client that behaves beside a flood of handshakes left half done", "abandon"),
    idle("idle-10k", "memory of 10,000 idle TLS connections", 10_000),
    idle("idle-100k", "memory of 100,000 idle TLS connections", 100_000),
];

/// Connections of a load that keeps a server busy.
const CONNECTIONS: u32 = 64;

/// Connections of a load of requests. With few, both sides do in turn what all of them want, and wait in between.
const MANY: u32 = 256;

const ECDSA: Setup =
    Setup { certificate: Certificate::Ecdsa, resumption: false, connections: CONNECTIONS, patience: 10 };

const fn full(
    name: &'static str,
    about: &'static str,
    version: Version,
    certificate: Certificate,
) -> Scenario {
    Scenario {
        name,
        about,
        server: Setup { certificate, ..ECDSA },
        warm_up: WarmUp::Same,
        work: Work::Handshake { mode: "full", version, legitimate: None },
        rate: Rate::Unlimited,
        seconds: 0,
        figures: FULL,
    }
}

const fn resumed(name: &'static str, about: &'static str, version: Version) -> Scenario {
    Scenario {
        server: Setup { resumption: true, ..ECDSA },
        work: Work::Handshake { mode: "resume", version, legitimate: None },
        figures: RESUMED,
        ..full(name, about, version, Certificate::Ecdsa)
    }
}

const fn requests(name: &'static str, about: &'static str, path: &'static str) -> Scenario {
    Scenario {
        name,
        about,
        server: Setup { connections: MANY, ..ECDSA },
        warm_up: WarmUp::Requests(path),
        work: Work::Http { path, per_request: false, pipeline: 1 },
        rate: Rate::Unlimited,
        seconds: 0,
        figures: &[Figure::PerSecond],
    }
}

const fn transfer(name: &'static str, about: &'static str, path: &'static str, connections: u32) -> Scenario {
    Scenario {
        server: Setup { connections, ..ECDSA },
        figures: &[Figure::BodyRate],
        ..requests(name, about, path)
    }
}

const fn flood(name: &'static str, about: &'static str, mode: &'static str) -> Scenario {
    const PATH: &str = "/cached/1024";
    Scenario {
        name,
        about,
        server: Setup { connections: 256, ..ECDSA },
        warm_up: WarmUp::Requests(PATH),
        work: Work::Handshake { mode, version: Version::Tls13, legitimate: Some(PATH) },
        rate: Rate::Unlimited,
        seconds: 0,
        figures: &[Figure::LegitimateP99],
    }
}

const fn idle(name: &'static str, about: &'static str, connections: u32) -> Scenario {
    Scenario {
        name,
        about,
        server: Setup { connections, patience: 600, ..ECDSA },
        warm_up: WarmUp::Handshakes,
        work: Work::Idle,
        rate: Rate::Unlimited,
        seconds: 0,
        figures: &[Figure::BytesPerConnection],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_have_names_of_their_own() {
        let rows = || {
            SCENARIOS.iter().flat_map(|scenario| scenario.figures.iter().map(|&figure| scenario.row(figure)))
        };
        assert_eq!(rows().collect::<BTreeSet<_>>().len(), rows().count());
    }

    #[test]
    fn rates_are_halves_of_a_scenario_that_comes_before() {
        let pace = SCENARIOS.iter().position(|scenario| scenario.name == PACE).unwrap();
        assert_eq!(SCENARIOS[pace].rate, Rate::Unlimited);
        assert!(SCENARIOS[pace].figures.contains(&Figure::PerSecond));
        for scenario in &SCENARIOS[..pace] {
            assert_eq!(scenario.rate, Rate::Unlimited, "{}", scenario.name);
        }
    }

    #[test]
    fn a_pattern_means_parts_of_names() {
        let meant = |pattern: &str| -> Vec<_> {
            SCENARIOS
                .iter()
                .filter(|scenario| scenario.is_meant(pattern))
                .map(|scenario| scenario.name)
                .collect()
        };
        assert_eq!(meant("rsa2048, idle-10k"), ["full-tls13-rsa2048", "full-tls12-rsa2048", "idle-10k"]);
        assert_eq!(meant("same-load.server-us"), ["same-load"]);
        assert_eq!(meant("nothing"), [""; 0]);
        assert_eq!(meant("").len(), SCENARIOS.len());
    }

    #[test]
    fn units_follow_the_work() {
        let scenario = |name: &str| SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        assert_eq!(scenario("full-tls12-rsa3072").unit(Figure::ServerTime), "us/handshake");
        assert_eq!(scenario("same-load").unit(Figure::ServerTime), "us/request");
        assert_eq!(scenario("resumed-tls12").unit(Figure::ResumedPerSecond), "handshakes/s");
        assert_eq!(Figure::BodyRate.better(), Better::Higher);
        assert_eq!(Figure::LegitimateP99.better(), Better::Lower);
    }
}
