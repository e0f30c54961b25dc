//! Bounded cursors over contiguous bytes: `Reader` and `Writer`.
//!
//! Big-endian, as on the wire. Neither panics nor copies more than the caller names.

/// Input ended before the field did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

/// Output has no room left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Reads fields from the front of borrowed bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Number of bytes not yet read.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether all bytes were read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`Truncated`] when there are fewer.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let (bytes, rest) = self.rest.split_at_checked(n).ok_or(Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`Truncated`] when there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Truncated`] at the end.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// [`Truncated`] when there are fewer.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    /// Three bytes, big-endian.
    ///
    /// # Errors
    /// [`Truncated`] when there are fewer.
    pub fn u24(&mut self) -> Result<u32, Truncated> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// [`Truncated`] when there are fewer.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_be_bytes)
    }

    /// A vector with one byte of length, as its own reader.
    ///
    /// # Errors
    /// [`Truncated`] when its length goes beyond the end.
    pub fn vec8(&mut self) -> Result<Self, Truncated> {
        let n = self.u8()?;
        self.bytes(usize::from(n)).map(Self::new)
    }

    /// A vector with two bytes of length, as its own reader.
    ///
    /// # Errors
    /// [`Truncated`] when its length goes beyond the end.
    pub fn vec16(&mut self) -> Result<Self, Truncated> {
        let n = self.u16()?;
        self.bytes(usize::from(n)).map(Self::new)
    }

    /// A vector with three bytes of length, as its own reader.
    ///
    /// # Errors
    /// [`Truncated`] when its length goes beyond the end.
    pub fn vec24(&mut self) -> Result<Self, Truncated> {
        let n = self.u24()?;
        self.bytes(usize::try_from(n).map_err(|_| Truncated)?).map(Self::new)
    }
}

/// Writes fields into borrowed bytes, front to back.
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// A writer at the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes written so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.bytes.get(..self.at).unwrap_or_default()
    }

    /// What was written so far, to be changed.
    #[must_use]
    pub fn written_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.at).unwrap_or_default()
    }

    /// Reserves `n` bytes and returns them.
    ///
    /// # Errors
    /// [`Full`] when there is no room; nothing is written.
    pub fn reserve(&mut self, n: usize) -> Result<&mut [u8], Full> {
        let end = self.at.checked_add(n).ok_or(Full)?;
        let place = self.bytes.get_mut(self.at..end).ok_or(Full)?;
        self.at = end;
        Ok(place)
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    /// [`Full`] when there is no room; nothing is written.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.reserve(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Writes one byte.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn u8(&mut self, value: u8) -> Result<(), Full> {
        self.bytes(&[value])
    }

    /// Writes two bytes, big-endian.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn u16(&mut self, value: u16) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes the low three bytes, big-endian.
    ///
    /// # Errors
    /// [`Full`] when there is no room or the value needs a fourth byte.
    pub fn u24(&mut self, value: u32) -> Result<(), Full> {
        let [high, rest @ ..] = value.to_be_bytes();
        if high != 0 {
            return Err(Full);
        }
        self.bytes(&rest)
    }

    /// Writes four bytes, big-endian.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn u32(&mut self, value: u32) -> Result<(), Full> {
        self.bytes(&value.to_be_bytes())
    }

    /// Writes what `body` writes behind a length of `N` bytes (1 to 4).
    ///
    /// # Errors
    /// [`Full`] when there is no room or the body is longer than its length field can say; what was
    /// written stays.
    pub fn vector<const N: usize>(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<(), Full>,
    ) -> Result<(), Full> {
        const { assert!(N >= 1 && N <= 4) };
        let place = self.at;
        self.reserve(N)?;
        let start = self.at;
        body(self)?;
        let length = u32::try_from(self.at - start).map_err(|_| Full)?.to_be_bytes();
        let (high, low) = length.split_at(4 - N);
        if high.iter().any(|&byte| byte != 0) {
            return Err(Full);
        }
        self.bytes.get_mut(place..start).ok_or(Full)?.copy_from_slice(low);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written() {
        let mut room = [0; 32];
        let mut out = Writer::new(&mut room);
        out.u8(1).unwrap();
        out.u16(0x0203).unwrap();
        out.u24(0x04_0506).unwrap();
        out.u32(0x0708_090a).unwrap();
        out.vector::<2>(|out| out.bytes(b"abc")).unwrap();
        let mut input = Reader::new(out.written());
        assert_eq!(input.u8(), Ok(1));
        assert_eq!(input.u16(), Ok(0x0203));
        assert_eq!(input.u24(), Ok(0x04_0506));
        assert_eq!(input.u32(), Ok(0x0708_090a));
        assert_eq!(input.vec16().map(|body| body.rest()), Ok(&b"abc"[..]));
        assert!(input.is_empty());
        assert_eq!(input.u8(), Err(Truncated));
    }

    #[test]
    fn a_vector_longer_than_its_length_field_is_refused() {
        let mut room = [0; 400];
        let mut out = Writer::new(&mut room);
        assert_eq!(out.vector::<1>(|out| out.bytes(&[0; 256])), Err(Full));
        let mut out = Writer::new(&mut room);
        assert_eq!(out.vector::<1>(|out| out.bytes(&[7; 255])), Ok(()));
        assert_eq!(out.written().first(), Some(&255));
        assert_eq!(out.u24(0x0100_0000), Err(Full));
    }

    #[test]
    fn a_length_beyond_the_end_is_truncated() {
        assert_eq!(Reader::new(&[0, 5, 1, 2]).vec16().map(|_| ()), Err(Truncated));
        assert_eq!(Reader::new(&[5, 1]).vec8().map(|_| ()), Err(Truncated));
        assert_eq!(Reader::new(&[0, 0]).u24(), Err(Truncated));
    }
}
