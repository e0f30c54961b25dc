//! A configuration file, of which the input is the text, and the files it names are not there.
//! `levee_proxy::config::examine` says what must hold.

/// Reads `input` as a configuration.
pub fn run(input: &[u8]) {
    // A file that is not UTF-8 is refused before it is looked at.
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = levee_proxy::config::examine(text);
}
