//! A worker process: it sets its job up and does rounds of it as often as it is told.

use std::io::{self, BufRead, Write};

use crate::crew::{self, Role, Task};
use crate::job::{Answer, Api, Job, Placement, Request, Sample, Work};
use crate::locks::{self, Lock};
use crate::message::Message;
use crate::mourning;
use crate::statistics::Latency;
use crate::system::{self, Words, now};
use crate::ways::{self, Way};

/// Something, or why it cannot be had.
pub type Had<T> = Result<T, String>;

/// Finds ways and locks by name: a program with more of them brings its own.
pub struct Supply {
    /// A way for messages of a size.
    pub way: fn(&str, usize, Api) -> Had<Box<dyn Way>>,
    /// A lock.
    pub lock: fn(&str, Api) -> Had<Box<dyn Lock>>,
}

/// What this crate has.
pub const SUPPLY: Supply = Supply {
    way: ways::way,
    lock: locks::lock,
};

/// Longer than any round; a process that waits for ever would otherwise hold up the whole run.
const PATIENCE: u32 = 60;
/// How many operations of a round are timed alone at most.
const TIMED: u64 = 200_000;

/// Does rounds of a job until nobody asks for more. Standard input has the requests, standard output the answers.
///
/// # Errors
/// When the job is none, or nobody listens.
pub fn serve(job: &str, supply: &Supply) -> io::Result<()> {
    let job: Job = serde_json::from_str(job)?;
    system::watchdog(PATIENCE);
    system::end_with_parent();
    system::own_kernel_facility();
    let answer = |answer: &Answer| -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(answer)?)?;
        out.flush()
    };
    let mut rounds = match rounds(&job, supply) {
        Ok(rounds) => rounds,
        Err(why) => return answer(&Answer::Cannot(why)),
    };
    answer(&Answer::Ready)?;
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        system::watchdog(PATIENCE);
        answer(&Answer::Done(rounds(&request)))?;
    }
    Ok(())
}

type Rounds = Box<dyn FnMut(&Request) -> Sample>;

fn rounds(job: &Job, supply: &Supply) -> Result<Rounds, String> {
    let Job { placement, api, .. } = *job;
    let make = |name: &str, size| (supply.way)(name, size, api);
    Ok(match &job.work {
        Work::Call { call, size, among } => {
            system::place(placement, 0);
            let mut operation = crate::calls::prepare(call, *size, *among, api)?;
            Box::new(move |request| repeated(request, &mut operation))
        }
        Work::Pair { way, size } => {
            system::place(placement, 0);
            let (way, mut message) = (make(way, *size)?, Message::new(*size));
            Box::new(move |request| {
                let (mut send, mut receive) = (way.sender(), way.receiver());
                repeated(request, &mut || {
                    send(&mut message);
                    receive(&mut message);
                })
            })
        }
        Work::Turns { way, size } => {
            let (there, back, size) = (make(way, *size)?, make(way, *size)?, *size);
            Box::new(move |request| turns(&*there, &*back, size, placement, request))
        }
        Work::Wake { way } => {
            let way = make(way, 64)?;
            Box::new(move |request| wake(&*way, placement, request))
        }
        Work::Stream { way, size, each } => {
            let (way, size, each) = (make(way, *size)?, *size, *each);
            Box::new(move |request| stream(&*way, size, each, placement, request))
        }
        Work::Death => Box::new(mourning::deaths),
        Work::Idle { waiters } => {
            let waiters = *waiters;
            Box::new(move |request| mourning::idle(waiters, request))
        }
        Work::Mutex { lock, processes } => {
            let (lock, processes) = ((supply.lock)(lock, api)?, *processes);
            Box::new(move |request| mutex(&*lock, processes, placement, request))
        }
    })
}

/// An operation again and again in this process.
fn repeated(request: &Request, operation: &mut dyn FnMut()) -> Sample {
    let count = request.count;
    let mut sample = Sample {
        count,
        ..Sample::default()
    };
    if request.latency {
        let times = (0..count.min(TIMED)).map(|_| {
            let start = now();
            operation();
            now() - start
        });
        sample.latency = Latency::of(times.collect());
        return sample;
    }
    let used = system::processor_time();
    let start = now();
    for _ in 0..count {
        operation();
    }
    sample.elapsed_ns = now() - start;
    sample.processor_ns = system::processor_time() - used;
    sample
}

/// Writes down how long single operations take, in memory shared with the parent.
struct Times {
    words: Option<Words>,
}

impl Times {
    fn new(request: &Request) -> Times {
        let words = request.latency.then(|| Words::new(request.count.min(TIMED) as usize));
        Times { words }
    }

