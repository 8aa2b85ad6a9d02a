//! `sysv run`: what it passes to a program, what it passes back, and what it refuses to run.

mod place;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use place::{Place, Running, am_root, complains, succeeds};
use rustix::process::Signal;
use sysv::{Key, Namespace, NewSegment, Segment};

fn script(place: &Place, name: &str, text: &str) -> String {
    let path = place.path(name);
    fs::write(&path, text).unwrap();
    executable(&path)
}

fn executable(path: &Path) -> String {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Perl whose shmget creates a segment with a key.
fn perl_creates(key: i32) -> String {
    format!("defined shmget({key}, 100, 0600 | 01000) or die \"shmget: $!\"")
}

#[test]
fn the_program_works_in_the_namespace_and_the_kernel_hears_nothing() {
    let place = Place::new();
    let key = 0x5e00_0000 | std::process::id() as i32;
    Segment::create(&place.namespace, Key::new(key), NewSegment::of_size(100))
        .unwrap()
        .attach()
        .unwrap()
        .copy_in(3, b"hi")
        .unwrap();
    let read = format!("shmread(shmget({key}, 0, 0), $_, 3, 2) or die \"shmread: $!\"; print");
    assert_eq!(place.prints(&["run", "perl", "-e", &read]), "hi");

    let another = key ^ 0x100_0000;
    place.prints(&["run", "perl", "-e", &perl_creates(another)]);
    let made = Segment::open(&place.namespace, Key::new(another)).unwrap();
    assert_eq!(made.stat().unwrap().size, 100);
    assert!(Segment::open(&Namespace::kernel(), Key::new(another)).is_err());

    // The program's children, too.
    let nested = format!(
        "sh -c 'perl -e \"{}\"'",
        perl_creates(another + 1).replace('"', "\\\"").replace('$', "\\$")
    );
    place.prints(&["run", "--", "sh", "-c", &nested]);
    assert!(Segment::open(&place.namespace, Key::new(another + 1)).is_ok());
}

/// Programs under `sysv run` see the namespace's values under `/proc`; who asks for the kernel's gets the kernel's.
#[test]
fn the_kernels_facility_can_be_asked_from_within() {
    let place = Place::new();
    place.prints(&["limits", "shmmni=77"]);
    place.prints(&["create", "100"]);
    let kernel = Namespace::kernel();
    let segment = Segment::create(&kernel, Key::PRIVATE, NewSegment::of_size(4321))
        .unwrap()
        .into_temporary();
    let within = |arguments: &[&str]| place.json(&[&["run", env!("CARGO_BIN_EXE_sysv")], arguments].concat());

    let segments = within(&["ls", "--kernel", "--json"])["segments"].clone();
    let ids: Vec<i64> = segments
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["id"].as_i64().unwrap())
        .collect();
    assert!(ids.contains(&segment.id().get().into()), "{ids:?}");
    assert!(
        !ids.contains(&place.namespace.report().unwrap()[0].stat.id.get().into()),
        "{ids:?}"
    );
    assert_eq!(
        within(&["show", "--kernel", "--json", &segment.id().to_string()])["size"],
        4321
    );
    assert_eq!(
        within(&["limits", "--kernel", "--json"])["shmmni"],
        kernel.limits().unwrap().shmmni
    );
    assert_eq!(within(&["limits", "--json"])["shmmni"], 77);
    assert_eq!(place.prints(&["run", "cat", "/proc/sys/kernel/shmmni"]), "77\n");
}

#[test]
fn a_named_directory_becomes_the_namespace() {
    let place = Place::new();
    let directory = place.path("named");
    let name = directory.to_str().unwrap();
    place.prints(&["run", "-n", name, "perl", "-e", &perl_creates(7)]);
    let namespace = Namespace::open(&directory).unwrap();
    assert!(Segment::open(&namespace, Key::new(7)).is_ok());
    // Relative, from another directory.
    let mut command = place.sysv(&[
        "run",
        "--namespace",
        "named",
        "--",
        "sh",
        "-c",
        "cd /; echo $SYSV_NAMESPACE",
    ]);
    command.current_dir(directory.parent().unwrap());
    assert_eq!(succeeds(command), format!("{name}\n"));
    Namespace::remove(&directory).unwrap();
}

