//! Lies: an honest process calls the facility while the shared memory says anything whatsoever.
//!
//! Whatever stands in the table, the limits and the objects' files, the honest process may get errors; it does not crash,
//! hang, or take more memory or file space than the namespace has. One image is a namespace with a few lies in it, and a
//! few calls on that. With a liar, another process writes lies all the while. In half of the namespaces a partner calls too,
//! so that the honest process meets locks that are held and others who wait.
//!
//! A lie may name the partner as a lock's holder, and then the honest process waits until the partner ends: that is all
//! that is promised (`SECURITY.md`). So a partner is killed when the honest process does not get on.

#![allow(unsafe_code)]

mod image;
mod queues;
mod segments;
mod sets;
mod spoil;

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

use sysv_engine::{Engine, Join, Result};

use crate::board::Board;
use crate::place::Place;
use crate::process::Process;
use crate::random::Random;
use image::{Image, Kept};
use spoil::{Area, Spoiler};

/// Keys in use, and one that is not.
const KEYS: std::ops::Range<i32> = 1..7;

/// What the honest process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Segments,
    Sets,
    Queues,
}

impl Mechanism {
    pub(crate) const ALL: [Mechanism; 3] = [Mechanism::Segments, Mechanism::Sets, Mechanism::Queues];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mechanism::Segments => "segments",
            Mechanism::Sets => "sets",
            Mechanism::Queues => "queues",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }

    fn directory(self) -> &'static str {
        ["shm", "sem", "msg"][self as usize]
    }

    /// Makes objects of every kind; returns their identifiers.
    fn furnish(self, engine: &Engine) -> Result<Vec<i32>> {
        match self {
            Mechanism::Segments => segments::furnish(engine),
            Mechanism::Sets => sets::furnish(engine),
            Mechanism::Queues => queues::furnish(engine),
        }
    }

    fn areas(self) -> Vec<Area> {
        let mut areas = spoil::common_areas(self);
        if self == Mechanism::Segments {
            areas.extend(segments::areas());
        }
        areas
    }

    fn areas_of_file(self, file: usize, number: usize) -> Vec<Area> {
        match self {
            Mechanism::Segments => Vec::new(),
            Mechanism::Sets => sets::areas(file, number),
            Mechanism::Queues => queues::areas(file),
        }
    }

    fn call(self, engine: &Engine, ids: &[i32], random: &mut Random) -> Result<()> {
        match self {
            Mechanism::Segments => segments::call(engine, ids, random),
            Mechanism::Sets => sets::call(engine, ids, random),
            Mechanism::Queues => queues::call(engine, ids, random),
        }
    }
}

/// What shall be tried.
pub(crate) struct Plan {
    /// Mutated images in all.
    pub images: u64,
    pub seed: u64,
    /// Honest processes at a time, each in a namespace of its own.
    pub jobs: usize,
    /// Whether another process lies during the calls.
    pub liar: bool,
    pub mechanisms: Vec<Mechanism>,
}

/// Images that one honest process sees. The next begins in a new namespace: lies lose objects and files.
const CHUNK: u64 = 20_000;
/// An image on which a process spends this long is one on which it hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a partner may be waited for.
const PATIENCE_WITH_PARTNER: Duration = Duration::from_millis(20);
/// How often the harness looks.
const LOOK: Duration = Duration::from_millis(2);

/// What has been tried with one mechanism.
#[derive(Clone, Copy, Default)]
struct Figures {
    images: u64,
    calls: u64,
    failed: u64,
    slowest: u64,
    harmed: u32,
}

