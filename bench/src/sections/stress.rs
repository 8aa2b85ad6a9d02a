//! stress-ng on both facilities.

use std::path::PathBuf;

use super::Section;
use crate::contest::{Contest, Contestant, Effort, KERNEL, SYSV};
use crate::job::{Placement, Request, Sample};
use crate::program::{self, Ground};

pub(super) const SECTION: Section = Section {
    name: "stress-ng",
    title: "stress-ng",
    about: "Its stressors of System V IPC, two of each, on both facilities in turns; the time is for one of its \"bogo \
            operations\", each of which is many calls.",
    seconds: 85,
    contests,
};

const STRESSORS: &[&str] = &["shm-sysv", "sem-sysv", "msg"];
/// Seconds of a round.
const SECONDS: u64 = 2;

struct Stress {
    program: PathBuf,
    stressor: &'static str,
    ground: Ground,
}

impl Contestant for Stress {
    fn round(&mut self, _: &Request) -> Result<Sample, String> {
        let mut command = self.ground.command(&self.program);
        command.arg(format!("--{}", self.stressor)).arg("2");
        command
            .args(["--metrics-brief", "--timeout"])
            .arg(format!("{SECONDS}s"));
        let said = program::output(command.current_dir("/tmp"))?;
        operations(&said, self.stressor).ok_or_else(|| format!("stress-ng did not say what it did: {said}"))
    }
}

/// The numbers in the line of a stressor: operations, then seconds, then seconds of the processor for the program and
/// for the kernel.
fn operations(said: &str, stressor: &str) -> Option<Sample> {
    said.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != stressor).skip(1);
        let count: u64 = words.next()?.parse().ok()?;
        let mut seconds = || words.next()?.parse::<f64>().ok();
        let (elapsed, user, system) = (seconds()?, seconds()?, seconds()?);
        Some(Sample {
            count,
            elapsed_ns: (elapsed * 1e9) as u64,
            processor_ns: ((user + system) * 1e9) as u64,
            ..Sample::default()
        })
    })
}

fn contests(_: Effort) -> Vec<Contest<'static>> {
    let contests = STRESSORS.iter().map(|stressor| {
        let mut contest = Contest::new(format!("stress-ng --{stressor} 2"), Placement::Free);
        for ours in [false, true] {
            let subject = if ours { SYSV } else { KERNEL };
            contest.entries.push((
                subject.to_owned(),
                Box::new(move |launcher| {
                    let program = program::find("stress-ng").ok_or("stress-ng is not installed")?;
                    let ground = match ours {
                        true => Ground::namespace(launcher.library.clone())?,
                        false => Ground::Kernel,
                    };
                    Ok(Box::new(Stress {
                        program,
                        stressor,
                        ground,
                    }) as Box<dyn Contestant>)
                }),
            ));
        }
        contest.rounds = Some(6);
        contest.at_once = true;
        contest.turn_ns = Some(1);
        contest
    });
    contests.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_stressor_is_read() {
        let said = "stress-ng: info:  [9] stressor       bogo ops real time  usr time  sys time   bogo ops/s\n\
                    stress-ng: info:  [9]                           (secs)    (secs)    (secs)   (real time)\n\
                    stress-ng: info:  [9] sem-sysv         400000      2.00      0.25      1.50    199000.00\n";
        let sample = operations(said, "sem-sysv").unwrap();
        assert_eq!((sample.count, sample.each()), (400_000, 5000.0));
        assert_eq!(sample.processor_ns, 1_750_000_000);
        assert_eq!(operations(said, "msg"), None);
    }
}
