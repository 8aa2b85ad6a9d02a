//! `libsysv.so`, which this program contains, and where it is put for the dynamic loader.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, StatVfsMountFlags, statvfs};
use rustix::process::geteuid;

/// The library itself, made by build.rs.
const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/libsysv.so"));
/// Its name, which changes with its contents: programs that run keep the version that they began with.
const NAME: &str = concat!("libsysv-", env!("LIBSYSV_HASH"), ".so");

/// Others may read and run what is here, and not change it: programs of root's go on as other users.
const MODE: u32 = 0o755;

/// The library's path, in the first directory that serves.
pub(crate) fn place() -> Result<PathBuf, String> {
    let mut reasons = Vec::new();
    for directory in candidates() {
        match place_in(&directory) {
            Ok(path) => return Ok(path),
            Err(reason) => reasons.push(format!("{}: {reason}", directory.display())),
        }
    }
    Err(format!(
        "no directory serves for {NAME} ({}); make one of them yours, on a file system mounted without noexec",
        reasons.join("; ")
    ))
}

/// Where the library may go, best first.
fn candidates() -> Vec<PathBuf> {
    let uid = geteuid();
    let temporary = PathBuf::from(format!("/tmp/sysv-{}", uid.as_raw()));
    if uid.is_root() {
        return vec!["/run/sysv".into(), "/var/cache/sysv".into(), temporary];
    }
    let directory = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = directory("XDG_CACHE_HOME").or_else(|| Some(directory("HOME")?.join(".cache")));
    let mut candidates: Vec<PathBuf> = directory("XDG_RUNTIME_DIR").into_iter().chain(cache).collect();
    candidates.iter_mut().for_each(|path| path.push("sysv"));
    candidates.push(temporary);
    candidates
}

fn place_in(directory: &Path) -> Result<PathBuf, String> {
    if directory
        .as_os_str()
        .as_bytes()
        .iter()
        .any(|b| b.is_ascii_whitespace() || *b == b':')
    {
        return Err("the dynamic loader takes no name with blanks or colons".to_owned());
    }
    match DirBuilder::new().mode(MODE).create(directory) {
        // The mode was subject to the umask.
        Ok(()) => fs::set_permissions(directory, fs::Permissions::from_mode(MODE)).map_err(|e| e.to_string())?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e.to_string()),
    }
    let found = fs::symlink_metadata(directory).map_err(|e| e.to_string())?;
    if !found.is_dir() {
        return Err("not a directory".to_owned());
    }
    ours_alone(&found)?;
    let filesystem = statvfs(directory).map_err(|e| e.to_string())?;
    if filesystem.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        return Err("mounted noexec".to_owned());
    }
    let path = directory.join(NAME);
    if !is_there(&path) {
        write(directory, &path).map_err(|e| e.to_string())?;
    }
    Ok(path)
}

/// Whether nobody else can change it and everybody can use it.
fn ours_alone(file: &fs::Metadata) -> Result<(), String> {
    if file.uid() != geteuid().as_raw() {
        return Err(format!("it belongs to user {}", file.uid()));
    }
    if file.mode() & 0o022 != 0 {
        return Err(format!("others may change it (mode {:03o})", file.mode() & 0o777));
    }
    if geteuid().is_root() && file.mode() & 0o555 != 0o555 {
        return Err(format!("other users cannot use it (mode {:03o})", file.mode() & 0o777));
    }
    Ok(())
}

/// Whether the very library is there already, from an earlier run.
fn is_there(path: &Path) -> bool {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let Ok(file) = OpenOptions::new().read(true).custom_flags(flags).open(path) else {
        return false;
    };
    let Ok(metadata) = file.metadata() else { return false };
    metadata.is_file()
        && ours_alone(&metadata).is_ok()
        && metadata.len() == LIBRARY.len() as u64
        && same_bytes(file).unwrap_or(false)
}

fn same_bytes(file: File) -> io::Result<bool> {
    let mut bytes = Vec::with_capacity(LIBRARY.len());
    file.take(LIBRARY.len() as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes == LIBRARY)
}

/// Wholly or not at all: under another name first.
fn write(directory: &Path, path: &Path) -> io::Result<()> {
    let temporary = directory.join(format!(".{NAME}.{}", std::process::id()));
    // From an earlier process with this id.
    let _ = fs::remove_file(&temporary);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(LIBRARY)?;
            file.set_permissions(fs::Permissions::from_mode(MODE))?;
            fs::rename(&temporary, path)
        });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
