//! An object's file: who may read and write it, as the object's ownership says and the kernel then enforces.
//!
//! A file has one owner, and Linux grants an object's creator what it grants its owner, and the creator's group what it grants the
//! owner's. Where they differ (root gave the object away), an access control list names the creator too.
//!
//! The table is everybody's to write, so nothing here is taken from it: who made the object the file itself says, and what it
//! shall grant the call that changes it.

use core::ffi::CStr;

use crate::credentials::Caller;
use crate::errno::{Errno, Result};
use crate::facility::PermChange;
use crate::path::PathBuf;
use crate::sys;

const ACL: &CStr = c"system.posix_acl_access";
/// `POSIX_ACL_XATTR_VERSION`.
const VERSION: u32 = 2;
/// `ACL_UNDEFINED_ID`.
const NOBODY: u32 = u32::MAX;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

const ENTRY: usize = 8;
/// A list's length at most: owner, group, mask and others, and two named users and groups.
const LONGEST: usize = 4 + ENTRY * 8;

/// Gives a file the owner, the group and the permissions of `to`, whose mode is the file's.
///
/// A process may be killed between two steps. The first grants what all of them together grant, so that it decides: see
/// [`grants`].
///
/// # Errors
/// `EPERM` if the file is another user's, or would be.
pub(crate) fn grant(path: &CStr, to: &PermChange, caller: &Caller) -> Result<()> {
    Held::with(path, |file| {
        let (uid, gid) = (file.status.st_uid, file.status.st_gid);
        let may_give = caller.uid == 0 || to.uid == uid && (to.gid == gid || caller.in_group(to.gid));
        if !may_give || caller.uid != 0 && caller.uid != uid {
            return Err(Errno::EPERM);
        }
        let listed = file.list()?;
        let creator = match &listed {
            Some(list) => (list.users[0].unwrap_or(uid), list.groups[0].unwrap_or(gid)),
            None => (uid, gid),
        };
        let given = (uid, gid) != (to.uid, to.gid);
        if given {
            file.set_list(&List {
                mode: to.mode,
                users: [Some(creator.0), Some(to.uid)],
                groups: [Some(creator.1), Some(to.gid)],
            })?;
            file.give(to.uid, to.gid)?;
        }
        if creator != (to.uid, to.gid) {
            file.set_list(&List {
                mode: to.mode,
                users: [Some(creator.0), None],
                groups: [Some(creator.1), None],
            })
        } else if given || listed.is_some() {
            file.set_list(&List::of_mode(to.mode))
        } else if file.status.st_mode & 0o7777 != to.mode {
            file.set_mode(to.mode)
        } else {
            Ok(())
        }
    })
}

/// Whether a file grants what [`grant`] was to give it: all of that, or all but the owner's name.
pub(crate) fn grants(path: &CStr, to: &PermChange) -> Result<bool> {
    Held::with(path, |file| {
        let (uid, gid) = (file.status.st_uid, file.status.st_gid);
        let listed = file.list()?;
        let list = listed.unwrap_or_else(|| List::of_mode(file.status.st_mode & 0o7777));
        Ok(list.mode == to.mode
            && (uid == to.uid || list.users.contains(&Some(to.uid)))
            && (gid == to.gid || list.groups.contains(&Some(to.gid))))
    })
}

/// A file that stays the same one, whatever is put under its name meanwhile.
struct Held<'p> {
    path: &'p CStr,
    status: libc::stat,
}

