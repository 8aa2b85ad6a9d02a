//! Message queues: finding, creating, changing, removing.

mod creation;
mod in_place;
mod message;
mod receive;
mod selection;
mod send;
mod stat;

use std::fmt;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL, IpcPerm, MsqidDs};
use sysv_engine::{Queues, StatBy};

pub use creation::NewMessageQueue;
pub use in_place::MessageInPlace;
pub use message::Message;
pub use receive::Messages;
pub use selection::{Request, Selection};
pub use stat::MessageQueueStat;

use crate::error::{Mechanism, ObjectName};
use crate::handle::Handle;
use crate::{
    CapacityError, Errno, Id, Key, Namespace, Permissions, QueueGetError, RemoveError, SetError, StatError,
    TemporaryMessageQueue,
};

/// A message queue, by its identifier.
///
/// Messages have a type, by which receivers [select](Selection), and bytes. Those of one type come in the order in which
/// they were sent.
///
/// A queue outlives the processes that use it, with the messages in it: dropping this handle does nothing to it. For one
/// that should go with its creator there is [`TemporaryMessageQueue`].
///
/// ```
/// use sysv::{Key, Message, MessageQueue, NewMessageQueue, Selection};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// let queue = MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new())?;
/// queue.send(&Message::new(1, b"hello"))?;
///
/// // In another process:
/// let queue = MessageQueue::open(&namespace, Key::new(42))?;
/// assert_eq!(queue.receive(Selection::Any)?.bytes(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "msg")]
#[derive(Clone)]
pub struct MessageQueue {
    namespace: Namespace,
    id: Id,
}

impl MessageQueue {
    /// The queue that has the key.
    ///
    /// # Errors
    /// [`QueueGetError::NotFound`], [`QueueGetError::Denied`].
    ///
    /// ```
    /// use sysv::{Key, MessageQueue, NewMessageQueue};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// assert!(MessageQueue::open(&namespace, Key::new(42)).is_err());
    /// MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new())?;
    /// assert!(MessageQueue::open(&namespace, Key::new(42)).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msgget")]
    pub fn open(namespace: &Namespace, key: Key) -> Result<MessageQueue, QueueGetError> {
        if key.is_private() {
            // msgget(2) would make a queue.
            return Err(QueueGetError::NotFound {
                queue: ObjectName::by_key(Mechanism::MessageQueue, key, namespace.location()),
            });
        }
        MessageQueue::get(namespace, key, 0)
    }

    /// A new queue. It is empty.
    ///
    /// # Errors
    /// [`QueueGetError::Exists`] if the key is taken, and what else may forbid it.
    ///
    /// ```
    /// use sysv::{Key, MessageQueue, NewMessageQueue, QueueGetError};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new())?;
    /// let again = MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new());
    /// assert!(matches!(again, Err(QueueGetError::Exists { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msgget")]
    #[doc(alias = "IPC_EXCL")]
    pub fn create(namespace: &Namespace, key: Key, new: NewMessageQueue) -> Result<MessageQueue, QueueGetError> {
        MessageQueue::get(namespace, key, IPC_CREAT | IPC_EXCL | new.mode.bits() as i32)
    }

    /// The queue that has the key, or else a new one.
    ///
    /// # Errors
    /// [`QueueGetError`].
    ///
    /// ```
    /// use sysv::{Key, MessageQueue, NewMessageQueue};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let one = MessageQueue::open_or_create(&namespace, Key::new(42), NewMessageQueue::new())?;
    /// let two = MessageQueue::open_or_create(&namespace, Key::new(42), NewMessageQueue::new())?;
    /// assert_eq!(one.id(), two.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msgget")]
    #[doc(alias = "IPC_CREAT")]
    pub fn open_or_create(
        namespace: &Namespace,
        key: Key,
        new: NewMessageQueue,
    ) -> Result<MessageQueue, QueueGetError> {
        MessageQueue::get(namespace, key, IPC_CREAT | new.mode.bits() as i32)
    }

