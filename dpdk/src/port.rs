//! Ports: what a device can do, what was asked, what was granted.
//!
//! `Port` is configured, started and closed by the control plane; the queues go to workers.
//!
//! # Drivers with limits of their own
//!
//! - `net_af_packet`: frames over `framesz` less the kernel's header (2048: 1984 bytes) are dropped by
//!   the driver; give `framesz=4096` and more for a larger MTU, in the device arguments. Its several
//!   queues (`qpairs`) are filled by the kernel's own hash: no RSS is granted.
//! - `net_af_xdp` shares the mempool of a receive queue with the kernel and cannot share one with a
//!   second queue or port, so each of its queues gets another one, as large as that of the pool given. It
//!   needs hugepages: without, no frame arrives. What the kernel had of it is lost when the port is closed.
//! - `net_ring`, `net_memif`, `net_null`: no checksums are looked at.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use dpdk_sys as sys;

use crate::eal::Eal;
use crate::error::Error;
use crate::flow::Rss;
use crate::log;
use crate::mempool::{Pool, socket_id};
use crate::offloads::Offloads;
use crate::queue::{MAX_BURST, RxQueue, TxQueue};

/// What a device says about itself.
#[derive(Clone, Debug)]
pub struct PortInfo {
    /// The name of the vdev or the address of the device.
    pub name: String,
    /// The driver, as DPDK calls it.
    pub driver: String,
    /// The NUMA node it is attached to.
    pub socket: Option<u32>,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Receive queues it can have.
    pub max_rx_queues: u16,
    /// Transmit queues it can have.
    pub max_tx_queues: u16,
    /// The smallest and largest MTU it can have.
    pub mtu: (u16, u16),
    /// What it can take over.
    pub offloads: Offloads,
}

/// How a port is to be set up.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// Receive queues asked for; the device may grant fewer.
    pub rx_queues: u16,
    /// Transmit queues asked for; the device may grant fewer.
    pub tx_queues: u16,
    /// Descriptors of each receive queue; adjusted to what the device takes.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue; adjusted to what the device takes.
    pub tx_descriptors: u16,
    /// The largest IP packet in bytes; adjusted to what the device takes.
    pub mtu: u16,
    /// What the device shall take over if it can.
    pub asked: Offloads,
    /// The key of the RSS hash; the driver's own if `None`.
    pub rss_key: Option<Vec<u8>>,
    /// Receive frames to all Ethernet addresses.
    pub promiscuous: bool,
}

impl Default for PortConfig {
    fn default() -> Self {
        Self {
            rx_queues: 1,
            tx_queues: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            mtu: 1500,
            asked: Offloads::ALL,
            rss_key: None,
            promiscuous: false,
        }
    }
}

/// What a device granted of a [`PortConfig`].
#[derive(Clone, Debug)]
pub struct Granted {
    /// Receive queues; perhaps fewer than asked.
    pub rx_queues: u16,
    /// Transmit queues; perhaps fewer than asked.
    pub tx_queues: u16,
    /// The MTU in force.
    pub mtu: u16,
    /// What the device takes over.
    pub offloads: Offloads,
    /// How it chooses the receive queue. `None` with several queues: by a rule we cannot compute.
    pub rss: Option<Rss>,
}

/// The queues of a started port.
pub struct Queues {
    /// Receive queues, by number.
    pub rx: Vec<RxQueue>,
    /// Transmit queues, by number.
    pub tx: Vec<TxQueue>,
    /// What was granted.
    pub granted: Granted,
}

/// Whether the link is up, and how fast it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Up.
    pub up: bool,
    /// Mb/s; of no meaning for software devices.
    pub megabits: u32,
}

/// Counters of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames dropped by the device because the receive queue was full.
    pub rx_missed: u64,
    /// Frames received with errors.
    pub rx_errors: u64,
    /// Frames dropped because there was no mbuf for them.
    pub rx_no_mbuf: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
}

/// A device that sends and receives frames.
///
/// Dropping it, and its queues, stops and closes the device if it was started; then it is gone.
pub struct Port(Arc<Open>);

