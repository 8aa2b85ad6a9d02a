//! Lies: an honest process calls the facility while the shared memory says anything whatsoever.
//!
//! Whatever stands in the table and the limits, the honest process may get errors; it does not crash, hang, or take more
//! memory or file space than the namespace has. One image is the namespace's table with a few lies in it, and a few calls
//! on that. With a liar, another process writes lies all the while.

#![allow(unsafe_code)]

mod honest;
mod spoil;

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use crate::board::Board;
use crate::place::Place;
use crate::process::Process;
use crate::random::Random;
use honest::Honest;
use spoil::Spoiler;

/// What shall be tried.
pub(crate) struct Plan {
    /// Mutated images in all.
    pub images: u64,
    pub seed: u64,
    /// Honest processes at a time, each in a namespace of its own.
    pub jobs: usize,
    /// Whether another process lies during the calls.
    pub liar: bool,
}

/// Images that one honest process sees. The next begins in a new namespace: lies lose segments and files.
const CHUNK: u64 = 20_000;
/// An image on which a process spends this long is one on which it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the plan; `false` if the honest were harmed.
pub(crate) fn run(plan: &Plan) -> bool {
    println!("lies: {} images, seed {:#x}", plan.images, plan.seed);
    let started = Instant::now();
    let chunks = plan.images.div_ceil(CHUNK);
    let mut next = 0;
    let mut running: Vec<Running> = Vec::new();
    let mut total = [0; 3];
    let mut slowest = 0;
    let mut harmed = 0;
    while next < chunks || !running.is_empty() {
        while running.len() < plan.jobs && next < chunks {
            let images = CHUNK.min(plan.images - next * CHUNK);
            running.push(Running::start(plan.seed.wrapping_add(next), images, plan.liar));
            next += 1;
            if next % 50 == 0 {
                println!("  {} images, {:.0} s", next * CHUNK, started.elapsed().as_secs_f64());
            }
        }
        std::thread::sleep(Duration::from_millis(2));
        running.retain_mut(|one| match one.look() {
            Verdict::Goes => true,
            verdict => {
                harmed += u32::from(!one.report(&verdict));
                for (sum, figure) in total.iter_mut().zip(&one.board.figures) {
                    *sum += figure.load(SeqCst);
                }
                slowest = slowest.max(one.board.figures[3].load(SeqCst));
                false
            }
        });
    }
    println!(
        "{} images in {:.0} s: {} calls, {} of them failed with an errno; slowest image {} ms; {harmed} honest processes harmed",
        total[0],
        started.elapsed().as_secs_f64(),
        total[1],
        total[2],
        slowest / 1000,
    );
    harmed == 0
}

/// An honest process at work, and perhaps a liar.
struct Running {
    seed: u64,
    images: u64,
    board: &'static Board,
    honest: Process,
    liar: Option<Process>,
    seen: (u64, Instant),
    // Last, so that the directory goes after the processes.
    _place: Place,
}

enum Verdict {
    Goes,
    Done,
    Died(i32),
    Hangs,
}

impl Running {
    fn start(seed: u64, images: u64, with_liar: bool) -> Running {
        let board = Board::new();
        let place = Place::new();
        let directory = place.c_path();
        let shared = seed % 4 == 3;
        let honest = Process::fork(|| honest_life(&directory, shared, seed, images, with_liar, board));
        let liar = with_liar.then(|| {
            let table = place.path().join("table");
            Process::fork(|| liar_life(&table, seed, board))
        });
        Running {
            seed,
            images,
            board,
            honest,
            liar,
            seen: (0, Instant::now()),
            _place: place,
        }
    }

    fn look(&mut self) -> Verdict {
        if let Some(status) = self.honest.ended() {
            self.liar = None;
            return if status == 0 {
                Verdict::Done
            } else {
                Verdict::Died(status)
            };
        }
        let progress = self.board.progress.load(SeqCst);
        if progress != self.seen.0 {
            self.seen = (progress, Instant::now());
        }
        if self.seen.1.elapsed() > PATIENCE {
            return Verdict::Hangs;
        }
        Verdict::Goes
    }

