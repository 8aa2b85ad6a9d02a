//! Namespaces, members and segments.

#![allow(unsafe_code)]

use std::sync::atomic::Ordering::SeqCst;

use sysv_engine::abi::{IPC_CREAT, IPC_PRIVATE, SHM_RDONLY, SHM_REMAP};
use sysv_engine::{Join, Limit, PermChange, Segments, process};

use super::{Actor, Died, KEY, LEN, NOBODY, ORDINARY, Scenario, THIRD, Victim, join};
use crate::inquest::detach;

/// Every operation on namespaces and segments.
pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "create-namespace",
        takes_long: true,
        fresh: true,
        act: join,
        ..ORDINARY
    },
    Scenario {
        name: "create-shared-namespace",
        takes_long: true,
        how: Join::CreateShared,
        fresh: true,
        act: join,
        ..ORDINARY
    },
    Scenario {
        name: "enrol",
        act: join,
        ..ORDINARY
    },
    Scenario {
        name: "enrol-among-the-dead",
        takes_long: true,
        predecessor: Some(("shmdt", Died::Before)),
        act: join,
        ..ORDINARY
    },
    Scenario {
        name: "leave",
        ready: join,
        act: |a| {
            a.engine = None;
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "exit",
        ready: |a| a.attach(a.segment()),
        act: |_| {
            process::exiting();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "shmget-create",
        ready: join,
        act: |a| a.own(0o600).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "shmget-create-shared",
        how: Join::CreateShared,
        ready: join,
        act: |a| a.own(0o640).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "shmget-private",
        ready: join,
        act: |a| a.join().shmget(IPC_PRIVATE, LEN, 0o600).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "shmget-existing",
        ready: join,
        act: |a| a.join().shmget(KEY, 0, 0).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-first",
        ready: |a| a.own(0o600).map(drop),
        act: |a| a.attach(a.stage.board.ids[1].load(SeqCst)),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-first-read-only",
        user: Some(NOBODY),
        ready: |a| a.own(0o400).map(drop),
        act: |a| a.attach_at(a.stage.board.ids[1].load(SeqCst), 0, SHM_RDONLY),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-another's",
        ready: join,
        act: |a| a.attach(a.segment()),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-again",
        ready: |a| a.attach(a.segment()),
        act: |a| a.attach(a.segment()),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-duplicate",
        ready: |a| {
            a.attach(a.segment())?;
            a.attach(a.segment())
        },
        act: |a| a.attach(a.segment()),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-exact",
        ready: join,
        act: |a| a.attach_at(a.segment(), Actor::hole(false), 0),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-remap",
        ready: |a| a.attach(a.segment()),
        act: |a| a.attach_at(a.segment(), a.at[0], SHM_REMAP),
        ..ORDINARY
    },
    Scenario {
        name: "shmat-read-only",
        ready: join,
        act: |a| a.attach_at(a.segment(), Actor::hole(true), SHM_RDONLY | SHM_REMAP),
        ..ORDINARY
    },
    Scenario {
        name: "shmdt",
        ready: |a| a.attach(a.segment()),
        act: |a| detach(&a.join(), a.at[0]),
        ..ORDINARY
    },
    Scenario {
        name: "shmdt-last-of-doomed",
        ready: |a| {
            let id = a.own(0o600)?;
            a.attach(id)?;
            a.join().shm_remove(id)
        },
        act: |a| detach(&a.join(), a.at[0]),
        ..ORDINARY
    },
    Scenario {
        name: "munmap-middle",
        ready: |a| {
            let id = a.join().shmget(THIRD, 4 * 4096, IPC_CREAT | 0o600)?;
            a.attach(id)
        },
        // SAFETY: nobody uses the attachment's memory.
        act: |a| unsafe { process::munmap(a.at[0] + 4096, 4096) },
        ..ORDINARY
    },
    Scenario {
        name: "mremap",
        ready: |a| a.attach(a.segment()),
        // SAFETY: nobody uses the attachment's memory.
        act: |a| unsafe {
            process::mremap(
                a.at[0],
                LEN,
                LEN,
                libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
                Actor::hole(true),
            )
            .map(drop)
        },
        ..ORDINARY
    },
    Scenario {
        name: "ipc-stat",
        ready: join,
        act: |a| a.join().shm_stat(a.segment(), sysv_engine::StatBy::Id).map(drop),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-set",
        ready: join,
        act: |a| set(a, 0o640, None),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-set-owner-shared",
        how: Join::CreateShared,
        ready: join,
        act: |a| set(a, 0o666, crate::process::is_root().then_some(NOBODY)),
        ..ORDINARY
    },
    Scenario {
        name: "shm-lock",
        ready: join,
        act: |a| a.join().shm_lock(a.segment(), true),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-rmid",
        ready: |a| {
            let id = a.own(0o600)?;
            a.attach(id)?;
            detach(&a.join(), a.at[0])
        },
        act: |a| a.join().shm_remove(a.stage.board.ids[1].load(SeqCst)),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-rmid-shared",
        how: Join::CreateShared,
        ready: |a| a.own(0o600).map(drop),
        act: |a| a.join().shm_remove(a.stage.board.ids[1].load(SeqCst)),
        ..ORDINARY
    },
    Scenario {
        name: "ipc-rmid-doomed",
        ready: join,
        act: |a| a.join().shm_remove(a.segment()),
        ..ORDINARY
    },
    Scenario {
        name: "fork",
        ready: |a| a.attach(a.segment()),
        act: |a| {
            a.fork();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "fork-child",
        victim: Victim::Child,
        ready: |a| a.attach(a.segment()),
        act: |a| {
            a.fork();
            Ok(())
        },
        ..ORDINARY
    },
    Scenario {
        name: "set-limit",
        ready: join,
        act: |a| {
            let mut limits = a.join().limits();
            limits.set(Limit::Shmmni, &[100])?;
            a.join().set_limits(&limits)
        },
        ..ORDINARY
    },
    Scenario {
        name: "sweep",
        takes_long: true,
        predecessor: Some(("shmdt-last-of-doomed", Died::Before)),
        ready: join,
        act: |a| a.join().sweep(),
        ..ORDINARY
    },
    RECOVERY_OF[0],
    RECOVERY_OF[1],
    RECOVERY_OF[2],
    RECOVERY_OF[3],
    RECOVERY_OF[4],
];

/// The next call after a process died holding the lock: takeover and recovery, which are killed in their turn.
const RECOVERY_OF: [Scenario; 5] = [
    recovery(
        "recovery-after-create",
        "shmget-create-shared",
        Join::CreateShared,
        true,
    ),
    recovery("recovery-after-set", "ipc-set", Join::Create, false),
    recovery("recovery-after-remove", "ipc-rmid", Join::Create, true),
    recovery("recovery-after-attach", "shmat-again", Join::Create, true),
    recovery("recovery-after-last-detach", "shmdt-last-of-doomed", Join::Create, true),
];

const fn recovery(name: &'static str, of: &'static str, how: Join, takes_long: bool) -> Scenario {
    Scenario {
        name,
        how,
        predecessor: Some((of, Died::InLock)),
        takes_long,
        ready: join,
        act: |a| a.join().sweep(),
        ..ORDINARY
    }
}

fn set(a: &mut Actor<'_>, mode: u16, uid: Option<u32>) -> sysv_engine::Result<()> {
    let me = crate::process::effective_ids();
    let change = PermChange {
        uid: uid.unwrap_or(me.0),
        gid: me.1,
        mode: mode.into(),
    };
    a.join().shm_set(a.segment(), change)
}