#[test]
fn arguments_environment_and_streams_pass_through() {
    let place = Place::new();
    assert_eq!(
        place.prints(&["run", "sh", "-c", "echo \"$0|$1|$2\"", "a", "-n", "b c"]),
        "a|-n|b c\n"
    );
    assert_eq!(
        place.prints(&["run", "--", "sh", "-c", "printf %s \"$1\"", "sh", "--", "x"]),
        "--"
    );
    assert_eq!(
        place.prints(&["run", "sh", "-c", "echo $SYSV_NAMESPACE"]),
        format!("{}\n", place.directory().display())
    );
    for mode in [&["run"][..], &["run", "-e"]] {
        let mut running = Running::start(place.sysv(&[mode, &["cat"]].concat()));
        running.write("to and fro\n");
        assert_eq!(running.line(), "to and fro");
        assert!(running.end().0.success());
        // The name that the program sees is the one that was given.
        let zeroth = place.prints(
            &[
                mode,
                &[
                    "perl",
                    "-e",
                    "open F, '/proc/self/cmdline'; print((split /\\0/, <F>)[0])",
                ],
            ]
            .concat(),
        );
        assert_eq!(zeroth, "perl");
    }
}

#[test]
fn without_ephemeral_the_program_takes_the_commands_place() {
    let place = Place::new();
    let mut running = Running::start(place.sysv(&["run", "sh", "-c", "echo $$; cat"]));
    assert_eq!(running.line(), running.pid().to_string());
}

#[test]
fn other_preloaded_libraries_come_after_ours() {
    let place = Place::new();
    let mut command = place.sysv(&["run", "sh", "-c", "echo $LD_PRELOAD"]);
    let there = Path::new("/lib/x86_64-linux-gnu/libm.so.6");
    if !there.exists() {
        eprintln!("skipped: no {}", there.display());
        return;
    }
    command.env("LD_PRELOAD", there);
    let preloaded = succeeds(command);
    let (ours, others) = preloaded.trim_end().split_once(':').unwrap();
    assert_eq!(others, there.to_str().unwrap());
    let file = fs::metadata(ours).unwrap();
    assert_eq!(file.mode() & 0o7777, 0o755);
    assert_eq!(file.uid(), rustix::process::geteuid().as_raw());
}

/// Such a program wants its own library to be the first, and ended at once because ours was.
#[test]
fn a_program_with_the_address_sanitizer_runs() {
    let place = Place::new();
    let source = place.path("sanitized.c");
    let text = "#include <stdio.h>\n#include <sys/shm.h>\n\
                int main(void) { char *at = shmat(shmget(IPC_PRIVATE, 100, 0600), 0, 0); puts(at + 99); return 0; }";
    fs::write(&source, text).unwrap();
    let program = place.path("sanitized");
    let compiled = Command::new("cc")
        .args(["-fsanitize=address", "-o"])
        .args([&program, &source])
        .output();
    if !compiled.is_ok_and(|cc| cc.status.success()) {
        eprintln!("skipped: cc with -fsanitize=address does not work here");
        return;
    }
    assert_eq!(place.prints(&["run", program.to_str().unwrap()]), "\n");
    let show = "printf %s \"$ASAN_OPTIONS\"";
    let mut with_options = place.sysv(&["run", "--", "sh", "-c", show]);
    with_options.env("ASAN_OPTIONS", "detect_leaks=0");
    assert_eq!(succeeds(with_options), "verify_asan_link_order=0:detect_leaks=0");
}

#[test]
fn the_exit_status_is_the_programs() {
    let place = Place::new();
    for mode in [&["run"][..], &["run", "--ephemeral"]] {
        for status in [0, 1, 3, 125, 255] {
            let mut command = place.sysv(&[mode, &["sh", "-c", &format!("exit {status}")]].concat());
            assert_eq!(command.status().unwrap().code(), Some(status), "{mode:?}");
        }
    }
}

