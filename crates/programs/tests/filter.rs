//! What the other tests rest on: under the filter the kernel's calls fail, and only `sysv run` brings others.

use programs::{Place, finish, found, shell};

/// A perl program that tries one call of each mechanism.
const CALLS: &str = r#"perl -e '
    print "shmget: ", defined shmget(0, 10, 01600) ? "fine" : $!, "\n";
    print "semget: ", defined semget(0, 1, 01600) ? "fine" : $!, "\n";
    print "msgget: ", defined msgget(0, 01600) ? "fine" : $!, "\n"'"#;

#[test]
fn a_program_without_the_library_has_no_system_v_ipc() {
    if !found(&["perl"]) {
        return;
    }
    let output = finish(&mut shell(&Place::in_memory(), CALLS)).success();
    let refused = "Function not implemented\n";
    assert_eq!(output, format!("shmget: {refused}semget: {refused}msgget: {refused}"));
}

#[test]
fn a_program_under_sysv_run_has_segments() {
    if !found(&["perl"]) {
        return;
    }
    let script = format!(r#""$SYSV" run --namespace "$PLACE/ns" -- {CALLS}"#);
    let output = finish(&mut shell(&Place::in_memory(), &script)).success();
    assert!(output.starts_with("shmget: fine\n"), "{output}");
}