/// Runs the plan; `false` if the honest were harmed.
pub(crate) fn run(plan: &Plan) -> bool {
    let names: Vec<&str> = plan.mechanisms.iter().map(|mechanism| mechanism.name()).collect();
    println!(
        "lies: {} images, {}, seed {:#x}",
        plan.images,
        names.join(", "),
        plan.seed
    );
    let started = Instant::now();
    let chunks = plan.images.div_ceil(CHUNK);
    let mut next = 0;
    let mut running: Vec<Running> = Vec::new();
    let mut figures = [Figures::default(); 3];
    while next < chunks || !running.is_empty() {
        while running.len() < plan.jobs && next < chunks {
            let images = CHUNK.min(plan.images - next * CHUNK);
            let mechanism = plan.mechanisms[next as usize % plan.mechanisms.len()];
            running.push(Running::start(
                mechanism,
                plan.seed.wrapping_add(next),
                images,
                plan.liar,
            ));
            next += 1;
            if next % 50 == 0 {
                println!("  {} images, {:.0} s", next * CHUNK, started.elapsed().as_secs_f64());
            }
        }
        std::thread::sleep(LOOK);
        running.retain_mut(|one| match one.look() {
            Verdict::Goes => true,
            verdict => {
                let sum = &mut figures[one.mechanism as usize];
                sum.harmed += u32::from(!one.report(&verdict, plan.liar));
                let [images, calls, failed, slowest] = [0, 1, 2, 3].map(|n| one.board.figures[n].load(SeqCst));
                sum.images += images;
                sum.calls += calls;
                sum.failed += failed;
                sum.slowest = sum.slowest.max(slowest);
                false
            }
        });
    }
    for (mechanism, sum) in Mechanism::ALL.into_iter().zip(figures).filter(|(_, sum)| sum.calls > 0) {
        println!(
            "{}: {} images, {} calls, {} of them failed with an errno; slowest image {} ms; {} processes harmed",
            mechanism.name(),
            sum.images,
            sum.calls,
            sum.failed,
            sum.slowest / 1000,
            sum.harmed
        );
    }
    println!("{:.0} s", started.elapsed().as_secs_f64());
    figures.iter().all(|sum| sum.harmed == 0)
}

/// An honest process at work, and perhaps a partner and a liar.
struct Running {
    mechanism: Mechanism,
    seed: u64,
    images: u64,
    board: &'static Board,
    image: &'static Image,
    honest: Process,
    liar: Option<Process>,
    partner: Option<Process>,
    has_partner: bool,
    /// The progress that was seen last, and for how long it has been seen: time in which the harness itself did not run
    /// (a machine that is put to sleep) does not count.
    seen: (u64, Duration),
    looked: Instant,
    // Last, so that the directory goes after the processes.
    place: Place,
}

enum Verdict {
    Goes,
    Done,
    Died(&'static str, i32),
    Hangs,
}

/// What a namespace is like; from the seed.
fn traits_of(seed: u64) -> (bool, bool) {
    let bits = Random::new(!seed).next();
    (bits & 3 == 0, bits & 4 == 0)
}

impl Running {
    fn start(mechanism: Mechanism, seed: u64, images: u64, with_liar: bool) -> Running {
        let (board, image) = (Board::new(), Image::new());
        let place = Place::new();
        let directory = place.c_path();
        let (shared, has_partner) = traits_of(seed);
        let life = Life {
            mechanism,
            shared,
            seed,
            images,
            with_liar,
            board,
            image,
        };
        let honest = Process::fork(|| life.honest(&directory));
        let liar = with_liar.then(|| Process::fork(|| life.liar(place.path())));
        Running {
            mechanism,
            seed,
            images,
            board,
            image,
            honest,
            liar,
            partner: None,
            has_partner,
            seen: (0, Duration::ZERO),
            looked: Instant::now(),
            place,
        }
    }

    fn look(&mut self) -> Verdict {
        let step = self.looked.elapsed().min(10 * LOOK);
        self.looked = Instant::now();
        if let Some(status) = self.honest.ended() {
            self.liar = None;
            self.partner = None;
            return if status == 0 {
                Verdict::Done
            } else {
                Verdict::Died("honest process", status)
            };
        }
        let progress = self.board.progress.load(SeqCst);
        if progress != self.seen.0 {
            self.seen = (progress, Duration::ZERO);
        }
        self.seen.1 += step;
        if self.has_partner {
            if let Some(status) = self.partner.as_mut().and_then(Process::ended) {
                self.partner = None;
                if libc::WIFSIGNALED(status) {
                    return Verdict::Died("partner", status);
                }
            }
            if self.seen.1 > PATIENCE_WITH_PARTNER {
                self.partner = None;
            } else if self.partner.is_none() && progress > 0 && progress.is_multiple_of(16) {
                let (directory, mechanism, seed) = (self.place.c_path(), self.mechanism, self.seed ^ progress);
                self.partner = Some(Process::fork(|| partner_life(&directory, mechanism, seed)));
            }
        }
        if self.seen.1 > PATIENCE {
            return Verdict::Hangs;
        }
        Verdict::Goes
    }