    /// The queue with an identifier that somebody told us. Whether it exists shows at its first use.
    ///
    /// ```
    /// use sysv::{Id, Key, MessageQueue, NewMessageQueue};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let told: i32 = MessageQueue::create(&namespace, Key::PRIVATE, NewMessageQueue::new())?.id().get();
    /// assert_eq!(MessageQueue::from_id(&namespace, Id::new(told)).stat()?.messages, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_id(namespace: &Namespace, id: Id) -> MessageQueue {
        MessageQueue {
            namespace: namespace.clone(),
            id,
        }
    }

    /// The queue's identifier.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// println!("`ipcs -q -i {}` tells about it", queue.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msqid")]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The queue's namespace.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// assert_eq!(queue.namespace().location(), namespace.location());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What the system knows about the queue.
    ///
    /// # Errors
    /// [`StatError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// assert_eq!(queue.stat()?.sent_at, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_STAT")]
    pub fn stat(&self) -> Result<MessageQueueStat, StatError> {
        let found = self.look(self.id.get(), StatBy::Id);
        let (id, ds) = self.explained(found, StatError::sort)?;
        Ok(MessageQueueStat::new(id, &ds))
    }

    /// Sets owner, group and mode, all three.
    ///
    /// # Errors
    /// [`SetError`].
    ///
    /// ```
    /// use sysv::{Mode, Permissions};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    ///
    /// let now = queue.stat()?.permissions;
    /// queue.set_permissions(Permissions { mode: Mode::new(0o400), ..now })?;
    /// assert_eq!(queue.stat()?.permissions.mode, Mode::new(0o400));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_SET")]
    pub fn set_permissions(&self, permissions: Permissions) -> Result<(), SetError> {
        let set = |ds: MsqidDs| self.facility().msg_set(self.id.get(), permissions.change(), ds.qbytes);
        self.explained(self.structure().and_then(set), SetError::sort)
    }

    /// Sets how many bytes, and how many messages, the queue may hold. Messages that it holds already stay.
    ///
    /// # Errors
    /// [`CapacityError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.set_capacity(1000)?;
    /// assert_eq!(queue.stat()?.capacity, 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msg_qbytes")]
    pub fn set_capacity(&self, bytes: u64) -> Result<(), CapacityError> {
        let set = self.structure().and_then(|ds| {
            let same = Permissions::of(&ds.perm).change();
            self.facility().msg_set(self.id.get(), same, bytes)
        });
        set.map_err(|errno| {
            let queue = self.name();
            match errno {
                Errno::EPERM => CapacityError::Denied {
                    queue,
                    wanted: bytes,
                    msgmnb: self.facility().msg_limits().map_or(0, |(_, info)| info.msgmnb),
                },
                Errno::EINVAL | Errno::EIDRM if !self.exists() => CapacityError::Gone { queue, errno },
                _ => CapacityError::Other { queue, errno },
            }
        })
    }

    /// Removes the queue and the messages in it at once. Who waits to send or to receive fails.
    ///
    /// # Errors
    /// [`RemoveError`].
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # let queue = sysv::MessageQueue::create(&namespace, sysv::Key::PRIVATE, sysv::NewMessageQueue::new())?;
    /// queue.remove()?;
    /// assert!(queue.stat().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "IPC_RMID")]
    pub fn remove(&self) -> Result<(), RemoveError> {
        let removed = self.facility().msg_remove(self.id.get());
        self.explained(removed, RemoveError::sort)
    }

    /// Makes the queue go with the returned handle.
    ///
    /// ```
    /// use sysv::{Key, MessageQueue, NewMessageQueue};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    ///
    /// let scratch = MessageQueue::create(&namespace, Key::new(42), NewMessageQueue::new())?.into_temporary();
    /// drop(scratch);
    /// assert!(MessageQueue::open(&namespace, Key::new(42)).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_temporary(self) -> TemporaryMessageQueue {
        TemporaryMessageQueue::new(self)
    }

    fn get(namespace: &Namespace, key: Key, flags: i32) -> Result<MessageQueue, QueueGetError> {
        match namespace.backend().queues().msgget(key.get(), flags) {
            Ok(id) => Ok(MessageQueue::from_id(namespace, Id::new(id))),
            Err(errno) => Err(explain_get(namespace, key, errno)),
        }
    }

    fn facility(&self) -> &dyn Queues {
        self.namespace.backend().queues()
    }

    /// The queue's structure, for what `IPC_SET` must leave as it is: without read permission if need be.
    fn structure(&self) -> Result<MsqidDs, Errno> {
        match self.look(self.id.get(), StatBy::Id) {
            Ok((_, ds)) => Ok(ds),
            Err(errno) => self.structure_by_index().ok_or(errno),
        }
    }
}

/// Which of the reasons that share an errno it was, found out afterwards.
fn explain_get(namespace: &Namespace, key: Key, errno: Errno) -> QueueGetError {
    let facility = namespace.backend().queues();
    let queue = ObjectName::by_key(Mechanism::MessageQueue, key, namespace.location());
    match errno {
        Errno::ENOENT => QueueGetError::NotFound { queue },
        Errno::EEXIST => QueueGetError::Exists { queue },
        Errno::EACCES => QueueGetError::Denied { queue },
        Errno::ENOSPC => match (facility.msg_limits(), facility.msg_usage()) {
            (Ok((_, limits)), Ok((_, usage))) if usage.msgpool >= limits.msgmni => QueueGetError::TooMany {
                queue,
                msgmni: limits.msgmni,
            },
            _ => QueueGetError::NoMemory { queue, errno },
        },
        Errno::ENOMEM => QueueGetError::NoMemory { queue, errno },
        _ => QueueGetError::Other { queue, errno },
    }
}

impl Handle for MessageQueue {
    type Structure = MsqidDs;
    const MECHANISM: Mechanism = Mechanism::MessageQueue;

    fn place(&self) -> (&Namespace, Id) {
        (&self.namespace, self.id)
    }

    fn look(&self, id: i32, by: StatBy) -> Result<(i32, MsqidDs), Errno> {
        self.facility().msg_stat(id, by)
    }

    fn perm(structure: &MsqidDs) -> &IpcPerm {
        &structure.perm
    }
}

impl fmt::Debug for MessageQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageQueue({} of {})", self.id, self.namespace.location())
    }
}
