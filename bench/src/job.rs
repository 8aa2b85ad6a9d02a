//! What a worker process is told to do, and what it answers: one line of JSON each.

use serde::{Deserialize, Serialize};

use crate::statistics::Latency;

/// A worker's whole task; it sets it up once and does it as often as it is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What is done.
    pub work: Work,
    /// On which processors.
    pub placement: Placement,
    /// In which language the facility is called.
    pub api: Api,
}

/// How the facility is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Api {
    /// The C library's functions: the kernel's, or under `libsysv.so` ours.
    C,
    /// The crate `sysv`.
    Rust,
}

/// Where the processes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Placement {
    /// By turns on the first processor and on the second.
    Two,
    /// All on one processor.
    One,
    /// Where the scheduler puts them.
    Free,
}

impl Placement {
    /// In words for tables.
    pub fn name(self) -> &'static str {
        match self {
            Placement::Free => "not pinned",
            Placement::One => "one processor",
            Placement::Two => "two processors",
        }
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// One operation, again and again, in one process.
    Call {
        /// Its name, see `calls`.
        call: String,
        /// Bytes concerned.
        size: usize,
        /// What else there is.
        among: Among,
    },
    /// A message into a way and out again, in one process.
    Pair {
        /// The way's name, see `ways`.
        way: String,
        /// Bytes of a message.
        size: usize,
    },
    /// Two processes that send each other a message in turns; counted are round trips.
    Turns {
        /// The way's name.
        way: String,
        /// Bytes of a message.
        size: usize,
    },
    /// One process wakes another that has slept for a while; the time is from the call to the sleeper's return.
    Wake {
        /// The way's name.
        way: String,
    },
    /// Messages from senders to receivers; counted are messages.
    Stream {
        /// The way's name.
        way: String,
        /// Bytes of a message.
        size: usize,
        /// As many senders, and as many receivers.
        each: usize,
    },
    /// A process that waits for a semaphore whose holder is killed; counted are deaths.
    Death,
    /// Processes that wait for a semaphore whose holder lives, which must cost nothing.
    Idle {
        /// How many.
        waiters: usize,
    },
    /// Processes that take turns around 100 ns of work; counted are acquisitions.
    Mutex {
        /// The lock's name, see `locks`.
        lock: String,
        /// How many processes.
        processes: usize,
    },
}

/// What else there is besides the object that is operated on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Among {
    /// Nothing.
    Nothing,
    /// So many objects of the kind.
    Objects(usize),
    /// So many attachments of the segment, in this process.
    Attachments(usize),
    /// So many processes that wait at the object for something else.
    Waiters(usize),
    /// So many processes that have a segment attached.
    Processes(usize),
}

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// How often.
    pub count: u64,
    /// How long, where a number of times would not be fair.
    pub time_ns: u64,
    /// Whether each operation is timed alone, which costs two readings of the clock.
    pub latency: bool,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Operations done.
    pub count: u64,
    /// Time that they took together.
    pub elapsed_ns: u64,
    /// Processor time of all processes together.
    pub processor_ns: u64,
    /// Single operations, if they were timed.
    pub latency: Option<Latency>,
    /// The slowest process's count as a part of the fastest one's.
    pub fairness: Option<f64>,
}

impl Sample {
    /// Nanoseconds for one operation.
    pub fn each(&self) -> f64 {
        self.elapsed_ns as f64 / self.count.max(1) as f64
    }

    /// Nanoseconds of processor time for one operation.
    pub fn processor_each(&self) -> f64 {
        self.processor_ns as f64 / self.count.max(1) as f64
    }
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is set up.
    Ready,
    /// A round is done.
    Done(Sample),
    /// This cannot be done here, and why.
    Cannot(String),
}
