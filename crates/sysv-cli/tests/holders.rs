//! Who has objects in use, what for, and what commands make of it: real processes on both facilities.

mod place;

use std::process::{Command, Stdio};

use place::{Place, Running, complains, succeeds, sysv, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A set of three semaphores and a queue with one message, private to whoever knows their identifiers. One process waits for
/// the first semaphore to rise, one for a message of type 9, and the one that prints the identifiers owes an undo to the third.
const CAST: &str = r#"
    $| = 1;
    my $set = semget(0, 3, 0600 | 01000) // die $!;
    my $queue = msgget(0, 0600 | 01000) // die $!;
    semop($set, pack('s!3', 1, 2, 0)) or die $!;
    semop($set, pack('s!3', 2, 1, 010000)) or die $!;
    msgsnd($queue, pack('l! a*', 5, 'hello there'), 0) or die $!;
    my @children;
    for my $wait (sub { semop($set, pack('s!3', 0, -2, 0)) }, sub { msgrcv($queue, my $buffer, 100, 9, 0) }) {
        my $child = fork // die $!;
        if (!$child) { $wait->(); exit }
        push @children, $child;
    }
    print "$set $queue $$ @children\n";
    <STDIN>;
    kill 'KILL', @children;
    waitpid $_, 0 for @children;
"#;

/// The cast on stage. The kernel's objects go with it.
struct Stage {
    place: Place,
    perl: Option<Running>,
    options: Vec<String>,
    set: i64,
    queue: i64,
    owner: i64,
    waits: i64,
    receives: i64,
    kernel: bool,
}

impl Stage {
    /// None where there is no perl.
    fn new(kernel: bool) -> Option<Stage> {
        if !Command::new("perl")
            .args(["-e", "1"])
            .status()
            .is_ok_and(|s| s.success())
        {
            eprintln!("skipped: no perl");
            return None;
        }
        let place = Place::new();
        let mut command = if kernel {
            Command::new("perl")
        } else {
            place.sysv(&["run", "--", "perl"])
        };
        command.args(["-e", CAST]).env_remove("LD_PRELOAD");
        let mut perl = Running::start(command);
        let numbers = perl.line();
        let numbers: Vec<i64> = numbers.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let &[set, queue, owner, waits, receives] = numbers.as_slice() else {
            panic!("{numbers:?}")
        };
        let stage = Stage {
            place,
            perl: Some(perl),
            options: if kernel {
                vec!["--kernel".to_owned()]
            } else {
                Vec::new()
            },
            set,
            queue,
            owner,
            waits,
            receives,
            kernel,
        };
        // Until both wait.
        wait_until("two processes wait", || {
            let set = stage.show(set, "--semaphore");
            let queue = stage.show(queue, "--queue");
            let waiting = |object: &Value, role| {
                let processes = object["processes"].as_array().unwrap();
                processes.iter().any(|process| process["role"] == json!(role))
            };
            waiting(&set, "waits_for_semaphore") && waiting(&queue, "receives")
        });
        Some(stage)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.sysv(arguments);
        command.args(&self.options);
        command
    }

    fn show(&self, id: i64, kind: &str) -> Value {
        let printed = succeeds(self.command(&["show", "--json", &id.to_string(), kind]));
        serde_json::from_str(&printed).unwrap()
    }

    /// The one process with a role.
    fn process(object: &Value, role: &str) -> Value {
        let processes = object["processes"].as_array().unwrap();
        let mut with: Vec<&Value> = processes
            .iter()
            .filter(|process| process["role"] == json!(role))
            .collect();
        assert_eq!(with.len(), 1, "{object}");
        with.remove(0).clone()
    }

    fn end(&mut self) {
        if let Some(mut perl) = self.perl.take() {
            perl.write("\n");
            assert!(perl.end().0.success());
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Those who wait outlive the perl that is killed.
        if self.perl.is_some() {
            for pid in [self.waits, self.receives] {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            }
        }
        // A child that perl could not kill has nothing left to wait for then.
        if self.kernel {
            for (id, kind) in [(self.set, "--semaphore"), (self.queue, "--queue")] {
                let mut command = sysv();
                command.args(["rm", "--kernel", "--force", kind, &id.to_string()]);
                let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            }
        }
    }
}

fn stages() -> impl Iterator<Item = Stage> {
    [false, true].into_iter().filter_map(Stage::new)
}

#[test]
fn a_set_is_shown_with_its_values_and_with_who_waits_and_who_owes() {
    for stage in stages() {
        let set = stage.show(stage.set, "--semaphore");
        assert_eq!(set["state"], json!("in-use"));
        assert_eq!(set["count"], json!(3));
        let values: Vec<&Value> = set["semaphores"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| &s["value"])
            .collect();
        assert_eq!(values, [&json!(0), &json!(2), &json!(1)]);
        assert_eq!(set["semaphores"][0]["waiting_for_more"], json!(1));
        assert_eq!(set["semaphores"][0]["waiting_for_zero"], json!(0));
        assert_eq!(set["semaphores"][1]["last_pid"], json!(stage.owner));

        let waits = Stage::process(&set, "waits_for_semaphore");
        assert_eq!(
            (&waits["pid"], &waits["command"]),
            (&json!(stage.waits), &json!("perl"))
        );
        assert_eq!((&waits["semaphore"], &waits["change"]), (&json!(0), &json!(-2)));
        // The kernel tells nobody who owes what, nor who made a set.
        if !stage.kernel {
            let owes = Stage::process(&set, "owes");
            assert_eq!(owes["pid"], json!(stage.owner));
            assert_eq!((&owes["semaphore"], &owes["adjustment"]), (&json!(2), &json!(-1)));
            assert_eq!(set["creator_command"], json!("perl"));
        }
        let sheet = succeeds(stage.command(&["show", "--semaphore", &stage.set.to_string()]));
        assert!(sheet.contains("waits to take 2 from semaphore 0"), "{sheet}");
        assert!(sheet.contains("state:        in use, 1 waiting\n"), "{sheet}");
    }
}

#[test]
fn a_queue_is_shown_with_its_messages_which_stay_and_with_who_waits() {
    for stage in stages() {
        let queue = stage.show(stage.queue, "--queue");
        let waits = Stage::process(&queue, "receives");
        assert_eq!(waits["pid"], json!(stage.receives));
        assert_eq!((&waits["type_asked_for"], &waits["except"]), (&json!(9), &json!(false)));
        assert_eq!((&queue["messages"], &queue["bytes"]), (&json!(1), &json!(11)));
        let message = &queue["waiting_messages"][0];
        if message.is_null() {
            assert!(stage.kernel, "{queue}");
            eprintln!("skipped: a kernel without MSG_COPY");
            continue;
        }
        assert_eq!(
            (&message["position"], &message["type"], &message["size"]),
            (&json!(0), &json!(5), &json!(11))
        );
        assert_eq!(message["sent_at"].is_null(), stage.kernel);
        let id = stage.queue.to_string();
        let hex = succeeds(stage.command(&["show", "--queue", &id, "--hex", "--message", "0"]));
        assert!(
            hex.contains("\n00000000  68 65 6c 6c 6f 20 74 68  65 72 65 ") && hex.ends_with("|hello there|\n"),
            "{hex}"
        );
        let none = complains(1, stage.command(&["show", "--queue", &id, "--hex", "--message", "1"]));
        assert!(none.contains("has no message at place 1"), "{none}");
        assert_eq!(
            stage.show(stage.queue, "--queue")["messages"],
            json!(1),
            "it is still there"
        );
        assert_eq!(
            succeeds(stage.command(&["read", "--queue", &id, "--keep"])),
            "hello there"
        );
        assert_eq!(
            succeeds(stage.command(&["read", "--queue", &id, "--type", "5"])),
            "hello there"
        );
        let empty = complains(1, stage.command(&["read", "--queue", &id, "--timeout", "0"]));
        assert!(empty.contains("message"), "{empty}");
    }
}

#[test]
fn who_tells_what_a_process_waits_for_and_owes() {
    for stage in stages() {
        let told = succeeds(stage.command(&["who", &stage.waits.to_string()]));
        assert!(told.starts_with(&format!("perl (pid {})\n", stage.waits)), "{told}");
        assert!(told.contains("waits to take 2 from semaphore 0"), "{told}");
        let told = succeeds(stage.command(&["who", &stage.receives.to_string()]));
        assert!(told.contains("waits for a message of type 9"), "{told}");
        if !stage.kernel {
            let told = succeeds(stage.command(&["who", &stage.owner.to_string()]));
            assert!(told.contains("will add -1 to semaphore 2 when it ends"), "{told}");
            assert!(told.contains("made it, and has it not in use"), "{told}");
        }
        let own = std::process::id().to_string();
        let told = succeeds(stage.command(&["who", &own]));
        assert!(told.contains("It has nothing to do with objects of"), "{told}");
        let json = succeeds(stage.command(&["who", "--json", &stage.waits.to_string()]));
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["facilities"][0]["semaphores"][0]["id"], json!(stage.set));
    }
    let nobody = complains(1, Place::new().sysv(&["who", "4194303"]));
    assert!(nobody.contains("no process has the id 4194303"), "{nobody}");
}

#[test]
fn what_is_in_use_is_removed_only_with_force_and_what_the_dead_left_without() {
    for mut stage in stages() {
        let (set, queue) = (stage.set.to_string(), stage.queue.to_string());
        let refused = complains(1, stage.command(&["rm", "--semaphore", &set]));
        assert!(
            refused.contains("give --force") && refused.contains("in use by perl (pid "),
            "{refused}"
        );
        let dry = succeeds(stage.command(&["rm", "--semaphore", &set, "--dry-run"]));
        assert!(
            dry.starts_with(&format!("would remove semaphore set {set}, 3 semaphores")),
            "{dry}"
        );
        stage.show(stage.set, "--semaphore");

        stage.end();
        let set_now = stage.show(stage.set, "--semaphore");
        assert_eq!(set_now["state"], json!("left"), "{set_now}");
        if !stage.kernel {
            assert_eq!(set_now["semaphores"][2]["value"], json!(0), "what was owed is paid");
        }
        let left = succeeds(stage.command(&["ls", "--state", "left"]));
        assert!(left.contains(&set) && left.contains("which is dead"), "{left}");
        let removed = succeeds(stage.command(&["rm", "--queue", &queue]));
        assert!(
            removed.starts_with(&format!("removed message queue {queue}, 1 message, 11 bytes")),
            "{removed}"
        );
        // Of those only this one, whatever else the dead left in the kernel.
        succeeds(stage.command(&["rm", "--semaphore", &set, "--state", "left"]));
        complains(1, stage.command(&["show", "--semaphore", &set]));
    }
}

#[test]
fn a_killed_process_is_no_party() {
    let Some(stage) = Stage::new(false) else { return };
    let waits = rustix::process::Pid::from_raw(stage.waits as i32).unwrap();
    rustix::process::kill_process(waits, Signal::KILL).unwrap();
    wait_until("it does not count", || {
        let set = stage.show(stage.set, "--semaphore");
        set["semaphores"][0]["waiting_for_more"] == json!(0)
    });
    let set = stage.show(stage.set, "--semaphore");
    assert_eq!(set["processes"].as_array().unwrap().len(), 1, "{set}");
}

#[test]
fn an_identifier_that_names_two_objects_is_asked_about() {
    let Some(stage) = Stage::new(false) else { return };
    assert_eq!(stage.set, stage.queue, "both are the first of their kind");
    for command in ["show", "rm"] {
        let asked = complains(1, stage.command(&[command, &stage.set.to_string()]));
        assert!(
            asked.contains("names a semaphore set and a message queue; say which"),
            "{asked}"
        );
    }
}
