//! `Key::from_path` against the C library's ftok(3).

#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sysv::{Errno, Key};

fn ftok(path: &Path, project: i32) -> i32 {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is a terminated string.
    unsafe { libc::ftok(path.as_ptr(), project) }
}

#[test]
fn keys_from_paths_are_those_of_the_c_library() {
    let exe = std::env::current_exe().unwrap();
    let paths = ["/", "/proc", "/dev/null", "/dev/shm", "/etc/passwd", "."].map(Path::new);
    for path in paths.into_iter().chain([exe.as_path(), exe.parent().unwrap()]) {
        for project in [1, b'a', 0x7f, 0x80, 0xff, 0] {
            let expected = ftok(path, project.into());
            let key = Key::from_path(path, project).unwrap();
            assert_eq!(key.get(), expected, "{} {project}", path.display());
        }
    }
}

#[test]
fn links_are_followed_and_missing_files_named() {
    let directory = std::env::temp_dir().join(format!("sysv-keys-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let link = directory.join("link");
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    let (through, direct) = (Key::from_path(&link, 1), Key::from_path("/etc/passwd", 1));
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(through, direct);

    let gone = Key::from_path(&link, 1).unwrap_err();
    assert_eq!((gone.errno(), gone.path.as_path()), (Errno::ENOENT, link.as_path()));
    assert_eq!(Key::from_path("a\0b", 1).unwrap_err().errno(), Errno::EINVAL);
}
