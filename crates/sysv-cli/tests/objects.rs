//! Making, showing, changing, filling and removing segments with the real binary.

mod place;

use std::io::Write;
use std::process::{Command, Stdio};

use place::{Place, complains, succeeds, sysv};
use serde_json::json;
use sysv::{
    Id, Key, Message, MessageQueue, Mode, Namespace, NewMessageQueue, NewSegment, NewSemaphoreSet, Segment,
    SemaphoreSet,
};

/// The identifier that `create` prints.
fn create(place: &Place, arguments: &[&str]) -> Id {
    let printed = place.prints(&[&["create"], arguments].concat());
    printed.strip_suffix('\n').unwrap().parse().unwrap()
}

#[test]
fn a_created_segment_is_what_was_asked_for() {
    let place = Place::new();
    let id = create(&place, &["64K", "--key", "0x2a", "--mode", "640"]);
    let stat = Segment::from_id(&place.namespace, id).stat().unwrap();
    assert_eq!(
        (stat.key, stat.size, stat.permissions.mode),
        (Key::new(42), 65536, Mode::new(0o640))
    );

    let private = create(&place, &["100"]);
    assert!(
        Segment::from_id(&place.namespace, private)
            .stat()
            .unwrap()
            .key
            .is_private()
    );

    let by_path = create(&place, &["1", "--path", "/", "--project", "65"]);
    let key = Segment::from_id(&place.namespace, by_path).stat().unwrap().key;
    assert_eq!(key, Key::from_path("/", 65).unwrap());

    let same = create(&place, &["64K", "-K", "42", "--or-open"]);
    assert_eq!(same, id);
    let taken = place.complains(1, &["create", "64K", "-K", "42"]);
    assert!(
        taken.starts_with("sysv create: the segment with key 0x0000002a of namespace"),
        "{taken}"
    );
    assert!(taken.contains("exists already"), "{taken}");
    assert_eq!(place.json(&["create", "1", "-K", "7", "--json"])["key"], json!(7));
    place.prints(&["create", "1G", "--no-reserve"]);
}

#[test]
fn ls_and_show_tell_what_stat_tells() {
    let place = Place::new();
    assert_eq!(place.prints(&["ls"]).lines().count(), 1);
    let id = create(&place, &["5000", "--key", "-1"]);
    let segment = Segment::from_id(&place.namespace, id);
    let _memory = segment.attach_read_only().unwrap();
    let pid = std::process::id();

    let table = place.prints(&["ls"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        (row[0], row[1], row[2].to_owned()),
        ("segment", "0xffffffff", id.to_string())
    );
    assert!(table.contains("sysv (pid ") && table.ends_with("in use\n"), "{table}");
    assert!(!table.contains('\x1b'), "no colours for a pipe");

    let listing = place.json(&["ls", "--json"]);
    assert_eq!(listing["namespace"], json!(place.directory()));
    let listed = &listing["segments"][0];
    let stat = segment.stat().unwrap();
    assert_eq!(listed["id"], json!(id.get()));
    assert_eq!(listed["key"], json!(-1));
    assert_eq!(listed["size"], json!(5000));
    assert_eq!(listed["mode"], json!("600"));
    assert_eq!(listed["attachments"], json!(1));
    assert_eq!(listed["creator_pid"], json!(stat.creator_pid));
    assert_eq!(listed["creator_command"], json!("sysv"));
    assert_eq!(listed["last_pid"], json!(pid));
    assert_eq!(listed["removed"], json!(false));
    assert_eq!(listed["detached_at"], json!(null));

    let shown = place.json(&["show", "--json", "--key", "0xffffffff"]);
    for (name, value) in listed.as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name}");
    }
    let attached = &shown["processes"][0];
    assert_eq!(attached["role"], json!("attached"));
    assert_eq!(attached["pid"], json!(pid));
    assert_eq!(attached["read_only"], json!(true));
    assert_eq!(attached["length"], json!(8192));

    let sheet = place.prints(&["show", &id.to_string()]);
    assert!(sheet.contains("key:          0xffffffff\n"), "{sheet}");
    assert!(sheet.contains("size:         5000 bytes"), "{sheet}");
    let last = sheet.lines().last().unwrap();
    assert!(
        last.trim_start().starts_with(&pid.to_string()) && last.ends_with("read"),
        "{sheet}"
    );

    segment.remove().unwrap();
    assert!(place.prints(&["ls"]).ends_with("removed, but still attached once\n"));
}

