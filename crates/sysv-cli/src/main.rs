//! `sysv`: run programs on System V IPC in user space, and show, make, change and remove its objects.

mod bench;
mod cli;
mod columns;
mod completions;
mod create;
mod crowd;
mod demo;
mod described;
mod doctor;
mod duration;
mod failure;
mod gc;
mod limits;
mod ls;
mod namespace;
mod output;
mod progress;
mod read;
mod removal;
mod rm;
mod run;
mod selection;
mod set;
mod show;
mod size;
mod target;
mod top;
mod trace;
mod users;
mod who;
mod wording;
mod write;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    if let Some(status) = run::attendant::attend() {
        return status;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return cli::report_usage(&usage),
    };
    let (name, result) = match cli.command {
        Command::Run(arguments) => return run::run(&arguments),
        Command::Trace(arguments) => return trace::trace(&arguments),
        Command::Ls(arguments) => ("ls", ls::ls(&arguments)),
        Command::Show(arguments) => ("show", show::show(&arguments)),
        Command::Top(arguments) => ("top", top::top(&arguments)),
        Command::Who(arguments) => ("who", who::who(&arguments)),
        Command::Create(arguments) => ("create", create::create(&arguments)),
        Command::Set(arguments) => ("set", set::set(&arguments)),
        Command::Rm(arguments) => ("rm", rm::rm(&arguments)),
        Command::Read(arguments) => ("read", read::read(&arguments)),
        Command::Write(arguments) => ("write", write::write(&arguments)),
        Command::Gc(arguments) => ("gc", gc::gc(&arguments)),
        Command::Doctor(arguments) => ("doctor", doctor::doctor(&arguments)),
        Command::Limits(arguments) => ("limits", limits::limits(&arguments)),
        Command::Namespace(arguments) => ("namespace", namespace::namespace(&arguments)),
        Command::Demo(arguments) => ("demo", demo::demo(&arguments)),
        Command::Bench(arguments) => ("bench", bench::bench(&arguments)),
        Command::Completions(arguments) => ("completions", completions::completions(&arguments)),
        Command::Manual(arguments) => ("manual", completions::manual(&arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(name),
    }
}
