//! Perl's built-in functions, which call `shmget`, `shmat`, `shmdt` and `shmctl` directly.

use programs::{found, same_on_both};

/// For the scripts: `stat ID` prints the fields of `struct shmid_ds` that do not differ from run to run.
const STAT: &str = r#"
use strict; use warnings;
use IPC::SysV qw(IPC_PRIVATE IPC_CREAT IPC_EXCL IPC_RMID IPC_STAT IPC_SET ftok);
$| = 1;
sub stat_of {
    my ($id) = @_;
    my $ds = "";
    shmctl($id, IPC_STAT, $ds) or return "stat: $!";
    my ($key, $uid, $gid, $cuid, $cgid, $mode, $seq, $size, $a, $d, $c, $cpid, $lpid, $nattch)
        = unpack("l L L L L L S x6 x16 Q q q q l l Q", $ds);
    my $me = sub { $_[0] == $$ ? "me" : $_[0] ? "another" : 0 };
    return sprintf("key %d mode %o size %d nattch %d cpid %s lpid %s times %d%d%d mine %d",
        $key, $mode, $size, $nattch, $me->($cpid), $me->($lpid), !!$a, !!$d, !!$c, $uid == $> && $cuid == $>);
}
"#;

#[track_caller]
fn compare(program: &str) -> Option<String> {
    // The shell hands the program over unchanged.
    let script = format!("perl - <<'END_OF_PROGRAM'\n{STAT}{program}\nEND_OF_PROGRAM\n");
    found(&["perl"]).then(|| same_on_both(&script)).flatten()
}

#[test]
fn one_process_writes_and_another_reads() {
    let Some(output) = compare(
        r#"my $id = shmget(0x7e57, 10000, IPC_CREAT | IPC_EXCL | 0640) // die "shmget: $!";
        print stat_of($id), "\n";
        shmwrite($id, "written by the parent", 3, 40) or die "shmwrite: $!";
        defined(my $child = fork) or die;
        unless ($child) {
            my $found = shmget(0x7e57, 0, 0) // die "shmget: $!";
            print $found == $id ? "the same\n" : "another\n";
            shmread($found, my $text, 0, 24) or die "shmread: $!";
            print join(".", unpack("C3 A*", $text)), "\n";
            shmwrite($found, "written by the child", 9990, 10) or die "shmwrite: $!";
            print stat_of($found), "\n";
            exit 0;
        }
        waitpid($child, 0);
        print "status $?\n", stat_of($id), "\n";
        shmread($id, my $text, 9990, 10) or die;
        print "$text\n";
        print "again: ", shmget(0x7e57, 1, IPC_CREAT | IPC_EXCL | 0600) // $!, "\n";
        print "larger: ", shmget(0x7e57, 10001, 0) // $!, "\n";
        shmctl($id, IPC_RMID, 0) or die "shmctl: $!";
        print "removed: ", stat_of($id), ", ", shmget(0x7e57, 0, 0) // $!, "\n";"#,
    ) else {
        return;
    };
    assert!(output.contains("0.0.0.written by the parent\n"), "{output}");
    assert!(
        output.contains("\nwritten by\nagain: File exists\nlarger: Invalid argument\n"),
        "{output}"
    );
    assert!(
        output.ends_with("removed: stat: Invalid argument, No such file or directory\n"),
        "{output}"
    );
}

#[test]
fn errors_are_the_kernels() {
    let Some(output) = compare(
        r#"sub attempt { my ($what, $result) = @_; print "$what: ", defined $result ? "fine" : "$!" . ($! + 0), "\n"; }
        attempt("empty", shmget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
        attempt("missing", shmget(0x1234567, 10, 0600));
        attempt("no such id", shmctl(0x7fffffff, IPC_RMID, 0));
        attempt("negative id", shmctl(-1, IPC_RMID, 0));
        my $id = shmget(IPC_PRIVATE, 100, IPC_CREAT | 0600);
        attempt("unknown command", shmctl($id, 999, my $buffer = ""));
        attempt("written past the end", shmwrite($id, "x" x 10, 95, 10));
        attempt("read past the end", shmread($id, my $text, 95, 10));
        attempt("read", shmread($id, $text, 90, 10));
        shmctl($id, IPC_RMID, 0);
        attempt("removed", shmread($id, $text, 0, 10));"#,
    ) else {
        return;
    };
    assert!(output.contains("missing: No such file or directory2\n"), "{output}");
    assert!(output.contains("read: fine\n"), "{output}");
}

#[test]
fn mode_and_owner_are_set_by_ipc_set() {
    let Some(output) = compare(
        r#"my $id = shmget(IPC_PRIVATE, 100, IPC_CREAT | 0600) // die;
        my $ds = "";
        shmctl($id, IPC_STAT, $ds) or die;
        substr($ds, 20, 4) = pack("L", 07644);
        shmctl($id, IPC_SET, $ds) or die "set: $!";
        print stat_of($id), "\n";
        shmctl($id, IPC_RMID, 0);"#,
    ) else {
        return;
    };
    assert!(output.contains("mode 644 "), "{output}");
}

#[test]
fn ftok_is_the_c_librarys() {
    let Some(output) = compare(
        r#"my @st = stat("/etc/passwd") or die;
        my $key = ftok("/etc/passwd", 7);
        my $expected = ($st[1] & 0xffff) | ($st[0] & 0xff) << 16 | 7 << 24;
        print $key == $expected ? "as documented\n" : "$key, not $expected\n";
        print defined ftok("/no/such/file", 7) ? "a key\n" : "none\n";"#,
    ) else {
        return;
    };
    assert_eq!(output, "as documented\nnone\n");
}

#[test]
fn ipc_sharedmem_attaches_and_reports() {
    let Some(output) = compare(
        r#"use IPC::SharedMem;
        my $shm = IPC::SharedMem->new(IPC_PRIVATE, 8, 0600) or die "new: $!";
        $shm->attach or die "attach: $!";
        $shm->write(pack("A4", "test"), 2, 2) or die;
        $shm->remove or die;
        print "nattch ", $shm->stat->nattch, sprintf(" mode %o", $shm->stat->mode), "\n";
        defined(my $child = fork) or die;
        unless ($child) { print "in the child nattch ", $shm->stat->nattch, "\n"; exit 0; }
        waitpid($child, 0);
        print "nattch ", $shm->stat->nattch, " ", $shm->read(2, 2), "\n";
        $shm->detach or die;
        print $shm->stat ? "still there\n" : "gone: $!\n";"#,
    ) else {
        return;
    };
    assert!(
        output.contains("nattch 1 mode 1600\nin the child nattch 2\nnattch 1 te\n"),
        "{output}"
    );
}
