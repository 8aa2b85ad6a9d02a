//! The limits of a namespace: `SHMMAX` and its kin, which Linux keeps under `/proc/sys/kernel`.
//!
//! They stand in a file of their own, `limits`, which only the namespace's owner may write, and which every member
//! maps: a changed limit counts at the next call of every process without a system call.
//!
//! For each file of `/proc/sys/kernel` there is a *text area* in which a program's `write(2)` lands as it is, for the
//! preloaded library hands out a descriptor of `limits` at that offset. So `echo 100 > /proc/sys/kernel/shmmni` works
//! from any shell and through any number of `dup2` and `execve`. A text area that holds the file's numbers overrides the
//! values; one that holds anything else counts for nothing (the kernel would have failed the write with `EINVAL`).

use core::ffi::CStr;
use core::fmt;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::abi::{
    MSGMAX_DEFAULT, MSGMNB_DEFAULT, MSGMNI_DEFAULT, SEMMNI_DEFAULT, SEMMNS_DEFAULT, SEMMSL_DEFAULT, SEMOPM_DEFAULT,
    SHMALL_DEFAULT, SHMMAX_DEFAULT, SHMMNI_DEFAULT,
};
use crate::errno::{Errno, Result};
use crate::path::PathBuf;
use crate::sys::{self, Fd};
use crate::table::{QUEUES, SEGMENTS, SETS};

/// The limits, as the files of `/proc/sys/kernel` hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest segment, in bytes.
    pub shmmax: u64,
    /// Sum of all segments, in pages.
    pub shmall: u64,
    /// Number of segments; at most 16384.
    pub shmmni: u64,
    /// Semaphores of a set; at most 65536.
    pub semmsl: u64,
    /// Semaphores of all sets together.
    pub semmns: u64,
    /// Operations of one `semop`.
    pub semopm: u64,
    /// Number of semaphore sets; at most 32768.
    pub semmni: u64,
    /// Largest message, in bytes.
    pub msgmax: u64,
    /// Bytes that a new message queue may hold.
    pub msgmnb: u64,
    /// Number of message queues; at most 32768.
    pub msgmni: u64,
}

impl Default for Limits {
    /// Linux's defaults.
    fn default() -> Limits {
        Limits {
            shmmax: SHMMAX_DEFAULT,
            shmall: SHMALL_DEFAULT,
            shmmni: SHMMNI_DEFAULT,
            semmsl: SEMMSL_DEFAULT,
            semmns: SEMMNS_DEFAULT,
            semopm: SEMOPM_DEFAULT,
            semmni: SEMMNI_DEFAULT,
            msgmax: MSGMAX_DEFAULT,
            msgmnb: MSGMNB_DEFAULT,
            msgmni: MSGMNI_DEFAULT,
        }
    }
}

/// A file under `/proc/sys/kernel` that holds limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::shmmax`].
    Shmmax,
    /// [`Limits::shmall`].
    Shmall,
    /// [`Limits::shmmni`].
    Shmmni,
    /// [`Limits::semmsl`], [`Limits::semmns`], [`Limits::semopm`] and [`Limits::semmni`].
    Sem,
    /// [`Limits::msgmax`].
    Msgmax,
    /// [`Limits::msgmnb`].
    Msgmnb,
    /// [`Limits::msgmni`].
    Msgmni,
}

/// The most numbers that one file holds.
const NUMBERS: usize = 4;

/// The numbers of one file. Displays as the file's text, without the newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    numbers: [u64; NUMBERS],
    len: usize,
}

impl Numbers {
    fn new(numbers: &[u64]) -> Numbers {
        let mut all = [0; NUMBERS];
        all[..numbers.len()].copy_from_slice(numbers);
        Numbers {
            numbers: all,
            len: numbers.len(),
        }
    }