    fn note(&self, index: u64, time: u64) {
        if let Some(word) = self.words.as_ref().and_then(|words| words.get(index as usize)) {
            word.store(time, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn latency(self) -> Option<Latency> {
        let words = self.words?;
        let times = words.iter().map(|word| word.load(std::sync::atomic::Ordering::Relaxed));
        Latency::of(times.collect())
    }
}

/// Turns before the clock is read, in which both come to be there.
const BEFORE: u64 = 4;

fn turns(there: &dyn Way, back: &dyn Way, size: usize, placement: Placement, request: &Request) -> Sample {
    use std::sync::atomic::Ordering::{Relaxed, Release};
    let (count, times, elapsed) = (request.count, Times::new(request), Words::new(1));
    let first: Role<'_> = Box::new(|| {
        let (mut send, mut receive, mut message) = (there.sender(), back.receiver(), Message::new(size));
        let (times, elapsed) = (&times, &elapsed);
        Box::new(move || {
            let mut turn = || {
                send(&mut message);
                receive(&mut message);
            };
            (0..BEFORE).for_each(|_| turn());
            let begun = now();
            if times.words.is_none() {
                (0..count).for_each(|_| turn());
            } else {
                for number in 0..count {
                    let start = now();
                    turn();
                    times.note(number, now() - start);
                }
            }
            elapsed[0].store(now() - begun, Release);
            count
        }) as Task<'_>
    });
    let second: Role<'_> = Box::new(|| {
        let (mut send, mut receive, mut message) = (back.sender(), there.receiver(), Message::new(size));
        Box::new(move || {
            for _ in 0..BEFORE + count {
                receive(&mut message);
                send(&mut message);
            }
            0
        })
    });
    let sample = crew::together(placement, vec![first, second]);
    Sample {
        elapsed_ns: elapsed[0].load(Relaxed),
        latency: times.latency(),
        fairness: None,
        ..sample
    }
}

/// How long the one to be woken is left alone: longer than anybody spins.
const ASLEEP: u64 = 150_000;

fn wake(way: &dyn Way, placement: Placement, request: &Request) -> Sample {
    use std::sync::atomic::Ordering::{Acquire, Release};
    let (count, board) = (request.count, Words::new(16));
    let times = Times::new(&Request {
        latency: true,
        ..*request
    });
    let (called, woken) = (&board[0], &board[8]);
    let waker: Role<'_> = Box::new(|| {
        let (mut send, mut message) = (way.sender(), Message::new(64));
        Box::new(move || {
            for turn in 0..count {
                let start = now();
                while now() - start < ASLEEP {
                    // On one processor the other must get to its wait.
                    std::thread::yield_now();
                }
                called.store(now(), Release);
                send(&mut message);
                while woken.load(Acquire) <= turn {
                    std::thread::yield_now();
                }
            }
            0
        })
    });
    let sleeper: Role<'_> = Box::new(|| {
        let (mut receive, mut message) = (way.receiver(), Message::new(64));
        let times = &times;
        Box::new(move || {
            for turn in 0..count {
                receive(&mut message);
                times.note(turn, now().saturating_sub(called.load(Acquire)));
                woken.store(turn + 1, Release);
            }
            count
        })
    });
    let sample = crew::together(placement, vec![waker, sleeper]);
    let latency = times.latency();
    // What the waker does to pass the time is nobody's cost.
    Sample {
        elapsed_ns: latency.map_or(0, |latency| (latency.median * count as f64) as u64),
        processor_ns: 0,
        latency,
        fairness: None,
        ..sample
    }
}

fn stream(way: &dyn Way, size: usize, each: usize, placement: Placement, request: &Request) -> Sample {
    let share = request.count.div_ceil(each as u64);
    let roles = (0..2 * each).map(|index| -> Role<'_> {
        Box::new(move || {
            let sends = index % 2 == 0;
            let mut end = if sends { way.sender() } else { way.receiver() };
            let mut message = Message::new(size);
            Box::new(move || {
                for _ in 0..share {
                    end(&mut message);
                }
                if sends { share } else { 0 }
            })
        })
    });
    let sample = crew::together(placement, roles.collect());
    Sample {
        fairness: None,
        ..sample
    }
}

/// How long a process works while it holds the lock.
const WORK: u64 = 100;

fn mutex(lock: &dyn Lock, processes: usize, placement: Placement, request: &Request) -> Sample {
    use std::sync::atomic::Ordering::Relaxed;
    let worst = Words::new(processes);
    let worst = &worst;
    let time = request.time_ns;
    let roles = (0..processes).map(|index| -> Role<'_> {
        Box::new(move || {
            Box::new(move || {
                let (start, mut count, mut longest) = (now(), 0, 0);
                loop {
                    let asked = now();
                    if asked - start > time {
                        break;
                    }
                    lock.lock();
                    let got = now();
                    longest = longest.max(got - asked);
                    while now() - got < WORK {}
                    lock.unlock();
                    count += 1;
                }
                worst[index].store(longest, Relaxed);
                count
            })
        })
    });
    let sample = crew::together(placement, roles.collect());
    Sample {
        latency: Latency::of(worst.iter().map(|word| word.load(Relaxed)).collect()),
        ..sample
    }
}