#[test]
fn the_kernels_segments_are_shown_alike() {
    let place = Place::new();
    let kernel = Namespace::kernel();
    let segment = Segment::create(&kernel, Key::PRIVATE, NewSegment::of_size(12345))
        .unwrap()
        .into_temporary();
    let _memory = segment.attach().unwrap();
    let id = segment.id().to_string();

    let shown = place.json(&["show", "--kernel", "--json", &id]);
    assert_eq!(shown["size"], json!(12345));
    assert_eq!(shown["processes"][0]["pid"], json!(std::process::id()));
    let listing = place.json(&["ls", "--kernel", "--json"]);
    assert_eq!(listing["namespace"], json!(null));
    assert!(
        listing["segments"]
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["id"] == json!(segment.id().get()))
    );
    assert!(place.prints(&["ls", "-k"]).contains(&id));
    assert!(!place.prints(&["ls"]).contains(&id));

    let made = create(&place, &["4096", "--kernel", "-m", "644"]);
    let made = Segment::from_id(&kernel, made).into_temporary();
    assert_eq!(made.stat().unwrap().permissions.mode, Mode::new(0o644));
    place.prints(&["rm", "--kernel", &made.id().to_string()]);
    assert!(made.stat().is_err());
}

#[test]
fn set_changes_what_is_named_and_nothing_else() {
    let place = Place::new();
    let id = create(&place, &["100", "-m", "600"]);
    let segment = Segment::from_id(&place.namespace, id);
    let before = segment.stat().unwrap().permissions;
    let id = id.to_string();

    assert_eq!(place.prints(&["set", &id, "--mode", "444"]), "");
    let after = segment.stat().unwrap().permissions;
    assert_eq!(
        (after.owner, after.group, after.mode),
        (before.owner, before.group, Mode::new(0o444))
    );

    place.prints(&["set", &id, "--lock"]);
    assert!(segment.stat().unwrap().memory_locked);
    place.prints(&["set", &id, "--unlock"]);
    assert!(!segment.stat().unwrap().memory_locked);

    if place::am_root() {
        place.prints(&["set", &id, "--owner", "nobody", "--group", "65534"]);
        let given = segment.stat().unwrap().permissions;
        assert_eq!((given.owner, given.group, given.mode), (65534, 65534, Mode::new(0o444)));
    }
    assert!(place.complains(2, &["set", &id]).contains("--owner"));
    assert!(
        place
            .complains(2, &["set", &id, "-o", "no-such-user"])
            .contains("no user has this name")
    );
    assert!(
        place
            .complains(2, &["set", &id, "--lock", "--unlock"])
            .contains("cannot be used with")
    );
}

#[test]
fn rm_removes_what_it_can_and_names_what_it_cannot() {
    let place = Place::new();
    let ids: Vec<String> = (0..3).map(|_| create(&place, &["1"]).to_string()).collect();
    create(&place, &["1", "-K", "5"]);
    create(&place, &["1", "-K", "6"]);

    let output = place
        .sysv(&["rm", &ids[0], "77", &ids[1], "-K", "5", "-K", "99", "-K", "0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), 3, "{said}");
    let sentence = format!("removed segment {}, 1 bytes, created by sysv (pid ", ids[0]);
    assert!(said.starts_with(&sentence), "{said}");
    let complaint = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = complaint.lines().collect();
    assert_eq!(lines.len(), 3, "{complaint}");
    assert!(
        lines[0].starts_with("sysv rm: no object of namespace") && lines[0].contains("has the identifier 77"),
        "{complaint}"
    );
    assert!(lines[1].contains("has the key 0x00000063"), "{complaint}");
    assert!(lines[2].contains("the key 0 names no object"), "{complaint}");

    let left: Vec<String> = place
        .namespace
        .report()
        .unwrap()
        .iter()
        .map(|r| r.stat.id.to_string())
        .collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&ids[2]));
    place.prints(&["rm", &ids[2], "--key", "6"]);
    assert!(place.namespace.report().unwrap().is_empty());
    assert!(place.complains(2, &["rm"]).contains("required"));
}

fn write(place: &Place, arguments: &[&str], input: &[u8]) -> std::process::Output {
    let file = place.path("input");
    std::fs::write(&file, input).unwrap();
    let mut command = place.sysv(&[&["write"], arguments].concat());
    command.stdin(std::fs::File::open(file).unwrap()).output().unwrap()
}

