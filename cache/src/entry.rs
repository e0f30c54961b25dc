//! A stored response: `Entry`.

use levee_buf::Chain;

use crate::body::Body;
use crate::fresh::Freshness;

const _: () = assert!(size_of::<Entry<levee_buf::HeapChain>>() - size_of::<levee_buf::HeapChain>() <= 120);

/// A stored response, or one half-filled: at most 120 bytes and a chain.
///
/// It holds its packet memory until nobody needs it: while it is linked lookups find it, and while it has
/// pins it outlives being unlinked. A half-filled one is pinned by its fill and not yet linked.
#[derive(Debug, Default)]
pub(crate) struct Entry<C> {
    /// Key, Vary section and head, in one contiguous segment.
    text: C,
    key_len: usize,
    vary_len: usize,
    pub(crate) body: Body,
    /// Packet memory it holds.
    pub(crate) cost: usize,
    pub(crate) hash: u64,
    pub(crate) pins: u32,
    pub(crate) linked: bool,
    /// Whether it may serve requests with Authorization (RFC 9111 section 3.5).
    pub(crate) shareable: bool,
    /// Unix seconds of its Date, to tell the most recent of several.
    pub(crate) date_s: u64,
    pub(crate) fresh: Freshness,
}

impl<C: Chain> Entry<C> {
    /// Half-filled: with `text` as [`Entry::set_text`] takes it, which costs `cost`.
    pub(crate) fn new(hash: u64, text: C, key_len: usize, vary_len: usize, cost: usize) -> Self {
        Self { text, key_len, vary_len, cost, hash, ..Self::default() }
    }

    /// Takes `text`, a contiguous chain that starts with key and Vary section of these lengths, and returns
    /// what was in its place.
    pub(crate) fn set_text(&mut self, text: C, key_len: usize, vary_len: usize) -> C {
        self.key_len = key_len;
        self.vary_len = vary_len;
        std::mem::replace(&mut self.text, text)
    }

    /// The key's normal form.
    pub(crate) fn key(&self) -> &[u8] {
        self.part(0, self.key_len)
    }

    /// The request fields that selected it, as [`crate::vary`] writes them; empty without Vary.
    pub(crate) fn vary(&self) -> &[u8] {
        self.part(self.key_len, self.key_len + self.vary_len)
    }

    /// The head, as [`crate::head`] writes it.
    pub(crate) fn head(&self) -> &[u8] {
        self.part(self.key_len + self.vary_len, self.text.len())
    }

    /// Lengths of key and Vary section.
    pub(crate) fn lengths(&self) -> (usize, usize) {
        (self.key_len, self.vary_len)
    }

    fn part(&self, from: usize, to: usize) -> &[u8] {
        self.text.chunk(0).get(from..to).unwrap_or_default()
    }
}