    /// Says what is wrong, if anything is.
    fn report(&self, verdict: &Verdict, with_liar: bool) -> bool {
        let what = match verdict {
            Verdict::Goes | Verdict::Done => return true,
            Verdict::Died(who, status) if libc::WIFSIGNALED(*status) => {
                format!("the {who} died by signal {}", libc::WTERMSIG(*status))
            }
            Verdict::Died(who, status) => format!("the {who} ended with status {}", libc::WEXITSTATUS(*status)),
            Verdict::Hangs => format!("the honest process hung for {PATIENCE:?}: {}", self.honest.occupation()),
        };
        let number = self.board.seed.load(SeqCst);
        println!(
            "  HARMED: {what} at image {number}; again: endurance lies --jobs 1 --seed {:#x} --images {}{} {}",
            self.seed,
            self.images,
            if with_liar { " --liar" } else { "" },
            self.mechanism.name()
        );
        let kept = Kept {
            mechanism: self.mechanism,
            shared: traits_of(self.seed).0,
            calls: calls_seed(self.seed, number),
            lies: self.image.lies().collect(),
        };
        let path = std::env::temp_dir().join(format!("{}-{:x}-{number}.lies", self.mechanism.name(), self.seed));
        match std::fs::write(&path, kept.text()) {
            Ok(()) => println!("  this image alone: endurance lies {}", path.display()),
            Err(error) => println!("  this image alone cannot be kept in {}: {error}", path.display()),
        }
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.liar = None;
        self.partner = None;
        // SAFETY: all others who use it have been told to end, and have no memory in common with this process.
        unsafe {
            self.image.free();
            self.board.free();
        }
    }
}

fn calls_seed(seed: u64, image: u64) -> u64 {
    Random::new(seed ^ image.wrapping_mul(0x9e37_79b9)).next()
}

/// Joins a namespace and makes objects in it.
fn settle(directory: &CStr, mechanism: Mechanism, shared: bool) -> std::result::Result<(Engine, Vec<i32>), String> {
    let how = if shared { Join::CreateShared } else { Join::Create };
    let engine = Engine::join(directory, how).map_err(|e| e.describe(directory).to_string())?;
    let ids = mechanism
        .furnish(&engine)
        .map_err(|errno| format!("furnishing: {errno:?}"))?;
    Ok((engine, ids))
}

/// What the processes of one namespace live by.
struct Life {
    mechanism: Mechanism,
    shared: bool,
    seed: u64,
    images: u64,
    with_liar: bool,
    board: &'static Board,
    image: &'static Image,
}

impl Life {
    fn honest(&self, directory: &CStr) -> i32 {
        bound_files();
        let (engine, ids) = match settle(directory, self.mechanism, self.shared) {
            Ok(settled) => settled,
            Err(error) => {
                eprintln!("settling: {error}");
                return 2;
            }
        };
        let path = path_of(directory);
        let Some(spoiler) = Spoiler::of(&path, self.mechanism) else {
            return 2;
        };
        let board = self.board;
        board.ids[0].store(1, SeqCst);
        let (mut calls, mut failed) = (0, 0);
        for image in 0..self.images {
            board.seed.store(image, Relaxed);
            board.progress.fetch_add(1, Relaxed);
            let began = Instant::now();
            if !self.with_liar {
                spoiler.restore(image % 64 == 0);
                spoiler.lie(
                    &mut Random::new(self.seed ^ image.wrapping_mul(0x9e37_79b9)),
                    self.image,
                );
            }
            let mut random = Random::new(calls_seed(self.seed, image));
            for _ in 0..=random.below(3) {
                calls += 1;
                failed += u64::from(self.mechanism.call(&engine, &ids, &mut random).is_err());
            }
            let took = began.elapsed().as_micros() as u64;
            board.figures[3].fetch_max(took, Relaxed);
            if image % 1024 == 0 && !modest(&path) {
                return 3;
            }
        }
        board.figures[0].store(self.images, SeqCst);
        board.figures[1].store(calls, SeqCst);
        board.figures[2].store(failed, SeqCst);
        0
    }

