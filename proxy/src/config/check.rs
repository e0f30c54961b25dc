//! Checks across sections: references are resolved, contradictions noted, and `Config` is put together.

use levee_crypto::Group;
use levee_tls::{Suite, Version};
use toml::Spanned;

use super::memory::{Demand, Pages, Pools};
use super::model::{AeadChoice, Cache, Config, Device, Eal, Hugepages, Port, Process, Tls, Workers};
use super::names::{Names, list};
use super::reader::Findings;
use super::sections::{self, Document};
use super::surroundings::Surroundings;
use super::{certificate, network, services};

/// The configuration that `document` describes. It is of use only when no error was noted: what is
/// wrong is left out of it.
pub(super) fn check(document: Document, surroundings: &Surroundings, findings: &Findings) -> Config {
    let lcores = lcores(&document.workers, surroundings, findings);
    let count = document.workers.lcores.as_ref().map(Vec::len);
    let ports = network::ports(&document.ports, count, surroundings, findings);
    // With a port left out, nothing can be said about the addresses of others.
    let known_ports = (ports.len() == document.ports.len()).then_some(ports.as_slice());

    let certificate_names = document.certificates.iter().map(|section| section.name.as_ref());
    let certificate_names = Names::new("certificate", certificate_names, findings);
    let load = |section| certificate::load(section, surroundings.now, findings);
    let certificates: Vec<_> = document.certificates.iter().filter_map(load).collect();
    let listeners = services::listeners(&document.listeners, known_ports, &certificate_names, findings);

    let backend_names = document.backends.iter().map(|section| section.name.as_ref());
    let backend_names = Names::new("backend", backend_names, findings);
    let backends = services::backends(&document.backends, known_ports, findings);
    let routes = services::routes(&document.routes, &backend_names, findings);

    let suites_at = document.tls.suites.as_ref().map(Spanned::span);
    let tls = tls(document.tls, surroundings, findings);
    // With a certificate left out, what there is to say about the others would mislead.
    if certificates.len() == document.certificates.len() {
        if let Some(at) = suites_at {
            services::suites_fit(&listeners, &certificates, &tls, at, findings);
        }
        services::hosts_are_named(&document.routes, &certificates, findings);
    }
    certificate_names.warn_of_unused("listener", findings);
    backend_names.warn_of_unused("route", findings);
    let cache = routes.iter().any(|route| route.cache).then_some(document.cache);
    let workers = workers(document.workers, lcores, &ports, cache, findings);
    let eal = eal(document.eal, &workers, findings);
    connections_suffice(&document.backends, &workers, findings);
    Config {
        eal,
        workers,
        ports,
        listeners,
        tls,
        certificates,
        backends,
        routes,
        cache,
        limits: document.limits,
        timeouts: document.timeouts,
        process: process(document.process, surroundings, findings),
        log: document.log,
        status: document.status,
        diagnostics: document.diagnostics,
    }
}

/// CPUs, each of which this process may run on.
fn lcores(section: &sections::Workers, surroundings: &Surroundings, findings: &Findings) -> Vec<u16> {
    let allowed = || list(surroundings.cpus.iter().map(u16::to_string));
    for lcore in section.lcores.iter().flatten().filter(|lcore| !surroundings.cpus.contains(lcore.get_ref()))
    {
        let title = format!("`workers.lcores`: there is no CPU {}", lcore.get_ref());
        let label = format!("must be a CPU that this process may run on: {}", allowed());
        findings.error(title, |error| error.at(lcore.span(), label));
    }
    section.lcores.iter().flatten().map(|lcore| *lcore.get_ref()).collect()
}

/// The workers with their pools, which must at least fill queues and cache.
fn workers(
    section: sections::Workers,
    lcores: Vec<u16>,
    ports: &[Port],
    cache: Option<Cache>,
    findings: &Findings,
) -> Workers {
    let descriptors = |port: &Port| usize::from(port.rx_descriptors) + usize::from(port.tx_descriptors);
    let demand = Demand {
        connections: section.connections,
        descriptors: ports.iter().map(descriptors).sum(),
        cache_bytes: cache.map_or(0, |cache| cache.bytes),
    };
    let least = demand.least_segments();
    if let Some(segments) = section.segments.as_ref().filter(|segments| *segments.get_ref() < least) {
        let title = format!("`workers.segments` is {}, too few for one worker", segments.get_ref());
        let label = format!(
            "must be at least {least}: {} for descriptors, {} for the cache, 1024 in motion",
            demand.descriptors,
            demand.cache_segments()
        );
        findings.error(title, |error| error.at(segments.span(), label));
    }
    let asked = |value: Option<Spanned<usize>>| value.map(Spanned::into_inner);
    let Pools { segments, records, references } =
        demand.pools(asked(section.segments), asked(section.records), asked(section.references));
    Workers {
        lcores,
        connections: section.connections,
        segments,
        records,
        references,
        on_panic: section.on_panic,
        stuck: section.stuck,
    }
}

