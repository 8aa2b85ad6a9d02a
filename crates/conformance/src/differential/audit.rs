//! What must be equal on both sides.

use std::rc::Rc;

use sysv_engine::abi::{IPCMNI, ShmidDs};
use sysv_engine::{Errno, Segments, StatBy};

use crate::subject::Subject;

/// The facilities, and the keys that a case's small numbers stand for on each.
pub(crate) struct Sides {
    pub(crate) subjects: Rc<[Subject; 2]>,
    pub(crate) first_keys: [i32; 2],
}

impl Sides {
    /// The key of number `key` on each side; 0 is `IPC_PRIVATE` on both.
    pub(crate) fn keys(&self, key: i64) -> [i32; 2] {
        self.first_keys
            .map(|first| if key == 0 { 0 } else { first.wrapping_add(key as i32) })
    }

    /// A segment's structure on one side with the key's number in place of the key, and with the sequence
    /// number, which must be the identifier's, taken out.
    fn normal(&self, side: usize, id: i32, mut ds: ShmidDs) -> Result<ShmidDs, String> {
        if i32::from(ds.perm.seq) != id / IPCMNI {
            return Err(format!(
                "side {side}: sequence number {} of identifier {id}",
                ds.perm.seq
            ));
        }
        ds.perm.seq = 0;
        if ds.perm.key != 0 {
            ds.perm.key = ds.perm.key.wrapping_sub(self.first_keys[side]);
        }
        Ok(ds)
    }

    /// Whether two structures of one segment tell the same.
    pub(crate) fn compare(&self, ids: [i32; 2], both: [ShmidDs; 2]) -> Result<(), String> {
        let [mut left, mut right] = [self.normal(0, ids[0], both[0])?, self.normal(1, ids[1], both[1])?];
        for (one, other) in [
            (&mut left.atime, &mut right.atime),
            (&mut left.dtime, &mut right.dtime),
            (&mut left.ctime, &mut right.ctime),
        ] {
            if (*one == 0) == (*other == 0) && one.abs_diff(*other) <= 1 {
                *other = *one;
            }
        }
        if left == right {
            Ok(())
        } else {
            Err(format!("{left:?}\nis not\n{right:?}"))
        }
    }

    /// Looks a segment up on both sides without regard to permissions, and compares everything. The first
    /// side's structure, or `None` if it is gone from both.
    pub(crate) fn inspect(&self, ids: [i32; 2]) -> Result<Option<ShmidDs>, String> {
        let found = [0, 1].map(|side| {
            match self.subjects[side].shm_stat(ids[side] % IPCMNI, StatBy::IndexAny) {
                // Another segment has the index now.
                Ok((id, _)) if id != ids[side] => Err(Errno::EINVAL),
                other => other.map(|(_, ds)| ds),
            }
        });
        match found {
            [Ok(left), Ok(right)] => self.compare(ids, [left, right]).map(|()| Some(left)),
            [Err(Errno::EINVAL), Err(Errno::EINVAL)] => Ok(None),
            [left, right] => Err(format!("{left:?}\nis not\n{right:?}")),
        }
    }
}