    /// Says what is wrong, if anything is.
    fn report(&self, verdict: &Verdict) -> bool {
        let what = match verdict {
            Verdict::Goes | Verdict::Done => return true,
            Verdict::Died(status) if libc::WIFSIGNALED(*status) => {
                format!("died by signal {}", libc::WTERMSIG(*status))
            }
            Verdict::Died(status) => format!("ended with status {}", libc::WEXITSTATUS(*status)),
            Verdict::Hangs => format!("hung for {PATIENCE:?}"),
        };
        println!(
            "  HARMED: the honest process {what} at image {}; again: endurance lies --jobs 1 --seed {:#x} --images {}",
            self.board.seed.load(SeqCst),
            self.seed,
            self.images
        );
        false
    }
}

fn honest_life(
    directory: &std::ffi::CStr,
    shared: bool,
    seed: u64,
    images: u64,
    with_liar: bool,
    board: &Board,
) -> i32 {
    bound_files();
    let mut honest = match Honest::settle(directory, shared) {
        Ok(honest) => honest,
        Err(error) => {
            eprintln!("settling: {error}");
            return 2;
        }
    };
    let table = std::path::Path::new(directory.to_str().unwrap_or_default()).join("table");
    let Some(mut spoiler) = Spoiler::of(&table) else {
        return 2;
    };
    spoiler.remember();
    board.ids[0].store(1, SeqCst);
    for image in 0..images {
        board.seed.store(image, Relaxed);
        board.progress.fetch_add(1, Relaxed);
        let mut random = Random::new(seed ^ image.wrapping_mul(0x9e37_79b9));
        let began = Instant::now();
        if !with_liar {
            spoiler.restore(image % 1024 == 0);
            spoiler.lie(&mut random);
        }
        honest.call(&mut random);
        let took = began.elapsed().as_micros() as u64;
        board.figures[3].fetch_max(took, Relaxed);
        if image % 1024 == 0 && !modest(directory) {
            return 3;
        }
    }
    board.figures[0].store(images, SeqCst);
    board.figures[1].store(honest.calls, SeqCst);
    board.figures[2].store(honest.failed, SeqCst);
    0
}

fn liar_life(table: &std::path::Path, seed: u64, board: &Board) -> i32 {
    while board.ids[0].load(SeqCst) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let Some(mut spoiler) = Spoiler::of(table) else {
        return 2;
    };
    spoiler.remember();
    let mut random = Random::new(!seed);
    for round in 0u64.. {
        spoiler.lie(&mut random);
        if round % 16 == 0 {
            spoiler.restore(round % 4096 == 0);
        }
        // Sometimes faster than a call, sometimes slower.
        for _ in 0..random.below(4000) {
            std::hint::spin_loop();
        }
    }
    0
}

/// No lie about a size makes a file larger than this.
fn bound_files() {
    let limit = libc::rlimit {
        rlim_cur: 1 << 30,
        rlim_max: 1 << 30,
    };
    // SAFETY: the structure is read; the signal's disposition has no memory.
    unsafe {
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Whether the process and the namespace's files take no more than they should.
fn modest(directory: &std::ffi::CStr) -> bool {
    const MOST_MEMORY: u64 = 256 << 20;
    const MOST_FILES: u64 = 64 << 20;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4096;
    let files = std::path::Path::new(directory.to_str().unwrap_or_default());
    let held = space(files) + space(&files.join("shm"));
    if resident > MOST_MEMORY || held > MOST_FILES {
        eprintln!("{resident} bytes of memory and {held} of files are taken");
        return false;
    }
    true
}

fn space(directory: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries
        .filter_map(|e| Some(e.ok()?.metadata().ok()?.blocks() * 512))
        .sum()
}

/// `shmat` where the system likes, with flags.
fn attach_read_only(engine: &sysv_engine::Engine, id: i32, flags: i32) -> sysv_engine::Result<usize> {
    use sysv_engine::Segments;
    // SAFETY: without SHM_REMAP nothing that exists is touched.
    unsafe { engine.shmat(id, 0, flags) }.map(|at| at as usize)
}
