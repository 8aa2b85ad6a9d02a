//! Which objects of a snapshot are looked at, and in which order.

use std::cmp::Ordering;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use super::{Contents, Object, State};
use crate::{Id, Key, Mechanism};

/// What an object must be like to be looked at. The default admits every one.
///
/// ```
/// use sysv::{Filter, Key, Mechanism, NewSegment, Segment, State};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
/// let mut snapshot = namespace.snapshot(&Mechanism::ALL)?;
/// let filter = Filter { states: vec![State::InUse], ..Filter::default() };
/// snapshot.objects.retain(|object| filter.admits(object, snapshot.taken_at));
/// assert!(snapshot.objects.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// It is one of these; any if there are none.
    pub mechanisms: Vec<Mechanism>,
    /// Its identifier is one of these; any if there are none.
    pub ids: Vec<Id>,
    /// Its key is one of these; any if there are none.
    pub keys: Vec<Key>,
    /// It belongs to one of these users; any if there are none.
    pub owners: Vec<u32>,
    /// It is in one of these states; any if there are none.
    pub states: Vec<State>,
    /// Nobody has used it for so long.
    pub idle: Option<Duration>,
    /// A process with this id has to do with it.
    pub pid: Option<u32>,
    /// This stands in its key, its identifier, or the name of its creator or of a process that has to do with it.
    pub text: Option<String>,
}

impl Filter {
    /// Whether an object is like that, at this time.
    ///
    /// ```
    /// # use sysv::{Filter, Key, Mechanism, NewSegment, Segment};
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// # Segment::create(&namespace, Key::new(42), NewSegment::of_size(100))?;
    /// let snapshot = namespace.snapshot(&Mechanism::ALL)?;
    /// assert!(Filter::default().admits(&snapshot.objects[0], snapshot.taken_at));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn admits(&self, object: &Object, now: SystemTime) -> bool {
        fn among<T: PartialEq>(wanted: &[T], found: &T) -> bool {
            wanted.is_empty() || wanted.contains(found)
        }
        among(&self.mechanisms, &object.mechanism)
            && among(&self.ids, &object.id)
            && among(&self.keys, &object.key)
            && among(&self.owners, &object.permissions.owner)
            && among(&self.states, &object.state)
            && self
                .idle
                .is_none_or(|idle| !object.is_in_use() && object.idle(now) >= idle)
            && self
                .pid
                .is_none_or(|pid| object.parties.iter().any(|party| party.process.pid == pid))
            && self.text.as_ref().is_none_or(|text| contains(object, text))
    }
}

fn contains(object: &Object, text: &str) -> bool {
    let names = object.parties.iter().map(|party| &party.process.command);
    let names = names.chain(object.created_by.iter().map(|process| &process.command));
    object.key.to_string().contains(text)
        || object.id.to_string().contains(text)
        || names.into_iter().any(|name| name.contains(text))
}

/// By what objects are sorted; among equals by kind and then as they were.
///
/// ```
/// use sysv::{Key, Mechanism, NewSegment, Order, Segment};
/// # let namespace = sysv::TemporaryNamespace::create()?;
///
/// for size in [100, 300, 200] {
///     Segment::create(&namespace, Key::PRIVATE, NewSegment::of_size(size))?;
/// }
/// let mut snapshot = namespace.snapshot(&Mechanism::ALL)?;
/// "size".parse::<Order>()?.sort(&mut snapshot.objects);
/// let sizes = snapshot.objects.iter().map(|object| match object.contents {
///     sysv::Contents::Segment { size, .. } => size,
///     _ => 0,
/// });
/// assert_eq!(sizes.collect::<Vec<_>>(), [300, 200, 100]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As the facility has them: by kind and index.
    #[default]
    Mechanism,
    /// By key.
    Key,
    /// By identifier.
    Id,
    /// By the owner's number.
    Owner,
    /// The largest first: bytes of segments, semaphores of sets, messages of queues.
    Size,
    /// Those that take most memory first.
    Resident,
    /// Those with the most processes first.
    Processes,
    /// The one last used first, those never used at the end.
    Used,
    /// By state: what is in use first, what is left by the dead near the end.
    State,
}

impl Order {
    /// Their names.
    ///
    /// ```
    /// assert!(sysv::Order::NAMES.contains(&"resident"));
    /// ```
    pub const NAMES: [&str; 9] = [
        "kind",
        "key",
        "id",
        "owner",
        "size",
        "resident",
        "processes",
        "used",
        "state",
    ];

    /// All of them, in the order of [`NAMES`](Order::NAMES).
    ///
    /// ```
    /// use sysv::Order;
    /// assert_eq!(Order::NAMES[3].parse(), Ok(Order::ALL[3]));
    /// ```
    pub const ALL: [Order; 9] = [
        Order::Mechanism,
        Order::Key,
        Order::Id,
        Order::Owner,
        Order::Size,
        Order::Resident,
        Order::Processes,
        Order::Used,
        Order::State,
    ];

    /// Sorts so.
    ///
    /// ```
    /// # let namespace = sysv::TemporaryNamespace::create()?;
    /// sysv::Order::Used.sort(&mut namespace.snapshot(&sysv::Mechanism::ALL)?.objects);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sort(self, objects: &mut [Object]) {
        objects.sort_by(|one, other| self.compare(one, other).then(one.mechanism.cmp(&other.mechanism)));
    }

    fn compare(self, one: &Object, other: &Object) -> Ordering {
        match self {
            Order::Mechanism => Ordering::Equal,
            Order::Key => (one.key.get() as u32).cmp(&(other.key.get() as u32)),
            Order::Id => one.id.cmp(&other.id),
            Order::Owner => one.permissions.owner.cmp(&other.permissions.owner),
            Order::Size => size(other).cmp(&size(one)),
            Order::Resident => other.resident().cmp(&one.resident()),
            Order::Processes => other.parties.len().cmp(&one.parties.len()),
            Order::Used => other.used_at.cmp(&one.used_at),
            Order::State => one.state.cmp(&other.state),
        }
    }
}

fn size(object: &Object) -> u64 {
    match object.contents {
        Contents::Segment { size, .. } => size,
        Contents::Set { count, .. } => count,
        Contents::Queue { messages, .. } => messages,
    }
}

impl FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Order, String> {
        let found = Order::NAMES.iter().zip(Order::ALL).find(|(name, _)| **name == text);
        found
            .map(|(_, order)| order)
            .ok_or_else(|| format!("`{text}` is none of {}", Order::NAMES.join(", ")))
    }
}
