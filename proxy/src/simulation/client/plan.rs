//! What somebody is going to do, drawn in advance: `Plan` and its `Manner`.

use std::net::SocketAddrV4;
use std::rc::Rc;

use levee_crypto::{Group, SignatureScheme};
use levee_tls::load::{ClientHandle, ClientOptions, Stage, Verify};
use levee_tls::{Suite, Version};

use crate::simulation::dice::Dice;
use crate::simulation::ledger::{Answer, Ask, AskId, Fate, Fault, HIDDEN, Ledger, Upload};
use crate::simulation::text::Framing;

/// What somebody is going to do.
pub(crate) struct Plan {
    pub(crate) start_ns: u64,
    pub(crate) to: SocketAddrV4,
    /// `None`: TCP alone.
    pub(crate) tls: Option<Rc<ClientHandle>>,
    pub(crate) asks: Vec<AskId>,
    /// Requests do not wait for the answers to those before them.
    pub(crate) is_pipelined: bool,
    pub(crate) manner: Manner,
    /// Bytes said and read at a time; zero: as many as there are.
    pub(crate) write_piece: usize,
    pub(crate) read_piece: usize,
    /// Between them.
    pub(crate) pause_ns: u64,
}

/// How somebody behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Good,
    /// Good as well: ends its side of the connection behind the last request.
    HalfCloses,
    /// Goes when it has asked.
    Leaves,
    /// Ends TCP after so many bytes, without the end of TLS.
    Truncates {
        after: usize,
    },
    /// Does not end its side of the connection, ever.
    Stays,
    /// Resets the connection after so many bytes either way.
    Resets {
        after: usize,
    },
    /// Is not there any more after so many bytes either way.
    Vanishes {
        after: usize,
    },
    /// Does not go on with the handshake from there.
    Abandons(Stage),
    /// Says something that is no TLS.
    Babbles(Vec<u8>),
    /// Says something that is no HTTP, or ambiguous.
    Mumbles(String),
    /// Sends this byte as another.
    Corrupts {
        at: usize,
    },
    /// Begins another handshake inside the connection.
    Renegotiates,
    /// Never comes to the end of a head.
    Dawdles,
}

impl Manner {
    /// Whether to be let down is a failure of the proxy.
    pub(crate) const fn is_good(&self) -> bool {
        matches!(self, Self::Good | Self::HalfCloses)
    }

    /// Whether its TLS may fail by its own fault.
    pub(crate) const fn breaks_tls(&self) -> bool {
        matches!(self, Self::Corrupts { .. })
    }

    /// Whether it does not look at answers.
    pub(crate) const fn is_deaf(&self) -> bool {
        matches!(self, Self::Babbles(_) | Self::Mumbles(_) | Self::Dawdles)
    }

    fn any(dice: &mut Dice) -> Self {
        let after = usize::try_from(dice.any_size(100_000)).unwrap_or_default();
        match dice.below(12) {
            0 => Self::HalfCloses,
            1 => Self::Leaves,
            2 => Self::Truncates { after },
            3 => Self::Stays,
            4 => Self::Resets { after },
            5 => Self::Vanishes { after },
            6 => Self::Abandons(dice.pick(&[Stage::HelloSent, Stage::HelloReceived, Stage::FlightReceived])),
            7 => Self::Babbles((0..after.min(3000)).map(|_| dice.pick(&BABBLE)).collect()),
            8 => Self::Mumbles(mumble(dice)),
            9 => Self::Corrupts { at: after },
            10 => Self::Renegotiates,
            _ => Self::Dawdles,
        }
    }
}

/// Where the proxy listens, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    pub(crate) https: SocketAddrV4,
    pub(crate) http: SocketAddrV4,
    pub(crate) redirect: SocketAddrV4,
}

impl Plan {
    /// One of any kind; of the good kind mostly.
    pub(crate) fn any(dice: &mut Dice, doors: &Doors, ledger: &mut Ledger, faults: u32) -> Self {
        let manner = if dice.chance(400) { Manner::any(dice) } else { Manner::Good };
        let is_fast = dice.chance(700);
        let is_pipelined = dice.chance(200);
        let mut plan = Self {
            start_ns: dice.within(0..=2_000_000) * 1000,
            manner,
            write_piece: if is_fast { 0 } else { dice.pick(&[0, 1, 7, 100, 5000]) },
            read_piece: if is_fast { 0 } else { dice.pick(&[0, 100, 1448, 10_000]) },
            pause_ns: if is_fast { 0 } else { dice.pick(&[100_000, 2_000_000, 20_000_000]) },
            is_pipelined,
            ..Self::good(dice, doors)
        };
        let asks = dice.within(1..=4);
        plan.asks = (0..asks).map(|_| ledger.add(plan.ask(dice, ledger, faults, doors))).collect();
        plan.bound(ledger);
        plan
    }

