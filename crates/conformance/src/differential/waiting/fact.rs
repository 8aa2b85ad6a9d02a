//! What a call tells, and when two sides tell the same.

use std::collections::HashMap;

use sysv_engine::Errno;
use sysv_engine::abi::{IPCMNI, IpcPerm, MsqidDs, SemidDs};

use crate::wire::Wire;

/// One thing that a call tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// A number that must be the same.
    Number(i64),
    /// A key, or 0.
    Key(i32),
    /// A time in seconds, or 0: it may differ by as long as a step takes.
    Time(i64),
    /// A process id, or 0.
    Process(i32),
    /// An identifier that `semget` or `msgget` returned.
    Identifier(i32),
    /// A message's bytes.
    Text(Vec<u8>),
}

/// What a call came to on one side.
pub(super) type Outcome = Result<Vec<Fact>, Errno>;

/// By how many seconds times may differ.
const TOLERANCE: u64 = 2;

impl Wire for Fact {
    fn put(&self, out: &mut Vec<u8>) {
        let (tag, number) = match *self {
            Fact::Number(number) => (0u8, number),
            Fact::Key(key) => (1, i64::from(key)),
            Fact::Time(time) => (2, time),
            Fact::Process(pid) => (3, i64::from(pid)),
            Fact::Identifier(id) => (4, i64::from(id)),
            Fact::Text(_) => (5, 0),
        };
        tag.put(out);
        match self {
            Fact::Text(text) => text.put(out),
            _ => number.put(out),
        }
    }

    fn take(input: &mut &[u8]) -> Self {
        match u8::take(input) {
            0 => Fact::Number(i64::take(input)),
            1 => Fact::Key(i64::take(input) as i32),
            2 => Fact::Time(i64::take(input)),
            3 => Fact::Process(i64::take(input) as i32),
            4 => Fact::Identifier(i64::take(input) as i32),
            _ => Fact::Text(Vec::take(input)),
        }
    }
}

/// What the two sides call by different names.
pub(super) struct Names {
    pub(super) first_keys: [i32; 2],
    /// The number of the worker that each process is, or was.
    pub(super) processes: [HashMap<i32, usize>; 2],
}

impl Names {
    /// Whether both outcomes tell the same.
    pub(super) fn same(&self, both: [&Outcome; 2]) -> bool {
        match both {
            [Ok(left), Ok(right)] => {
                left.len() == right.len() && left.iter().zip(right).all(|(one, other)| self.same_fact(one, other))
            }
            [left, right] => left == right,
        }
    }

    fn same_fact(&self, one: &Fact, other: &Fact) -> bool {
        match (one, other) {
            (Fact::Key(left), Fact::Key(right)) => self.key(0, *left) == self.key(1, *right),
            (Fact::Time(left), Fact::Time(right)) => {
                (*left == 0) == (*right == 0) && left.abs_diff(*right) <= TOLERANCE
            }
            (Fact::Process(0), Fact::Process(0)) => true,
            (Fact::Process(left), Fact::Process(right)) => {
                let [left, right] = [(0, left), (1, right)].map(|(side, pid)| self.processes[side].get(pid));
                left.is_some() && left == right
            }
            // The driver knows which objects are the same.
            (Fact::Identifier(_), Fact::Identifier(_)) => true,
            (left, right) => left == right,
        }
    }

    fn key(&self, side: usize, key: i32) -> i32 {
        if key == 0 {
            0
        } else {
            key.wrapping_sub(self.first_keys[side])
        }
    }
}

/// What the structure of object `id` tells, which was found as `found`; without the time of the last operation, which Linux
/// also sets when a process ends that asked for undo and owes nothing.
pub(super) fn of_set(id: i32, (found, ds): (i32, SemidDs)) -> Vec<Fact> {
    let mut facts = of_permissions(id, found, &ds.perm);
    facts.extend([Fact::Time(ds.ctime), Fact::Number(ds.nsems as i64)]);
    facts
}

/// [`of_set`] for a queue.
pub(super) fn of_queue(id: i32, (found, ds): (i32, MsqidDs)) -> Vec<Fact> {
    let mut facts = of_permissions(id, found, &ds.perm);
    facts.extend([Fact::Time(ds.stime), Fact::Time(ds.rtime), Fact::Time(ds.ctime)]);
    facts.extend([ds.cbytes, ds.qnum, ds.qbytes].map(|number| Fact::Number(number as i64)));
    facts.extend([Fact::Process(ds.lspid), Fact::Process(ds.lrpid)]);
    facts
}

fn of_permissions(id: i32, found: i32, perm: &IpcPerm) -> Vec<Fact> {
    let mut facts = vec![
        Fact::Number(i64::from(found == id)),
        Fact::Number(i64::from(i32::from(perm.seq) == id / IPCMNI)),
        Fact::Key(perm.key),
    ];
    let numbers = [perm.uid, perm.gid, perm.cuid, perm.cgid, perm.mode];
    facts.extend(numbers.map(|number| Fact::Number(i64::from(number))));
    facts
}
