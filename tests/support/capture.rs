//! TCP segments as they passed the client's link.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::Process;
use crate::site::Site;

/// tcpdump at the client's link.
pub struct Capture {
    process: Process,
    file: PathBuf,
}

/// A TCP segment to or from port 443.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Whether Levee sent it.
    pub from_levee: bool,
    /// The client's port.
    pub client_port: u16,
    /// Length of its TCP header with options.
    pub header: usize,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Capture {
    /// Starts to capture.
    #[must_use]
    pub fn start(site: &Site) -> Self {
        let file = site.directory().join("capture.pcap");
        let mut command = site.network().client().command("tcpdump");
        // -Z: it would leave root, and could not write to our directory.
        command.args(["-Z", "root", "--immediate-mode", "-U", "-n", "-s", "0", "-i", "c0", "-w"]).arg(&file);
        command.arg("tcp port 443");
        let mut process = Process::start("tcpdump", command, site.directory());
        process.wait_for_output("listening on", Duration::from_secs(10));
        Self { process, file }
    }

    /// Ends it; all segments in order.
    ///
    /// # Panics
    /// When the file is not what tcpdump writes.
    #[must_use]
    pub fn stop(mut self) -> Vec<Segment> {
        // Frames reach tcpdump a moment after they reach the socket.
        std::thread::sleep(Duration::from_millis(200));
        self.process.signal(Signal::SIGINT);
        let _ = self.process.stop();
        let file = fs::read(&self.file).expect("the capture can be read");
        records(&file).filter_map(segment).collect()
    }
}

/// The frames of a file in the classic pcap format with this machine's byte order.
fn records(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    const HEADER: usize = 24;
    const RECORD: usize = 16;
    let mut rest = &file[HEADER..];
    std::iter::from_fn(move || {
        let length = rest.get(8..12)?;
        let length = u32::from_ne_bytes(length.try_into().expect("four bytes")) as usize;
        let frame = rest.get(RECORD..RECORD + length)?;
        rest = &rest[RECORD + length..];
        Some(frame)
    })
}

/// Takes an Ethernet frame with TCP over IPv4 apart.
fn segment(frame: &[u8]) -> Option<Segment> {
    let packet = frame.get(14..)?;
    let ip_header = usize::from(packet.first()? & 0xf) * 4;
    let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let tcp = packet.get(ip_header..length)?;
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    let from_levee = port(0)? == 443;
    let client_port = port(if from_levee { 2 } else { 0 })?;
    Some(Segment { from_levee, client_port, header, payload: tcp.get(header..)?.to_vec() })
}
