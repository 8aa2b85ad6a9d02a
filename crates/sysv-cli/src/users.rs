//! Users and groups by name, where they have one.

use std::collections::HashMap;
use std::sync::Mutex;

use nix::unistd::{Gid, Group, Uid, User};

/// Names that have been looked up, for listings of thousands of objects.
static USERS: Mutex<Option<HashMap<u32, String>>> = Mutex::new(None);

/// The user's name, or else the number.
pub(crate) fn user_name(uid: u32) -> String {
    let mut known = USERS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let known = known.get_or_insert_default();
    known.entry(uid).or_insert_with(|| look_up_user(uid)).clone()
}

fn look_up_user(uid: u32) -> String {
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