#[test]
fn a_signal_that_ends_the_program_ends_the_command() {
    let place = Place::new();
    for mode in [&["run"][..], &["run", "--ephemeral"]] {
        for signal in [1, 2, 3, 6, 9, 11, 13, 15] {
            let mut command = place.sysv(&[mode, &["sh", "-c", &format!("kill -{signal} $$")]].concat());
            assert_eq!(command.status().unwrap().signal(), Some(signal), "{mode:?}");
        }
    }
}

#[test]
fn what_is_not_found_is_127_and_what_cannot_be_run_126() {
    let place = Place::new();
    let plain = place.path("plain");
    fs::write(&plain, "text").unwrap();
    let directory = place.path("");
    let directory = directory.to_str().unwrap();
    for mode in [&["run"][..], &["run", "--ephemeral"]] {
        let run = |status, program: &str| place.complains(status, &[mode, &[program]].concat());
        assert!(run(127, "no-such-program").contains("no-such-program: not found in $PATH"));
        assert!(run(127, "/no/such/program").contains("/no/such/program: No such file"));
        assert!(run(127, "").contains("not found"));
        assert!(run(126, directory).contains("is a directory"));
        assert!(run(126, plain.to_str().unwrap()).contains("Permission denied"));
        assert!(run(125, "--frobnicate").contains("there is no option --frobnicate"));
    }
    // The interpreter is what is missing.
    let orphan = script(&place, "orphan", "#!/no/such/interpreter\n");
    let complaint = place.complains(126, &["run", &orphan]);
    assert!(
        complaint.contains("/no/such/interpreter") && complaint.contains(&orphan),
        "{complaint}"
    );
    // In $PATH, one that may be run goes before one that may not.
    let mut command = place.sysv(&["run", "plain"]);
    command.env("PATH", directory);
    assert!(complains(126, command).contains("Permission denied"));
    fs::create_dir(place.path("bin")).unwrap();
    script(&place, "bin/plain", "#!/bin/sh\necho found\n");
    let mut command = place.sysv(&["run", "plain"]);
    command.env("PATH", format!("{directory}:{directory}/bin:/usr/bin:/bin"));
    assert_eq!(succeeds(command), "found\n");
}

/// An ELF file of one program header, of which only what the kernel checks first is there.
fn elf(class: u8, machine: u16, interpreter: Option<&str>) -> Vec<u8> {
    let mut file = vec![0u8; 64 + 56];
    file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1]);
    file[16] = 2;
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file[32] = 64;
    file[54] = 56;
    file[56] = 1;
    if let Some(name) = interpreter {
        file[64] = 3;
        file[72] = 120;
        file[96] = name.len() as u8 + 1;
        file.extend_from_slice(name.as_bytes());
        file.push(0);
    }
    file
}

#[test]
fn a_program_that_the_library_cannot_be_loaded_into_is_refused() {
    let place = Place::new();
    let file = |name: &str, bytes: Vec<u8>| {
        fs::write(place.path(name), bytes).unwrap();
        executable(&place.path(name))
    };
    const X86_64: u16 = 62;
    let cases = [
        (file("static", elf(2, X86_64, None)), "is statically linked"),
        (
            file("arm", elf(2, 183, Some("/lib/ld-linux-aarch64.so.1"))),
            "is not made for x86-64",
        ),
        (
            file("i386", elf(1, 3, Some("/lib/ld-linux.so.2"))),
            "is not made for x86-64",
        ),
        (
            file("musl", elf(2, X86_64, Some("/lib/ld-musl-x86_64.so.1"))),
            "another C library (/lib/ld-musl-x86_64.so.1)",
        ),
        (file("short", b"\x7fELF".to_vec()), "is not made for x86-64"),
    ];
    for (program, reason) in &cases {
        let complaint = place.complains(126, &["run", program]);
        assert!(complaint.contains(reason) && complaint.contains(program), "{complaint}");
        // Through a script, which is named, too.
        let through = script(&place, "through", &format!("#! {program} -x\n"));
        let complaint = place.complains(126, &["run", &through]);
        assert!(
            complaint.contains(reason) && complaint.contains(&through),
            "{complaint}"
        );
    }
    let endless = place.path("endless").to_str().unwrap().to_owned();
    script(&place, "endless", &format!("#!{endless}\n"));
    assert!(
        place
            .complains(126, &["run", &endless])
            .contains("too many interpreters")
    );
    // And through env(1), which looks in $PATH.
    let through = script(&place, "env", "#!/usr/bin/env -S A=b static -x\n");
    let mut command = place.sysv(&["run", &through]);
    command.env("PATH", place.path("").to_str().unwrap());
    assert!(complains(126, command).contains("is statically linked"));
    // Nothing was made for any of them.
    assert!(place.complains(126, &["run", "-e", &cases[0].0]).contains("statically"));
}

