//! Programs that root starts and that go on as another user, as daemons do.

use programs::{User, found, is_root, same_on_both_for_several_users, skipped};

/// For perl programs: `attempt`s, each by its errno.
const ATTEMPT: &str = r#"use strict; use warnings; $| = 1;
    sub attempt { my ($what, $result) = @_; print "$what: ", $result ? "fine" : $!, "\n"; $result }
    sub uses { my ($what, $id) = @_;
        my $bytes = "";
        attempt("$what read", shmread($id, $bytes, 0, 4)) and print "  $bytes\n";
        attempt("$what written", shmwrite($id, "nobody", 8, 6));
        attempt("$what stat", shmctl($id, 2, my $ds = ""));
        attempt("$what removed", shmctl($id, 0, 0)); }
"#;

/// Compares on both what a script prints; `$nobody` in it runs a program as another user, with no groups.
#[track_caller]
fn compare(script: &str) -> Option<String> {
    let Some(nobody) = User::named("nobody").filter(|_| is_root()) else {
        skipped("only root can become another user");
        return None;
    };
    if !found(&["perl", "setpriv"]) {
        return None;
    }
    let (uid, gid) = (nobody.uid, nobody.gid);
    same_on_both_for_several_users(&format!(
        "nobody='setpriv --reuid {uid} --regid {gid} --clear-groups'; uid={uid} gid={gid}; attempt='{ATTEMPT}'; {script}"
    ))
}

#[test]
fn a_program_started_as_another_user_has_what_the_mode_gives() {
    let Some(output) = compare(
        r#"
        perl -e "$attempt"'for my $mode (0600, 0604, 0606, 0660) {
            my $id = shmget($mode, 100, 01000 | $mode) // die; shmwrite($id, "root", 0, 4) or die }'
        $nobody perl -e "$attempt"'for my $mode (0600, 0604, 0606, 0660) {
            my $id = shmget($mode, 0, 0); attempt(sprintf("%o found", $mode), defined $id);
            attempt(sprintf("%o found for writing", $mode), defined shmget($mode, 0, 0222));
            uses(sprintf("%o", $mode), $id) if defined $id }
            my $own = shmget(7, 100, 01600); attempt("made", defined $own); uses("own", $own);
            shmget(8, 100, 01640) // die'
        ipcs -m | awk '{ print $1, $3, $4, $5, $6 }'
        perl -e "$attempt"'uses("another user", shmget(8, 0, 0))'
        ipcrm --all=shm"#,
    ) else {
        return;
    };
    assert!(
        output.contains("600 found: Permission denied\n") || output.contains("600 read: Permission denied\n"),
        "{output}"
    );
    assert!(
        output.contains("604 read: fine\n root\n604 written: Permission denied\n"),
        "{output}"
    );
    assert!(
        output.contains("606 written: fine\n606 stat: fine\n606 removed: Operation not permitted\n"),
        "{output}"
    );
    assert!(
        output.contains("own written: fine\nown stat: fine\nown removed: fine\n"),
        "{output}"
    );
    assert!(output.contains("another user written: fine\n"), "{output}");
}

#[test]
fn a_program_that_drops_its_privileges_keeps_what_it_has_and_no_more() {
    let Some(output) = compare(
        r#"
        perl -e "$attempt"'
            use POSIX ();
            my ($uid, $gid) = @ARGV;
            my %ids = map { $_ => shmget($_, 100, 01000 | $_) // die } 0600, 0606;
            shmwrite($_, "root", 0, 4) or die for values %ids;
            # Its group first, then the user, for good.
            $) = "$gid $gid"; $( = $gid; POSIX::setuid($uid) or die;
            for my $mode (sort keys %ids) { uses(sprintf("%o", $mode), $ids{$mode}) }
            my $own = shmget(7, 100, 01600) // die; uses("own", $own)' $uid $gid
        ipcs -m | awk '{ print $1, $3, $4, $5, $6 }'
        ipcrm --all=shm"#,
    ) else {
        return;
    };
    assert!(
        output.contains("600 read: Permission denied\n600 written: Permission denied\n"),
        "{output}"
    );
    assert!(output.contains("606 written: fine\n"), "{output}");
    assert!(output.contains("own removed: fine\n"), "{output}");
}

#[test]
fn a_segment_given_to_another_user_is_that_users() {
    let Some(output) = compare(
        r#"
        perl -e "$attempt"'
            my $id = shmget(1, 100, 01600) // die; shmwrite($id, "root", 0, 4) or die;
            shmctl($id, 2, my $ds = "") or die;
            substr($ds, 4, 8) = pack("L L", @ARGV);
            attempt("given", shmctl($id, 1, $ds))' $uid $gid
        ipcs -m -c | awk 'NF == 6 { print $2, $3, $4, $5, $6 }'
        $nobody perl -e "$attempt"'uses("given", shmget(1, 0, 0) // die $!)'
        ipcs -m"#,
    ) else {
        return;
    };
    assert!(
        output.contains("given read: fine\n root\ngiven written: fine\n"),
        "{output}"
    );
    assert!(output.contains("given removed: fine\n"), "{output}");
}
