//! `semop` with and without undo, `GETVAL`, making and removing.

use libc::SEM_UNDO;

use super::{Operation, on};
use crate::bystanders::Bystanders;
use crate::c_api::{Set, by};
use crate::job::Among;

/// What nobody gives: who asks for it waits.
const NEVER: u16 = 2;

/// The set in question, with others around it.
struct Scene {
    /// They go first: whoever waits would fail when what it waits at is removed.
    _bystanders: Bystanders,
    set: Set,
    _others: Vec<Set>,
}

impl Scene {
    fn new(among: Among) -> Scene {
        let count = if let Among::Objects(count) = among { count } else { 0 };
        let mut others: Vec<Set> = (0..count / 2).map(|_| Set::bare()).collect();
        let set = Set::new(3, 1);
        set.op(&mut [by(NEVER, -1, 0)]);
        others.extend((count / 2..count.saturating_sub(1)).map(|_| Set::bare()));
        let bystanders = match among {
            Among::Waiters(count) => {
                let crowd = Bystanders::new(count, || set.op(&mut [by(NEVER, -1, 0)]));
                while set.waiting(NEVER.into()) < count as i32 {
                    std::thread::yield_now();
                }
                crowd
            }
            Among::Processes(count) => Bystanders::new(count, || set.op(&mut [by(0, 1, 0), by(0, -1, 0)])),
            _ => Bystanders::none(),
        };
        Scene {
            set,
            _others: others,
            _bystanders: bystanders,
        }
    }
}

pub(super) fn prepare(call: &str, among: Among) -> Option<Operation> {
    let taking_and_giving = |flags| {
        let (mut take, mut give) = ([by(0, -1, flags)], [by(0, 1, flags)]);
        on(Scene::new(among), move |scene| {
            scene.set.op(&mut take);
            scene.set.op(&mut give);
        })
    };
    let both = |flags| {
        let mut take = [by(0, -1, flags), by(1, -1, flags)];
        let mut give = [by(0, 1, flags), by(1, 1, flags)];
        on(Scene::new(among), move |scene| {
            scene.set.op(&mut take);
            scene.set.op(&mut give);
        })
    };
    Some(match call {
        "semop, take and give" => taking_and_giving(0),
        "semop with SEM_UNDO, take and give" => taking_and_giving(SEM_UNDO),
        "semop of two semaphores, take and give" => both(0),
        "semop of two with SEM_UNDO, take and give" => both(SEM_UNDO),
        "semctl GETVAL" => on(Scene::new(among), |scene| assert_eq!(scene.set.value(0), 1)),
        "semget + IPC_RMID" => on(Scene::new(among), |_| drop(Set::bare())),
        _ => return None,
    })
}