    /// One whom nothing is wrong with, who asks for something that is there.
    pub(crate) fn probe(dice: &mut Dice, doors: &Doors, ledger: &mut Ledger, start_ns: u64) -> Self {
        let mut plan = Self { start_ns, ..Self::good(dice, doors) };
        let ask = Ask { answer: Answer::plain(), ..Ask::plain() };
        let is_redirected = plan.to == doors.redirect;
        plan.asks.push(ledger.add(Ask { is_redirected, ..ask }));
        plan
    }

    fn good(dice: &mut Dice, doors: &Doors) -> Self {
        let to = dice.pick(&[doors.https, doors.https, doors.https, doors.https, doors.http, doors.redirect]);
        Self {
            start_ns: 0,
            to,
            tls: (to == doors.https).then(|| ClientHandle::new(options(dice), 16).expect("a good offer")),
            asks: Vec::new(),
            is_pipelined: false,
            manner: Manner::Good,
            write_piece: 0,
            read_piece: 0,
            pause_ns: 0,
        }
    }

    /// A slow one is slow with little, so that worlds end; a babbler does not speak TLS.
    fn bound(&mut self, ledger: &mut Ledger) {
        if matches!(self.manner, Manner::Babbles(_)) {
            self.tls = None;
        }
        if self.manner.is_deaf() {
            self.asks.clear();
        }
        if self.pause_ns == 0 {
            (self.write_piece, self.read_piece) = (0, 0);
        }
        for &ask in &self.asks {
            let Ask { answer, upload, .. } = &mut ledger.asks[ask];
            if self.read_piece > 0 {
                answer.length = answer.length.min(self.read_piece as u64 * 50);
            }
            if let (Some(upload), 1..) = (upload, self.write_piece) {
                upload.length = upload.length.min(self.write_piece as u64 * 50);
            }
        }
        if self.write_piece == 1 {
            self.write_piece = 3;
        }
    }

    fn ask(&self, dice: &mut Dice, ledger: &Ledger, faults: u32, doors: &Doors) -> Ask {
        let is_redirected = self.to == doors.redirect;
        let kept = (dice.chance(350) && !is_redirected).then(|| dice.below(ledger.resources.len()));
        let method = match (kept, self.is_pipelined) {
            (Some(_), false) if dice.chance(100) => "POST",
            (Some(_), _) => "GET",
            (None, true) => dice.pick(&["GET", "GET", "HEAD", "DELETE"]),
            (None, false) => dice.pick(&["GET", "GET", "POST", "POST", "PUT", "HEAD", "PATCH", "DELETE"]),
        };
        let is_old = dice.chance(50);
        let length = any_length(dice);
        let takes_upload = matches!(method, "POST" | "PUT" | "PATCH");
        let answer = Answer::any(dice, faults, kept.is_some());
        Ask {
            method,
            kept,
            is_secure: self.to == doors.https,
            is_old,
            is_redirected,
            upload: takes_upload.then(|| Upload { length, is_chunked: !is_old && dice.chance(500) }),
            has_version: kept.filter(|_| method == "GET" && dice.chance(300)).map(|_| dice.within(1..=3)),
            answer,
            ..Ask::plain()
        }
    }
}

impl Ask {
    fn plain() -> Self {
        Self {
            method: "GET",
            kept: None,
            is_secure: false,
            is_old: false,
            is_redirected: false,
            upload: None,
            has_version: None,
            answer: Answer::plain(),
            sent: 0,
            sent_ns: 0,
            seen: 0,
            answered: 0,
            least_version: 0,
            fate: Fate::Open,
        }
    }
}

impl Answer {
    fn plain() -> Self {
        Self {
            status: 200,
            length: 5000,
            framing: Framing::Exact(0),
            interim: 0,
            delay_ns: 1000,
            piece: 5000,
            pause_ns: 0,
            fault: Fault::None,
        }
    }

