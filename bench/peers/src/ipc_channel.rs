//! The crate ipc-channel: bytes over Unix sockets.

use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, bytes_channel};
use sysv_bench::message::Message;
use sysv_bench::ways::{End, Way};

/// Both ends, which children inherit.
pub(crate) struct Channel {
    sender: IpcBytesSender,
    receiver: IpcBytesReceiver,
}

impl Channel {
    pub(crate) fn new() -> Result<Channel, String> {
        let (sender, receiver) = bytes_channel().map_err(|e| format!("ipc-channel: {e}"))?;
        Ok(Channel { sender, receiver })
    }
}

impl Way for Channel {
    fn sender(&self) -> End<'_> {
        Box::new(|message: &mut Message| self.sender.send(message.bytes()).expect("sending"))
    }

    fn receiver(&self) -> End<'_> {
        Box::new(|message: &mut Message| {
            let received = self.receiver.recv().expect("receiving");
            message.bytes_mut().copy_from_slice(&received);
        })
    }
}
