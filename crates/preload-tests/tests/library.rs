//! The library as a file: what it needs, what it exports, and that loading it does nothing.

use std::collections::BTreeSet;
use std::process::Command;

use sysv_preload_tests::LIBRARY;

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(LIBRARY)
        .output()
        .expect("binutils are installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("binutils print text")
}

/// Everything that programs find here instead of in the C library.
const EXPORTED: &str = "
    shmget shmat shmdt shmctl
    semget semop semtimedop semctl
    msgget msgsnd msgrcv msgctl
    ftok
    munmap mmap mmap64 mremap
    _Fork clone __clone
    syscall
    sigaction __sigaction signal bsd_signal ssignal sysv_signal __sysv_signal siginterrupt sigset sigignore
    sigprocmask pthread_sigmask pthread_attr_setsigmask_np sigblock sigsetmask sighold
    setuid seteuid setreuid setresuid setfsuid setgid setegid setregid setresgid setfsgid setgroups initgroups capset
    unshare setns
    pthread_cancel
    dlopen dlmopen dlsym
    open open64 __open __open64 __open_2 __open64_2 openat openat64 __openat_2 __openat64_2 creat creat64
    fopen fopen64 freopen freopen64
    stat stat64 lstat lstat64 fstatat fstatat64 __xstat __xstat64 __lxstat __lxstat64 __fxstatat __fxstatat64 statx
    access eaccess euidaccess faccessat
";

#[test]
fn it_exports_what_it_means_to_and_nothing_else() {
    let symbols = output("nm", &["-D", "--defined-only", "--format=posix"]);
    let exported: BTreeSet<&str> = symbols.lines().filter_map(|line| line.split(' ').next()).collect();
    let meant: BTreeSet<&str> = EXPORTED.split_whitespace().collect();
    let difference: Vec<_> = exported.symmetric_difference(&meant).collect();
    assert!(difference.is_empty(), "{difference:?}");
}

#[test]
fn it_needs_the_c_library_and_nothing_else() {
    let dynamic = output("readelf", &["-dW"]);
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert_eq!(needed.len(), 1, "{needed:?}");
    assert!(needed[0].contains("[libc.so.6]"), "{needed:?}");
    assert!(dynamic.contains("Library soname: [libsysv.so]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

#[test]
fn loading_it_runs_nothing() {
    let dynamic = output("readelf", &["-dW"]);
    for constructor in ["(INIT)", "(INIT_ARRAY)", "(PREINIT_ARRAY)"] {
        assert!(!dynamic.contains(constructor), "{dynamic}");
    }
    assert!(!dynamic.contains("TEXTREL"), "{dynamic}");
}

#[test]
fn the_dynamic_linker_has_little_to_do() {
    let relocations = output("readelf", &["-rW"]);
    let by_name = relocations
        .lines()
        .filter(|line| line.contains("GLOB_DAT") || line.contains("JUMP_SLO"))
        .count();
    let all = relocations.lines().filter(|line| line.contains("R_X86_64_")).count();
    assert!(by_name <= 16, "{relocations}");
    assert!(all <= 400, "{relocations}");
    let size = std::fs::metadata(LIBRARY).expect("it is there").len();
    assert!(size <= 465_000, "{size} bytes");
}
