//! A crypto device of Levee's that goes wrong when it is told to: `FaultyDevice`, over `faulty_device.c`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::network::{Place, repository};
use crate::process::run;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Every operation fails.
    Fails,
    /// What it was given does not come back.
    Hangs,
    /// Signatures are others than should be.
    Lies,
}

/// The only device of one Levee.
pub struct FaultyDevice {
    library: PathBuf,
    path: PathBuf,
    /// Eight bytes of the fault, eight of the operations given back.
    page: File,
}

impl FaultyDevice {
    /// One that is well; its files are in `directory`.
    ///
    /// # Panics
    /// When there is no C compiler, which Levee's own build needs too.
    #[must_use]
    pub(crate) fn new(directory: &Path) -> Self {
        let library = directory.join("faulty_device.so");
        let script = format!(
            "cc -shared -fPIC $(pkg-config --cflags libdpdk) -o {} {}",
            library.display(),
            repository().join("tests/support/faulty_device.c").display()
        );
        let mut compiler = Command::new("sh");
        compiler.args(["-c", &script]);
        let ended = run(compiler, b"", Duration::from_secs(60));
        assert!(ended.exited(0), "{}", ended.text());
        let path = directory.join("faulty_device");
        let page =
            File::options().read(true).write(true).create_new(true).open(&path).expect("a file of its own");
        page.set_len(16).expect("it has room");
        Self { library, path, page }
    }

    /// `program` in `place`, whose device it is to be.
    pub(crate) fn of(&self, place: &Place, program: &Path) -> Command {
        let mut command = place.command("env");
        command
            .arg(format!("LD_PRELOAD={}", self.library.display()))
            .arg(format!("FAULTY_DEVICE={}", self.path.display()))
            .arg(program);
        command
    }

    /// From now on this goes wrong.
    ///
    /// # Panics
    /// When its file is gone.
    pub fn set(&self, fault: Fault) {
        self.page.write_all_at(&(fault as u64).to_ne_bytes(), 0).expect("the file is there");
    }

    /// Operations that it has given back, well or not.
    ///
    /// # Panics
    /// When its file is gone.
    #[must_use]
    pub fn given(&self) -> u64 {
        let mut given = [0; 8];
        self.page.read_exact_at(&mut given, 8).expect("the file is there");
        u64::from_ne_bytes(given)
    }
}