    /// Them, in the file's order.
    pub fn as_slice(&self) -> &[u64] {
        &self.numbers[..self.len]
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.as_slice().iter().enumerate() {
            let separator = if index == 0 { "" } else { "\t" };
            write!(f, "{separator}{number}")?;
        }
        Ok(())
    }
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 7] = [
        Limit::Shmmax,
        Limit::Shmall,
        Limit::Shmmni,
        Limit::Sem,
        Limit::Msgmax,
        Limit::Msgmnb,
        Limit::Msgmni,
    ];

    /// The name of the file.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Shmmax => "shmmax",
            Limit::Shmall => "shmall",
            Limit::Shmmni => "shmmni",
            Limit::Sem => "sem",
            Limit::Msgmax => "msgmax",
            Limit::Msgmnb => "msgmnb",
            Limit::Msgmni => "msgmni",
        }
    }

    /// The largest value that each of its numbers may have.
    pub const fn maxima(self) -> &'static [u64] {
        const INT: u64 = i32::MAX as u64;
        match self {
            Limit::Shmmax | Limit::Shmall => &[u64::MAX],
            Limit::Shmmni => &[SEGMENTS as u64],
            // A semaphore's index has 16 bits.
            Limit::Sem => &[1 << 16, INT, INT, SETS as u64],
            Limit::Msgmax | Limit::Msgmnb => &[INT],
            Limit::Msgmni => &[QUEUES as u64],
        }
    }

    fn admits(self, numbers: &[u64]) -> bool {
        let maxima = self.maxima();
        numbers.len() == maxima.len() && numbers.iter().zip(maxima).all(|(number, maximum)| number <= maximum)
    }

    /// Where its numbers stand among those of all files.
    const fn first_value(self) -> usize {
        match self {
            Limit::Shmmax => 0,
            Limit::Shmall => 1,
            Limit::Shmmni => 2,
            Limit::Sem => 3,
            Limit::Msgmax => 7,
            Limit::Msgmnb => 8,
            Limit::Msgmni => 9,
        }
    }
}

impl Limits {
    /// The numbers that one file holds.
    pub fn get(&self, limit: Limit) -> Numbers {
        match limit {
            Limit::Shmmax => Numbers::new(&[self.shmmax]),
            Limit::Shmall => Numbers::new(&[self.shmall]),
            Limit::Shmmni => Numbers::new(&[self.shmmni]),
            Limit::Sem => Numbers::new(&[self.semmsl, self.semmns, self.semopm, self.semmni]),
            Limit::Msgmax => Numbers::new(&[self.msgmax]),
            Limit::Msgmnb => Numbers::new(&[self.msgmnb]),
            Limit::Msgmni => Numbers::new(&[self.msgmni]),
        }
    }

    /// Sets the numbers that one file holds.
    ///
    /// # Errors
    /// `EINVAL` if there are not as many as in the file or one is beyond its [maximum](Limit::maxima), as the kernel says on
    /// writing it.
    pub fn set(&mut self, limit: Limit, numbers: &[u64]) -> Result<()> {
        if !limit.admits(numbers) {
            return Err(Errno::EINVAL);
        }
        match (limit, numbers) {
            (Limit::Shmmax, &[number]) => self.shmmax = number,
            (Limit::Shmall, &[number]) => self.shmall = number,
            (Limit::Shmmni, &[number]) => self.shmmni = number,
            (Limit::Sem, &[msl, mns, opm, mni]) => {
                (self.semmsl, self.semmns, self.semopm, self.semmni) = (msl, mns, opm, mni);
            }
            (Limit::Msgmax, &[number]) => self.msgmax = number,
            (Limit::Msgmnb, &[number]) => self.msgmnb = number,
            (Limit::Msgmni, &[number]) => self.msgmni = number,
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }
}

/// What `limits` begins with.
const MAGIC: u64 = u64::from_le_bytes(*b"SYSVLIM\0");
const TEXT_BYTES: usize = 128;

/// The file `limits`: one page.
#[repr(C, align(4096))]
pub(crate) struct LimitsPage {
    magic: AtomicU64,
    _pad: [AtomicU64; 7],
    /// The numbers of all files; [`Limit::first_value`] says where each one's begin.
    values: [AtomicU64; 16],
    _pad2: [AtomicU64; 104],
    texts: [TextArea; 24],
}

/// Bytes that a program wrote to the limit's file under `/proc/sys/kernel`; begins with NUL if none did.
#[repr(C)]
struct TextArea {
    bytes: [AtomicU8; TEXT_BYTES],
}

const _: () = assert!(size_of::<LimitsPage>() == 4096 && offset_of!(LimitsPage, texts) == 1024);

impl LimitsPage {
    /// Whether this is a limits file at all.
    pub(crate) fn is_valid(&self) -> bool {
        self.magic.load(Relaxed) == MAGIC
    }

