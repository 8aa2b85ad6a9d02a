//! Directories that are no namespace, or that nobody should trust: refused with one line that names the object and the
//! remedy, by `sysv run`, by the library and by `sysv ls`, and left as they were.

use programs::{Place, User, finish, found, is_root, shell, skipped};

/// Spoils the namespace `$ns`, which has one segment, by a script, and expects all three to say `message` about it. A
/// program's `shmget` fails with `errno`.
#[track_caller]
fn is_refused(spoil: &str, message: &str, errno: &str) {
    if !found(&["perl"]) {
        return;
    }
    let place = Place::in_memory();
    let script = format!(
        r#"ns=$PLACE/ns
        use "$ns" 10 >/dev/null
        {spoil}
        trap 'rm -f "$PLACE".*' EXIT
        contents "$PLACE" >"$PLACE.before"
        timeout 20 "$SYSV" run --namespace "$ns" -- echo run || echo "status $?"
        (use_directly "$ns" 10) || true
        timeout 20 "$SYSV" ls --namespace "$ns" || echo "status $?"
        contents "$PLACE" >"$PLACE.after"
        diff "$PLACE.before" "$PLACE.after"
        "#
    );
    let output = finish(&mut shell(&place, &script)).success();
    let message = message.replace("NS", place.join("ns").to_str().expect("a path in UTF-8"));
    let lines: Vec<&str> = output.lines().collect();
    let [by_run, "status 125", by_library, of_program, _, by_ls, "status 1"] = lines[..] else {
        panic!("not one line from each:\n{output}");
    };
    assert_eq!(by_run, format!("sysv run: {message}"));
    assert_eq!(by_library, format!("libsysv: {message}"));
    assert_eq!(of_program, format!("shmget: {errno}"));
    assert_eq!(by_ls, format!("sysv ls: {message}"));
}

#[test]
fn one_that_others_may_change() {
    is_refused(
        "chmod 777 $ns",
        "others may change the namespace directory NS (mode 0777); remove their write permission, or name another \
         directory",
        "Permission denied",
    );
}

#[test]
fn a_symbolic_link() {
    is_refused(
        "mv $ns $PLACE/elsewhere; ln -s elsewhere $ns",
        "NS is a symbolic link; name the directory itself in SYSV_NAMESPACE or --namespace",
        "Function not implemented",
    );
}

#[test]
fn a_dangling_symbolic_link() {
    is_refused(
        "rm -r $ns; ln -s nowhere $ns",
        "NS is a symbolic link; name the directory itself in SYSV_NAMESPACE or --namespace",
        "Function not implemented",
    );
}

#[test]
fn a_file() {
    is_refused(
        "rm -r $ns; echo text > $ns",
        "NS is not a directory; move it away, or name another directory",
        "Function not implemented",
    );
}

#[test]
fn a_foreign_table() {
    let message = "NS/table is not a file of a namespace; move it away, or name another directory";
    let errno = "Function not implemented";
    is_refused(
        "echo 'a table of another kind, made of oak' > $ns/table",
        message,
        errno,
    );
    is_refused(": > $ns/table", message, errno);
    is_refused("rm $ns/table; mkdir $ns/table", message, errno);
    is_refused("rm $ns/table; mkfifo $ns/table", message, errno);
    is_refused(
        "mv $ns/table $PLACE/elsewhere; ln -s ../elsewhere $ns/table",
        message,
        errno,
    );
}

#[test]
fn a_table_of_another_layout() {
    let poke = |at: u32| format!("printf '\\052' | dd of=$ns/table bs=1 seek={at} conv=notrunc 2>/dev/null");
    let remedy = "run its programs with the sysv that made it, or end them and remove the directory";
    let errno = "Function not implemented";
    // Byte 8 begins the version, byte 16 the fingerprint: see docs/layout.md.
    let message = format!("the namespace NS has layout version 42, and this program knows version 1; {remedy}");
    is_refused(&poke(8), &message, errno);
    let message = format!("the namespace NS has layout version 1 but was made by a build with other sizes; {remedy}");
    is_refused(&poke(16), &message, errno);
}

