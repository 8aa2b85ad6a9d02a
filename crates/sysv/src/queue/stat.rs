//! What the system knows about a message queue.

use std::time::{SystemTime, UNIX_EPOCH};

use sysv_engine::abi::MsqidDs;

use crate::stat::time;
use crate::{Id, Key, Permissions};

/// A message queue's `msqid_ds` (msgctl(2)), as it was when it was asked for.
///
/// ```
/// use sysv::{Key, MessageQueue, NewMessageQueue};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let queue = MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new())?;
/// let stat = queue.stat()?;
/// assert_eq!((stat.key, stat.messages, stat.bytes, stat.capacity), (Key::new(42), 0, 0, 16384));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "msqid_ds")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageQueueStat {
    /// The queue's identifier.
    #[doc(alias = "msqid")]
    pub id: Id,
    /// The key that it was created with.
    pub key: Key,
    /// How many messages wait in it.
    #[doc(alias = "msg_qnum")]
    pub messages: u64,
    /// How many bytes these have together.
    #[doc(alias = "msg_cbytes")]
    pub bytes: u64,
    /// How many bytes, and also how many messages, it may hold.
    #[doc(alias = "msg_qbytes")]
    pub capacity: u64,
    /// Owner, group and mode.
    pub permissions: Permissions,
    /// User that created it.
    #[doc(alias = "cuid")]
    pub creator: u32,
    /// Group of the user that created it.
    #[doc(alias = "cgid")]
    pub creator_group: u32,
    /// When a message was last sent to it.
    #[doc(alias = "msg_stime")]
    pub sent_at: Option<SystemTime>,
    /// When a message was last received from it.
    #[doc(alias = "msg_rtime")]
    pub received_at: Option<SystemTime>,
    /// When it was created, or its permissions or capacity were last set.
    #[doc(alias = "msg_ctime")]
    pub changed_at: SystemTime,
    /// Process that last sent to it; 0 if none did or this process cannot see it.
    #[doc(alias = "msg_lspid")]
    pub last_sender: i32,
    /// Process that last received from it; 0 if none did or this process cannot see it.
    #[doc(alias = "msg_lrpid")]
    pub last_receiver: i32,
}

impl MessageQueueStat {
    pub(crate) fn new(id: i32, ds: &MsqidDs) -> MessageQueueStat {
        MessageQueueStat {
            id: Id::new(id),
            key: Key::new(ds.perm.key),
            messages: ds.qnum,
            bytes: ds.cbytes,
            capacity: ds.qbytes,
            permissions: Permissions::of(&ds.perm),
            creator: ds.perm.cuid,
            creator_group: ds.perm.cgid,
            sent_at: time(ds.stime),
            received_at: time(ds.rtime),
            changed_at: time(ds.ctime).unwrap_or(UNIX_EPOCH),
            last_sender: ds.lspid,
            last_receiver: ds.lrpid,
        }
    }
}