    /// [`Limits::semopm`] alone, which every `semop` asks for.
    #[inline]
    pub(crate) fn semopm(&self) -> u64 {
        if self.texts[Limit::Sem as usize].bytes[0].load(Relaxed) == 0 {
            self.values[Limit::Sem.first_value() + 2].load(Relaxed)
        } else {
            self.load().semopm
        }
    }

    /// The one number of a file that holds one.
    #[inline]
    pub(crate) fn load_one(&self, limit: Limit) -> u64 {
        let text = &self.texts[limit as usize];
        if text.bytes[0].load(Relaxed) == 0 {
            let value = self.values[limit.first_value()].load(Relaxed);
            return value.min(limit.maxima()[0]);
        }
        self.load().get(limit).numbers[0]
    }

    /// The limits in force.
    pub(crate) fn load(&self) -> Limits {
        let mut limits = Limits::default();
        for limit in Limit::ALL {
            let count = limit.maxima().len();
            let written = self.texts[limit as usize].parse(count);
            let kept = || {
                let values = &self.values[limit.first_value()..][..count];
                let mut numbers = Numbers::new(&[0; NUMBERS][..count]);
                for (number, value) in numbers.numbers.iter_mut().zip(values) {
                    *number = value.load(Relaxed);
                }
                numbers
            };
            let numbers = written.filter(|n| limit.admits(n.as_slice())).unwrap_or_else(kept);
            let _ = limits.set(limit, numbers.as_slice());
        }
        limits
    }
}

impl TextArea {
    /// The `count` numbers that stand here, if they do and nothing else.
    fn parse(&self, count: usize) -> Option<Numbers> {
        let mut text = [0u8; TEXT_BYTES];
        let mut len = 0;
        for (byte, shared) in text.iter_mut().zip(&self.bytes) {
            *byte = shared.load(Relaxed);
            if *byte == 0 {
                break;
            }
            len += 1;
        }
        // What was written last counts; each write of a number ends with a newline or is the only one.
        let line = text[..len].trim_ascii().rsplit(|&b| b == b'\n').next()?;
        let mut words = core::str::from_utf8(line).ok()?.split_ascii_whitespace();
        let mut numbers = Numbers::new(&[0; NUMBERS][..count]);
        for number in &mut numbers.numbers[..count] {
            *number = words.next()?.parse().ok()?;
        }
        words.next().is_none().then_some(numbers)
    }
}

/// Bytes of a new `limits` file.
fn initial(limits: &Limits) -> [u8; 4096] {
    let mut page = [0u8; 4096];
    page[..8].copy_from_slice(&MAGIC.to_le_bytes());
    for limit in Limit::ALL {
        let at = value_offset(limit);
        let (bytes, len) = image(limits, limit);
        page[at..at + len].copy_from_slice(&bytes[..len]);
    }
    page
}

/// The bytes of one file's numbers in the page, and how many there are.
fn image(limits: &Limits, limit: Limit) -> ([u8; NUMBERS * 8], usize) {
    let mut bytes = [0; NUMBERS * 8];
    let numbers = limits.get(limit);
    for (chunk, number) in bytes.chunks_exact_mut(8).zip(numbers.as_slice()) {
        chunk.copy_from_slice(&number.to_le_bytes());
    }
    (bytes, numbers.as_slice().len() * 8)
}

fn value_offset(limit: Limit) -> usize {
    offset_of!(LimitsPage, values) + limit.first_value() * 8
}

fn text_offset(limit: Limit) -> usize {
    offset_of!(LimitsPage, texts) + limit as usize * TEXT_BYTES
}

/// Makes the file, wholly or not at all: under a temporary name first. The caller holds the directory's lock.
pub(crate) fn create(directory: &CStr, mode: u32) -> Result<()> {
    let temporary = PathBuf::join(directory, b"limits.new")?;
    let path = PathBuf::join(directory, b"limits")?;
    let _ = sys::unlink(temporary.as_c_str());
    let fd = sys::open(temporary.as_c_str(), libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, mode)?;
    sys::fchmod(&fd, mode)?;
    sys::pwrite(&fd, &initial(&Limits::default()), 0)?;
    sys::rename(temporary.as_c_str(), path.as_c_str())
}

fn open_for_writing(directory: &CStr) -> Result<Fd> {
    sys::open(PathBuf::join(directory, b"limits")?.as_c_str(), libc::O_RDWR, 0)
}

/// Stores new limits.
///
/// # Errors
/// `EACCES` for others than the namespace's owner; `EINVAL` if one is beyond its maximum.
pub(crate) fn store(directory: &CStr, limits: &Limits) -> Result<()> {
    if !Limit::ALL
        .iter()
        .all(|&limit| limit.admits(limits.get(limit).as_slice()))
    {
        return Err(Errno::EINVAL);
    }
    let fd = open_for_writing(directory)?;
    for limit in Limit::ALL {
        // The value first: until its text is gone, the old one overrides it.
        let (bytes, len) = image(limits, limit);
        sys::pwrite(&fd, &bytes[..len], value_offset(limit) as u64)?;
        sys::pwrite(&fd, &[0; TEXT_BYTES], text_offset(limit) as u64)?;
    }
    Ok(())
}

/// A descriptor for a program that opened the limit's file for writing: what it writes becomes the limit.
///
/// # Errors
/// `EACCES` for others than the namespace's owner.
pub(crate) fn writer(directory: &CStr, limit: Limit, current: &Limits) -> Result<i32> {
    let fd = open_for_writing(directory)?;
    let (bytes, len) = image(current, limit);
    sys::pwrite(&fd, &bytes[..len], value_offset(limit) as u64)?;
    sys::pwrite(&fd, &[0; TEXT_BYTES], text_offset(limit) as u64)?;
    let fd = sys::open(PathBuf::join(directory, b"limits")?.as_c_str(), libc::O_WRONLY, 0)?;
    sys::seek(&fd, text_offset(limit) as u64)?;
    Ok(fd.into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_all(text: &str, count: usize) -> Option<Numbers> {
        let area = TextArea {
            bytes: core::array::from_fn(|i| AtomicU8::new(*text.as_bytes().get(i).unwrap_or(&0))),
        };
        area.parse(count)
    }

    fn parse(text: &str) -> Option<u64> {
        parse_all(text, 1).map(|numbers| numbers.as_slice()[0])
    }

    #[test]
    fn a_text_area_holds_a_number_or_nothing() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("4096\n"), Some(4096));
        assert_eq!(parse(" 18446744073692774399"), Some(SHMMAX_DEFAULT));
        assert_eq!(parse("1\n2\n"), Some(2));
        assert_eq!(parse("5abc\n"), None);
        assert_eq!(parse("5 6\n"), None);
        assert_eq!(parse("-1\n"), None);
    }

    #[test]
    fn a_file_of_four_numbers_holds_four_or_nothing() {
        let four = parse_all("1\t2 3   4\n", 4);
        assert_eq!(four.map(|numbers| numbers.to_string()), Some("1\t2\t3\t4".to_string()));
        assert_eq!(parse_all("1 2 3\n", 4), None);
        assert_eq!(parse_all("1 2 3 4 5\n", 4), None);
    }

    #[test]
    fn no_limit_passes_its_maximum() {
        let mut limits = Limits::default();
        assert_eq!(limits.set(Limit::Shmmni, &[16385]), Err(Errno::EINVAL));
        assert_eq!(limits.set(Limit::Shmmni, &[16384]), Ok(()));
        assert_eq!(limits.set(Limit::Sem, &[250, 32000, 32, 32769]), Err(Errno::EINVAL));
        assert_eq!(limits.set(Limit::Sem, &[250, 32000, 32]), Err(Errno::EINVAL));
        assert_eq!(limits.set(Limit::Sem, &[250, 32000, 32, 128]), Ok(()));
        assert_eq!(limits.semopm, 32);
    }
}
