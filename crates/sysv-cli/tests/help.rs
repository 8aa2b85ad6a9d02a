//! The help, compared with what it was. `SYSV_UPDATE_HELP=1` writes it anew.

mod place;

use std::path::Path;
use std::process::Stdio;

use place::{Place, complains, succeeds, sysv};

const COMMANDS: [&str; 19] = [
    "run",
    "trace",
    "ls",
    "show",
    "top",
    "who",
    "create",
    "set",
    "rm",
    "read",
    "write",
    "gc",
    "doctor",
    "limits",
    "namespace",
    "demo",
    "bench",
    "completions",
    "manual",
];

fn golden(name: &str, arguments: &[&str]) {
    let mut command = sysv();
    command.args(arguments).env_remove("COLUMNS");
    let printed = succeeds(command);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/help/{name}.txt"));
    if std::env::var_os("SYSV_UPDATE_HELP").is_some() {
        std::fs::write(file, printed).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    assert!(
        printed == expected,
        "{} differs from what {arguments:?} prints:\n{printed}",
        file.display()
    );
}

#[test]
fn the_help_is_what_it_was() {
    golden("sysv", &["--help"]);
    for command in COMMANDS {
        golden(command, &[command, "--help"]);
    }
    for action in ["list", "path", "create", "remove"] {
        golden(&format!("namespace-{action}"), &["namespace", action, "--help"]);
    }
}

#[test]
fn every_command_is_in_the_help() {
    let mut command = sysv();
    command.arg("--help");
    let help = succeeds(command);
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    // A description that goes on in the next line is indented further.
    let listed = listed.filter(|line| !line.starts_with("   "));
    let listed: Vec<&str> = listed.filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, [&COMMANDS[..], &["help"]].concat());
}

#[test]
fn a_wrong_command_line_is_status_2_or_125_for_run() {
    let with = |arguments: &[&str]| {
        let mut command = sysv();
        command.args(arguments);
        command
    };
    for wrong in [
        &[][..],
        &["frobnicate"],
        &["show"],
        &["show", "x"],
        &["show", "1", "-K", "2"],
        &["create", "1X"],
    ] {
        assert!(
            complains(2, with(wrong)).contains("Usage:") || wrong.len() > 1,
            "{wrong:?}"
        );
    }
    for wrong in [
        &["run"][..],
        &["run", "--frobnicate", "true"],
        &["run", "--fail-on-leak", "true"],
    ] {
        complains(125, with(wrong));
    }
}

#[test]
fn every_shell_gets_a_script_with_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let mut command = sysv();
        command.args(["completions", shell]);
        let script = succeeds(command);
        for command in COMMANDS {
            assert!(script.contains(command), "{command} for {shell}");
        }
    }
    let script = |text: &str| {
        let mut command = std::process::Command::new("bash");
        command.args([
            "-c",
            &format!(r#"source <("$0" completions bash) && {text}"#),
            env!("CARGO_BIN_EXE_sysv"),
        ]);
        succeeds(command)
    };
    let completed = script(r#"COMP_WORDS=(sysv tr); COMP_CWORD=1; _sysv sysv tr sysv; echo "${COMPREPLY[@]}""#);
    assert_eq!(completed, "trace\n");
}

#[test]
fn there_is_a_manual_page_for_every_command() {
    let place = Place::new();
    let directory = place.path("man1");
    place.prints(&["manual", directory.to_str().unwrap()]);
    for name in COMMANDS
        .map(|command| format!("sysv-{command}"))
        .iter()
        .chain([&"sysv".to_owned()])
    {
        let page = std::fs::read_to_string(directory.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}");
    }
    place.complains(1, &["manual", "/proc/nowhere"]);
}

#[test]
fn a_terminal_gets_a_bold_heading_and_nobody_else() {
    let place = Place::new();
    let on_terminal = |variable: &str, value: &str| {
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &format!("{} ls", env!("CARGO_BIN_EXE_sysv")), "/dev/null"]);
        command
            .env("SYSV_NAMESPACE", place.directory())
            .env("TERM", "xterm")
            .env_remove("NO_COLOR");
        let output = command.env(variable, value).stdin(Stdio::null()).output();
        output.map(|output| String::from_utf8(output.stdout).unwrap())
    };
    match on_terminal("A", "b") {
        Err(e) => eprintln!("skipped: no script(1): {e}"),
        Ok(printed) => {
            assert!(printed.contains("\x1b[1mKIND"), "{printed:?}");
            for (variable, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
                assert!(!on_terminal(variable, value).unwrap().contains('\x1b'));
            }
        }
    }
    assert!(!place.prints(&["ls"]).contains('\x1b'));
}
