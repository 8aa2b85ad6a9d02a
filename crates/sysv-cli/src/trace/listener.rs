//! The socket on which reports arrive.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use sysv_engine::trace::{Call, LONGEST, Report};

use super::print::Printer;

/// How often to look for calls that wait.
const TICK: Duration = Duration::from_millis(50);

/// A datagram socket with an unguessable name, which programs may reach that have become other users meanwhile.
pub(super) struct Listener {
    socket: UnixDatagram,
    // The socket's name goes with it.
    directory: Directory,
}

struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // If it is gone or not ours any more, that is as well.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Listener {
    pub(super) fn new() -> io::Result<Listener> {
        let mut random = [0u8; 16];
        getrandom(&mut random[..], GetRandomFlags::empty())?;
        let name = format!("sysv-trace-{:032x}", u128::from_le_bytes(random));
        // A socket's name is short, and /tmp is the same place for whatever the program becomes.
        let path = Path::new("/tmp").join(name);
        DirBuilder::new().mode(0o711).create(&path)?;
        let directory = Directory(path);
        let socket = UnixDatagram::bind(directory.0.join("s"))?;
        fs::set_permissions(&directory.0, Permissions::from_mode(0o711))?;
        fs::set_permissions(directory.0.join("s"), Permissions::from_mode(0o666))?;
        socket.set_read_timeout(Some(TICK))?;
        Ok(Listener { socket, directory })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.0.join("s")
    }

    /// What ends [`listen`](Self::listen) once it has read everything that was sent before.
    pub(super) fn end(&self) -> io::Result<End> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(self.path())?;
        Ok(End(socket))
    }

    /// Passes on what arrives, until the end.
    pub(super) fn listen(&self, printer: &mut Printer, wanted: &[Call]) {
        let mut bytes = [0; LONGEST];
        loop {
            match self.socket.recv(&mut bytes) {
                Ok(0) => return,
                Ok(len) => {
                    // Anything else is from somebody who guessed the name.
                    if let Some(report) = Report::decode(&bytes[..len])
                        && (wanted.is_empty() || wanted.contains(&report.call))
                    {
                        printer.take(&report);
                    }
                }
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) => return,
            }
            printer.show_waiting();
        }
    }
}

/// See [`Listener::end`].
pub(super) struct End(UnixDatagram);

impl End {
    pub(super) fn send(&self) {
        // If nobody listens any more, it has ended.
        let _ = self.0.send(&[]);
    }
}
