//! Users and groups by name, where they have one.

use nix::unistd::{Gid, Group, Uid, User};

/// The user's name, or else the number.
pub(crate) fn user_name(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid))
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name)
}

/// The group's name, or else the number.
pub(crate) fn group_name(gid: u32) -> String {
    Group::from_gid(Gid::from_raw(gid))
        .ok()
        .flatten()
        .map_or_else(|| gid.to_string(), |group| group.name)
}

/// The user with this name or number.
pub(crate) fn parse_user(text: &str) -> Result<u32, String> {
    match (User::from_name(text), text.parse()) {
        (Ok(Some(user)), _) => Ok(user.uid.as_raw()),
        (_, Ok(uid)) => Ok(uid),
        _ => Err("no user has this name".to_owned()),
    }
}

/// The group with this name or number.
pub(crate) fn parse_group(text: &str) -> Result<u32, String> {
    match (Group::from_name(text), text.parse()) {
        (Ok(Some(group)), _) => Ok(group.gid.as_raw()),
        (_, Ok(gid)) => Ok(gid),
        _ => Err("no group has this name".to_owned()),
    }
}
