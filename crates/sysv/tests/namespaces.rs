//! Which namespace a process gets, and what becomes of temporary ones.

mod peer;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::{fs, path::Path};

use peer::{Peer, role, tell};
use sysv::{Errno, Key, Members, Namespace, NewSegment, Segment, TemporaryNamespace};

/// What the other processes do.
#[test]
fn peer() {
    let Some((role, namespace)) = role() else { return };
    match role.as_str() {
        "current" => tell(&Namespace::current().unwrap().location().to_string()),
        "create" => {
            Segment::open_or_create(&namespace, Key::new(1), NewSegment::of_size(8)).unwrap();
        }
        other => panic!("no such role: {other}"),
    }
}

fn current_with(variable: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "peer", "--nocapture", "--test-threads=1"])
        .env("SYSV_TEST_ROLE", "current")
        .env("SYSV_TEST_PLACE", "kernel")
        .env("SYSV_NAMESPACE", variable)
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix("> "))
        .unwrap()
        .to_owned()
}

#[test]
fn the_environment_names_the_current_namespace() {
    let outer = TemporaryNamespace::create().unwrap();
    let directory = outer.location().directory().unwrap().join("told");
    assert_eq!(
        current_with(directory.to_str().unwrap()),
        format!("namespace {}", directory.display())
    );
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    Namespace::remove(&directory).unwrap();
}

#[test]
fn two_processes_in_a_directory_share_its_objects() {
    let namespace = TemporaryNamespace::create().unwrap();
    Peer::start("create", &namespace).finish();
    let there = Segment::open(&namespace, Key::new(1)).unwrap();
    Peer::start("create", &namespace).finish();
    assert_eq!(namespace.report().unwrap().len(), 1);
    assert_ne!(there.stat().unwrap().creator_pid, std::process::id() as i32);
}

#[test]
fn a_relative_name_is_taken_from_the_working_directory_once() {
    let outer = TemporaryNamespace::create().unwrap();
    let directory = outer.location().directory().unwrap();
    let depth = std::env::current_dir().unwrap().components().count() - 1;
    let relative = Path::new(&"../".repeat(depth)).join(directory.strip_prefix("/").unwrap());
    let namespace = Namespace::open(&relative).unwrap();
    assert!(namespace.location().directory().unwrap().is_absolute());
    Segment::create(&namespace, Key::new(1), NewSegment::of_size(8)).unwrap();
    assert!(Segment::open(&outer, Key::new(1)).is_ok());
}

#[test]
fn temporary_namespaces_leave_nothing_behind() {
    for members in [Members::OneUser, Members::SeveralUsers] {
        let namespace = TemporaryNamespace::create_for(members).unwrap();
        let directory = namespace.location().directory().unwrap().to_owned();
        let above = directory.parent().unwrap().to_owned();
        let mode = fs::metadata(&directory).unwrap().permissions().mode() & 0o777;
        match members {
            Members::OneUser => assert_eq!(mode, 0o700),
            _ => {
                assert_eq!(mode, 0o711);
                assert_eq!(fs::metadata(&above).unwrap().permissions().mode() & 0o777, 0o711);
            }
        }
        let segment = Segment::create(&namespace, Key::new(1), NewSegment::of_size(1 << 16)).unwrap();
        let memory = segment.attach().unwrap();
        memory.fill(0..1 << 16, 1).unwrap();

        drop(namespace);
        assert!(!directory.exists());
        assert!(above == Path::new("/dev/shm") || !above.exists());
        // What is attached stays usable; the rest fails and harms nobody.
        assert_eq!(memory.read::<u8>(65535), Ok(1));
        let _ = segment.stat();
        let _ = segment.remove();
    }
}

#[test]
fn only_a_namespace_is_removed() {
    let outer = TemporaryNamespace::create().unwrap();
    let directory = outer.location().directory().unwrap().join("precious");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("letter"), "dear").unwrap();
    assert!(Namespace::remove(&directory).is_err());
    assert!(directory.join("letter").exists());

    // A namespace among other things goes, and the other things stay.
    Namespace::create(&directory, Members::OneUser).unwrap();
    let _ = Namespace::remove(&directory);
    assert!(directory.join("letter").exists());
    assert!(!directory.join("table").exists());
    fs::remove_dir_all(&directory).unwrap();

    assert!(Namespace::remove("/no/such/directory").is_err());
}

#[test]
fn what_is_no_namespace_is_refused_by_name() {
    let outer = TemporaryNamespace::create().unwrap();
    let base = outer.location().directory().unwrap();
    let refuse = |name: &str, expected: &str| {
        let error = Namespace::open(base.join(name)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains(name), "{text}");
    };
    refuse("missing", "there is no namespace");
    fs::write(base.join("file"), "").unwrap();
    refuse("file", "not a directory");
    symlink(base, base.join("link")).unwrap();
    refuse("link", "symbolic link");
    assert_eq!(Namespace::open("a\0b").unwrap_err().errno(), Errno::EINVAL);
    for name in ["file", "link"] {
        fs::remove_file(base.join(name)).unwrap();
    }
}
