//! The hellos of a connection as they lie on the wire: what the server's API does not tell, and the runner asks for.

use levee_buf::{Reader, Truncated};

/// The extensions of a plaintext hello.
pub(crate) struct Hello(Vec<(u16, Vec<u8>)>);

/// Up to the session id: a message's header, version and random.
const FIXED: usize = 4 + 2 + 32;

impl Hello {
    /// Of the ClientHello that `wire` begins with.
    pub(crate) fn of_client(wire: &[u8]) -> Self {
        Self::decode(wire, |input| {
            input.vec16()?;
            input.vec8().map(|_| ())
        })
    }

    /// Of the ServerHello that `wire` begins with.
    pub(crate) fn of_server(wire: &[u8]) -> Self {
        Self::decode(wire, |input| input.bytes(3).map(|_| ()))
    }

    /// `choices` passes over what lies between the session id and the extensions.
    fn decode(wire: &[u8], choices: impl FnOnce(&mut Reader<'_>) -> Result<(), Truncated>) -> Self {
        let mut found = Vec::new();
        // A hello that is cut off tells what there is of it.
        let _ = fragments(wire, |message| {
            let mut input = Reader::new(message);
            input.bytes(FIXED)?;
            input.vec8()?;
            choices(&mut input)?;
            let mut list = input.vec16()?;
            while !list.is_empty() {
                found.push((list.u16()?, list.vec16()?.rest().to_vec()));
            }
            Ok(())
        });
        Self(found)
    }

    pub(crate) fn extension(&self, code: u16) -> Option<&[u8]> {
        self.0.iter().find(|extension| extension.0 == code).map(|extension| extension.1.as_slice())
    }

    /// The list of application_layer_protocol_negotiation as the runner writes it.
    pub(crate) fn protocols(&self) -> String {
        let list = self.extension(16).and_then(|body| body.get(2..)).unwrap_or_default();
        String::from_utf8_lossy(list).into_owned()
    }

    /// The one name of server_name.
    pub(crate) fn server_name(&self) -> String {
        let name = self.extension(0).and_then(|body| body.get(5..)).unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }
}

/// Reads the content of the handshake records that `wire` begins with.
fn fragments(wire: &[u8], read: impl FnOnce(&[u8]) -> Result<(), Truncated>) -> Result<(), Truncated> {
    let (mut input, mut content) = (Reader::new(wire), Vec::new());
    while let Ok(22) = input.u8() {
        input.u16()?;
        content.extend(input.vec16()?.rest());
    }
    read(&content)
}
