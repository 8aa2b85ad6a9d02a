//! One object on a sheet.

use sysv::{Contents, Object, Party, Role, Snapshot, WaitingMessage};

use crate::users::{group_name, user_name};
use crate::{output, wording};

/// What is to be said in a line each.
pub(super) fn sheet(object: &Object, snapshot: &Snapshot) -> String {
    let permissions = &object.permissions;
    let mut lines = vec![
        (object.mechanism.word(), object.id.to_string()),
        ("of", snapshot.location.to_string()),
        (
            "key",
            if object.key.is_private() {
                "none".to_owned()
            } else {
                object.key.to_string()
            },
        ),
        ("state", wording::state(object, snapshot.taken_at)),
        ("mode", permissions.mode.to_string()),
        (
            "owner",
            format!(
                "{}, group {}",
                user_name(permissions.owner),
                group_name(permissions.group)
            ),
        ),
        (
            "creator",
            format!(
                "{}, group {}",
                user_name(object.creator),
                group_name(object.creator_group)
            ),
        ),
        ("created by", wording::creator(object)),
        ("changed", wording::ago(Some(object.changed_at))),
    ];
    lines.extend(own(object));
    lines
        .iter()
        .map(|(name, value)| format!("{:<13} {value}\n", format!("{name}:")))
        .collect()
}

/// What the kinds have for themselves.
fn own(object: &Object) -> Vec<(&'static str, String)> {
    let pid = |pid| match pid {
        0 => "-".to_owned(),
        pid => format!("pid {pid}"),
    };
    match &object.contents {
        Contents::Segment {
            size,
            resident,
            attachments,
            memory_locked,
            attached_at,
            detached_at,
            ..
        } => {
            let memory = if *memory_locked { "locked" } else { "may be swapped out" };
            vec![
                ("size", format!("{size} bytes, {resident} of them resident")),
                ("attached", wording::ago(*attached_at)),
                ("detached", wording::ago(*detached_at)),
                ("last used by", pid(object.last_pid)),
                ("memory", memory.to_owned()),
                ("attachments", attachments.to_string()),
            ]
        }
        Contents::Set { count, semaphores, .. } => {
            let readable = if semaphores.is_some() {
                ""
            } else {
                ", which only its owner and others who may read it can see"
            };
            vec![
                ("operated on", wording::ago(object.used_at)),
                ("semaphores", format!("{count}{readable}")),
                ("waiting", wording::waiting(object).to_string()),
            ]
        }
        Contents::Queue {
            bytes,
            messages,
            capacity,
            sent_at,
            received_at,
            sender,
            receiver,
            ..
        } => {
            let share = bytes.saturating_mul(100).checked_div(*capacity).unwrap_or(100);
            vec![
                ("messages", messages.to_string()),
                ("filled", format!("{bytes} of {capacity} bytes, {share} %")),
                ("sent", format!("{}, {}", wording::ago(*sent_at), pid(*sender))),
                (
                    "received",
                    format!("{}, {}", wording::ago(*received_at), pid(*receiver)),
                ),
                ("waiting", wording::waiting(object).to_string()),
            ]
        }
        _ => Vec::new(),
    }
}

/// Its semaphores, and who has to do with it.
pub(super) fn lists(object: &Object) -> String {
    let mut text = String::new();
    if let Contents::Set {
        semaphores: Some(semaphores),
        ..
    } = &object.contents
    {
        let rows = semaphores.iter().enumerate().map(|(number, semaphore)| {
            vec![
                number.to_string(),
                semaphore.value.to_string(),
                match semaphore.last_pid {
                    0 => "-".to_owned(),
                    pid => pid.to_string(),
                },
                semaphore.waiting_for_more.to_string(),
                semaphore.waiting_for_zero.to_string(),
            ]
        });
        let header = ["SEMAPHORE", "VALUE", "LAST PID", "WAIT FOR MORE", "WAIT FOR ZERO"];
        text += &format!("\n{}", output::table(&header, &header, rows));
    }
    text + &parties(object)
}

/// The messages that wait in a queue.
pub(super) fn messages(object: &Object, messages: &[WaitingMessage]) -> String {
    if messages.is_empty() {
        return String::new();
    }
    let rows = messages.iter().map(|message| {
        let age = match message.sent_at {
            Some(sent_at) => wording::ago(Some(sent_at)),
            None => "not kept".to_owned(),
        };
        let sender = match &message.sender {
            Some(sender) if sender.elsewhere => format!("{} in another pid namespace", sender.pid),
            Some(sender) => sender.pid.to_string(),
            None => "not kept".to_owned(),
        };
        vec![
            message.position.to_string(),
            message.kind.to_string(),
            message.size.to_string(),
            age,
            sender,
        ]
    });
    let header = ["MESSAGE", "TYPE", "BYTES", "SENT", "SENT BY PID"];
    let more = match object.contents {
        Contents::Queue { messages: all, .. } => all.saturating_sub(messages.len() as u64),
        _ => 0,
    };
    let more = match more {
        0 => String::new(),
        n => format!(
            "and {}; --messages shows more\n",
            wording::counted(n, "more message", "more messages")
        ),
    };
    format!(
        "\n{}{more}",
        output::table(&header, &["MESSAGE", "TYPE", "BYTES"], rows)
    )
}

fn parties(object: &Object) -> String {
    let attached = |party: &&Party| matches!(party.role, Role::Attached { .. });
    let (attached, others): (Vec<&Party>, Vec<&Party>) = object.parties.iter().partition(attached);
    let mut text = String::new();
    if !attached.is_empty() {
        let header = ["PID", "COMMAND", "USER", "ADDRESS", "BYTES", "ACCESS", "WHERE"];
        let rows = attached.iter().map(|party| {
            let (address, length, access) = match party.role {
                Role::Attached {
                    address,
                    length,
                    read_only,
                } => (address, length, if read_only { "read" } else { "read, write" }),
                _ => (0, 0, ""),
            };
            let own = [
                format!("{address:#x}"),
                length.to_string(),
                access.to_owned(),
                place(party),
            ];
            [&who(party)[..], &own].concat()
        });
        text += &format!("\n{}", output::table(&header, &["PID", "BYTES"], rows));
    }
    if !others.is_empty() {
        let header = ["PID", "COMMAND", "USER", "WHAT", "WHERE"];
        let rows = others.iter().map(|party| {
            let waited = party.waited.map(|time| format!(", for {}", wording::span(time)));
            let what = format!("{}{}", party.role, waited.unwrap_or_default());
            [&who(party)[..], &[what, place(party)]].concat()
        });
        text += &format!("\n{}", output::table(&header, &["PID"], rows));
    }
    let counted = match object.contents {
        Contents::Segment { attachments, .. } => attachments > 0,
        _ => wording::waiting(object) > 0,
    };
    if counted && object.parties.is_empty() {
        text += "\nWho it is only root can see.\n";
    }
    text
}

fn who(party: &Party) -> [String; 3] {
    [
        party.process.pid.to_string(),
        output::printable(&party.process.command),
        user_name(party.user),
    ]
}

/// Where a process is, if that is not where the reader is.
fn place(party: &Party) -> String {
    let whereabouts = party.process.whereabouts();
    let mut said = Vec::new();
    if party.process.elsewhere {
        said.push("in another pid namespace".to_owned());
        if let Some(pid) = whereabouts.pid_here {
            said.push(format!("pid {pid} here"));
        }
    }
    if let Some(container) = whereabouts.container {
        said.push(format!("container {container}"));
    }
    said.join(", ")
}