impl Port {
    /// The port of the vdev called `name` or of the device at the PCI address `name`.
    ///
    /// # Errors
    /// There is none, or it is held already.
    pub fn by_name(eal: &Eal, name: &str) -> Result<Self, Error> {
        let asked = || format!("open the port {name}");
        let c_name = CString::new(name).map_err(|_| Error::new(asked(), "a NUL in the name"))?;
        let mut id = 0;
        log::checked(asked, || {
            // SAFETY: a NUL-terminated name, and a place for the number.
            unsafe { sys::rte_eth_dev_get_port_by_name(c_name.as_ptr(), &mut id) }
        })?;
        if !eal.ports().insert(id) {
            return Err(Error::new(asked(), "it is open already"));
        }
        Ok(Self(Arc::new(Open {
            id,
            name: name.to_owned(),
            used: AtomicBool::new(false),
            rx_queues: AtomicU16::new(0),
            eal: eal.clone(),
        })))
    }

    /// Attaches the device that `arguments` name (`net_ring0`, `0000:01:00.0,key=value`, ...) and opens
    /// it.
    ///
    /// # Errors
    /// What the driver logged.
    pub fn probe(eal: &Eal, arguments: &str) -> Result<Self, Error> {
        eal.attach(arguments)?;
        Self::by_name(eal, arguments.split(',').next().unwrap_or_default())
    }

    /// The names of all ports there are.
    #[must_use]
    pub fn names(_eal: &Eal) -> Vec<String> {
        // SAFETY: it looks at any number.
        let next = |from: u16| unsafe { sys::rte_eth_find_next(from) };
        // Past the last one it answers RTE_MAX_ETHPORTS.
        let exists = |id: &u16| u32::from(*id) < sys::RTE_MAX_ETHPORTS;
        std::iter::successors(Some(next(0)).filter(exists), |id| Some(next(id + 1)).filter(exists))
            .filter_map(|id| {
                let mut name = [0; sys::RTE_ETH_NAME_MAX_LEN as usize];
                // SAFETY: `name` is as long as DPDK wants it.
                let found = unsafe { sys::rte_eth_dev_get_name_by_port(id, name.as_mut_ptr()) };
                // SAFETY: a name that was found is NUL-terminated.
                (found == 0).then(|| unsafe { text(name.as_ptr()) })
            })
            .collect()
    }