#[test]
fn bytes_written_are_the_bytes_read() {
    let place = Place::new();
    // Larger than what is copied at a time, and no multiple of it.
    let bytes: Vec<u8> = (0..200_003u32).map(|i| ((i * 31) >> 3) as u8).collect();
    let id = create(&place, &["200003"]).to_string();
    assert!(write(&place, &[&id], &bytes).status.success());
    let read = |arguments: &[&str]| {
        let output = place.sysv(&[&["read", &id], arguments].concat()).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    assert!(read(&[]) == bytes);
    assert_eq!(read(&["--offset", "200000"]), bytes[200_000..]);
    assert_eq!(read(&["-o", "65530", "-l", "12"]), bytes[65_530..65_542]);
    assert!(read(&["-o", "200003"]).is_empty());

    assert!(write(&place, &[&id, "-o", "1", "-l", "3"], b"abcdef").status.success());
    assert_eq!(read(&["-l", "6"]), [&bytes[..1], b"abc", &bytes[4..6]].concat());

    for arguments in [
        ["-o", "200003", "-l", "1"],
        ["-o", "18446744073709551615", "-l", "2"],
        ["-o", "300000", "-l", "0"],
    ] {
        let complaint = place.complains(1, &[&["read", &id][..], &arguments].concat());
        assert!(
            complaint.contains("reach beyond the segment's 200003 bytes"),
            "{complaint}"
        );
    }
    assert_eq!(write(&place, &[&id, "-o", "200004"], b"").status.code(), Some(1));
}

#[test]
fn input_that_does_not_fit_is_an_error_that_says_how_much_did() {
    let place = Place::new();
    let id = create(&place, &["10"]).to_string();
    let output = write(&place, &[&id, "--offset", "4"], b"abcdefghij");
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("the first 6 bytes of it are written"), "{complaint}");
    assert_eq!(place.prints(&["read", &id]), "\0\0\0\0abcdef");
    assert!(write(&place, &[&id], b"0123456789").status.success());
}

#[test]
fn limits_are_shown_and_set() {
    let place = Place::new();
    let shown = place.prints(&["limits"]);
    assert_eq!(
        shown.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["LIMIT", "VALUE", "USED", "MEANING"]
    );
    assert_eq!(place.json(&["limits", "--json"])["shmmni"], json!(4096));

    let set = place.json(&["limits", "shmmax=1M", "shmmni=1", "--json"]);
    assert_eq!((&set["shmmax"], &set["shmmni"]), (&json!(1 << 20), &json!(1)));
    create(&place, &["1M"]);
    let full = place.complains(1, &["create", "1"]);
    assert!(
        full.contains("the limit shmmni") && full.contains("sysv limits --namespace"),
        "{full}"
    );
    assert!(
        place
            .complains(1, &["limits", "shmmni=16385"])
            .contains("cannot set the limits")
    );
    assert!(
        place
            .complains(2, &["limits", "shmseg=1"])
            .contains("no limit is called `shmseg`")
    );
    assert!(
        place
            .complains(2, &["limits", "shmmni"])
            .contains("expected NAME=NUMBER")
    );
    assert!(
        place.json(&["limits", "--kernel", "--json"])["shmmax"]
            .as_u64()
            .unwrap()
            > 0
    );
}

#[test]
fn namespaces_are_made_found_and_removed() {
    let place = Place::new();
    let expected = format!("{}\n", place.directory().display());
    assert_eq!(place.prints(&["namespace", "path"]), expected);

    let directory = place.path("ns");
    let name = directory.to_str().unwrap();
    place.prints(&["namespace", "create", name]);
    let mut command = sysv();
    command.args(["create", "1", "-K", "1", "-n", name]);
    succeeds(command);
    assert_eq!(Namespace::open(&directory).unwrap().report().unwrap().len(), 1);
    assert!(place.namespace.report().unwrap().is_empty());
    place.prints(&["namespace", "remove", name]);
    assert!(!directory.exists());

    place.prints(&["namespace", "create", "--shared", name]);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&directory).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o711);
    let mut command = sysv();
    command.args(["ls", "-n"]).arg(place.path("missing"));
    assert!(complains(1, command).contains("there is no namespace in"));
}

