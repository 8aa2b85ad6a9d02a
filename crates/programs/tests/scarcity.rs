//! Too little of something: file system space, descriptors, address space, memory. A program gets a documented errno or
//! one clear line, nothing stays half made, and memory that a creation promised is there.

use programs::{Place, finish, found, is_root, shell, shell_with_mounts, skipped};

/// The output of a script in a place whose directory `$PLACE/fs` is a tmpfs of its own with these options; `None` after
/// saying that the test is skipped.
#[track_caller]
fn on_tmpfs(options: &str, script: &str) -> Option<String> {
    if !found(&["perl", "unshare", "mount"]) {
        return None;
    }
    let place = Place::in_memory();
    let script =
        format!(r#"ns=$PLACE/fs/ns; mkdir "$PLACE/fs"; mount -t tmpfs -o {options} tmpfs "$PLACE/fs"; {script}"#);
    let mut command = shell_with_mounts(&place, &script)?;
    let output = finish(&mut command).success();
    Some(output.replace(place.path().to_str().expect("a path in UTF-8"), "PLACE"))
}

#[test]
fn a_segment_that_a_small_file_system_cannot_hold_is_refused_at_creation() {
    // What a container's /dev/shm is as a rule.
    let Some(output) = on_tmpfs(
        "size=64m",
        r#"mb=1048576
        use "$ns" $((40 * mb)) 1
        use "$ns" $((40 * mb)) 2
        use "$ns" $((16 * mb)) 3
        use "$ns" $((100 * mb)) 4
        "$SYSV" rm --namespace "$ns" --key 1 >/dev/null
        use "$ns" $((40 * mb)) 2
        "$SYSV" ls --segments --namespace "$ns" | awk 'NR > 1 { print $1, $5 }'"#,
    ) else {
        return;
    };
    let refused = "shmget: Cannot allocate memory\nstatus 12\n";
    assert_eq!(
        output,
        format!("fine\n{refused}fine\n{refused}fine\n0x00000002 41943040\n0x00000003 16777216\n")
    );
}

#[test]
fn what_is_promised_to_one_is_not_promised_to_another() {
    let Some(output) = on_tmpfs(
        "size=64m",
        r#""$SYSV" run --namespace "$ns" -- perl -e '
            use strict; my $mb = 1 << 20; my @ids;
            for my $key (1 .. 4) { push @ids, shmget($key, 20 * $mb, 01600) // do { print "$key: $!\n"; next } }
            # None has been touched before all are made.
            for (@ids) { shmwrite($_, "x" x (20 * $mb), 0, 20 * $mb) or die $! }
            print scalar @ids, " written\n"'"#,
    ) else {
        return;
    };
    assert_eq!(output, "4: Cannot allocate memory\n3 written\n");
}

#[test]
fn a_full_file_system_refuses_namespaces_and_segments() {
    let Some(output) = on_tmpfs(
        "size=1m",
        r#"fill() { dd if=/dev/zero of="$PLACE/fs/fill" bs=4096 2>/dev/null || true; }
        fill
        use "$ns" 100 1
        use_directly "$ns" 100 1
        find "$ns" 2>/dev/null || true
        rm "$PLACE/fs/fill"
        use "$ns" 100 1
        fill
        use "$ns" 8192 2
        # What was there before serves as before.
        use "$ns" 100 1
        "$SYSV" ls --segments --namespace "$ns" | awk 'NR > 1 { print $1, $5 }'"#,
    ) else {
        return;
    };
    let lines: Vec<&str> = output.lines().collect();
    let [by_run, "status 125", by_library, shmget, _, rest @ ..] = &lines[..] else {
        panic!("{output}");
    };
    let why = "the namespace PLACE/fs/ns cannot be used: making its ";
    let remedy = "No space left on device (ENOSPC); free some space there, or name a directory on another file system";
    for (line, who) in [(by_run, "sysv run"), (by_library, "libsysv")] {
        assert!(
            line.starts_with(&format!("{who}: {why}")) && line.ends_with(remedy),
            "{line}"
        );
    }
    assert!(shmget.starts_with("shmget: "), "{shmget}");
    let expected = [
        "fine",
        "shmget: Cannot allocate memory",
        "status 12",
        "fine",
        "0x00000001 100",
    ];
    assert_eq!(rest, expected);
}

#[test]
fn every_size_of_file_system_serves_or_refuses() {
    // None of these may raise SIGBUS, wherever the space runs out.
    for kilobytes in [4, 16, 64, 128, 192, 256, 288, 320, 384, 512] {
        let script = r#"use "$ns" 10000 1; use "$ns" 10000 2; use "$ns" 100000 3; use "$ns" 10000 1"#;
        let Some(output) = on_tmpfs(&format!("size={kilobytes}k"), script) else {
            return;
        };
        let is_known = |line: &str| {
            [
                "fine",
                "status 125",
                "status 12",
                "shmget: Cannot allocate memory",
                "shmwrite: Cannot allocate memory",
            ]
            .contains(&line)
                || line.starts_with("sysv run: the namespace PLACE/fs/ns cannot be used: ")
                    && ["(ENOSPC); free some space there, ", "(ENOMEM); free some memory, "]
                        .iter()
                        .any(|remedy| line.contains(remedy))
        };
        assert!(output.lines().all(is_known), "on {kilobytes} KiB:\n{output}");
        if kilobytes == 512 {
            assert!(
                output.starts_with("fine\nfine\n") && output.ends_with("fine\n"),
                "{output}"
            );
        }
    }
}

#[test]
fn a_file_system_without_inodes_refuses() {
    let Some(output) = on_tmpfs(
        "nr_inodes=9",
        r#"use "$ns" 100 1; use "$ns" 100 2; rm -r "$ns"; mkdir "$PLACE/fs/a" "$PLACE/fs/b" "$PLACE/fs/c"; use "$ns" 100 1"#,
    ) else {
        return;
    };
    let lines: Vec<&str> = output.lines().collect();
    let [
        "fine",
        "shmwrite: Cannot allocate memory",
        "status 12",
        refused,
        "status 125",
    ] = &lines[..]
    else {
        panic!("{output}");
    };
    assert!(
        refused.starts_with("sysv run: the namespace PLACE/fs/ns cannot be used: making its "),
        "{refused}"
    );
    assert!(
        refused.contains("(ENOSPC); free some space there, or name "),
        "{refused}"
    );
}

#[test]
fn a_read_only_file_system_refuses() {
    let Some(output) = on_tmpfs(
        "size=4m",
        r#"use "$ns" 100 1
        # The attendant of that run has the table open until it has seen the program's end.
        tries=0
        until mount -o remount,bind,ro "$PLACE/fs" 2>"$PLACE/refusal"; do
            grep -q busy "$PLACE/refusal" && [ $((tries += 1)) -lt 300 ] || { cat "$PLACE/refusal"; exit 1; }
            sleep 0.1
        done
        use "$ns" 100 1
        use_directly "$ns" 100 1
        use "$PLACE/fs/new" 100 1
        mount -o remount,bind,rw "$PLACE/fs"
        use "$ns" 100 1
        ls "$PLACE/fs""#,
    ) else {
        return;
    };
    let lines: Vec<&str> = output.lines().collect();
    let [
        "fine",
        existing,
        "status 125",
        by_library,
        shmget,
        _,
        new,
        "status 125",
        "fine",
        "ns",
    ] = &lines[..]
    else {
        panic!("{output}");
    };
    let remedy = "Read-only file system (EROFS); name a directory on a writable file system";
    assert_eq!(
        *existing,
        format!("sysv run: the namespace PLACE/fs/ns cannot be used: opening its table: {remedy}")
    );
    assert_eq!(*by_library, existing.replace("sysv run", "libsysv"));
    assert!(shmget.starts_with("shmget: "), "{shmget}");
    assert_eq!(
        *new,
        format!("sysv run: the namespace PLACE/fs/new cannot be used: making the directory: {remedy}")
    );
}

#[test]
fn without_dev_shm_the_default_is_refused_and_an_ephemeral_namespace_goes_elsewhere() {
    if !found(&["perl", "unshare", "mount"]) {
        return;
    }
    let place = Place::on_disk();
    let script = r#"dev=$PLACE/dev
        mkdir "$dev"
        mount -t tmpfs tmpfs "$dev"
        for device in null zero urandom; do touch "$dev/$device"; mount --bind /dev/$device "$dev/$device"; done
        mount --rbind "$dev" /dev
        "$SYSV" run -- echo run || echo "status $?"
        LD_PRELOAD=$preload perl -e "$program" 10 || true
        "$SYSV" run --ephemeral -- perl -e "$program" 10 2>"$PLACE/report"
        use "$PLACE/ns" 10000"#;
    let Some(mut command) = shell_with_mounts(&place, script) else {
        return;
    };
    let output = finish(&mut command).success();
    let lines: Vec<&str> = output.lines().collect();
    let [by_run, "status 125", by_library, shmget, "fine", "fine"] = &lines[..] else {
        panic!("{output}");
    };
    for (line, who) in [(by_run, "sysv run"), (by_library, "libsysv")] {
        assert!(line.starts_with(&format!("{who}: the namespace /dev/shm")), "{line}");
        assert!(
            line.contains("No such file or directory (ENOENT); make the directory that it lies in, or name "),
            "{line}"
        );
    }
    assert!(shmget.starts_with("shmget: "), "{shmget}");
}

/// For perl programs: `use_up()` opens files until there are no descriptors, `give_back()` closes them.
const DESCRIPTORS: &str = r#"
    my @files;
    sub use_up { while (open my $file, "<", "/dev/null") { push @files, $file } print "none left: $!\n"; }
    sub give_back { @files = (); }
    sub attempt { my ($what, $result) = @_; print "$what: ", defined $result ? "fine" : $!, "\n"; }
    $| = 1;
"#;

#[track_caller]
fn without_descriptors(program: &str) -> Option<String> {
    let place = Place::in_memory();
    let script = format!(
        r#"ulimit -n 64; "$SYSV" run --namespace "$PLACE/ns" -- perl -e '{DESCRIPTORS}{program}'
        "$SYSV" ls --namespace "$PLACE/ns" | tail -n +2"#
    );
    let output = found(&["perl"]).then(|| finish(&mut shell(&place, &script)).success())?;
    Some(output.replace(place.path().to_str().expect("a path in UTF-8"), "PLACE"))
}

#[test]
fn a_member_without_descriptors_goes_on_but_cannot_attach() {
    let Some(output) = without_descriptors(
        r#"my $id = shmget(1, 10000, 01600); attempt("made", $id);
        use_up();
        attempt("found", shmget(1, 0, 0));
        attempt("another made", shmget(2, 10000, 01600));
        attempt("stat", shmctl($id, 2, my $ds = ""));
        attempt("attached", shmread($id, my $bytes, 0, 1) || undef);
        give_back();
        attempt("attached", shmread($id, $bytes, 0, 1) || undef);
        use_up();
        attempt("removed", shmctl($id, 0, 0));
        attempt("removed", shmctl(shmget(2, 0, 0), 0, 0));"#,
    ) else {
        return;
    };
    // ENOMEM: "Could not allocate memory for the descriptor".
    assert_eq!(
        output,
        "made: fine\nnone left: Too many open files\nfound: fine\nanother made: fine\nstat: fine\n\
         attached: Cannot allocate memory\nattached: fine\nnone left: Too many open files\nremoved: fine\nremoved: fine\n"
    );
}

#[test]
fn a_program_without_descriptors_cannot_join() {
    let Some(output) = without_descriptors(
        r#"use_up();
        attempt("made", shmget(1, 10000, 01600));"#,
    ) else {
        return;
    };
    let lines: Vec<&str> = output.lines().collect();
    let [_, _, "made: Too many open files in system"] = lines[..] else {
        panic!("{output}");
    };
    let complaint = lines
        .iter()
        .find(|line| line.starts_with("libsysv: "))
        .expect("a line of the library's");
    assert!(
        complaint.contains("the namespace PLACE/ns cannot be used: opening "),
        "{complaint}"
    );
    assert!(
        complaint.ends_with("(EMFILE); raise the limit on open files (ulimit -n)"),
        "{complaint}"
    );
}

#[test]
fn a_small_address_space_refuses_to_attach_or_to_join() {
    if !found(&["perl"]) {
        return;
    }
    let place = Place::in_memory();
    let script = r#"ns=$PLACE/ns
        use "$ns" 100 1
        ulimit -v 300000
        "$SYSV" run --namespace "$ns" -- perl -e '
            my $id = shmget(2, 1 << 29, 01600) // die $!;
            print shmread($id, my $bytes, 0, 1) ? "read\n" : "shmread: $!\n";
            shmctl($id, 0, 0) or die'
        use "$ns" 100 1
        ulimit -v 30000
        use_directly "$ns" 100 1"#;
    let output = finish(&mut shell(&place, script)).success();
    let lines: Vec<&str> = output.lines().collect();
    let [
        "fine",
        "shmread: Cannot allocate memory",
        "fine",
        by_library,
        "shmget: Cannot allocate memory",
        "status 12",
    ] = &lines[..]
    else {
        panic!("{output}");
    };
    let why = format!(
        "libsysv: the namespace {}/ns cannot be used: mapping its table: ",
        place.path().display()
    );
    assert!(
        by_library.starts_with(&why) && by_library.contains("(ENOMEM); "),
        "{by_library}"
    );
}

#[test]
fn a_limit_on_the_size_of_files_does_not_kill() {
    let place = Place::in_memory();
    let script = r#"use "$PLACE/ns" 100 1
        ulimit -f 16
        use "$PLACE/ns" 100000 2
        use "$PLACE/ns" 100 1"#;
    if found(&["perl"]) {
        let output = finish(&mut shell(&place, script)).success();
        assert_eq!(output, "fine\nshmwrite: Cannot allocate memory\nstatus 12\nfine\n");
    }
}

#[test]
fn a_segment_beyond_the_machines_memory_is_refused() {
    let place = Place::in_memory();
    let script = r#"use "$PLACE/ns" 10 1
        "$SYSV" run --namespace "$PLACE/ns" -- perl -e '
            for (1 << 45, 1 << 50, ~0 >> 1) { print shmget(0, $_, 01600) // $!, "\n" }'"#;
    if found(&["perl"]) {
        let output = finish(&mut shell(&place, script)).success();
        assert_eq!(output, format!("fine\n{}", "Cannot allocate memory\n".repeat(3)));
    }
}

/// A control group with a memory limit, removed on drop.
struct Group(std::path::PathBuf);

impl Group {
    fn limited_to(bytes: u64) -> Option<Group> {
        let name = format!("sysv-programs-{}", std::process::id());
        let hierarchies = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        let made = hierarchies.into_iter().find_map(|(hierarchy, limit)| {
            let group = Group(std::path::Path::new(hierarchy).join(&name));
            std::fs::create_dir(&group.0).ok()?;
            // The file is there only where the controller is.
            let limit = std::fs::OpenOptions::new().write(true).open(group.0.join(limit));
            std::io::Write::write_all(&mut limit.ok()?, bytes.to_string().as_bytes()).ok()?;
            Some(group)
        });
        if made.is_none() {
            skipped("no control group with a memory limit can be made");
        }
        made
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Killed processes leave it a moment after they are waited for.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
fn beyond_a_memory_limit_the_kernel_kills_and_the_namespace_goes_on() {
    if !found(&["perl"]) {
        return;
    }
    if !is_root() {
        skipped("only root can make control groups");
        return;
    }
    let Some(group) = Group::limited_to(32 << 20) else {
        return;
    };
    let place = Place::in_memory();
    let script = format!(
        r#"ns=$PLACE/ns
        use "$ns" 100 1
        (sh -c 'echo $$ > {}/cgroup.procs; exec "$@"' sh "$SYSV" run --namespace "$ns" -- perl -e '
            my $id = shmget(2, 64 << 20, 01600) // die $!;
            my $megabyte = "x" x (1 << 20);
            for (0 .. 63) {{ shmwrite($id, $megabyte, $_ << 20, 1 << 20) or die $! }}
            print "written\n"') 2>/dev/null || echo "status $?"
        use "$ns" 100 1
        "$SYSV" ls --segments --namespace "$ns" | awk 'NR > 1 {{ print $1, $5, $7 }}'
        "$SYSV" rm --namespace "$ns" --key 2 >/dev/null
        use "$ns" 1000000 3"#,
        group.0.display()
    );
    let output = finish(&mut shell(&place, &script)).success();
    drop(group);
    // SIGKILL, as for the kernel's own segments; never SIGBUS. Some shells say so, too.
    assert_eq!(
        output.replace("Killed\n", ""),
        "fine\nstatus 137\nfine\n0x00000001 100 0\n0x00000002 67108864 0\nfine\n"
    );
}