    fn liar(&self, path: &Path) -> i32 {
        while self.board.ids[0].load(SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let Some(spoiler) = Spoiler::of(path, self.mechanism) else {
            return 2;
        };
        let mut random = Random::new(!self.seed);
        for round in 0u64.. {
            spoiler.lie(&mut random, self.image);
            if round % 16 == 0 {
                spoiler.restore(round % 1024 == 0);
            }
            // Sometimes faster than a call, sometimes slower.
            for _ in 0..random.below(4000) {
                std::hint::spin_loop();
            }
        }
        0
    }
}

/// Another process in the namespace, which may find that it cannot join it.
fn partner_life(directory: &CStr, mechanism: Mechanism, seed: u64) -> i32 {
    bound_files();
    let Ok(engine) = Engine::join(directory, Join::Existing) else {
        return 0;
    };
    let mut random = Random::new(seed);
    // Indexes and sequence numbers begin at the same place in every namespace.
    let first = 32768 + if mechanism == Mechanism::Segments { 16384 } else { 0 };
    let ids: Vec<i32> = (first..first + 5).collect();
    loop {
        let _ = mechanism.call(&engine, &ids, &mut random);
    }
}

/// Tries one image that was kept, in a new namespace; `false` if the honest process was harmed.
pub(crate) fn replay(path: &Path) -> bool {
    let kept = match Kept::read(path) {
        Ok(kept) => kept,
        Err(error) => {
            println!("{error}");
            return false;
        }
    };
    let place = Place::new();
    let directory = place.c_path();
    let mut honest = Process::fork(|| {
        bound_files();
        let (engine, ids) = match settle(&directory, kept.mechanism, kept.shared) {
            Ok(settled) => settled,
            Err(error) => {
                eprintln!("settling: {error}");
                return 2;
            }
        };
        let Some(spoiler) = Spoiler::of(place.path(), kept.mechanism) else {
            return 2;
        };
        let image = Image::new();
        for &(file, at, value) in &kept.lies {
            image.note(file, at, value);
        }
        spoiler.tell(image);
        let mut random = Random::new(kept.calls);
        for _ in 0..=random.below(3) {
            let _ = kept.mechanism.call(&engine, &ids, &mut random);
        }
        // What the calls were when the image was found may have changed since: here are some of every kind.
        for _ in 0..200 {
            spoiler.restore(false);
            spoiler.tell(image);
            let _ = kept.mechanism.call(&engine, &ids, &mut random);
        }
        if modest(place.path()) { 0 } else { 3 }
    });
    let mut waited = Duration::ZERO;
    let status = loop {
        if let Some(status) = honest.ended() {
            break Some(status);
        }
        if waited > PATIENCE {
            break None;
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    };
    let verdict = match status {
        Some(0) => "unharmed".to_owned(),
        Some(status) => format!("HARMED: wait status {status:#x}"),
        None => format!("HARMED: hung: {}", honest.occupation()),
    };
    println!("{}: {verdict}", path.display());
    status == Some(0)
}

fn path_of(directory: &CStr) -> PathBuf {
    PathBuf::from(directory.to_str().unwrap_or_default())
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
fn modest(files: &Path) -> bool {
    const MOST_MEMORY: u64 = 256 << 20;
    const MOST_FILES: u64 = 128 << 20;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4096;
    let held = space(files)
        + ["shm", "sem", "msg"]
            .map(|kind| space(&files.join(kind)))
            .iter()
            .sum::<u64>();
    if resident > MOST_MEMORY || held > MOST_FILES {
        eprintln!("{resident} bytes of memory and {held} of files are taken");
        return false;
    }
    true
}

fn space(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|metadata| metadata.blocks() * 512 / metadata.nlink().max(1))
        .sum()
}