#[test]
fn scripts_run_whatever_their_interpreter_is_called_by() {
    let place = Place::new();
    for (name, text) in [
        ("shell", "#!/bin/sh\necho ran $1\n"),
        ("env", "#!/usr/bin/env sh\necho ran $1\n"),
        ("split", "#!/usr/bin/env -S A=b perl -w\nprint \"ran $ARGV[0]\\n\"\n"),
        ("bare", "echo ran $1\n"),
    ] {
        let path = script(&place, name, text);
        assert_eq!(place.prints(&["run", &path, "well"]), "ran well\n", "{name}");
        assert_eq!(place.prints(&["run", "-e", &path, "well"]), "ran well\n", "{name}");
    }
    let link = place.path("link");
    symlink(place.path("shell"), &link).unwrap();
    assert_eq!(place.prints(&["run", link.to_str().unwrap(), "well"]), "ran well\n");
}

#[test]
fn a_program_that_gains_privileges_is_refused() {
    if !am_root() {
        return;
    }
    let place = Place::new();
    let copy = place.path("true");
    fs::copy("/bin/true", &copy).unwrap();
    let name = copy.to_str().unwrap();
    for (mode, reason) in [
        (0o4755, Some("setuid")),
        (0o2755, Some("setgid")),
        (0o2745, None),
        (0o755, None),
    ] {
        std::os::unix::fs::chown(&copy, Some(65534), Some(65534)).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        match reason {
            Some(reason) => {
                let complaint = place.complains(126, &["run", name]);
                assert!(complaint.contains(reason) && complaint.contains(name), "{complaint}");
            }
            None => assert_eq!(place.prints(&["run", name]), ""),
        }
    }
    // Root gains nothing by a program that is root's.
    std::os::unix::fs::chown(&copy, Some(0), Some(0)).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o6755)).unwrap();
    assert_eq!(place.prints(&["run", name]), "");
}

/// Another user, whose directories for the library are what the test says.
fn as_nobody(place: &Place, runtime: &Path, cache: &Path) -> Option<Command> {
    const NOBODY: u32 = 65534;
    let mut command = Command::new(env!("CARGO_BIN_EXE_sysv"));
    command.uid(NOBODY).gid(NOBODY).stdin(Stdio::null()).current_dir("/");
    command
        .env("XDG_RUNTIME_DIR", runtime)
        .env("XDG_CACHE_HOME", cache)
        .env("HOME", place.path("home"));
    let mut try_it = Command::new(env!("CARGO_BIN_EXE_sysv"));
    try_it.uid(NOBODY).gid(NOBODY).arg("--version").stdout(Stdio::null());
    if !try_it.status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: another user cannot start the binary");
        return None;
    }
    command.args(["run", "--ephemeral", "sh", "-c", "echo $LD_PRELOAD"]);
    Some(command)
}