    /// DPDK's number of the port.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.0.id
    }

    /// The port's Ethernet address; for a device without one, as `net_ring`, a locally administered one
    /// made from the port's number.
    ///
    /// # Errors
    /// The driver does not know it.
    pub fn mac(&self) -> Result<[u8; 6], Error> {
        let mut mac = sys::rte_ether_addr { addr_bytes: [0; 6] };
        self.0.call("read the Ethernet address of", |id| {
            // SAFETY: a place for six bytes.
            unsafe { sys::rte_eth_macaddr_get(id, &mut mac) }
        })?;
        match mac.addr_bytes {
            [0, 0, 0, 0, 0, 0] => {
                let [high, low] = self.0.id.to_be_bytes();
                Ok([2, 0, 0, 0, high, low])
            }
            address => Ok(address),
        }
    }

    /// What the device says about itself.
    ///
    /// # Errors
    /// The driver does not know.
    pub fn info(&self) -> Result<PortInfo, Error> {
        let info = self.raw_info()?;
        // SAFETY: the port exists.
        let socket = unsafe { sys::rte_eth_dev_socket_id(self.0.id) };
        Ok(PortInfo {
            name: self.0.name.clone(),
            // SAFETY: drivers have a static name.
            driver: unsafe { text(info.driver_name) },
            socket: u32::try_from(socket).ok(),
            mac: self.mac()?,
            max_rx_queues: info.max_rx_queues,
            max_tx_queues: info.max_tx_queues,
            mtu: (info.min_mtu, info.max_mtu),
            offloads: Offloads::offered(&info),
        })
    }

    /// Sets the port up and starts it. Queue `n` receives into `pools[n]`, and transmit queue `n` takes
    /// from it what it has to copy; with fewer pools than queues they are used again from the first.
    ///
    /// # Errors
    /// What the driver logged; no pools.
    pub fn start(&mut self, config: &PortConfig, pools: &[Pool]) -> Result<Queues, Error> {
        if self.0.used.swap(true, Ordering::Relaxed) {
            return Err(Error::new(self.0.asked("start"), "it was started before"));
        }
        let info = self.raw_info()?;
        let mut granted = self.configure(config, &info)?;
        self.set_up_queues(config, &info, &granted, pools)?;
        self.0.call("start", |id| {
            // SAFETY: the port is configured.
            unsafe { sys::rte_eth_dev_start(id) }
        })?;
        self.0.rx_queues.store(granted.rx_queues, Ordering::Relaxed);
        if config.promiscuous {
            self.0.call("receive all frames on", |id| {
                // SAFETY: the port is started.
                unsafe { sys::rte_eth_promiscuous_enable(id) }
            })?;
        }
        if granted.offloads.rss {
            granted.rss = self.spread(&info, granted.rx_queues);
        }
        let pool = |queue: u16| pools[usize::from(queue) % pools.len()].clone();
        let rx = |queue| RxQueue::new(Arc::clone(&self.0), queue, granted.offloads);
        let tx = |queue| TxQueue::new(Arc::clone(&self.0), queue, granted.offloads, pool(queue));
        Ok(Queues {
            rx: (0..granted.rx_queues).map(rx).collect(),
            tx: (0..granted.tx_queues).map(tx).collect(),
            granted,
        })
    }

    /// The state of the link.
    ///
    /// # Errors
    /// The driver does not know.
    pub fn link(&self) -> Result<Link, Error> {
        // SAFETY: numbers: all zeros is a value.
        let mut link: sys::rte_eth_link = unsafe { MaybeUninit::zeroed().assume_init() };
        self.0.call("read the link of", |id| {
            // SAFETY: a place for the answer.
            unsafe { sys::rte_eth_link_get_nowait(id, &mut link) }
        })?;
        // SAFETY: a value of ours.
        let up = unsafe { sys::levee_link_is_up(&link) } != 0;
        // SAFETY: as above.
        let megabits = unsafe { sys::levee_link_speed(&link) };
        Ok(Link { up, megabits })
    }

    /// The device's counters.
    ///
    /// # Errors
    /// The driver has none.
    pub fn stats(&self) -> Result<Stats, Error> {
        // SAFETY: numbers: all zeros is a value.
        let mut stats: sys::rte_eth_stats = unsafe { MaybeUninit::zeroed().assume_init() };
        self.0.call("read the counters of", |id| {
            // SAFETY: a place for the answer.
            unsafe { sys::rte_eth_stats_get(id, &mut stats) }
        })?;
        Ok(Stats {
            rx_frames: stats.ipackets,
            rx_bytes: stats.ibytes,
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            rx_no_mbuf: stats.rx_nombuf,
            tx_frames: stats.opackets,
            tx_bytes: stats.obytes,
            tx_errors: stats.oerrors,
        })
    }

    /// Stops and closes the device; its mbufs go back to their pools.
    ///
    /// # Errors
    /// Gives the port back when a queue of it still exists.
    pub fn close(self) -> Result<(), Self> {
        Arc::try_unwrap(self.0).map(drop).map_err(Self)
    }

    fn raw_info(&self) -> Result<sys::rte_eth_dev_info, Error> {
        // SAFETY: numbers and pointers: all zeros is a value.
        let mut info: sys::rte_eth_dev_info = unsafe { MaybeUninit::zeroed().assume_init() };
        self.0.call("ask the abilities of", |id| {
            // SAFETY: a place for the answer.
            unsafe { sys::rte_eth_dev_info_get(id, &mut info) }
        })?;
        Ok(info)
    }

    fn configure(&self, config: &PortConfig, info: &sys::rte_eth_dev_info) -> Result<Granted, Error> {
        let rx_queues = config.rx_queues.clamp(1, info.max_rx_queues.max(1));
        let tx_queues = config.tx_queues.clamp(1, info.max_tx_queues.max(1));
        let mtu = config.mtu.clamp(info.min_mtu, info.max_mtu.max(info.min_mtu));
        let mut offloads = config.asked.and(Offloads::offered(info));
        // net_tap sums TCP wrongly over a segment of odd length that is not the last.
        // SAFETY: drivers have a static name.
        offloads.tx_checksum &= unsafe { text(info.driver_name) } != "net_tap";
        offloads.rss &= rx_queues > 1;
        offloads.tso &= offloads.tx_checksum && offloads.tx_segments;
        let fits = usize::from(mtu) + ETHERNET_OVERHEAD <= levee_buf::ROOM;
        offloads.rx_scatter &= !fits;
        if !fits && !offloads.rx_scatter {
            let why = format!("an MTU of {mtu} needs frames in several segments, which the driver cannot do");
            return Err(Error::new(self.0.asked("configure"), why));
        }
        // SAFETY: numbers and pointers: all zeros is the default configuration.
        let mut conf: sys::rte_eth_conf = unsafe { MaybeUninit::zeroed().assume_init() };
        conf.rxmode.mtu = u32::from(mtu);
        conf.rxmode.offloads = offloads.rx_bits() & info.rx_offload_capa;
        conf.txmode.offloads = offloads.tx_bits();
        let mut key = config.rss_key.clone().unwrap_or_default();
        if offloads.rss {
            conf.rxmode.mq_mode = sys::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf =
                (sys::LEVEE_RSS_TCP | sys::LEVEE_RSS_IP) & info.flow_type_rss_offloads;
            if !key.is_empty() {
                key.resize(usize::from(info.hash_key_size).max(key.len()), 0);
                conf.rx_adv_conf.rss_conf.rss_key = key.as_mut_ptr();
                conf.rx_adv_conf.rss_conf.rss_key_len = key
                    .len()
                    .try_into()
                    .map_err(|_| Error::new(self.0.asked("configure"), "RSS key too long"))?;
            }
        }
        self.0.call("configure", |id| {
            // SAFETY: the port is stopped; `conf` and the key it points to are read during the call.
            unsafe { sys::rte_eth_dev_configure(id, rx_queues, tx_queues, &conf) }
        })?;
        let mut mtu_set = mtu;
        // SAFETY: a place for the answer.
        if unsafe { sys::rte_eth_dev_get_mtu(self.0.id, &mut mtu_set) } != 0 {
            mtu_set = mtu;
        }
        Ok(Granted { rx_queues, tx_queues, mtu: mtu_set, offloads, rss: None })
    }

    fn set_up_queues(
        &self,
        config: &PortConfig,
        info: &sys::rte_eth_dev_info,
        granted: &Granted,
        pools: &[Pool],
    ) -> Result<(), Error> {
        if pools.is_empty() {
            return Err(Error::new(self.0.asked("set up queues of"), "no pool was given"));
        }
        let (mut rx_descriptors, mut tx_descriptors) = (config.rx_descriptors, config.tx_descriptors);
        self.0.call("adjust the descriptors of", |id| {
            // SAFETY: places that are read and written.
            unsafe { sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &mut rx_descriptors, &mut tx_descriptors) }
        })?;
        let PortInfo { driver, socket: node, .. } = self.info()?;
        #[expect(clippy::cast_sign_loss, reason = "DPDK takes -1, any node, as an unsigned number")]
        let socket = socket_id(node) as u32;
        let mut rx_conf = info.default_rxconf;
        rx_conf.offloads = granted.offloads.rx_bits() & info.rx_offload_capa;
        let mut tx_conf = info.default_txconf;
        tx_conf.offloads = granted.offloads.tx_bits();
        for queue in 0..granted.rx_queues {
            let pool = &pools[usize::from(queue) % pools.len()];
            let pool = match driver.as_str() {
                "net_af_xdp" => pool.more_segments(&format!("{}_{queue}", self.0.name), node)?.raw(),
                _ => pool.segments().raw(),
            };
            self.0.call("set up a receive queue of", |id| {
                // SAFETY: the port is configured with more queues than `queue`, the pool outlives it.
                unsafe { sys::rte_eth_rx_queue_setup(id, queue, rx_descriptors, socket, &rx_conf, pool) }
            })?;
        }
        for queue in 0..granted.tx_queues {
            self.0.call("set up a transmit queue of", |id| {
                // SAFETY: the port is configured with more queues than `queue`.
                unsafe { sys::rte_eth_tx_queue_setup(id, queue, tx_descriptors, socket, &tx_conf) }
            })?;
        }
        Ok(())
    }

    /// Spreads the hash evenly over the queues and reads back what the device does.
    fn spread(&self, info: &sys::rte_eth_dev_info, queues: u16) -> Option<Rss> {
        let mut key = vec![0; usize::from(info.hash_key_size).max(40)];
        // SAFETY: numbers and pointers: all zeros is a value.
        let mut conf: sys::rte_eth_rss_conf = unsafe { MaybeUninit::zeroed().assume_init() };
        conf.rss_key = key.as_mut_ptr();
        conf.rss_key_len = key.len().try_into().ok()?;
        // SAFETY: `key` is as long as `conf` says.
        if unsafe { sys::rte_eth_dev_rss_hash_conf_get(self.0.id, &mut conf) } != 0 {
            return None;
        }
        key.truncate(usize::from(conf.rss_key_len));
        let group = sys::RTE_ETH_RETA_GROUP_SIZE as usize;
        let size = usize::from(info.reta_size);
        // SAFETY: numbers: all zeros is a value.
        let zero: sys::rte_eth_rss_reta_entry64 = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut table = vec![zero; size.div_ceil(group)];
        for (index, queue) in (0..size).zip((0..queues).cycle()) {
            table[index / group].mask |= 1 << (index % group);
            table[index / group].reta[index % group] = queue;
        }
        // A device whose table is fixed refuses: what it says below is what counts.
        // SAFETY: `table` holds `reta_size` entries.
        unsafe { sys::rte_eth_dev_rss_reta_update(self.0.id, table.as_mut_ptr(), info.reta_size) };
        // SAFETY: as above.
        if unsafe { sys::rte_eth_dev_rss_reta_query(self.0.id, table.as_mut_ptr(), info.reta_size) } != 0 {
            return None;
        }
        let reta = (0..size).map(|index| table[index / group].reta[index % group]).collect();
        Rss::new(key, reta)
    }
}