/// EAL's arguments and memory.
fn eal(section: sections::Eal, workers: &Workers, findings: &Findings) -> Eal {
    for argument in &section.args {
        let text = argument.get_ref();
        let option = text.split_once('=').map_or(text.as_str(), |(option, _)| option);
        let short = option.get(..2).filter(|_| !option.starts_with("--"));
        let key = DERIVED.iter().find(|(taken, _)| *taken == option || Some(*taken) == short);
        if let Some((taken, key)) = key {
            let title = format!("`eal.args` has {taken}, which Levee sets itself");
            findings.error(title, |error| error.at(argument.span(), format!("set {key} instead")));
        }
    }
    let Workers { lcores, segments, records, references, .. } = workers;
    let pools = Pools { segments: *segments, records: *records, references: *references };
    let need = |pages| u32::try_from(pools.mib(lcores.len().max(1), pages)).unwrap_or(u32::MAX);
    let ordinary = need(Pages::Ordinary);
    let needed = if section.hugepages == Hugepages::Off { ordinary } else { need(Pages::Huge) };
    if let Some(asked) = section.memory_mib.as_ref().filter(|asked| *asked.get_ref() < needed) {
        let title = format!("`eal.memory_mib` is {}, too little for the pools", asked.get_ref());
        let label =
            format!("must be at least {needed}; or lower `workers.connections` or `cache.memory_mib`");
        findings.error(title, |error| error.at(asked.span(), label));
    }
    Eal {
        args: section.args.into_iter().map(Spanned::into_inner).collect(),
        hugepages: section.hugepages,
        ordinary_mib: section.memory_mib.as_ref().map_or(ordinary, |asked| ordinary.max(*asked.get_ref())),
        memory_mib: section.memory_mib.map_or(needed, Spanned::into_inner),
        file_prefix: section.file_prefix,
        log_level: section.log_level,
    }
}

/// What TLS offers: each version with a suite, the AEAD devices there, secrets not logged in silence.
fn tls(section: sections::Tls, surroundings: &Surroundings, findings: &Findings) -> Tls {
    let suites: Vec<Suite> = match &section.suites {
        None => Suite::ALL.to_vec(),
        Some(suites) => suites.get_ref().iter().map(|suite| *suite.get_ref()).collect(),
    };
    for version in &section.versions {
        if let Some(list) =
            section.suites.as_ref().filter(|_| !suites.iter().any(|s| s.version() == *version))
        {
            let title = format!("`tls.suites` has none of {}", version.name());
            let label = "needs one, or `tls.versions` must be without it";
            findings.error(title, |error| error.at(list.span(), label));
        }
    }
    let groups: Vec<Group> = match &section.groups {
        None => Group::ALL.to_vec(),
        Some(groups) => groups.get_ref().iter().map(|group| *group.get_ref()).collect(),
    };
    if let Some(list) = section.groups.as_ref().filter(|_| groups.iter().all(|group| group.is_hybrid()))
        && section.versions.contains(&Version::Tls12)
    {
        let label = "needs one, or `tls.versions` must be without it";
        findings.error("`tls.groups` has none of TLSv1.2".to_owned(), |error| error.at(list.span(), label));
    }
    if let Some(keylog) = &section.keylog {
        let title = format!("`tls.keylog`: TLS secrets are written to {}", keylog.get_ref().display());
        let label = "who reads that file reads all traffic: for debugging only";
        findings.warning(title, |warning| warning.at(keylog.span(), label));
    }
    let aead = aead(section.aead, surroundings, findings);
    Tls {
        versions: section.versions,
        suites,
        groups,
        engine: section.engine,
        nonces_ahead: section.nonces_ahead,
        public_key: public_key(section.public_key, &aead, surroundings, findings),
        aead,
        device_queue: section.device_queue.map(u16::next_power_of_two),
        keylog: section.keylog.map(Spanned::into_inner),
    }
}

