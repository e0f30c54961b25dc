//! The usual scene: a network, the demo origin, and Levee between them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::backend::Backend;
use crate::certificates::Certificates;
use crate::config::Config;
use crate::faulty_device::FaultyDevice;
use crate::levee::{Final, Levee, binary};
use crate::network::{Network, ORIGIN, PROXY_CLIENT_SIDE, Place};
use crate::process::Process;
use crate::wait_for;
use crate::wire::{Passage, Wire};

/// Port of the demo origin.
pub const ORIGIN_PORT: u16 = 8080;

/// Port of the backend that tests script.
const SCRIPTED_PORT: u16 = 9000;

/// How long the origin may take to start.
const START: Duration = Duration::from_secs(20);

/// A network with Levee and the demo origin running.
pub struct Site {
    // Processes go before the namespaces they are in.
    levee: Levee,
    origin: Process,
    wire: Option<Wire>,
    device: Option<FaultyDevice>,
    certificates: Certificates,
    directory: tempfile::TempDir,
    network: Network,
}

impl Site {
    /// With the standard configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// With the standard configuration, changed.
    ///
    /// # Panics
    /// When something does not start.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(Network::new(), change)
    }

    /// On `network`, with the standard configuration, changed.
    ///
    /// # Panics
    /// When something does not start.
    #[must_use]
    pub fn on(network: Network, change: impl FnOnce(&mut Config)) -> Self {
        Self::start(network, None, false, change)
    }

    /// With the standard configuration, changed to have a crypto device, which can be made to go wrong.
    ///
    /// # Panics
    /// When something does not start.
    #[must_use]
    pub fn with_faulty_device(change: impl FnOnce(&mut Config)) -> Self {
        Self::start(Network::new(), None, true, change)
    }

    /// With the standard configuration, and `levee-load wire` with these arguments between the clients and
    /// Levee.
    ///
    /// # Panics
    /// When something does not start.
    #[must_use]
    pub fn behind_wire(arguments: &str) -> Self {
        Self::start(Network::with_gap(), Some(arguments), false, |_| {})
    }

    fn start(
        network: Network,
        wire: Option<&str>,
        is_device_faulty: bool,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let wire = wire.map(|arguments| Wire::start(&network, arguments, directory.path()));
        let certificates = Certificates::new(&directory.path().join("certificates"));
        let origin = start_origin(&network.origin(), (ORIGIN, ORIGIN_PORT), directory.path());
        let mut config = Config::standard(network.prefix());
        certificates.locate(&mut config);
        change(&mut config);
        let device = is_device_faulty.then(|| FaultyDevice::new(directory.path()));
        let (place, program) = (network.proxy(), binary("levee"));
        let command = match &device {
            Some(device) => device.of(&place, &program),
            None => place.command(program),
        };
        let levee = Levee::start_by(command, &config, "levee", directory.path());
        let mut site = Self { levee, origin, wire, device, certificates, directory, network };
        site.levee.wait_until_ready();
        site
    }

    /// Where clients find Levee.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (PROXY_CLIENT_SIDE, 443).into()
    }

    /// The namespaces.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The certificates that Levee shows.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Where the files of this site are; more may be put there.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process of Levee.
    pub fn levee(&mut self) -> &mut Process {
        self.levee.process()
    }

    /// The demo origin.
    pub fn origin(&mut self) -> &mut Process {
        &mut self.origin
    }

    /// The crypto device that can be made to go wrong.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn device(&self) -> &FaultyDevice {
        self.device.as_ref().expect("the site was started with one")
    }

    /// Starts the demo origin again after it ended.
    pub fn restart_origin(&mut self) {
        self.origin = start_origin(&self.network.origin(), (ORIGIN, ORIGIN_PORT), self.directory.path());
    }

    /// Starts the backend of `/scripted/`: `script` is called with each connection, on a thread of its own.
    #[must_use]
    pub fn scripted(&self, script: impl Fn(std::net::TcpStream) + Send + Sync + 'static) -> Backend {
        Backend::new(self.network.origin().listen((ORIGIN, SCRIPTED_PORT)), script)
    }

    /// Stops Levee and sees to it that nothing is left of all that went through it.
    ///
    /// # Panics
    /// When something is.
    pub fn finish(self) -> Final {
        let end = self.levee.stop();
        end.expect_clean();
        end
    }

    /// As [`Site::finish`], where senders left no choice but to copy: bytes in far too many segments.
    ///
    /// # Panics
    /// When something is left.
    pub fn finish_with_copies(self) -> Final {
        let end = self.levee.stop();
        end.expect_nothing_left();
        end
    }

    /// As [`Site::finish`], and what the wire did.
    ///
    /// # Panics
    /// When something is left, or there is no wire that ends well.
    pub fn finish_with_wire(self) -> (Final, Passage) {
        let Self { levee, wire, .. } = self;
        let end = levee.stop();
        end.expect_clean();
        (end, wire.expect("the site is behind a wire").stop())
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// Starts the demo origin at `address` in `place`.
#[must_use]
pub fn start_origin(place: &Place, address: (Ipv4Addr, u16), directory: &Path) -> Process {
    let address = SocketAddr::from(address);
    let mut command = place.command(binary("levee-load"));
    command.args(["origin", "--listen", &address.to_string()]);
    let origin = Process::start("origin", command, directory);
    wait_for("the origin to listen", START, || place.reaches(address).then_some(()));
    origin
}
