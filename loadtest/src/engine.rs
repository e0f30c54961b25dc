//! The public-key engines alone: every kind of job on each of them, at several numbers of jobs that wait.

use std::path::PathBuf;

use levee_crypto::{
    Done, EncapsulationKey, Engine, EngineError, EngineKind, Group, Job, KeyId, Message, Moment, PrivateKey,
    PrivateShare, Share, SharePool, SignatureScheme, Token, encapsulate, engine,
};
use levee_dpdk::Clock;
use miette::{IntoDiagnostic, miette};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use serde::Serialize;

use crate::device::{self, Hugepages, Memory};
use crate::report::{self, Machine, Table, number};

/// Measures the public-key engines: operations a second of each kind, by how many jobs wait.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Operations whose name contains one of these; all of them without any.
    pub operations: Vec<String>,
    /// Jobs that wait at a time.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 2, 3, 4, 8, 16, 32],
          value_parser = clap::value_parser!(u16).range(1..=64))]
    pub filled: Vec<u16>,
    /// Windows of each measurement, the engines in turn; the best counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub windows: u16,
    /// Milliseconds a window.
    #[arg(long, value_name = "MS", default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub window: u16,
    /// The CPU.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub cpu: usize,
    /// Write the rows as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  levee-load engine
      all operations on all engines
  levee-load engine x25519 ecdsa --filled 1,8,32 --json engine.json
      operations whose name has one of these in it";

/// One operation on one engine.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The engine's name.
    pub engine: &'static str,
    /// The operation.
    pub op: &'static str,
    /// Jobs that were given to it at a time.
    pub filled: u16,
    /// Operations a second of one core.
    pub ops_per_s: f64,
    /// Cycles of the time-stamp counter an operation.
    pub cycles_per_op: f64,
}

/// What `--json` writes is `rows` alone.
struct Measured {
    rows: Vec<Row>,
    hz: u64,
}

const KINDS: [EngineKind; 4] =
    [EngineKind::Batch, EngineKind::Batch4, EngineKind::AwsLc, EngineKind::RustCrypto];

/// The names of the operations, and what they are.
const OPERATIONS: [(&str, Operation); 19] = [
    ("x25519mlkem768 exchange", Operation::Exchange(Group::X25519MlKem768)),
    ("x25519 exchange", Operation::Exchange(Group::X25519)),
    ("x25519 generate", Operation::Generate(Group::X25519)),
    ("x25519 agree", Operation::Agree(Group::X25519)),
    ("p256 exchange", Operation::Exchange(Group::Secp256r1)),
    ("p256 generate", Operation::Generate(Group::Secp256r1)),
    ("p256 agree", Operation::Agree(Group::Secp256r1)),
    ("p384 exchange", Operation::Exchange(Group::Secp384r1)),
    ("ecdsa-p256 sign", Operation::Sign(KeyId(0), SignatureScheme::EcdsaSecp256r1Sha256)),
    ("ecdsa-p384 sign", Operation::Sign(KeyId(4), SignatureScheme::EcdsaSecp384r1Sha384)),
    ("ed25519 sign", Operation::Sign(KeyId(5), SignatureScheme::Ed25519)),
    ("rsa-2048 sign", Operation::Sign(KeyId(1), SignatureScheme::RsaPssRsaeSha256)),
    ("rsa-3072 sign", Operation::Sign(KeyId(2), SignatureScheme::RsaPssRsaeSha256)),
    ("rsa-4096 sign", Operation::Sign(KeyId(3), SignatureScheme::RsaPssRsaeSha256)),
    ("mlkem768 encapsulate", Operation::Encapsulate),
    ("x25519 exchange ahead", Operation::Ahead(&Operation::Exchange(Group::X25519))),
    ("p256 exchange ahead", Operation::Ahead(&Operation::Exchange(Group::Secp256r1))),
    ("x25519 generate ahead", Operation::Ahead(&Operation::Generate(Group::X25519))),
    (
        "ecdsa-p256 sign ahead",
        Operation::Ahead(&Operation::Sign(KeyId(0), SignatureScheme::EcdsaSecp256r1Sha256)),
    ),
];

