//! What loading `libsysv.so` costs a program that has no use for it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use super::Section;
use crate::contest::{Contest, Contestant, Effort};
use crate::job::{Placement, Request, Sample};
use crate::launch::Launcher;

pub(super) const SECTION: Section = Section {
    name: "loading",
    title: "Loading the library",
    about: "`/bin/true`, started and waited for, with `libsysv.so` preloaded and without.",
    seconds: 3,
    contests,
};

struct Start {
    library: Option<PathBuf>,
}

impl Contestant for Start {
    fn round(&mut self, request: &Request) -> Result<Sample, String> {
        let start = Instant::now();
        for _ in 0..request.count {
            let mut command = Command::new("/bin/true");
            match &self.library {
                Some(library) => command.env("LD_PRELOAD", library),
                None => command.env_remove("LD_PRELOAD"),
            };
            let status = command.status().map_err(|e| format!("/bin/true: {e}"))?;
            if !status.success() {
                return Err(format!("/bin/true: {status}"));
            }
        }
        Ok(Sample {
            count: request.count,
            elapsed_ns: start.elapsed().as_nanos() as u64,
            ..Sample::default()
        })
    }
}

fn contests(_: Effort) -> Vec<Contest<'static>> {
    let mut contest = Contest::new("/bin/true", Placement::Free);
    let plain = |_: &Launcher| Ok(Box::new(Start { library: None }) as Box<dyn Contestant>);
    let preloaded = |launcher: &Launcher| {
        let library = Some(launcher.library.clone());
        Ok(Box::new(Start { library }) as Box<dyn Contestant>)
    };
    contest.entries.push(("without".to_owned(), Box::new(plain)));
    contest
        .entries
        .push(("with libsysv.so".to_owned(), Box::new(preloaded)));
    contest.turn_ns = Some(40_000_000);
    vec![contest]
}
