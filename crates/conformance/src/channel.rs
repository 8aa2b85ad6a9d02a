//! Messages between a test and a process it started.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::wire::Wire;

/// How long anybody waits for a message before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// One end of a connection that carries whole [`Wire`] values both ways.
pub struct Channel(UnixStream);

impl Channel {
    /// The two ends.
    pub fn pair() -> (Channel, Channel) {
        let (one, other) = UnixStream::pair().expect("socketpair");
        (Channel::over(one), Channel::over(other))
    }

    /// An end that came from elsewhere, as after `execve`.
    pub fn over(stream: UnixStream) -> Channel {
        stream.set_read_timeout(Some(PATIENCE)).expect("SO_RCVTIMEO");
        Channel(stream)
    }

    /// Sends `value`; a dead receiver is not an error here but where its answer is missed.
    pub fn send<T: Wire>(&mut self, value: &T) {
        let body = value.to_bytes();
        let mut message = (body.len() as u32).to_bytes();
        message.extend(body);
        if let Err(error) = self.0.write_all(&message) {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "sending a message: {error}");
        }
    }

    /// The next message, or `None` once the other end is gone.
    ///
    /// # Panics
    /// When none comes in time: that is the watchdog.
    pub fn try_receive<T: Wire>(&mut self) -> Option<T> {
        let mut length = [0; 4];
        let mut body = match self.0.read_exact(&mut length) {
            Ok(()) => vec![0; u32::from_bytes(&length) as usize],
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => return None,
            Err(error) => panic!("no message in {PATIENCE:?}: {error}"),
        };
        self.0.read_exact(&mut body).expect("the rest of a message");
        Some(T::from_bytes(&body))
    }

    /// The next message.
    ///
    /// # Panics
    /// When the other end is gone, or when none comes in time.
    #[track_caller]
    pub fn receive<T: Wire>(&mut self) -> T {
        self.try_receive().expect("the other process ended without an answer")
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
