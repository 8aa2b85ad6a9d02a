//! Random cases that are worth playing: most steps succeed, and each way to fail is tried.

use sysv_engine::abi::{
    IPC_CREAT, IPC_EXCL, PAGE_SIZE, SHM_EXEC, SHM_HUGETLB, SHM_NORESERVE, SHM_RDONLY, SHM_REMAP, SHM_RND,
};

use super::action::Action;
use super::case::{Case, Step};
use super::random::Random;
use super::worker::WINDOW_PAGES;
use crate::user::User;

/// Who can take part.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Users that workers can be.
    pub(crate) users: &'static [User],
    /// Whether workers can execute their program anew.
    pub(crate) executable: bool,
    /// Whether the limits are ours to change.
    pub(crate) limits: bool,
}

impl Cast {
    /// Everything allowed.
    #[cfg(test)]
    pub(crate) const EVERYBODY: Cast = Cast {
        users: USERS,
        executable: true,
        limits: true,
    };
}

/// Workers' users, by number.
pub(crate) const USERS: &[User] = &[User::ROOT, User::ALICE, User::BOB, User::CAROL, User::DAVE];

/// Owners that `IPC_SET` names, by number; the last is nobody at all.
pub(crate) const OWNERS: &[u32] = &[0, User::ALICE.uid, User::BOB.uid, User::DAVE.uid, u32::MAX];

/// Groups likewise.
pub(crate) const GROUPS: &[u32] = &[0, User::ALICE.gid, User::BOB.gid, User::DAVE.groups[0], u32::MAX];

/// Mode bits.
pub(crate) const MODES: &[i32] = &[
    0o600, 0o600, 0o666, 0o777, 0o660, 0o640, 0o644, 0o606, 0o400, 0o200, 0o070, 0o007, 0,
];

const SIZES: &[i64] = &[1, 100, 4096, 4097, 8192, 3 * 4096, 5 * 4096 - 1];

const ODD_SIZES: &[i64] = &[0, -1, 1 << 50, 1 << 62, i64::MAX];

const ODD_BYTES: &[i64] = &[1, 8, 4095];

/// A case of `length` steps.
pub(crate) fn generate(random: &mut Random, length: usize, cast: &Cast) -> Case {
    Case(
        (0..length)
            .map(|_| Step {
                worker: random.below(12),
                action: action(random, cast),
            })
            .collect(),
    )
}

fn action(random: &mut Random, cast: &Cast) -> Action {
    match random.below(100) {
        0..15 => get(random),
        15..38 => attach(random),
        38..50 => {
            let (held, page, odd) = place(random);
            Action::Detach { held, page, odd }
        }
        50..57 => {
            let (held, page, _) = place(random);
            Action::Unmap {
                held,
                page,
                pages: 1 + random.below(4),
            }
        }
        57..59 => Action::Occupy {
            page: random.below(WINDOW_PAGES as u64),
            pages: 1 + random.below(3),
        },
        59..70 => {
            let (held, page, _) = place(random);
            Action::Write {
                held,
                page,
                odd: random.below(PAGE_SIZE as u64),
                value: random.below(256),
            }
        }
        70..74 => Action::Stat {
            object: random.small(),
            by: random.below(3),
        },
        74..78 => Action::Set {
            object: random.small(),
            user: owner(random),
            group: owner(random),
            mode: i64::from(random.pick(MODES)),
        },
        78..83 => Action::Remove { object: random.small() },
        83..85 => Action::Lock {
            object: random.small(),
            lock: random.below(2),
        },
        85 => Action::Limits {},
        86 => Action::Usage {},
        87 if cast.limits && random.one_in(3) => limit(random),
        87..91 => Action::Fork {
            bare: i64::from(random.one_in(3)),
        },
        91 if cast.executable && random.one_in(2) => Action::Exec {},
        91..93 => Action::Exit {
            orderly: random.below(2),
        },
        93..95 => Action::Kill {},
        95 if cast.users.len() > 1 => Action::Become {
            user: random.below(cast.users.len() as u64),
        },
        _ => Action::Spawn {
            user: random.below(cast.users.len() as u64),
        },
    }
}

fn get(random: &mut Random) -> Action {
    let size = if random.one_in(12) {
        random.pick(ODD_SIZES)
    } else {
        random.pick(SIZES)
    };
    let mut flags = random.pick(MODES);
    if !random.one_in(5) {
        flags |= IPC_CREAT;
    }
    if random.one_in(3) {
        flags |= IPC_EXCL;
    }
    if random.one_in(10) {
        flags |= SHM_NORESERVE;
    }
    // Without reservation a kernel that has no huge pages promises them nevertheless; the engine does not.
    if flags & SHM_NORESERVE == 0 && random.one_in(40) {
        flags |= SHM_HUGETLB;
    }
    Action::Get {
        key: random.below(5),
        size,
        flags: i64::from(flags),
    }
}

fn attach(random: &mut Random) -> Action {
    let mut flags = 0;
    for (flag, rarity) in [(SHM_RDONLY, 4), (SHM_RND, 5), (SHM_REMAP, 7), (SHM_EXEC, 12)] {
        if random.one_in(rarity) {
            flags |= flag;
        }
    }
    let page = if random.one_in(2) {
        -1
    } else {
        random.below(WINDOW_PAGES as u64)
    };
    let odd = if random.one_in(6) { random.pick(ODD_BYTES) } else { 0 };
    Action::Attach {
        object: random.small(),
        page,
        odd,
        flags: i64::from(flags),
    }
}

/// The number of an owner or a group; nobody at all now and then.
pub(crate) fn owner(random: &mut Random) -> i64 {
    let end = if random.one_in(8) {
        OWNERS.len()
    } else {
        OWNERS.len() - 1
    };
    random.below(end as u64)
}

/// An attachment that the system placed, or a place in the window, most often on a page boundary.
fn place(random: &mut Random) -> (i64, i64, i64) {
    let held = if random.one_in(2) { -1 } else { random.below(8) };
    let odd = if random.one_in(8) { random.pick(ODD_BYTES) } else { 0 };
    (held, random.below(WINDOW_PAGES as u64), odd)
}

fn limit(random: &mut Random) -> Action {
    let which = random.below(3);
    let value = match which {
        _ if random.one_in(2) => -1,
        0 => random.pick(&[4096, 10_000]),
        1 => random.pick(&[4, 10]),
        _ => random.pick(&[1, 3]),
    };
    Action::Limit { which, value }
}
