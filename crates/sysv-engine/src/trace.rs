//! The report of one System V call, as `libsysv.so` sends it to `sysv trace`.
//!
//! A report is one datagram, so that reports of several processes never mix and stand in the order in which the calls
//! ended. Sender and receiver come from one build: the first word tells whether they do.

/// A System V call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the calls' own names")]
pub enum Call {
    Shmget,
    Shmat,
    Shmdt,
    Shmctl,
    Semget,
    Semop,
    Semtimedop,
    Semctl,
    Msgget,
    Msgsnd,
    Msgrcv,
    Msgctl,
}

impl Call {
    /// Every call, in the order of their numbers here.
    pub const ALL: [Call; 12] = [
        Call::Shmget,
        Call::Shmat,
        Call::Shmdt,
        Call::Shmctl,
        Call::Semget,
        Call::Semop,
        Call::Semtimedop,
        Call::Semctl,
        Call::Msgget,
        Call::Msgsnd,
        Call::Msgrcv,
        Call::Msgctl,
    ];

    /// The C function's name.
    pub const fn name(self) -> &'static str {
        match self {
            Call::Shmget => "shmget",
            Call::Shmat => "shmat",
            Call::Shmdt => "shmdt",
            Call::Shmctl => "shmctl",
            Call::Semget => "semget",
            Call::Semop => "semop",
            Call::Semtimedop => "semtimedop",
            Call::Semctl => "semctl",
            Call::Msgget => "msgget",
            Call::Msgsnd => "msgsnd",
            Call::Msgrcv => "msgrcv",
            Call::Msgctl => "msgctl",
        }
    }
}

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The call begins and may wait.
    Begins,
    /// The call returned.
    Returned,
}

/// The most bytes of the caller's memory that a report holds.
pub const MEMORY: usize = 512;
/// The longest report, in bytes.
pub const LONGEST: usize = HEAD + MEMORY;
const HEAD: usize = 112;
/// Changes with the format.
const MAGIC: u32 = 0x5359_5402;

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'m> {
    /// Which call.
    pub call: Call,
    /// Begun or returned.
    pub stage: Stage,
    /// The calling process, as it sees itself.
    pub pid: u32,
    /// The calling thread, as it sees itself.
    pub tid: u32,
    /// When the call began: nanoseconds since the Epoch.
    pub began: u64,
    /// How long it took, in nanoseconds; 0 while it has not returned.
    pub took: u64,
    /// The arguments, as the caller passed them.
    pub arguments: [u64; 5],
    /// What it returned, or -1.
    pub result: i64,
    /// The C `errno` if it failed, otherwise 0.
    pub errno: i32,
    /// Reports of this process that could not be sent until now.
    pub lost: u32,
    /// What the call's pointers point to: a timeout (16 bytes, if there is one) and operations, a structure, values, or a
    /// message with its type in front.
    pub memory: &'m [u8],
}

impl<'m> Report<'m> {
    /// Writes the report and returns its length.
    pub fn encode(&self, to: &mut [u8; LONGEST]) -> usize {
        let memory = &self.memory[..self.memory.len().min(MEMORY)];
        let head: [u64; HEAD / 8] = [
            u64::from(MAGIC) | (self.call as u64) << 32 | (self.stage as u64) << 40,
            u64::from(self.pid) | u64::from(self.tid) << 32,
            self.began,
            self.took,
            self.arguments[0],
            self.arguments[1],
            self.arguments[2],
            self.arguments[3],
            self.arguments[4],
            self.result as u64,
            u64::from(self.errno as u32),
            u64::from(self.lost),
            memory.len() as u64,
            0,
        ];
        for (to, word) in to.chunks_exact_mut(8).zip(head) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        to[HEAD..][..memory.len()].copy_from_slice(memory);
        HEAD + memory.len()
    }

    /// Reads a report; `None` if the bytes are none of this build's.
    pub fn decode(bytes: &'m [u8]) -> Option<Report<'m>> {
        let (head, memory) = bytes.split_at_checked(HEAD)?;
        let mut words = [0u64; HEAD / 8];
        for (word, bytes) in words.iter_mut().zip(head.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        if words[0] as u32 != MAGIC || words[12] != memory.len() as u64 {
            return None;
        }
        Some(Report {
            call: *Call::ALL.get((words[0] >> 32 & 0xff) as usize)?,
            stage: match words[0] >> 40 {
                0 => Stage::Begins,
                1 => Stage::Returned,
                _ => return None,
            },
            pid: words[1] as u32,
            tid: (words[1] >> 32) as u32,
            began: words[2],
            took: words[3],
            arguments: [words[4], words[5], words[6], words[7], words[8]],
            result: words[9] as i64,
            errno: words[10] as i32,
            lost: words[11] as u32,
            memory,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: Report<'_> = Report {
        call: Call::Msgrcv,
        stage: Stage::Returned,
        pid: 7,
        tid: 8,
        began: 1 << 60,
        took: 250,
        arguments: [1, u64::MAX, 3, 4, 5],
        result: -1,
        errno: 42,
        lost: 3,
        memory: b"hello",
    };

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = [0xff; LONGEST];
        let len = REPORT.encode(&mut bytes);
        assert_eq!(Report::decode(&bytes[..len]), Some(REPORT));
        for (number, call) in Call::ALL.into_iter().enumerate() {
            assert_eq!(call as usize, number);
        }
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let mut bytes = [0; LONGEST];
        let len = REPORT.encode(&mut bytes);
        assert_eq!(Report::decode(&bytes[..len - 1]), None);
        assert_eq!(Report::decode(&bytes[..20]), None);
        assert_eq!(Report::decode(&[]), None);
        for (at, value) in [(0, 1), (4, 12), (5, 2)] {
            let mut wrong = bytes;
            wrong[at] = value;
            assert_eq!(Report::decode(&wrong[..len]), None, "byte {at}");
        }
    }
}
