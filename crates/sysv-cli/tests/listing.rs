//! What `ls` selects and sorts, sets and queues made and changed by hand, and what `doctor` finds.

mod place;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use place::Place;
use serde_json::{Value, json};
use sysv::{Key, MessageQueue, Mode, NewSegment, Segment, SemaphoreSet};

fn ids(listing: &Value, kind: &str) -> Vec<i64> {
    let objects = listing[kind].as_array().unwrap();
    objects.iter().map(|object| object["id"].as_i64().unwrap()).collect()
}

fn create(place: &Place, arguments: &[&str]) -> i64 {
    let printed = place.prints(&[&["create"], arguments].concat());
    printed.trim_end().parse().unwrap()
}

#[test]
fn sets_and_queues_are_made_and_changed_as_asked() {
    let place = Place::new();
    let set = create(&place, &["--values", "1,0,5", "--key", "7", "--mode", "640"]);
    let found = SemaphoreSet::open(&place.namespace, Key::new(7)).unwrap();
    assert_eq!(i64::from(found.id().get()), set);
    assert_eq!(found.values().unwrap(), [1, 0, 5]);
    assert_eq!(found.stat().unwrap().permissions.mode, Mode::new(0o640));
    place.prints(&["set", "-K", "7", "--value", "1=9", "--value", "0=3", "--mode", "600"]);
    assert_eq!(found.values().unwrap(), [3, 9, 5]);
    place.prints(&["set", "-K", "7", "--values", "4,5,6"]);
    assert_eq!(found.values().unwrap(), [4, 5, 6]);
    assert!(
        place
            .complains(1, &["set", "-K", "7", "--capacity", "10"])
            .contains("has no capacity: that is for a message queue")
    );
    assert!(
        place
            .complains(2, &["set", "-K", "7", "--value", "x"])
            .contains("as in 0=1")
    );
    assert_eq!(create(&place, &["--semaphores", "2"]), set + 1);

    let queue = create(&place, &["--queue", "--key", "8", "--capacity", "1K"]);
    let found = MessageQueue::open(&place.namespace, Key::new(8)).unwrap();
    assert_eq!(i64::from(found.id().get()), queue);
    assert_eq!(found.stat().unwrap().capacity, 1024);
    place.prints(&["set", "-K", "8", "--capacity", "2K", "--mode", "620"]);
    let stat = found.stat().unwrap();
    assert_eq!((stat.capacity, stat.permissions.mode), (2048, Mode::new(0o620)));

    let input = place.path("message");
    std::fs::write(&input, "stop").unwrap();
    let mut write = place.sysv(&["write", "-K", "8", "--type", "5"]);
    assert!(
        write
            .stdin(std::fs::File::open(&input).unwrap())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(place.prints(&["read", "-K", "8", "--type", "-9"]), "stop");
    assert!(
        place
            .complains(1, &["read", "-K", "7"])
            .contains("`sysv show` shows its values")
    );
    for wrong in [
        &["create"][..],
        &["create", "1K", "--queue"],
        &["create", "--semaphores", "0"],
        &["create", "--queue", "--no-reserve"],
    ] {
        place.complains(2, wrong);
    }
}

#[test]
fn no_space_says_who_has_it_all_and_how_to_get_more() {
    let place = Place::new();
    place.prints(&["limits", "semmni=2", "msgmni=1", "shmmni=1"]);
    for arguments in [&["--semaphores", "1"][..], &["--semaphores", "1"], &["--queue"], &["1"]] {
        create(&place, arguments);
    }
    for (arguments, limit, counted) in [
        (
            &["create", "--semaphores", "1"][..],
            "semmni",
            "it holds 2 semaphore sets: ",
        ),
        (&["create", "--queue"], "msgmni", "it holds 1 message queue: "),
        (&["create", "1"], "shmmni", "it holds 1 segment with 1 bytes: "),
    ] {
        let complaint = place.complains(1, arguments);
        assert!(complaint.to_ascii_lowercase().contains(limit), "{complaint}");
        assert!(complaint.contains("sysv limits --namespace"), "{complaint}");
        assert!(
            complaint.contains(counted) && complaint.contains("`sysv` made "),
            "{complaint}"
        );
    }
    let found = place.json_with_status(
        1,
        &["doctor", "--json", "--namespace", place.directory().to_str().unwrap()],
    );
    let findings = found[0]["findings"].as_array().unwrap();
    let problems: Vec<&str> = findings
        .iter()
        .filter(|finding| finding["level"] == json!("problem"))
        .map(|finding| finding["what"].as_str().unwrap())
        .collect();
    assert_eq!(problems.len(), 3, "{findings:?}");
    for (problem, limit) in problems.iter().zip(["shmmni", "semmni", "msgmni"]) {
        assert!(problem.starts_with(&format!("the limit {limit} (")), "{problem}");
    }
}

#[test]
fn ls_shows_what_is_asked_for_in_the_order_that_is_asked_for() {
    let place = Place::new();
    let small = create(&place, &["100", "-K", "3"]);
    let large = create(&place, &["9000", "-K", "1"]);
    let set = create(&place, &["--semaphores", "2", "-K", "2"]);
    let _memory = Segment::from_id(&place.namespace, sysv::Id::new(small as i32))
        .attach()
        .unwrap();

    let listing = place.json(&["ls", "--json"]);
    assert_eq!(listing["schema"], json!(1));
    assert_eq!(ids(&listing, "segments"), [small, large]);
    assert_eq!(ids(&listing, "semaphores"), [set]);
    assert_eq!(ids(&listing, "queues"), [0i64; 0]);
    let segments = |arguments: &[&str]| {
        let listing = place.json(&[&["ls", "--json", "--segments"], arguments].concat());
        assert!(listing["semaphores"].is_null());
        ids(&listing, "segments")
    };
    assert_eq!(segments(&["--sort", "size"]), [large, small]);
    assert_eq!(segments(&["--sort", "size", "--reverse"]), [small, large]);
    assert_eq!(segments(&["--sort", "key"]), [large, small]);
    assert_eq!(segments(&["--sort", "processes"]), [small, large]);
    assert_eq!(segments(&["--key", "1"]), [large]);
    assert_eq!(segments(&["--state", "in-use"]), [small]);
    assert_eq!(segments(&["--state", "left", "--state", "in-use"]), [small, large]);
    assert_eq!(segments(&["--owner", "65533"]), [0i64; 0]);
    assert_eq!(segments(&["--idle", "1h"]), [0i64; 0]);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(segments(&["--idle", "1"]), [large]);

    let table = place.prints(&["ls", "--semaphores", "--wide"]);
    assert!(table.lines().nth(1).unwrap().contains("0 0"), "{table}");
    assert!(
        place
            .complains(2, &["ls", "--sort", "colour"])
            .contains("`colour` is none of kind, ")
    );
    assert!(
        place
            .complains(2, &["ls", "--state", "tired"])
            .contains("`tired` is none of in-use, ")
    );
}

#[test]
fn watching_shows_it_again_until_nobody_reads() {
    let place = Place::new();
    create(&place, &["100"]);
    let mut child = place
        .sysv(&["ls", "--watch=1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let headings = lines.by_ref().filter(|line| line.starts_with("KIND")).take(2);
    assert_eq!(headings.count(), 2);
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn bytes_of_a_segment_are_shown_from_where_they_are_asked_for() {
    let place = Place::new();
    let id = create(&place, &["5000"]).to_string();
    let segment = Segment::from_id(&place.namespace, sysv::Id::new(id.parse().unwrap()));
    segment.attach().unwrap().copy_in(4096, b"Hello, world!").unwrap();
    let view = place.prints(&["show", &id, "--hex", "--offset", "4K", "--length", "13"]);
    assert!(
        view.contains("\n00001000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 ") && view.ends_with("|Hello, world!|\n"),
        "{view}"
    );
    let all = place.prints(&["show", &id, "--hex", "--length", "1M"]);
    assert!(all.contains("\n*\n"), "equal lines are left out: {all}");
    let beyond = place.complains(1, &["show", &id, "--hex", "--offset", "5001"]);
    assert!(beyond.contains("5000 bytes"), "{beyond}");
}

#[test]
fn a_healthy_namespace_is_called_so_and_a_damaged_one_explained() {
    let place = Place::new();
    let directory = place.directory().to_str().unwrap().to_owned();
    let found = place.prints(&["doctor", "-n", &directory]);
    assert!(found.starts_with(&format!("namespace {directory}:\n")), "{found}");
    assert!(found.contains("good     no limit is nearly exhausted\n"), "{found}");
    assert!(!found.contains("PROBLEM"), "{found}");

    let other = place.path("other");
    let name = other.to_str().unwrap();
    place.prints(&["namespace", "create", name]);
    let table = std::fs::File::options().write(true).open(other.join("table")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&table, &99u32.to_ne_bytes(), 8).unwrap();
    let output = place.sysv(&["doctor", "-n", name]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(
        found.contains("PROBLEM") && found.contains("layout version 99"),
        "{found}"
    );
    std::fs::remove_dir_all(other).unwrap();
}

#[test]
fn namespaces_are_listed_with_who_lives_in_them() {
    let place = Place::new();
    let _segment = Segment::create(&place.namespace, Key::PRIVATE, NewSegment::of_size(1)).unwrap();
    let listed = place.json(&["namespace", "list", "--json"]);
    let listed = listed.as_array().unwrap();
    let ours = listed
        .iter()
        .find(|one| one["directory"] == json!(place.directory()))
        .unwrap();
    assert_eq!(ours["current"], json!(true));
    assert_eq!(
        (&ours["living"], &ours["segments"], &ours["error"]),
        (&json!(1), &json!(1), &json!(null))
    );
    assert!(place.prints(&["namespace", "list"]).starts_with("DIRECTORY"));
}

#[test]
fn thousands_of_objects_are_listed_and_removed() {
    let place = Place::new();
    for _ in 0..4000 {
        Segment::create(&place.namespace, Key::PRIVATE, NewSegment::of_size(100)).unwrap();
    }
    assert_eq!(place.prints(&["ls"]).lines().count(), 4001);
    let removed = place.prints(&["rm", "--state", "never-used"]);
    assert_eq!(removed.lines().count(), 4000);
    assert_eq!(place.prints(&["ls"]).lines().count(), 1);
}
