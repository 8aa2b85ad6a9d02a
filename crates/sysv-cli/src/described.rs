//! Objects as JSON: the schema that `docs/json.md` describes.

use std::time::SystemTime;

use serde::Serialize;
use sysv::{Contents, Location, Mechanism, Object, Party, Role, Semaphore, Snapshot};

use crate::output::seconds;

/// The version of the schema: it rises when a field goes or changes its meaning, not when one is added.
pub(crate) const SCHEMA: u32 = 1;

/// A whole facility, or what was asked for of it.
#[derive(Serialize)]
pub(crate) struct Listing<'s> {
    schema: u32,
    namespace: Option<String>,
    taken_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<Vec<Described<'s>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    semaphores: Option<Vec<Described<'s>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queues: Option<Vec<Described<'s>>>,
    unseen_processes: usize,
}

impl<'s> Listing<'s> {
    /// The objects of these kinds.
    pub(crate) fn new(snapshot: &'s Snapshot, kinds: &[Mechanism]) -> Listing<'s> {
        let of = |kind| {
            let objects = snapshot.objects.iter().filter(|object| object.mechanism == kind);
            kinds
                .contains(&kind)
                .then(|| objects.map(Described::new).collect::<Vec<_>>())
        };
        Listing {
            schema: SCHEMA,
            namespace: place(&snapshot.location),
            taken_at: seconds(snapshot.taken_at),
            segments: of(Mechanism::Segment),
            semaphores: of(Mechanism::SemaphoreSet),
            queues: of(Mechanism::MessageQueue),
            unseen_processes: snapshot.unseen,
        }
    }
}

/// The namespace's directory; null for the kernel.
pub(crate) fn place(location: &Location) -> Option<String> {
    location.directory().map(|directory| directory.display().to_string())
}

/// An object: numbers as they are, times in seconds since the Epoch.
#[derive(Serialize)]
pub(crate) struct Described<'o> {
    kind: &'static str,
    id: i32,
    key: i32,
    owner: u32,
    group: u32,
    creator: u32,
    creator_group: u32,
    /// In octal, as everywhere else.
    mode: String,
    changed_at: u64,
    used_at: Option<u64>,
    creator_pid: u32,
    /// Null where it is not known.
    creator_command: Option<&'o str>,
    last_pid: u32,
    state: &'static str,
    #[serde(flatten)]
    contents: Inside,
    processes: Vec<Involved<'o>>,
}

/// What the kinds have for themselves.
#[derive(Serialize)]
#[serde(untagged)]
enum Inside {
    Segment {
        size: u64,
        resident: u64,
        attachments: u64,
        removed: bool,
        memory_locked: bool,
        attached_at: Option<u64>,
        detached_at: Option<u64>,
    },
    Set {
        count: u64,
        semaphores: Option<Vec<One>>,
    },
    Queue {
        bytes: u64,
        messages: u64,
        capacity: u64,
        sent_at: Option<u64>,
        received_at: Option<u64>,
        sender: u32,
        receiver: u32,
    },
    Unknown {},
}

/// One semaphore.
#[derive(Serialize)]
struct One {
    value: u16,
    last_pid: u32,
    waiting_for_more: u32,
    waiting_for_zero: u32,
}

/// A process that has to do with an object.
#[derive(Serialize)]
pub(crate) struct Involved<'o> {
    /// As the process itself sees it.
    pid: u32,
    pid_namespace: u32,
    /// Whether that is another pid namespace than the reader's.
    elsewhere: bool,
    command: &'o str,
    user: u32,
    #[serde(flatten)]
    role: Does,
    waited_seconds: Option<f64>,
}

/// What it does.
#[derive(Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
enum Does {
    Attached { address: u64, length: u64, read_only: bool },
    WaitsForSemaphore { semaphore: Option<u16>, change: i16 },
    Owes { semaphore: u16, adjustment: i16 },
    Sends { size: u64 },
    Receives { type_asked_for: i64, except: bool },
    Other,
}

impl<'o> Described<'o> {
    pub(crate) fn new(object: &'o Object) -> Described<'o> {
        Described {
            kind: object.mechanism.word(),
            id: object.id.get(),
            key: object.key.get(),
            owner: object.permissions.owner,
            group: object.permissions.group,
            creator: object.creator,
            creator_group: object.creator_group,
            mode: object.permissions.mode.to_string(),
            changed_at: seconds(object.changed_at),
            used_at: object.used_at.map(seconds),
            creator_pid: object.creator_pid,
            creator_command: object.created_by.as_ref().map(|creator| creator.command.as_str()),
            last_pid: object.last_pid,
            state: object.state.word(),
            contents: inside(&object.contents),
            processes: object.parties.iter().map(Involved::new).collect(),
        }
    }
}

fn inside(contents: &Contents) -> Inside {
    let at = |time: Option<SystemTime>| time.map(seconds);
    match *contents {
        Contents::Segment {
            size,
            resident,
            attachments,
            removed,
            memory_locked,
            attached_at,
            detached_at,
            ..
        } => Inside::Segment {
            size,
            resident,
            attachments,
            removed,
            memory_locked,
            attached_at: at(attached_at),
            detached_at: at(detached_at),
        },
        Contents::Set {
            count, ref semaphores, ..
        } => Inside::Set {
            count,
            semaphores: semaphores
                .as_ref()
                .map(|semaphores| semaphores.iter().map(One::new).collect()),
        },
        Contents::Queue {
            bytes,
            messages,
            capacity,
            sent_at,
            received_at,
            sender,
            receiver,
            ..
        } => Inside::Queue {
            bytes,
            messages,
            capacity,
            sent_at: at(sent_at),
            received_at: at(received_at),
            sender,
            receiver,
        },
        _ => Inside::Unknown {},
    }
}

impl One {
    fn new(semaphore: &Semaphore) -> One {
        One {
            value: semaphore.value,
            last_pid: semaphore.last_pid,
            waiting_for_more: semaphore.waiting_for_more,
            waiting_for_zero: semaphore.waiting_for_zero,
        }
    }
}

impl<'o> Involved<'o> {
    fn new(party: &'o Party) -> Involved<'o> {
        let role = match party.role {
            Role::Attached {
                address,
                length,
                read_only,
            } => Does::Attached {
                address,
                length,
                read_only,
            },
            Role::WaitsForSemaphore { semaphore, change } => Does::WaitsForSemaphore { semaphore, change },
            Role::Owes { semaphore, adjustment } => Does::Owes { semaphore, adjustment },
            Role::Sends { size } => Does::Sends { size },
            Role::Receives { kind, except } => Does::Receives {
                type_asked_for: kind,
                except,
            },
            _ => Does::Other,
        };
        Involved {
            pid: party.process.pid,
            pid_namespace: party.process.pid_namespace,
            elsewhere: party.process.elsewhere,
            command: &party.process.command,
            user: party.user,
            role,
            waited_seconds: party.waited.map(|waited| waited.as_secs_f64()),
        }
    }
}
