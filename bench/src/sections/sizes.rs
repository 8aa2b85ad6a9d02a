//! How cost grows with size.

use super::{Section, rivals};
use crate::contest::{Contest, Effort};
use crate::job::{Among, Api, Job, Placement, Work};
use crate::launch::{Host, LONGEST_MESSAGE};

pub(super) const SECTION: Section = Section {
    name: "sizes",
    title: "Sizes from 8 bytes to 64 MiB",
    about: "\"Copy\" is one process that writes into memory that is there already. \"Exchange\" is a round trip with so many \
            bytes each way between two processes on two processors, copied in by one and out by the other. The kernel's \
            queues take 8 KiB at most by default; the owner of a namespace sets its limits.",
    seconds: 90,
    contests,
};

const SIZES: &[usize] = &[8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 8 << 20, 64 << 20];

fn copy(size: usize) -> Contest<'static> {
    let mut contest = Contest::new("copy", Placement::One);
    contest.case.size = Some(size);
    let work = |call: &str| Work::Call {
        call: call.to_owned(),
        size,
        among: Among::Nothing,
    };
    contest.facilities(&work("copy into a segment"), Placement::One);
    let rival = Job {
        work: work("copy into POSIX shared memory"),
        placement: Placement::One,
        api: Api::C,
    };
    contest.worker("POSIX shared memory", Host::Kernel, rival);
    contest
}

fn exchange(size: usize) -> Contest<'static> {
    let placement = Placement::Two;
    let mut contest = Contest::new("exchange", placement);
    contest.case.size = Some(size);
    let work = |way: &str| Work::Turns {
        way: way.to_owned(),
        size,
    };
    for (way, called) in [("segment", "segment and semop"), ("queue", "queue")] {
        for (subject, host) in [("kernel", Host::Kernel), ("sysv", Host::Library)] {
            let job = Job {
                work: work(way),
                placement,
                api: Api::C,
            };
            // It would be refused, as the section says.
            if host == Host::Library || way == "segment" || size <= 8192 {
                contest.worker(&format!("{subject}, {called}"), host, job);
            }
        }
    }
    rivals(
        &mut contest,
        &["POSIX shared memory", "pipe", "Unix socket"],
        placement,
        |way| work(&way),
    );
    contest.mode = true;
    contest
}

fn contests(effort: Effort) -> Vec<Contest<'static>> {
    let sizes = || {
        let sizes = SIZES.iter().copied().filter(|size| *size as u64 <= LONGEST_MESSAGE);
        sizes.filter(move |size| effort != Effort::ONCE || *size <= 2 << 20)
    };
    let with_rounds = |mut contest: Contest<'static>| {
        contest.rounds = contest.case.size.map(|size| if size < 8 << 20 { 11 } else { 15 });
        contest
    };
    sizes()
        .map(copy)
        .chain(sizes().map(exchange))
        .map(with_rounds)
        .collect()
}
