//! The columns of listings.

use std::time::SystemTime;

use sysv::{Contents, Mechanism, Object};

use crate::users::{group_name, user_name};
use crate::{output, wording};

/// How many processes a narrow listing names of each object.
const NAMED: usize = 2;

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Kind,
    Key,
    Id,
    Owner,
    Group,
    Creator,
    Mode,
    Size,
    Resident,
    Attached,
    Semaphores,
    Values,
    Waiting,
    Messages,
    Bytes,
    Capacity,
    Processes,
    AllProcesses,
    LastUsed,
    Changed,
    LastPid,
    CreatedBy,
    State,
}

use Column::*;

impl Column {
    /// Those of a listing of these kinds.
    pub(crate) fn of(kinds: &[Mechanism], wide: bool) -> Vec<Column> {
        let own: &[Column] = match kinds {
            [Mechanism::Segment] => &[Size, Resident, Attached],
            [Mechanism::SemaphoreSet] if wide => &[Semaphores, Waiting, Values],
            [Mechanism::SemaphoreSet] => &[Semaphores, Waiting],
            [Mechanism::MessageQueue] => &[Messages, Bytes, Capacity, Waiting],
            _ => &[Size, Resident],
        };
        let mut columns = Vec::new();
        if kinds.len() != 1 {
            columns.push(Kind);
        }
        columns.extend([Key, Id, Owner]);
        if wide {
            columns.extend([Group, Creator]);
        }
        columns.push(Mode);
        columns.extend(own);
        columns.push(if wide { AllProcesses } else { Processes });
        columns.push(LastUsed);
        if wide {
            columns.extend([Changed, LastPid]);
        }
        columns.extend([CreatedBy, State]);
        columns
    }

    /// What stands above it.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Kind => "KIND",
            Key => "KEY",
            Id => "ID",
            Owner => "OWNER",
            Group => "GROUP",
            Creator => "CREATOR",
            Mode => "MODE",
            Size => "SIZE",
            Resident => "RESIDENT",
            Attached => "ATTACHED",
            Semaphores => "SEMAPHORES",
            Values => "VALUES",
            Waiting => "WAITING",
            Messages => "MESSAGES",
            Bytes => "BYTES",
            Capacity => "CAPACITY",
            Processes | AllProcesses => "PROCESSES",
            LastUsed => "LAST USED",
            Changed => "CHANGED",
            LastPid => "LAST PID",
            CreatedBy => "CREATED BY",
            State => "STATE",
        }
    }

    /// Whether numbers stand in it.
    pub(crate) fn is_number(self) -> bool {
        matches!(
            self,
            Id | Size | Resident | Attached | Semaphores | Waiting | Messages | Bytes | Capacity | LastPid
        )
    }

    /// What stands in it.
    pub(crate) fn cell(self, object: &Object, now: SystemTime) -> String {
        match self {
            Kind => object.mechanism.word().to_owned(),
            Key => object.key.to_string(),
            Id => object.id.to_string(),
            Owner => user_name(object.permissions.owner),
            Group => group_name(object.permissions.group),
            Creator => user_name(object.creator),
            Mode => object.permissions.mode.to_string(),
            Size => match object.contents {
                Contents::Segment { size, .. } => size.to_string(),
                Contents::Set { count, .. } => wording::counted(count, "semaphore", "semaphores"),
                Contents::Queue { messages, .. } => wording::counted(messages, "message", "messages"),
                _ => String::new(),
            },
            Resident => match object.contents {
                Contents::Segment { resident, .. } => resident.to_string(),
                Contents::Queue { bytes, capacity, .. } => format!("{bytes}/{capacity}"),
                _ => "-".to_owned(),
            },
            Attached => match object.contents {
                Contents::Segment { attachments, .. } => attachments.to_string(),
                _ => String::new(),
            },
            Semaphores => match object.contents {
                Contents::Set { count, .. } => count.to_string(),
                _ => String::new(),
            },
            Values => values(object),
            Waiting => wording::waiting(object).to_string(),
            Messages | Bytes | Capacity => match object.contents {
                Contents::Queue {
                    messages,
                    bytes,
                    capacity,
                    ..
                } => match self {
                    Messages => messages,
                    Bytes => bytes,
                    _ => capacity,
                }
                .to_string(),
                _ => String::new(),
            },
            Processes => wording::parties(object, NAMED),
            AllProcesses => wording::parties(object, usize::MAX),
            LastUsed => wording::ago(object.used_at),
            Changed => wording::ago(Some(object.changed_at)),
            LastPid => match object.last_pid {
                0 => "-".to_owned(),
                pid => pid.to_string(),
            },
            CreatedBy => wording::creator(object),
            State => wording::state(object, now),
        }
    }
}

/// A set's values, as many as a line may well hold.
fn values(object: &Object) -> String {
    const MOST: usize = 16;
    match &object.contents {
        Contents::Set {
            semaphores: Some(semaphores),
            ..
        } => {
            let shown = semaphores
                .iter()
                .take(MOST)
                .map(|semaphore| semaphore.value.to_string());
            let more = if semaphores.len() > MOST { " …" } else { "" };
            shown.collect::<Vec<_>>().join(" ") + more
        }
        Contents::Set { .. } => "not readable".to_owned(),
        _ => String::new(),
    }
}

/// A table of objects.
pub(crate) fn table(columns: &[Column], objects: &[Object], now: SystemTime) -> String {
    let header: Vec<&str> = columns.iter().map(|column| column.header()).collect();
    let right: Vec<&str> = columns
        .iter()
        .filter(|column| column.is_number())
        .map(|column| column.header())
        .collect();
    let rows = objects
        .iter()
        .map(|object| columns.iter().map(|column| column.cell(object, now)).collect());
    output::table(&header, &right, rows)
}