#[test]
fn the_library_goes_where_nobody_else_can_change_it() {
    if !am_root() {
        return;
    }
    let place = Place::new();
    let (runtime, cache) = (place.path("runtime"), place.path("cache"));
    for directory in [&runtime, &cache] {
        fs::create_dir(directory).unwrap();
        std::os::unix::fs::chown(directory, Some(65534), Some(65534)).unwrap();
    }
    let Some(mut command) = as_nobody(&place, &runtime, &cache) else {
        return;
    };
    let mut placed = || succeeds_with(&mut command);
    let first = placed();
    assert!(Path::new(&first).starts_with(runtime.join("sysv")), "{first}");
    let written = fs::metadata(&first).unwrap();
    assert_eq!(placed(), first);
    assert_eq!(
        fs::metadata(&first).unwrap().ino(),
        written.ino(),
        "what is there serves again"
    );

    // Another's file, changed bytes, a link: replaced.
    std::os::unix::fs::chown(&first, Some(0), Some(0)).unwrap();
    assert_eq!(placed(), first);
    assert_eq!(fs::metadata(&first).unwrap().uid(), 65534);
    let mut bytes = fs::read(&first).unwrap();
    bytes[5000] ^= 1;
    fs::write(&first, &bytes).unwrap();
    assert_eq!(placed(), first);
    assert_ne!(fs::read(&first).unwrap(), bytes);
    fs::remove_file(&first).unwrap();
    symlink("/etc/passwd", &first).unwrap();
    assert_eq!(placed(), first);
    assert!(fs::symlink_metadata(&first).unwrap().is_file());

    // A directory that others may change, and one that is somebody else's: passed over.
    fs::set_permissions(runtime.join("sysv"), fs::Permissions::from_mode(0o777)).unwrap();
    let second = placed();
    assert!(Path::new(&second).starts_with(cache.join("sysv")), "{second}");
    fs::set_permissions(runtime.join("sysv"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(runtime.join("sysv"), Some(0), Some(0)).unwrap();
    assert_eq!(placed(), second);
}

fn succeeds_with(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn when_no_directory_serves_the_reasons_are_given() {
    if !am_root() {
        return;
    }
    let place = Place::new();
    let Some(mut command) = as_nobody(&place, &place.path("missing"), &place.path("a b")) else {
        return;
    };
    // The last resort exists once and for all users; another's stands in the way.
    let last = Path::new("/tmp/sysv-65534");
    if last.exists() {
        eprintln!("skipped: {} is in use", last.display());
        return;
    }
    fs::create_dir(last).unwrap();
    let output = command.output();
    fs::remove_dir(last).unwrap();
    let output = output.unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{complaint}");
    for reason in [
        "missing/sysv: No such file",
        "blanks or colons",
        "/tmp/sysv-65534: it belongs to user 0",
    ] {
        assert!(complaint.contains(reason), "{complaint}");
    }
}

#[test]
fn programs_started_at_once_all_find_the_library() {
    if !am_root() {
        return;
    }
    let place = Place::new();
    let runtime = place.path("runtime");
    fs::create_dir(&runtime).unwrap();
    std::os::unix::fs::chown(&runtime, Some(65534), Some(65534)).unwrap();
    let start = || as_nobody(&place, &runtime, &place.path("no"));
    if start().is_none() {
        return;
    }
    let commands: Vec<_> = (0..8).filter_map(|_| start()).map(Running::start).collect();
    for mut command in commands {
        assert!(command.line().starts_with(runtime.to_str().unwrap()));
        let (status, complaint) = command.end();
        assert!(status.success() && complaint.is_empty(), "{complaint}");
    }
    assert_eq!(fs::read_dir(runtime.join("sysv")).unwrap().count(), 1);
}

#[test]
fn a_signal_to_the_command_is_a_signal_to_the_program() {
    let place = Place::new();
    let mut running = Running::start(place.sysv(&[
        "run",
        "sh",
        "-c",
        "trap 'echo caught; exit 5' USR1; echo ready; while :; do sleep 0.01; done",
    ]));
    assert_eq!(running.line(), "ready");
    running.signal(Signal::USR1);
    assert_eq!(running.line(), "caught");
    assert_eq!(running.end().0.code(), Some(5));
}