    fn any(dice: &mut Dice, faults: u32, is_kept: bool) -> Self {
        let length = any_length(dice);
        let mut answer = Self {
            status: if is_kept { 200 } else { dice.pick(&[200, 200, 200, 404, 500, 204]) },
            length,
            framing: dice.pick(&[Framing::Exact(0), Framing::Chunked, Framing::UntilClose]),
            interim: dice.pick(&[0, 0, 0, 1, 3]),
            delay_ns: dice.pick(&[0, 1000, 1_000_000, 50_000_000]),
            piece: usize::try_from(dice.any_size(length + 300).max(length / 20)).unwrap_or(1),
            pause_ns: dice.pick(&[0, 10_000, 1_000_000, 5_000_000]),
            fault: if dice.chance(faults) { Fault::any(dice) } else { Fault::None },
        };
        if answer.fault == Fault::Doubled {
            // Only what comes in one segment is sure to be seen together.
            answer = Self { length: length.min(200), piece: 10_000, interim: 0, ..answer };
            let is_told = answer.framing != Framing::UntilClose && answer.status != 204 && !is_kept;
            answer.fault = if is_told { Fault::Doubled } else { Fault::None };
        }
        if answer.fault == Fault::Spoilt {
            answer.framing = Framing::Chunked;
        }
        answer
    }
}

impl Fault {
    fn any(dice: &mut Dice) -> Self {
        let by_reset = dice.chance(500);
        match dice.below(8) {
            0 => Self::Closes,
            1 => Self::Hasty,
            2 => Self::Doubled,
            3 => Self::Silent,
            4 => Self::Gone { by_reset },
            5 => Self::Cut { per_mille: dice.below(1000), by_reset },
            6 => Self::Spoilt,
            _ => Self::Garbage(dice.pick(&GARBAGE)),
        }
    }
}

/// Bytes of a body: few mostly, sometimes none.
fn any_length(dice: &mut Dice) -> u64 {
    let most = dice.pick(&[20_000, 20_000, 20_000, 20_000, 20_000, 20_000, 20_000, 400_000]);
    dice.any_size(most) - 1
}

/// What a client offers, as different as can be.
fn options(dice: &mut Dice) -> ClientOptions {
    let mut groups = match dice.below(4) {
        0 => vec![Group::X25519, Group::Secp256r1],
        1 => vec![Group::Secp256r1, Group::X25519],
        2 => vec![Group::X25519MlKem768, Group::X25519, Group::Secp256r1],
        _ => vec![Group::Secp384r1, Group::X25519, Group::Secp256r1],
    };
    groups.rotate_left(usize::from(dice.chance(100)));
    let versions = match dice.below(4) {
        0 => vec![Version::Tls13, Version::Tls12],
        1 => vec![Version::Tls12],
        _ => vec![Version::Tls13],
    };
    let mut suites = Suite::ALL.to_vec();
    let shift = dice.below(suites.len());
    suites.rotate_left(shift);
    let schemes = match dice.below(3) {
        0 => vec![SignatureScheme::EcdsaSecp256r1Sha256, SignatureScheme::Ed25519],
        1 => vec![SignatureScheme::EcdsaSecp256r1Sha256],
        _ => vec![SignatureScheme::Ed25519],
    };
    ClientOptions {
        versions,
        suites,
        groups,
        schemes,
        server_name: dice.chance(800).then(|| "a.test".to_owned()),
        alpn: if dice.chance(300) { vec![b"http/1.1".to_vec()] } else { Vec::new() },
        resume: false,
        verify: if dice.chance(100) { Verify::Signature } else { Verify::Nothing },
    }
}

/// Bytes that mean something somewhere.
const BABBLE: [u8; 12] = [0, 1, 2, 3, 20, 21, 22, 23, 64, b'\r', b'\n', 255];

/// What an origin may say instead of a head.
const GARBAGE: [&str; 9] = [
    "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked, gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\n folded: yes\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "\r\n\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
];

/// A request that is none, or hides another; the proxy must pass nothing of it on.
fn mumble(dice: &mut Dice) -> String {
    let hidden = format!("GET {HIDDEN} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let length = hidden.len();
    let fields = dice.pick(&[
        "Content-Length: LENGTH\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: LENGTH\r\n\r\n0\r\n\r\n",
        "Content-Length: LENGTH\r\nContent-Length: 0\r\n\r\n",
        "Content-Length: 0, LENGTH\r\n\r\n",
        "Content-Length: +LENGTH\r\n\r\n",
        "Content-Length : LENGTH\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n",
        "A: b\n\n",
        "A: b\rC: d\r\n\r\n",
        "A: b\r\n c\r\n\r\n",
        ": b\r\n\r\n",
        "Host: b.test\r\n\r\n",
    ]);
    format!("POST /x HTTP/1.1\r\nHost: a.test\r\n{}{hidden}", fields.replace("LENGTH", &length.to_string()))
}
