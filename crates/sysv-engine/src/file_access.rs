//! An object's file: who may read and write it, as the object's ownership says and the kernel then enforces.
//!
//! A file has one owner, and Linux grants an object's creator what it grants its owner, and the creator's group what it grants the
//! owner's. Where they differ (root gave the object away), an access control list names the creator too.

use core::ffi::CStr;

use crate::credentials::Ownership;
use crate::errno::{Errno, Result};
use crate::sys;

const ACL: &CStr = c"system.posix_acl_access";
/// `POSIX_ACL_XATTR_VERSION`.
const VERSION: u32 = 2;
/// `ACL_UNDEFINED_ID`.
const NOBODY: u32 = u32::MAX;
const ENTRIES: usize = 6;

/// Gives a file the owner, the group and the permissions that `owner` and `mode` say. May be done again after a part of it.
///
/// # Errors
/// `EPERM` if the file is another user's.
pub(crate) fn apply(path: &CStr, owner: &Ownership, mode: u32) -> Result<()> {
    let st = sys::stat(path, false)?;
    if (st.st_uid, st.st_gid) != (owner.uid, owner.gid) {
        sys::chown(path, owner.uid, owner.gid)?;
    }
    if (owner.uid, owner.gid) != (owner.cuid, owner.cgid) {
        match sys::setxattr(path, ACL, &access_list(owner, mode)) {
            // A file system without such lists: the creator is then one of the others.
            Err(Errno::EOPNOTSUPP) => {}
            other => return other,
        }
    } else {
        match sys::removexattr(path, ACL) {
            Ok(()) | Err(Errno::ENODATA | Errno::EOPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    if st.st_mode & 0o7777 == mode {
        Ok(())
    } else {
        sys::chmod(path, mode)
    }
}

/// The extended attribute's bytes: a version, then tag, permissions and id of each entry, in the order of the tags.
fn access_list(owner: &Ownership, mode: u32) -> [u8; 4 + 8 * ENTRIES] {
    let [user, group, others] = [6, 3, 0].map(|shift| (mode >> shift & 0o7) as u16);
    let entries: [(u16, u16, u32); ENTRIES] = [
        (0x01, user, NOBODY),
        (0x02, user, owner.cuid),
        (0x04, group, NOBODY),
        (0x08, group, owner.cgid),
        (0x10, 0o7, NOBODY),
        (0x20, others, NOBODY),
    ];
    let mut bytes = [0; 4 + 8 * ENTRIES];
    bytes[..4].copy_from_slice(&VERSION.to_le_bytes());
    for (place, (tag, permissions, id)) in bytes[4..].chunks_exact_mut(8).zip(entries) {
        place[..2].copy_from_slice(&tag.to_le_bytes());
        place[2..4].copy_from_slice(&permissions.to_le_bytes());
        place[4..].copy_from_slice(&id.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_owner_and_creator_alike() {
        let list = access_list(
            &Ownership {
                uid: 1,
                gid: 2,
                cuid: 3,
                cgid: 4,
                mode: 0o640,
            },
            0o640,
        );
        assert_eq!(list[..4], [2, 0, 0, 0]);
        assert_eq!(list[4..12], [1, 0, 6, 0, 255, 255, 255, 255]);
        assert_eq!(list[12..20], [2, 0, 6, 0, 3, 0, 0, 0]);
        assert_eq!(list[28..36], [8, 0, 4, 0, 4, 0, 0, 0]);
        assert_eq!(list[44..52], [0x20, 0, 0, 0, 255, 255, 255, 255]);
    }
}
