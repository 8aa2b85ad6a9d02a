//! `sysv top` in a real terminal, which tmux(1) draws.

mod place;

use std::process::{Command, Stdio};

use place::{Place, Running, complains, wait_until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sysv::{Key, Message, MessageQueue, NewMessageQueue, NewSegment, Segment};

/// A terminal of its own, with its own tmux server, gone when dropped.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// `None`, with a message, where there is no tmux.
    fn open(place: &Place, size: (u16, u16), arguments: &str) -> Option<Terminal> {
        Terminal::open_after(place, size, "", arguments)
    }

    /// The same after other commands of the shell.
    fn open_after(place: &Place, size: (u16, u16), first: &str, arguments: &str) -> Option<Terminal> {
        let tmux = Command::new("tmux").arg("-V").stdout(Stdio::null()).status();
        if !tmux.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no tmux(1)");
            return None;
        }
        let directory = place.directory().to_str().unwrap();
        let terminal = Terminal {
            socket: format!("sysv-test-{}", directory.rsplit('/').next().unwrap()),
        };
        let command = format!(
            "{first}SYSV_NAMESPACE={directory} {} top {arguments}; echo ended with $?; exec cat",
            env!("CARGO_BIN_EXE_sysv")
        );
        let (width, height) = (size.0.to_string(), size.1.to_string());
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            &command,
        ]);
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// The process on it.
    fn top(&self) -> Pid {
        let pane = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        let pane = pane.trim();
        let children = std::fs::read_to_string(format!("/proc/{pane}/task/{pane}/children")).unwrap();
        Pid::from_raw(children.split_whitespace().next().unwrap().parse().unwrap()).unwrap()
    }

    /// The screen, once it holds this.
    fn shows(&self, text: &str) -> String {
        let mut screen = String::new();
        wait_until(text, || {
            screen = self.screen();
            screen.contains(text)
        });
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let server = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).status();
        drop(server);
    }
}

/// The first words of the lines that list objects.
fn listed(screen: &str, words: usize) -> Vec<String> {
    let rows = screen.lines().skip_while(|line| !line.contains("STATE")).skip(1);
    rows.take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().take(words).collect::<Vec<_>>().join(" "))
        .collect()
}

fn segment(place: &Place, key: i32, size: usize) -> Segment {
    Segment::create(&place.namespace, Key::new(key), NewSegment::of_size(size)).unwrap()
}

#[test]
fn everything_fits_on_a_small_terminal() {
    let place = Place::new();
    let used = segment(&place, 0x51, 5000);
    segment(&place, 0x52, 100);
    MessageQueue::create(&place.namespace, Key::new(0x53), NewMessageQueue::new())
        .unwrap()
        .send(&Message::new(7, b"hello"))
        .unwrap();
    let _memory = used.attach().unwrap();
    let Some(terminal) = Terminal::open(&place, (80, 24), "") else {
        return;
    };
    let screen = terminal.shows("q quit");
    assert!(screen.lines().all(|line| line.chars().count() <= 80));
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines[0].ends_with(": sorted by kind"), "{screen}");
    assert!(
        lines[1].starts_with("2 segments, 0 semaphore sets, 1 queue, "),
        "{screen}"
    );
    assert_eq!(listed(&screen, 1), ["segment", "segment", "queue"], "{screen}");
    assert!(
        lines[3].ends_with("in use") && lines[4].contains("never used"),
        "{screen}"
    );
    assert!(lines[5].contains("1 message"), "{screen}");
    assert!(!screen.contains("KEY"), "{screen}");
    terminal.press(&["q"]);
    terminal.shows("ended with 0");
}

#[test]
fn a_wide_terminal_shows_more_and_what_happens_meanwhile() {
    let place = Place::new();
    segment(&place, 0x51, 5000);
    let Some(terminal) = Terminal::open(&place, (170, 30), "--interval 1") else {
        return;
    };
    let screen = terminal.shows("0x00000051");
    for column in ["KEY", "MODE", "RESIDENT", "LAST USED", "CREATED BY"] {
        assert!(screen.contains(column), "{screen}");
    }
    segment(&place, 0x5e, 77);
    terminal.shows("0x0000005e");
}