impl Held<'_> {
    /// Does something with the file of this name.
    fn with<T>(path: &CStr, act: impl FnOnce(&Held<'_>) -> Result<T>) -> Result<T> {
        let fd = match sys::open(path, libc::O_PATH, 0) {
            Err(Errno::EMFILE | Errno::ENFILE) => return Held::of(path, sys::stat(path, false)?, act),
            opened => opened?,
        };
        let status = sys::fstat(&fd)?;
        let by_number = PathBuf::from_args(format_args!("/proc/self/fd/{}", fd.raw()))?;
        let same = |st: libc::stat| (st.st_dev, st.st_ino) == (status.st_dev, status.st_ino);
        let there = sys::stat(by_number.as_c_str(), true).is_ok_and(same);
        // Without /proc by its own name.
        Held::of(if there { by_number.as_c_str() } else { path }, status, act)
    }

    fn of<T>(path: &CStr, status: libc::stat, act: impl FnOnce(&Held<'_>) -> Result<T>) -> Result<T> {
        // A link would lead to a file that is no object's: a symbolic one to any, a hard one to one of its owner's.
        if status.st_mode & libc::S_IFMT != libc::S_IFREG || status.st_nlink != 1 {
            return Err(Errno::EPERM);
        }
        act(&Held { path, status })
    }

    fn list(&self) -> Result<Option<List>> {
        let mut bytes = [0; LONGEST];
        match sys::getxattr(self.path, ACL, &mut bytes) {
            Ok(len) => Ok(Some(List::from_bytes(bytes.get(..len).unwrap_or_default()))),
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// One step: the mode changes with the list, and a list that names nobody is no more than a mode.
    fn set_list(&self, list: &List) -> Result<()> {
        let mut bytes = [0; LONGEST];
        match sys::setxattr(self.path, ACL, list.to_bytes(&mut bytes)) {
            // A file system without such lists: the creator is then one of the others.
            Err(Errno::EOPNOTSUPP) => self.set_mode(list.mode),
            other => other,
        }
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        sys::chmod(self.path, mode)
    }

    fn give(&self, uid: u32, gid: u32) -> Result<()> {
        sys::chown(self.path, uid, gid)
    }
}

/// An access control list as far as objects have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct List {
    /// The nine bits.
    mode: u32,
    /// Users who are granted what the owner is; the creator first.
    users: [Option<u32>; 2],
    /// Groups that are granted what the owner's is; the creator's first.
    groups: [Option<u32>; 2],
}

impl List {
    /// One that names nobody.
    fn of_mode(mode: u32) -> List {
        List {
            mode,
            users: [None; 2],
            groups: [None; 2],
        }
    }

    /// The extended attribute's bytes: a version, then tag, permissions and id of each entry, in the order of the tags.
    fn to_bytes(self, bytes: &mut [u8; LONGEST]) -> &[u8] {
        let [user, group, others] = [6, 3, 0].map(|shift| (self.mode >> shift & 0o7) as u16);
        let names = |ids: [Option<u32>; 2], tag, permissions| ids.map(|id| id.map(|id| (tag, permissions, id)));
        let [first_user, second_user] = names(self.users, USER, user);
        let [first_group, second_group] = names(self.groups, GROUP, group);
        let named = first_user.or(second_user).or(first_group).or(second_group).is_some();
        let entries = [
            Some((USER_OBJ, user, NOBODY)),
            first_user,
            second_user,
            Some((GROUP_OBJ, group, NOBODY)),
            first_group,
            second_group,
            named.then_some((MASK, 0o7, NOBODY)),
            Some((OTHER, others, NOBODY)),
        ];
        bytes[..4].copy_from_slice(&VERSION.to_le_bytes());
        let mut length = 4;
        for (tag, permissions, id) in entries.into_iter().flatten() {
            let place = &mut bytes[length..length + ENTRY];
            place[..2].copy_from_slice(&tag.to_le_bytes());
            place[2..4].copy_from_slice(&permissions.to_le_bytes());
            place[4..].copy_from_slice(&id.to_le_bytes());
            length += ENTRY;
        }
        &bytes[..length]
    }

    /// What a list says; of more names than two those that come first.
    fn from_bytes(bytes: &[u8]) -> List {
        let mut list = List::of_mode(0);
        for entry in bytes.get(4..).unwrap_or_default().chunks_exact(ENTRY) {
            let permissions = u32::from(u16::from_le_bytes([entry[2], entry[3]])) & 0o7;
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let name = |names: &mut [Option<u32>; 2]| {
                if let Some(place) = names.iter_mut().find(|place| place.is_none()) {
                    *place = Some(id);
                }
            };
            match u16::from_le_bytes([entry[0], entry[1]]) {
                USER_OBJ => list.mode |= permissions << 6,
                GROUP_OBJ => list.mode |= permissions << 3,
                OTHER => list.mode |= permissions,
                USER => name(&mut list.users),
                GROUP => name(&mut list.groups),
                _ => {}
            }
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: List = List {
        mode: 0o640,
        users: [Some(3), Some(1)],
        groups: [Some(4), None],
    };

    #[test]
    fn a_list_names_owner_and_creator_alike() {
        let mut bytes = [0; LONGEST];
        let list = GIVEN.to_bytes(&mut bytes);
        assert_eq!(list.len(), 4 + 7 * 8);
        assert_eq!(list[..4], [2, 0, 0, 0]);
        assert_eq!(list[4..12], [1, 0, 6, 0, 255, 255, 255, 255]);
        assert_eq!(list[12..20], [2, 0, 6, 0, 3, 0, 0, 0]);
        assert_eq!(list[20..28], [2, 0, 6, 0, 1, 0, 0, 0]);
        assert_eq!(list[36..44], [8, 0, 4, 0, 4, 0, 0, 0]);
        assert_eq!(list[52..60], [0x20, 0, 0, 0, 255, 255, 255, 255]);
        assert_eq!(List::from_bytes(list), GIVEN);
    }

    #[test]
    fn a_list_without_names_is_a_mode() {
        let list = List::of_mode(0o640);
        let mut bytes = [0; LONGEST];
        assert_eq!(list.to_bytes(&mut bytes).len(), 4 + 3 * 8);
        assert_eq!(List::from_bytes(list.to_bytes(&mut bytes)), list);
    }

    #[test]
    fn any_bytes_are_read() {
        for length in 0..LONGEST {
            let list = List::from_bytes(&[0xff; LONGEST][..length]);
            assert_eq!(list.users, [None; 2]);
        }
    }
}
