//! fakeroot, whose programs ask its daemon over a message queue who owns each file, a semaphore keeping question and answer
//! together.

use programs::{found, same_on_both};

#[track_caller]
fn compare(script: &str) -> Option<String> {
    // Debian's other fakeroot speaks TCP.
    found(&["fakeroot-sysv", "faked-sysv", "tar"])
        .then(|| {
            same_on_both(&format!(
                "place=$(mktemp -d)\ntrap 'rm -rf $place' EXIT\ncd $place\n{script}"
            ))
        })
        .flatten()
}

#[test]
fn a_tarball_has_the_owners_that_root_would_give() {
    let Some(output) = compare(
        "mkdir -p tree/etc tree/dev tree/bin
         for n in $(seq 150); do echo $n > tree/etc/$n; done
         fakeroot-sysv sh -ec '
             chown -R 0:0 tree
             chown 3:4 tree/etc/7 tree/etc/77
             chown -R 8:12 tree/bin
             echo setuid > tree/bin/tool
             chown 0:5 tree/bin/tool
             chmod 4755 tree/bin/tool
             mknod tree/dev/null c 1 3
             mknod tree/dev/disk b 8 0
             id -u
             tar --sort=name --mtime=2020-01-01 --numeric-owner -cf tree.tar tree
             stat -c \"%n %u:%g %a %F\" tree/bin/tool tree/dev/null tree/etc/7'
         tar --numeric-owner -tvf tree.tar
         # The daemon is told to end, and removes its queues and its set when it does.
         while ipcs -s -q | grep -q 0x; do sleep 0.02; done",
    ) else {
        return;
    };
    assert!(
        output.contains("crw-r--r-- 0/0 1,3 2020-01-01 00:00 tree/dev/null\n"),
        "{output}"
    );
    assert!(
        output.contains("-rw-r--r-- 3/4 3 2020-01-01 00:00 tree/etc/77\n"),
        "{output}"
    );
    assert!(output.contains("-rwsr-xr-x 0/5 "), "{output}");
}

#[test]
fn many_processes_ask_at_once() {
    let Some(output) = compare(
        "mkdir tree
         for n in $(seq 200); do : > tree/$n; done
         fakeroot-sysv sh -ec '
             for part in 1 2 3 4; do
                 (for n in $(seq $part 4 200); do echo tree/$n; done | xargs -n 10 chown $part:1$part) &
             done
             wait
             find tree -type f -printf \"%U:%G\\n\" | sort | uniq -c'",
    ) else {
        return;
    };
    assert_eq!(output, " 50 1:11\n 50 2:12\n 50 3:13\n 50 4:14\n");
}

#[test]
fn owners_are_kept_from_one_run_to_the_next() {
    let Some(output) = compare(
        "mkdir tree
         for n in $(seq 20); do : > tree/$n; done
         fakeroot-sysv -s state chown 21:22 tree/1 tree/2
         fakeroot-sysv -i state -s state chown 23:24 tree/3
         fakeroot-sysv -i state find tree -type f -not -uid 0 -printf '%P %U:%G\\n' | sort",
    ) else {
        return;
    };
    // Whoever runs the tests owns the others, as far as fakeroot knows.
    assert!(output.contains("1 21:22\n") && output.contains("3 23:24\n"), "{output}");
}

#[test]
fn a_killed_program_does_not_keep_the_others_from_asking() {
    let Some(output) = compare(
        "mkdir tree
         for n in $(seq 100); do : > tree/$n; done
         fakeroot-sysv sh -ec '
             for round in $(seq 30); do
                 chown 5:5 tree/* &
                 sleep 0.00$((round % 10))
                 kill -9 $! || true
                 wait $! || true
             done
             chown 6:7 tree/*
             find tree -type f -printf \"%U:%G\\n\" | sort | uniq -c' 2>/dev/null",
    ) else {
        return;
    };
    assert!(output.contains("100 6:7\n"), "{output}");
}