/// A port that somebody holds.
pub(crate) struct Open {
    id: u16,
    name: String,
    /// It was configured: it may hold mbufs, and cannot be configured from scratch.
    used: AtomicBool,
    /// Receive queues; none before it is started.
    rx_queues: AtomicU16,
    eal: Eal,
}

impl Open {
    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    fn asked(&self, what: &str) -> String {
        format!("{what} the port {}", self.name)
    }

    fn call(&self, what: &str, call: impl FnOnce(u16) -> i32) -> Result<(), Error> {
        log::checked(|| self.asked(what), || call(self.id)).map(|_| ())
    }
}

impl Open {
    /// Takes out frames that nobody received: `net_ring` forgets them when it is closed.
    fn drain(&self) {
        for queue in 0..self.rx_queues.load(Ordering::Relaxed) {
            // A bound, since `net_null` has always more.
            for _ in 0..DRAINED_BURSTS {
                let mut mbufs = [std::ptr::null_mut(); MAX_BURST];
                let room = u16::try_from(mbufs.len()).unwrap_or(0);
                // SAFETY: the port is started with more queues than `queue`, and nobody else has it; there
                // is room for so many pointers.
                let got = unsafe { sys::rte_eth_rx_burst(self.id, queue, mbufs.as_mut_ptr(), room) };
                if got == 0 {
                    break;
                }
                // SAFETY: the driver gave the mbufs to us.
                unsafe { sys::rte_pktmbuf_free_bulk(mbufs.as_mut_ptr(), got.into()) };
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.used.load(Ordering::Relaxed) {
            self.drain();
            // SAFETY: the port exists, and none of its queues does any more.
            unsafe { sys::rte_eth_dev_stop(self.id) };
            // SAFETY: the port is stopped.
            unsafe { sys::rte_eth_dev_close(self.id) };
        }
        self.eal.ports().remove(&self.id);
    }
}

/// Ethernet header, VLAN tag and frame check sequence.
const ETHERNET_OVERHEAD: usize = 22;

/// More than a ring of the default size holds.
const DRAINED_BURSTS: usize = 64;

/// # Safety
/// `pointer` is null or NUL-terminated.
pub(crate) unsafe fn text(pointer: *const std::ffi::c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: not null, hence NUL-terminated by the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
