//! Endurance: processes die at any instruction, members lie, and nothing may be lost or harmed.
//!
//! `docs/testing.md` says how to run it; `SECURITY.md` what it stands for.

mod board;
mod inquest;
mod kill;
mod lies;
mod place;
mod process;
mod random;
mod storm;

use std::process::ExitCode;

const USAGE: &str = "\
usage: endurance kill-points [--sample POINTS] [--seed SEED] [--jobs N] [--quick] [--operations N] [OPERATION…]
       endurance lies [--images IMAGES] [--seed SEED] [--jobs N] [--liar] [segments|sets|queues…]
       endurance lies IMAGE-FILE…
       endurance pairs [--sample POINTS] [--seed SEED] [--jobs N] [OPERATION…]
       endurance takeover [--sample TIMES]
       endurance storm [--seconds SECONDS] [--workers N] [--seed SEED]
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_default();
    if command == kill::SUCCESSOR {
        let None = kill::succeed(args);
        return ExitCode::from(2);
    }
    let mut options = Options {
        sample: None,
        seed: random::Random::fresh_seed(),
        jobs: 2,
        quick: false,
        operations: None,
        images: 1_000_000,
        seconds: 60,
        workers: 16,
        liar: false,
        names: Vec::new(),
    };
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| parse(&text));
        let known = match arg.as_str() {
            "--sample" => number().map(|n| options.sample = Some(n as usize)),
            "--operations" => number().map(|n| options.operations = Some(n.max(1) as usize)),
            "--seed" => number().map(|n| options.seed = n),
            "--seconds" => number().map(|n| options.seconds = n),
            "--workers" => number().map(|n| options.workers = n.max(1) as usize),
            "--images" => number().map(|n| options.images = n),
            "--liar" => {
                options.liar = true;
                Some(())
            }
            "--quick" => {
                options.quick = true;
                Some(())
            }
            "--jobs" => number().map(|n| options.jobs = n.max(1) as usize),
            name if !name.starts_with('-') => {
                options.names.push(name.to_owned());
                Some(())
            }
            _ => None,
        };
        if known.is_none() {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    let passed = match command.as_str() {
        "kill-points" => kill::run(&kill::Plan {
            names: options.names,
            sample: options.sample,
            seed: options.seed,
            jobs: options.jobs,
            quick: options.quick,
            operations: options.operations,
        }),
        "pairs" => kill::run_pairs(&kill::Plan {
            names: options.names,
            sample: options.sample,
            seed: options.seed,
            jobs: options.jobs,
            quick: false,
            operations: None,
        }),
        "takeover" => kill::measure_takeover(options.sample.unwrap_or(100), options.seed),
        "storm" => storm::run(&storm::Plan {
            seconds: options.seconds,
            seed: options.seed,
            workers: options.workers,
        }),
        "lies" => match mechanisms(&options.names) {
            Some(mechanisms) => lies::run(&lies::Plan {
                images: options.images,
                seed: options.seed,
                jobs: options.jobs,
                liar: options.liar,
                mechanisms,
            }),
            // All of them, also after one that did harm.
            None => options.names.iter().filter(|name| !lies::replay(name.as_ref())).count() == 0,
        },
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Options {
    sample: Option<usize>,
    seed: u64,
    jobs: usize,
    quick: bool,
    operations: Option<usize>,
    images: u64,
    seconds: u64,
    workers: usize,
    liar: bool,
    names: Vec<String>,
}

/// The mechanisms with these names, all if there are none; `None` if one is a file's.
fn mechanisms(names: &[String]) -> Option<Vec<lies::Mechanism>> {
    if names.is_empty() {
        return Some(lies::Mechanism::ALL.to_vec());
    }
    names.iter().map(|name| lies::Mechanism::named(name)).collect()
}

/// A number, decimal or with `0x`.
fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