#[test]
fn objects_are_sorted_filtered_and_opened() {
    let place = Place::new();
    for (key, size) in [(0x51, 100), (0x52, 300), (0x53, 200)] {
        segment(&place, key, size);
    }
    let Some(terminal) = Terminal::open(&place, (120, 24), "--sort size") else {
        return;
    };
    let screen = terminal.shows("sorted by size");
    assert!(screen.find("0x00000052") < screen.find("0x00000053"), "{screen}");
    terminal.press(&["r"]);
    let screen = terminal.shows("sorted by size, reversed");
    assert_eq!(
        listed(&screen, 2),
        ["segment 0x00000051", "segment 0x00000053", "segment 0x00000052"]
    );
    terminal.press(&["/", "0", "0", "5", "3", "Enter"]);
    let screen = terminal.shows("with \"0053\"");
    assert!(!screen.contains("0x00000051"), "{screen}");
    terminal.press(&["Enter"]);
    let screen = terminal.shows("esc back");
    assert!(screen.contains("size:") && screen.contains("200 bytes"), "{screen}");
    terminal.press(&["Escape"]);
    terminal.shows("q quit");
    terminal.press(&["?"]);
    terminal.shows("sort by the next column");
    terminal.press(&["Escape"]);
    terminal.press(&["Tab", "Tab"]);
    terminal.shows("nothing");
}

#[test]
fn an_object_is_removed_after_a_question_only() {
    let place = Place::new();
    let kept = segment(&place, 0x51, 100);
    let gone = segment(&place, 0x52, 200);
    let Some(terminal) = Terminal::open(&place, (80, 24), "") else {
        return;
    };
    terminal.shows("q quit");
    terminal.press(&["x"]);
    terminal.shows("y removes it");
    terminal.press(&["n"]);
    terminal.shows("q quit");
    terminal.press(&["Down", "x"]);
    let screen = terminal.shows("y removes it");
    assert!(screen.contains("200 bytes?"), "{screen}");
    terminal.press(&["y"]);
    terminal.shows("removed segment");
    assert!(kept.stat().is_ok() && gone.stat().is_err());
}

#[test]
fn what_ends_it_leaves_the_terminal_as_it_was() {
    let place = Place::new();
    let Some(terminal) = Terminal::open(&place, (80, 24), "") else {
        return;
    };
    terminal.shows("q quit");
    kill_process(terminal.top(), Signal::TERM).unwrap();
    let screen = terminal.shows("ended with 0");
    assert!(!screen.contains("sorted by"), "{screen}");
    terminal.press(&["typed", "Enter"]);
    // Echoed by the terminal, and once more by cat.
    wait_until("the terminal echoes again", || {
        terminal.screen().matches("typed").count() == 2
    });
}

/// One that went on would spin for ever, reading the end of a terminal that is gone.
#[test]
fn it_ends_with_its_terminal_even_if_no_signal_says_so() {
    let place = Place::new();
    for ignoring in ["", "trap '' HUP; "] {
        let Some(terminal) = Terminal::open_after(&place, (80, 24), ignoring, "") else {
            return;
        };
        terminal.shows("q quit");
        let top = terminal.top();
        drop(terminal);
        wait_until("it ends", || test_kill_process(top).is_err());
    }
}

#[test]
fn without_a_terminal_another_command_is_named() {
    let place = Place::new();
    assert!(place.complains(1, &["top"]).contains("sysv ls --watch"));
    let mut command = place::sysv();
    command.args(["top", "--sort", "colour"]);
    complains(2, command);
    // Nothing is drawn into a pipe, whatever feeds it.
    let running = Running::start(place.sysv(&["top"]));
    assert_eq!(running.end().0.code(), Some(1));
}
