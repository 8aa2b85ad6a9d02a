//! logind's `RemoveIPC`: with a user's last session go the user's System V objects and what belongs to the user in
//! `/dev/shm`, unless it is a system user (logind.conf(5)).

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;

/// Where its settings are, the later ones first. A file in an earlier directory takes the place of one with its name in a
/// later.
const DROP_INS: [&str; 3] = [
    "/etc/systemd/logind.conf.d",
    "/run/systemd/logind.conf.d",
    "/usr/lib/systemd/logind.conf.d",
];
const MAIN: [&str; 2] = ["/etc/systemd/logind.conf", "/usr/lib/systemd/logind.conf"];

/// System users end here where /etc/login.defs says nothing else.
const LAST_SYSTEM_USER: u32 = 999;

/// `directory`: the namespace's; none for the kernel's facility.
pub(super) fn check(directory: Option<&Path>) -> Option<Finding> {
    // Only files in /dev/shm are concerned.
    if directory.is_some_and(|directory| !directory.starts_with("/dev/shm"))
        || !Path::new("/run/systemd/system").exists()
    {
        return None;
    }
    if !removes(&settings()) {
        return Some(Finding::good("remove-ipc", "logind removes nothing (RemoveIPC=no)"));
    }
    let user = rustix::process::geteuid().as_raw();
    let remedy = "set RemoveIPC=no in /etc/systemd/logind.conf and restart systemd-logind, run the service as a system user, \
                  or let the user linger (loginctl enable-linger)";
    let last = fs::read_to_string("/etc/login.defs").map_or(LAST_SYSTEM_USER, |text| last_system_user(&text));
    let what = "logind removes a user's objects when the user's last session ends (RemoveIPC=yes, its default)";
    Some(if user > last {
        Finding::notice("remove-ipc", format!("{what}; yours are among them"), remedy)
    } else {
        Finding::notice(
            "remove-ipc",
            format!("{what}, except those of system users such as you are"),
            remedy,
        )
    })
}

/// The files' texts, in the order in which they count.
fn settings() -> Vec<String> {
    let mut drop_ins: Vec<PathBuf> = Vec::new();
    for directory in DROP_INS {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let named = drop_ins
                .iter()
                .any(|known| known.file_name() == Some(&entry.file_name()));
            if !named && entry.path().extension().is_some_and(|extension| extension == "conf") {
                drop_ins.push(entry.path());
            }
        }
    }
    drop_ins.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    let main = MAIN.iter().find_map(|path| fs::read_to_string(path).ok());
    main.into_iter()
        .chain(drop_ins.iter().filter_map(|path| fs::read_to_string(path).ok()))
        .collect()
}

/// What the last setting says; without one, yes.
fn removes(settings: &[String]) -> bool {
    let lines = settings.iter().flat_map(|text| text.lines());
    let mut set = lines.filter_map(|line| line.trim().strip_prefix("RemoveIPC")?.trim_start().strip_prefix('='));
    !matches!(
        set.next_back()
            .map(|value| value.trim().to_ascii_lowercase())
            .as_deref(),
        Some("no" | "false" | "off" | "0" | "n" | "f")
    )
}

fn last_system_user(login_defs: &str) -> u32 {
    let lines = login_defs.lines();
    let mut number = lines.filter_map(|line| line.trim().strip_prefix("SYS_UID_MAX")?.trim().parse().ok());
    number.next_back().unwrap_or(LAST_SYSTEM_USER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_setting_counts_and_none_means_yes() {
        let removes = |texts: &[&str]| removes(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert!(removes(&[]));
        assert!(removes(&["[Login]\n#RemoveIPC=no\n"]));
        assert!(!removes(&["[Login]\nRemoveIPC=no\n"]));
        assert!(!removes(&["RemoveIPC=yes", "RemoveIPC = No"]));
        assert!(removes(&["RemoveIPC=no\nRemoveIPC=yes"]));
    }

    #[test]
    fn system_users_end_where_login_defs_says() {
        assert_eq!(last_system_user("# SYS_UID_MAX 5\nSYS_UID_MAX\t\t499\n"), 499);
        assert_eq!(last_system_user(""), 999);
    }
}