/// One word, or devices.
fn aead(choices: Vec<Spanned<AeadChoice>>, surroundings: &Surroundings, findings: &Findings) -> AeadChoice {
    let mut devices = Vec::new();
    let alone = choices.len() == 1;
    for choice in choices {
        let at = choice.span();
        match choice.into_inner() {
            AeadChoice::Devices(found) => {
                for device in &found {
                    network::pci_exists(device, "tls.aead", at.clone(), surroundings, findings);
                }
                devices.extend(found);
            }
            word if alone => return word,
            _ => findings.error("`tls.aead` has a word among devices", |error| {
                error.at(at, "must stand alone; a list is of devices only")
            }),
        }
    }
    if devices.is_empty() { AeadChoice::Auto } else { AeadChoice::Devices(devices) }
}

/// Devices that are there, and that do not do AEAD: at a PCI address there is one of each kind.
fn public_key(
    devices: Vec<Spanned<Device>>,
    aead: &AeadChoice,
    surroundings: &Surroundings,
    findings: &Findings,
) -> Vec<Device> {
    let taken: &[Device] = if let AeadChoice::Devices(devices) = aead { devices } else { &[] };
    for device in &devices {
        network::pci_exists(device.get_ref(), "tls.public_key", device.span(), surroundings, findings);
        let name = device.get_ref().name();
        let is_virtual = matches!(device.get_ref(), Device::Virtual(_));
        if is_virtual && taken.iter().any(|taken| taken.name() == name) {
            let title = format!("`tls.public_key`: {name} is in `tls.aead` too");
            findings.error(title, |error| error.at(device.span(), "must be another device"));
        }
    }
    devices.into_iter().map(Spanned::into_inner).collect()
}

/// The rights of the process, with a user that there is.
fn process(section: sections::Process, surroundings: &Surroundings, findings: &Findings) -> Process {
    let user = match &section.user {
        Some(name) => {
            let user = (surroundings.user)(name.get_ref());
            if user.is_none() {
                let title = format!("`process.user`: there is no user {:?}", name.get_ref());
                let label = "must be a user of this system: `useradd --system` makes one";
                findings.error(title, |error| error.at(name.span(), label));
            }
            user
        }
        None => USERS.iter().find_map(|name| (surroundings.user)(name)),
    };
    Process {
        user: user.filter(|user| user.uid != 0),
        filter_system_calls: section.filter_system_calls,
        lock_memory: section.lock_memory,
        core_dumps: section.core_dumps,
    }
}

/// Whom root becomes where nothing is said: the first of them that there is.
const USERS: [&str; 2] = ["levee", "nobody"];

/// Warns when backends may take all connections of a worker: none are left for clients.
fn connections_suffice(sections: &[sections::Backend], workers: &Workers, findings: &Findings) {
    let most = |section: &sections::Backend| section.max_connections.saturating_mul(section.servers.len());
    let all = sections.iter().map(most).fold(0, usize::saturating_add);
    let last = sections.iter().filter_map(|section| section.name.as_ref()).next_back();
    if let Some(name) = last.filter(|_| all >= workers.connections) {
        let title = format!("`backend.max_connections`: backends may take {all} connections of a worker");
        let label = format!("`workers.connections`, {}, should be larger, for clients", workers.connections);
        findings.warning(title, |warning| warning.at(name.span(), label));
    }
}

/// Arguments of EAL that follow from other keys.
const DERIVED: &[(&str, &str)] = &[
    ("-l", "`workers.lcores`"),
    ("-c", "`workers.lcores`"),
    ("-s", "`workers.lcores`"),
    ("-S", "`workers.lcores`"),
    ("--lcores", "`workers.lcores`"),
    ("--main-lcore", "`workers.lcores`"),
    ("-a", "`port.device`, `tls.aead` or `tls.public_key`"),
    ("--allow", "`port.device`, `tls.aead` or `tls.public_key`"),
    ("-b", "`port.device`, `tls.aead` or `tls.public_key`"),
    ("--block", "`port.device`, `tls.aead` or `tls.public_key`"),
    ("--vdev", "`port.device`, `tls.aead` or `tls.public_key`"),
    ("--no-pci", "`port.device`"),
    ("-m", "`eal.memory_mib`"),
    ("--socket-mem", "`eal.memory_mib`"),
    ("--no-huge", "`eal.hugepages`"),
    ("--file-prefix", "`eal.file_prefix`"),
    ("--log-level", "`eal.log_level`"),
];