#[test]
fn another_users_objects_are_refused_by_name() {
    if !place::am_root() {
        return;
    }
    let place = Place::new();
    let directory = place.path("shared");
    // The scratch directory is ours to open.
    let namespace = Namespace::create(&directory, sysv::Members::SeveralUsers).unwrap();
    let segment = Segment::create(&namespace, Key::new(9), NewSegment::of_size(10)).unwrap();
    let id = segment.id().to_string();
    // The binary may lie where only root goes, so root starts it.
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            env!("CARGO_BIN_EXE_sysv"),
        ]);
        command
            .args(arguments)
            .env("SYSV_NAMESPACE", &directory)
            .stdin(Stdio::null());
        command
    };
    if !as_nobody(&["--version"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: another user cannot start the binary");
        return;
    }
    let denied = complains(1, as_nobody(&["rm", &id]));
    assert!(
        denied.contains("permission denied to remove segment") && denied.contains("belongs to user 0"),
        "{denied}"
    );
    assert!(complains(1, as_nobody(&["read", &id])).contains("permission denied to attach"));
    assert!(complains(1, as_nobody(&["limits", "shmmni=1"])).contains("only the namespace's owner can"));
    assert!(succeeds(as_nobody(&["ls"])).contains(&id));

    let set = SemaphoreSet::create(&namespace, Key::new(9), NewSemaphoreSet::of(2))
        .unwrap()
        .id()
        .to_string();
    let queue = MessageQueue::create(&namespace, Key::new(9), NewMessageQueue::new()).unwrap();
    queue.send(&Message::new(1, b"hidden")).unwrap();
    let queue = queue.id().to_string();
    let listing: serde_json::Value = serde_json::from_str(&succeeds(as_nobody(&["ls", "--json"]))).unwrap();
    // That they are there is no secret; what is in them is.
    assert!(listing["semaphores"][0]["semaphores"].is_null(), "{listing}");
    assert_eq!(listing["queues"][0]["messages"], 1);
    for (id, kind, name) in [(&set, "--semaphore", "semaphore set"), (&queue, "--queue", "queue")] {
        let denied = complains(1, as_nobody(&["rm", id, kind]));
        assert!(
            denied.contains("permission denied to remove") && denied.contains(name),
            "{denied}"
        );
    }
    assert!(!succeeds(as_nobody(&["show", &queue, "--queue"])).contains("hidden"));
    assert!(complains(1, as_nobody(&["read", &queue, "--queue"])).contains("permission denied"));
    Namespace::remove(&directory).unwrap();
}

#[test]
fn a_reader_that_has_had_enough_ends_the_output_quietly() {
    let place = Place::new();
    let id = create(&place, &["16M"]).to_string();
    for arguments in [
        &["read", &id][..],
        &["ls"],
        &["ls", "--json"],
        &["show", &id],
        &["limits"],
        &["namespace", "path"],
        &["who", &std::process::id().to_string()],
        &["doctor"],
        &["completions", "bash"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = place
            .sysv(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = output.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{arguments:?}: {output:?}"
        );
    }
}

/// At a terminal, what is in use is asked about: script(1) gives the command one, and passes the answer on.
#[test]
fn a_question_is_asked_before_what_is_in_use_is_removed() {
    let place = Place::new();
    let segment = Segment::create(&place.namespace, Key::new(7), NewSegment::of_size(10)).unwrap();
    let _memory = segment.attach().unwrap();
    let answered = |answer: &str| {
        let line = format!("{} rm --key 7", env!("CARGO_BIN_EXE_sysv"));
        let mut command = Command::new("script");
        command
            .args(["-qec", &line, "/dev/null"])
            .env("SYSV_NAMESPACE", place.directory());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        child.map(|mut child| {
            child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        })
    };
    let Ok((status, said)) = answered("n\n") else {
        eprintln!("skipped: no script(1)");
        return;
    };
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("remove it? [y/N]") && said.contains("is kept"), "{said}");
    assert_eq!(segment.stat().unwrap().key, Key::new(7));
    let (status, said) = answered("y\n").unwrap();
    assert!(status == Some(0) && said.contains("removed segment"), "{said}");
    assert!(Segment::open(&place.namespace, Key::new(7)).is_err());
}

#[test]
fn a_full_disk_is_reported() {
    let place = Place::new();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = place.sysv(&["ls"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("cannot write to standard output")
    );
}
