//! Buffers that are not of a mempool, as some drivers receive into. The rest is tested from outside.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

use levee_buf::{Chain as _, HEADROOM, Memory, Pieces};

use super::Chain;
use crate::{Eal, Pool, Sizes};

static FREED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn freed(_buffer: *mut c_void, _opaque: *mut c_void) {
    FREED.fetch_add(1, Ordering::SeqCst);
}

/// A received frame of 3000 bytes in a buffer of its own.
fn received(pool: &Pool) -> Chain {
    let buffer = Box::leak(Box::new([7_u64; 512]));
    let mut len = 4096;
    // SAFETY: the buffer is as long as is said, aligned, and never freed by Rust.
    let shared = unsafe {
        dpdk_sys::rte_pktmbuf_ext_shinfo_init_helper(
            buffer.as_mut_ptr().cast(),
            &mut len,
            Some(freed),
            std::ptr::null_mut(),
        )
    };
    let segment = pool.alloc(0).and_then(Chain::into_head).expect("memory");
    // SAFETY: the mbuf is fresh and ours; the buffer begins `len` bytes before its shared information.
    unsafe {
        dpdk_sys::rte_pktmbuf_attach_extbuf(segment.raw(), buffer.as_mut_ptr().cast(), 0, len, shared);
    }
    segment.set_data_off(64);
    segment.set_data_len(3000);
    segment.set_pkt_len(3000);
    Chain::received(segment)
}

#[test]
fn an_external_buffer_is_divided_shared_and_freed_once() {
    let prefix = format!("--file-prefix=levee-unit-{}", std::process::id());
    let args = format!("--no-huge -m 64 --no-shconf --no-pci --no-telemetry -l 0 {prefix}");
    let args: Vec<String> = args.split(' ').map(str::to_owned).collect();
    let eal = Eal::init(&args).expect("DPDK starts (as root)");
    let sizes = Sizes { segments: 63, records: 3, references: 63, cache: 8 };
    let pool = Pool::create(&eal, "external", sizes, None).expect("memory");

    let mut chain = received(&pool);
    assert_eq!((chain.headroom(), chain.tailroom()), (0, 0), "what lies around is not ours");
    let mut front = pool.split_to(&mut chain, 1000).expect("memory");
    assert!(front.is_exclusive(0..1000) && chain.is_exclusive(0..2000));
    front.chunk_mut(0).expect("exclusive").fill(1);
    chain.chunk_mut(0).expect("exclusive").fill(2);
    let copy = pool.reference(&mut chain, 500..600).expect("memory");
    assert!(chain.chunk_mut(0).is_none() && front.chunk_mut(0).is_some());
    assert_eq!((front.tailroom(), chain.tailroom(), copy.headroom()), (0, 0, 0));
    drop(chain);
    assert_eq!((front.to_vec(), copy.to_vec()), (vec![1; 1000], vec![2; 100]));
    drop(front);
    assert_eq!(FREED.load(Ordering::SeqCst), 0, "a reference is left");
    drop(copy);
    assert_eq!(FREED.load(Ordering::SeqCst), 1);
    assert_eq!(pool.in_use(), 0);

    // The mbufs are as new.
    let all: Vec<Chain> = std::iter::from_fn(|| pool.alloc(1)).collect();
    assert_eq!(all.len(), 63);
    assert!(all.iter().all(|chain| (chain.headroom(), chain.tailroom()) == (HEADROOM, levee_buf::ROOM)));
}
