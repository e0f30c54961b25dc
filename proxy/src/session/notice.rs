//! What the sessions of one lcore tell those of the others: that a cached response holds no more.

use levee_buf::{Full, Memory, Pieces, Reader, Truncated, Writer};
use levee_http::RequestHead;

use super::Sessions;
use super::request::write;
use crate::metrics::Counter;

/// Notices that wait to be handed over, at most.
pub(super) const NOTICES: usize = 64;

impl<M: Memory> Sessions<M> {
    /// The oldest notice for the other workers.
    pub(crate) fn next_notice(&mut self) -> Option<M::Chain> {
        self.notices.pop_front()
    }

    /// Takes another worker's notice: what is stored for its URI is forgotten.
    pub(crate) fn take_notice(&mut self, notice: &M::Chain) {
        if let (Some(cache), Ok(uri)) = (&mut self.cache, read(notice.chunk(0))) {
            cache.purge(uri.https, uri.authority, uri.path, uri.query);
        }
    }

    /// RFC 9111 section 4.4: "A cache MUST invalidate the target URI [...] when it receives a non-error
    /// status code in response to an unsafe request method". Each worker has a store of its own.
    pub(super) fn tell_others(&mut self, request: &RequestHead<'_>, https: bool, status: u16) {
        if request.method.is_safe() || self.steering.is_alone() || !(200..400).contains(&status) {
            return;
        }
        let uri = Uri {
            https,
            authority: request.authority.as_bytes(),
            path: request.target.path(),
            query: request.target.query(),
        };
        let notice = write(&self.memory, uri.room(), |out| uri.write(out));
        match notice.filter(|_| self.notices.len() < NOTICES) {
            Some(notice) => self.notices.push_back(notice),
            None => self.counters.count(Counter::NoticesLost),
        }
    }
}

/// The key of a cached response.
struct Uri<'a> {
    https: bool,
    authority: &'a [u8],
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

impl Uri<'_> {
    fn room(&self) -> usize {
        8 + self.authority.len() + self.path.len() + self.query.map_or(0, <[u8]>::len)
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), Full> {
        out.u8(u8::from(self.https))?;
        out.vector::<2>(|out| out.bytes(self.authority))?;
        out.vector::<2>(|out| out.bytes(self.path))?;
        self.query.map_or(Ok(()), |query| out.bytes(b"?").and_then(|()| out.bytes(query)))
    }
}

fn read(bytes: &[u8]) -> Result<Uri<'_>, Truncated> {
    let mut input = Reader::new(bytes);
    let https = input.u8()? != 0;
    let (authority, path) = (input.vec16()?.rest(), input.vec16()?.rest());
    Ok(Uri { https, authority, path, query: input.rest().strip_prefix(b"?") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_read_as_it_was_written() {
        for query in [None, Some(&b""[..]), Some(b"a=?b")] {
            let uri = Uri { https: true, authority: b"a.test:8443", path: b"/x", query };
            let mut room = vec![0; uri.room()];
            let mut out = Writer::new(&mut room);
            uri.write(&mut out).unwrap();
            let read = read(out.written()).unwrap();
            assert_eq!(
                (read.https, read.authority, read.path, read.query),
                (true, &b"a.test:8443"[..], &b"/x"[..], query)
            );
        }
        assert!(read(&[1, 0]).is_err());
    }
}
