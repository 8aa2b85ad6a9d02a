//! Perl's built-in functions for semaphore sets and message queues, and the modules `IPC::Semaphore` and `IPC::Msg` over
//! them.

use programs::{found, same_on_both};

/// For the scripts: constants, short names for a few calls, and `child { … }`, which forks and returns the process id.
const PRELUDE: &str = r#"
use strict; use warnings;
use IPC::SysV qw(IPC_PRIVATE IPC_CREAT IPC_EXCL IPC_RMID IPC_STAT IPC_SET IPC_NOWAIT SEM_UNDO GETVAL SETVAL GETALL SETALL
    GETPID GETNCNT GETZCNT MSG_NOERROR MSG_EXCEPT);
use Time::HiRes qw(usleep);
$| = 1;
sub attempt { my ($what, $result) = @_; print "$what: ", $result ? $result + 0 : "$! " . ($! + 0), "\n"; }
sub child(&) { my $body = shift; my $pid = fork // die; return $pid if $pid; $body->(); exit 0; }
sub ended { waitpid($_[0], 0); return $?; }
sub value { return semctl($_[0], $_[1] // 0, GETVAL, 0) + 0; }
sub op { return semop(shift, pack("s*", @_)); }
sub waiting { my ($id, $count) = @_; usleep 1000 until semctl($id, 0, GETNCNT, 0) + semctl($id, 0, GETZCNT, 0) == $count; }
"#;

#[track_caller]
fn compare(program: &str) -> Option<String> {
    // The shell hands the program over unchanged.
    let script = format!("perl - <<'END_OF_PROGRAM'\n{PRELUDE}{program}\nEND_OF_PROGRAM\n");
    found(&["perl"]).then(|| same_on_both(&script)).flatten()
}

#[test]
fn semop_waits_until_all_operations_can_be_done() {
    let Some(output) = compare(
        r#"my $id = semget(0x7e57, 3, IPC_CREAT | IPC_EXCL | 0600) // die "semget: $!";
        my @children = map { my $wanted = $_; child {
            op($id, 0, -$wanted, 0, 1, -1, 0) or die "semop: $!";
            print "$wanted taken\n";
            op($id, 2, 1, 0);
        } } 3, 1, 2;
        usleep 1000 until semctl($id, 0, GETNCNT, 0) + semctl($id, 1, GETNCNT, 0) == 3;
        op($id, 1, 3, 0);
        for my $units (1, 2, 3) {
            op($id, 0, $units, 0);
            op($id, 2, -1, 0) or die;
            print "values ", join(" ", map { value($id, $_) } 0 .. 2), "\n";
        }
        print "ended ", ended($_), "\n" for @children;
        attempt("removed", semctl($id, 0, IPC_RMID, 0));
        attempt("after removal", semctl($id, 0, GETVAL, 0));"#,
    ) else {
        return;
    };
    assert!(
        output.starts_with("1 taken\nvalues 0 2 0\n2 taken\nvalues 0 1 0\n3 taken\n"),
        "{output}"
    );
}

#[test]
fn undo_is_done_at_every_kind_of_end() {
    let Some(output) = compare(
        r#"my $id = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600) // die;
        semctl($id, 0, SETALL, pack("s*", 10, 20)) // die;
        for my $end ("exit", "KILL", "TERM", "exec") {
            my $pid = child {
                op($id, 0, -3, SEM_UNDO, 1, 4, SEM_UNDO) or die;
                op($id, 0, 1, SEM_UNDO);
                if ($end eq "exec") { exec "sh", "-c", "exit 0" }
                kill $end, $$ if $end ne "exit";
                sleep 10 if $end ne "exit";
            };
            print "$end ", ended($pid) & 127, ": ", join(" ", unpack("s*", do { semctl($id, 0, GETALL, my $all = ""); $all })), "\n";
        }
        # Whoever waits for what the dead one had goes on.
        op($id, 0, -10, 0);
        my $holder = child { op($id, 0, 1, 0); op($id, 0, -1, SEM_UNDO); op($id, 1, 1, 0); sleep 20 };
        op($id, 1, -21, 0) or die;
        my $waiter = child { op($id, 0, -1, 0) or die; print "the waiter has it\n" };
        waiting($id, 1);
        kill "KILL", $holder;
        ended($holder);
        print "waiter ", ended($waiter), "\n";
        semctl($id, 0, IPC_RMID, 0);"#,
    ) else {
        return;
    };
    assert!(
        output.starts_with("exit 0: 10 20\nKILL 9: 10 20\nTERM 15: 10 20\nexec 0: 10 20\n"),
        "{output}"
    );
    assert!(output.ends_with("the waiter has it\nwaiter 0\n"), "{output}");
}

#[test]
fn semctl_counts_waiters_and_tells_the_last_process() {
    let Some(output) = compare(
        r#"my $id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600) // die;
        semctl($id, 0, SETVAL, 1);
        print semctl($id, 0, GETPID, 0) == $$ ? "by me\n" : "by another\n";
        my @children = map { my @operation = @$_; child { op($id, @operation) or print "$!\n" } } [0, -5, 0], [0, -6, 0], [0, 0, 0];
        waiting($id, 3);
        print "for more ", semctl($id, 0, GETNCNT, 0) + 0, ", for zero ", semctl($id, 0, GETZCNT, 0) + 0, "\n";
        op($id, 0, -1, 0);
        ended($children[2]);
        print "for more ", semctl($id, 0, GETNCNT, 0) + 0, ", for zero ", semctl($id, 0, GETZCNT, 0) + 0, "\n";
        kill "KILL", $children[0];
        ended($children[0]);
        print "for more ", semctl($id, 0, GETNCNT, 0) + 0, "\n";
        semctl($id, 0, IPC_RMID, 0);
        print "the last ", ended($children[1]), "\n";"#,
    ) else {
        return;
    };
    assert!(
        output.contains("for more 2, for zero 1\nfor more 2, for zero 0\nfor more 1\n"),
        "{output}"
    );
    assert!(output.ends_with("Identifier removed\nthe last 0\n"), "{output}");
}

#[test]
fn errors_of_semaphores_are_the_kernels() {
    let Some(output) = compare(
        r#"attempt("none", semget(IPC_PRIVATE, 0, IPC_CREAT | 0600));
        attempt("too many", semget(IPC_PRIVATE, 32001, IPC_CREAT | 0600));
        attempt("missing", semget(0x1234567, 1, 0600));
        my $id = semget(0x7e57, 2, IPC_CREAT | IPC_EXCL | 0600) // die;
        attempt("again", semget(0x7e57, 2, IPC_CREAT | IPC_EXCL | 0600));
        attempt("more than there are", semget(0x7e57, 3, 0600));
        attempt("would wait", op($id, 0, -1, IPC_NOWAIT));
        attempt("no such semaphore", op($id, 2, 1, 0));
        attempt("too much", op($id, 0, 32767, 0, 0, 1, 0));
        attempt("value", value($id));
        attempt("too large a value", semctl($id, 0, SETVAL, 32768));
        attempt("negative value", semctl($id, 0, SETVAL, -1));
        attempt("no such number", semctl($id, 2, GETVAL, 0));
        attempt("unknown command", semctl($id, 0, 999, 0));
        attempt("no operations", semop($id, ""));
        attempt("too many operations", semop($id, pack("s*", (0, 0, 0) x 501)));
        $SIG{ALRM} = sub { print "alarm\n" };
        alarm 1;
        attempt("interrupted", op($id, 0, -1, 0));
        semctl($id, 0, IPC_RMID, 0);
        attempt("removed", op($id, 0, 1, 0));"#,
    ) else {
        return;
    };
    assert!(
        output.contains("would wait: Resource temporarily unavailable 11\n"),
        "{output}"
    );
    assert!(
        output.contains("alarm\ninterrupted: Interrupted system call 4\n"),
        "{output}"
    );
}

#[test]
fn ipc_semaphore_is_the_kernels() {
    let Some(output) = compare(
        r#"use IPC::Semaphore;
        my $sem = IPC::Semaphore->new(IPC_PRIVATE, 3, IPC_CREAT | 0640) or die;
        $sem->setall(1, 2, 3);
        $sem->op(0, 4, 0, 2, -3, 0) or die;
        print join(" ", $sem->getall), " last by ", $sem->getpid(0) == $$ ? "me" : "another", "\n";
        my $ds = $sem->stat;
        printf "mode %o nsems %d otime %d ctime %d\n", $ds->mode, $ds->nsems, !!$ds->otime, !!$ds->ctime;
        $sem->set(mode => 0600);
        printf "mode %o\n", $sem->stat->mode;
        $sem->setval(1, 7);
        print $sem->getval(1), " ", $sem->getncnt(1) + 0, " ", $sem->getzcnt(1) + 0, "\n";
        $sem->remove;
        print defined $sem->stat ? "there\n" : "gone: $!\n";"#,
    ) else {
        return;
    };
    assert_eq!(
        output,
        "5 2 0 last by me\nmode 640 nsems 3 otime 1 ctime 1\nmode 600\n7 0 0\ngone: Invalid argument\n"
    );
}

#[test]
fn messages_are_selected_by_type() {
    let Some(output) = compare(
        r#"my $id = msgget(0x7e57, IPC_CREAT | IPC_EXCL | 0600) // die "msgget: $!";
        my $send = sub { msgsnd($id, pack("l! a*", @_), IPC_NOWAIT) };
        my $take = sub {
            my ($type, $flags, $size) = (@_, 0, 100);
            my $got = msgrcv($id, my $message, $_[2] // 100, $type, IPC_NOWAIT | ($_[1] // 0));
            return $got ? join(":", unpack("l! a*", $message)) : "$!";
        };
        $send->(@$_) or die "msgsnd: $!" for [5, "five"], [3, "three"], [9, ""], [3, "three again"], [1, "x" x 80], [4, "four"];
        print "$_\n" for $take->(3), $take->(-4, 0, 10), $take->(-4, MSG_NOERROR, 10), $take->(-4), $take->(5, MSG_EXCEPT),
            $take->(7), $take->(0), $take->(0), $take->(0), $take->(0);
        attempt("type 0", $send->(0, "none"));
        attempt("type -1", $send->(-1, "none"));
        attempt("too long", $send->(1, "x" x 8193));
        attempt("longest", $send->(1, "x" x 8192));
        attempt("again", $send->(1, "x" x 8192));
        attempt("full", $send->(1, "x"));
        attempt("full, but empty", $send->(1, ""));
        attempt("removed", msgctl($id, IPC_RMID, 0));
        attempt("gone", $send->(1, "x"));"#,
    ) else {
        return;
    };
    assert!(
        output.starts_with("3:three\nArgument list too long\n1:xxxxxxxxxx\n3:three again\n9:\n"),
        "{output}"
    );
    assert!(
        output.contains("full: Resource temporarily unavailable 11\n"),
        "{output}"
    );
}

#[test]
fn receivers_and_senders_wait_for_each_other() {
    let Some(output) = compare(
        r#"my $id = msgget(IPC_PRIVATE, IPC_CREAT | 0600) // die;
        my $sender = child { msgsnd($id, pack("l! N a*", 1 + $_ % 3, $_, "." x ($_ % 700)), 0) or die "msgsnd: $!" for 1 .. 500 };
        my ($sum, $bytes, @last) = (0, 0, 0, 0, 0);
        for (1 .. 500) {
            msgrcv($id, my $message, 1000, 0, 0) or die "msgrcv: $!";
            my ($type, $number, $text) = unpack("l! N a*", $message);
            die "out of order" if $number <= $last[$type - 1];
            $last[$type - 1] = $number;
            $sum += $number; $bytes += length $text;
        }
        print "sender ", ended($sender), " sum $sum bytes $bytes\n";
        my $receiver = child { msgrcv($id, my $message, 10, 7, 0) ? die : print "$!\n" };
        usleep 50000;
        msgctl($id, IPC_RMID, 0);
        print "receiver ", ended($receiver), "\n";
        $id = msgget(IPC_PRIVATE, IPC_CREAT | 0600) // die;
        $SIG{ALRM} = sub { print "alarm\n" };
        alarm 1;
        attempt("interrupted", msgrcv($id, my $message, 10, 7, 0));
        msgctl($id, IPC_RMID, 0);"#,
    ) else {
        return;
    };
    assert!(output.starts_with("sender 0 sum 125250 bytes "), "{output}");
    assert!(output.contains("Identifier removed\nreceiver 0\n"), "{output}");
    assert!(output.ends_with("interrupted: Interrupted system call 4\n"), "{output}");
}

#[test]
fn ipc_msg_is_the_kernels() {
    let Some(output) = compare(
        r#"use IPC::Msg;
        my $queue = IPC::Msg->new(IPC_PRIVATE, IPC_CREAT | 0640) or die;
        $queue->snd(4, "a message") or die;
        $queue->snd(2, "another") or die;
        my $tell = sub {
            my $ds = $queue->stat;
            my $who = sub { $_[0] == $$ ? "me" : $_[0] ? "another" : "nobody" };
            printf "mode %o qnum %d qbytes %d sent by %s received by %s times %d%d%d\n", $ds->mode, $ds->qnum, $ds->qbytes,
                $who->($ds->lspid), $who->($ds->lrpid), !!$ds->stime, !!$ds->rtime, !!$ds->ctime;
        };
        $tell->();
        my $type = $queue->rcv(my $text, 100, 2, IPC_NOWAIT);
        print "$type $text\n";
        $tell->();
        $queue->set(mode => 0600, qbytes => 1000);
        $tell->();
        $queue->remove;
        print defined $queue->stat ? "there\n" : "gone: $!\n";"#,
    ) else {
        return;
    };
    assert!(
        output.contains("qnum 2 qbytes 16384 sent by me received by nobody times 101\n2 another\n"),
        "{output}"
    );
    assert!(output.contains("mode 600 qnum 1 qbytes 1000 "), "{output}");
}