#[derive(Clone, Copy)]
enum Operation {
    Exchange(Group),
    Generate(Group),
    Agree(Group),
    Sign(KeyId, SignatureScheme),
    /// Half of an exchange of the hybrid, of the engines that have their own way.
    Encapsulate,
    /// With key pairs or nonces that were made in idle turns, which are not counted.
    Ahead(&'static Self),
}

/// Jobs that an engine holds.
const CAPACITY: usize = 64;

/// Measures what `options` ask for and shows it.
///
/// # Errors
/// No such operation; an engine that cannot be made or fails.
pub fn command(options: &Options) -> miette::Result<()> {
    let is_wanted = |name: &str| {
        options.operations.is_empty() || options.operations.iter().any(|pattern| name.contains(pattern))
    };
    let wanted: Vec<_> = OPERATIONS.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    if wanted.is_empty() {
        let names: Vec<_> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        return Err(miette!(
            "no operation has {} in its name: they are {}",
            options.operations.join(" or "),
            names.join(", ")
        ));
    }
    let memory = Memory { memory: 64, hugepages: Hugepages::Off };
    let eal = device::start(&memory, &[], options.cpu)?;
    let clock = Clock::new(&eal);
    let given = options.clone();
    let worker =
        eal.launch(options.cpu, "engine", move || measure(&given, &wanted, clock)).into_diagnostic()?;
    let measured = worker.join().map_err(|_| miette!("the measurement panicked"))??;
    print(&measured);
    options.json.as_ref().map_or(Ok(()), |path| report::write_json(path, &measured.rows))
}

fn measure(
    options: &Options,
    wanted: &[(&'static str, Operation)],
    clock: Clock,
) -> miette::Result<Measured> {
    let keys = keys()?;
    let mut engines = Vec::new();
    for kind in KINDS {
        match engine(kind, &keys, CAPACITY) {
            Ok(mut engine) => {
                engine.keep_nonces();
                engines.push((kind, engine));
            }
            Err(error @ (EngineError::NoLanes | EngineError::NoFourLanes)) => {
                eprintln!("without `{}`: {error}", kind.name())
            }
            Err(error) => return Err(error).into_diagnostic(),
        }
    }
    let mut rows = Vec::new();
    for &(op, operation) in wanted {
        for &filled in &options.filled {
            let mut best = vec![0.0_f64; engines.len()];
            for _ in 0..options.windows {
                for ((kind, engine), best) in engines.iter_mut().zip(&mut best) {
                    let ops_per_s = match operation {
                        Operation::Encapsulate => encapsulations(*kind, filled, options.window, &clock)?,
                        _ => window(engine.as_mut(), operation, filled, options.window, &clock)?,
                    };
                    *best = best.max(ops_per_s);
                }
            }
            let measured = engines.iter().zip(best).filter(|(_, ops_per_s)| *ops_per_s > 0.0);
            rows.extend(measured.map(|((_, engine), ops_per_s)| Row {
                engine: engine.name(),
                op,
                filled,
                ops_per_s,
                cycles_per_op: clock.hz() as f64 / ops_per_s,
            }));
        }
    }
    Ok(Measured { rows, hz: clock.hz() })
}

/// A key of each kind, in the order in which [`OPERATIONS`] names them.
fn keys() -> miette::Result<Vec<PrivateKey>> {
    let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
    let pairs = [
        KeyPair::generate(),
        rsa(RsaKeySize::_2048),
        rsa(RsaKeySize::_3072),
        rsa(RsaKeySize::_4096),
        KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        KeyPair::generate_for(&PKCS_ED25519),
    ];
    pairs
        .into_iter()
        .map(|pair| PrivateKey::from_der(&pair.into_diagnostic()?.serialize_der()).into_diagnostic())
        .collect()
}

/// Operations a second over one window, `filled` jobs at a time.
fn window(
    engine: &mut dyn Engine,
    operation: Operation,
    filled: u16,
    lasts_ms: u16,
    clock: &Clock,
) -> miette::Result<f64> {
    let (operation, is_ahead) = match operation {
        Operation::Ahead(operation) => (*operation, true),
        operation => (operation, false),
    };
    let pool = SharePool::new(CAPACITY + 1);
    let (private, share) = match operation {
        Operation::Exchange(Group::X25519MlKem768) => (pair(engine, Group::X25519)?.0, hybrid_share(&pool)?),
        Operation::Exchange(group) | Operation::Agree(group) => pair(engine, group)?,
        _ => pair(engine, Group::X25519)?,
    };
    let lasts_ns = u64::from(lasts_ms) * 1_000_000;
    let (began, mut spent, mut done) = (clock.cycles(), 0, 0_u64);
    while clock.nanoseconds(clock.cycles() - began) < lasts_ns {
        if is_ahead {
            work_ahead(engine, clock);
        }
        let start = clock.cycles();
        for number in 0..filled {
            let job = job(operation, &private, &share, number)?;
            engine.submit(Token(number.into()), job).map_err(|_| miette!("{} is full", engine.name()))?;
        }
        while engine.in_flight() > 0 {
            engine.run();
            while let Some((_, answer)) = engine.completed() {
                if let Done::Failed(failure) = answer {
                    return Err(miette!("{} failed: {failure:?}", engine.name()));
                }
                done += 1;
            }
        }
        spent += clock.cycles() - start;
    }
    Ok(done as f64 / (clock.nanoseconds(spent) as f64 / 1e9))
}

/// As many idle turns as fill all that an engine makes ahead, and one moment before work.
fn work_ahead(engine: &mut dyn Engine, clock: &Clock) {
    const TURNS: usize = 2 * CAPACITY / 8;
    for _ in 0..TURNS {
        engine.witness(now(clock));
        engine.work_ahead(now(clock).monotonic_ns);
    }
    engine.witness(now(clock));
}

fn now(clock: &Clock) -> Moment {
    let ns = clock.nanoseconds(clock.cycles());
    Moment { monotonic_ns: ns, wall_ns: ns, generation: 0 }
}

/// Encapsulations a second over one window, to `filled` keys at a time; none by an engine without a way of its own.
fn encapsulations(kind: EngineKind, filled: u16, lasts_ms: u16, clock: &Clock) -> miette::Result<f64> {
    if !matches!(kind, EngineKind::Batch | EngineKind::AwsLc) {
        return Ok(0.0);
    }
    let keys: Vec<EncapsulationKey> = vec![[0; _]; filled.into()];
    let lasts_ns = u64::from(lasts_ms) * 1_000_000;
    let (began, mut done) = (clock.cycles(), 0_u64);
    loop {
        encapsulate(kind, &keys, |_, _| done += 1)
            .map_err(|failure| miette!("{} encapsulates nothing: {failure:?}", kind.name()))?;
        let ns = clock.nanoseconds(clock.cycles() - began);
        if ns >= lasts_ns {
            return Ok(done as f64 / (ns as f64 / 1e9));
        }
    }
}

fn pair(engine: &mut dyn Engine, group: Group) -> miette::Result<(PrivateShare, Share)> {
    engine.submit(Token(0), Job::Generate { group }).map_err(|_| miette!("{} is full", engine.name()))?;
    engine.run();
    match engine.completed() {
        Some((_, Done::Generated { private, share })) => Ok((private, share)),
        _ => Err(miette!("{} makes no key pair", engine.name())),
    }
}

/// What a client could send: its ML-KEM key has coefficients of zero, which cost as much as others, and its X25519
/// share is the base point.
fn hybrid_share(pool: &SharePool) -> miette::Result<Share> {
    let mut bytes = vec![0; Group::X25519MlKem768.share_len()];
    bytes[1184] = 9;
    pool.share(Group::X25519MlKem768, &bytes).map_err(|error| miette!("no key share: {error:?}"))
}

fn job(operation: Operation, private: &PrivateShare, peer: &Share, number: u16) -> miette::Result<Job> {
    let peer = || peer.try_clone().ok_or_else(|| miette!("no room for a key share"));
    Ok(match operation {
        Operation::Exchange(group) => Job::Exchange { group, peer: peer()? },
        Operation::Generate(group) => Job::Generate { group },
        Operation::Agree(_) => Job::Agree { private: private.clone(), peer: peer()? },
        Operation::Sign(key, scheme) => {
            // As long as what TLS 1.3 signs (RFC 8446 section 4.4.3).
            let text = [u8::try_from(number).unwrap_or(u8::MAX); 130];
            let message = Message::new(&[&text]).ok_or_else(|| miette!("the message is too long"))?;
            Job::Sign { key, scheme, message }
        }
        Operation::Encapsulate | Operation::Ahead(_) => return Err(miette!("no job of its own")),
    })
}

fn print(measured: &Measured) {
    let mut table = Table::new(&["operation", "jobs", "engine", "a second", "cycles each", "to awslc"]);
    for row in &measured.rows {
        let peer = measured
            .rows
            .iter()
            .find(|peer| peer.engine == "awslc" && peer.op == row.op && peer.filled == row.filled);
        table.row([
            row.op.to_owned(),
            row.filled.to_string(),
            row.engine.to_owned(),
            number::rate(row.ops_per_s),
            number::rate(row.cycles_per_op),
            peer.map_or_else(String::new, |peer| format!("{:.2}", row.ops_per_s / peer.ops_per_s)),
        ]);
    }
    println!("{table}");
    println!("{}; cycles of {} MHz", Machine::here(), number::thousands(measured.hz / 1_000_000));
}