#[test]
fn a_table_cut_short() {
    let message = "NS/table is damaged; end the programs that use the namespace and remove the directory";
    for size in [24, 4096, 1 << 20] {
        is_refused(
            &format!("truncate -s {size} $ns/table"),
            message,
            "Function not implemented",
        );
    }
}

#[test]
fn one_whose_other_files_are_damaged() {
    for (file, spoil) in [
        ("limits", "rm $ns/limits"),
        ("limits", ": > $ns/limits"),
        ("limits", "head -c 4096 /dev/zero | tr '\\0' '\\377' > $ns/limits"),
        // Opening one for reading would wait for a writer.
        ("limits", "rm $ns/limits; mkfifo $ns/limits"),
        ("live", "rm $ns/live"),
        ("live", "rm $ns/live; mkfifo $ns/live"),
    ] {
        let message = format!("NS/{file} is damaged; end the programs that use the namespace and remove the directory");
        is_refused(spoil, &message, "Function not implemented");
    }
}

#[test]
fn one_in_a_directory_that_is_not_there() {
    if !found(&["perl"]) {
        return;
    }
    let place = Place::in_memory();
    let output = finish(&mut shell(
        &place,
        r#"(use "$PLACE/no/such" 10); (use_directly "$PLACE/no/such" 10); ls "$PLACE""#,
    ));
    let path = place.join("no/such");
    let lines: Vec<String> = output.success().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(
        lines[0].starts_with(&format!("sysv run: the namespace {} cannot be used: ", path.display())),
        "{lines:?}"
    );
    assert!(
        lines[0].contains("No such file or directory (ENOENT); make the directory that it lies in, or name another"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "status 125");
    assert_eq!(lines[2], lines[0].replace("sysv run", "libsysv"));
    assert_eq!(lines[5], "another");
}

#[test]
fn one_of_another_user() {
    let Some(nobody) = User::named("nobody").filter(|_| is_root()) else {
        skipped("only root can make what belongs to another user");
        return;
    };
    if !found(&["perl", "setpriv"]) {
        return;
    }
    // Empty and private, for several users and not to be entered, and private with a namespace in it.
    for (make, uid) in [
        ("mkdir -m 700 $ns", 0),
        ("mkdir -m 755 $ns", 0),
        ("use $ns 10 >/dev/null; chmod 711 $ns", 0),
    ] {
        let place = Place::in_memory();
        let script = format!(
            r#"ns=$PLACE/ns
            cp "$SYSV" "$PLACE/sysv"
            {make}
            trap 'rm -f "$PLACE".*' EXIT
            contents "$ns" >"$PLACE.before"
            as_nobody() {{ setpriv --reuid {} --regid {} --clear-groups "$@" || echo "status $?"; }}
            as_nobody env "LD_PRELOAD=$preload" "SYSV_NAMESPACE=$ns" perl -e "$program" 10
            HOME=$PLACE as_nobody "$PLACE/sysv" run --namespace "$ns" -- echo run
            contents "$ns" >"$PLACE.after"
            diff "$PLACE.before" "$PLACE.after""#,
            nobody.uid, nobody.gid
        );
        let output = finish(&mut shell(&place, &script)).success();
        let message = format!(
            "the namespace {} belongs to user {uid} and is private; use one of your own, or have it made for several users",
            place.join("ns").display()
        );
        let lines: Vec<&str> = output.lines().collect();
        let [by_library, of_program, _, by_run, "status 125"] = lines[..] else {
            panic!("not one line from each:\n{output}");
        };
        assert_eq!(by_library, format!("libsysv: {message}"));
        assert_eq!(of_program, "shmget: Permission denied");
        assert_eq!(by_run, format!("sysv run: {message}"));
    }
}

#[test]
fn a_repaired_one_serves_again() {
    if !found(&["perl"]) {
        return;
    }
    let place = Place::in_memory();
    let script = r#"ns=$PLACE/ns
        use "$ns" 10
        chmod 777 "$ns"
        (use "$ns" 10 2>/dev/null)
        chmod 700 "$ns"
        use "$ns" 10
        rm -r "$ns"
        use "$ns" 20"#;
    let output = finish(&mut shell(&place, script)).success();
    assert_eq!(output, "fine\nstatus 125\nfine\nfine\n");
}
