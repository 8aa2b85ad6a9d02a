//! The limits of a namespace: `SHMMAX` and its kin, which Linux keeps under `/proc/sys/kernel`.
//!
//! They stand in a file of their own, `limits`, which only the namespace's owner may write, and which every member
//! maps: a changed limit counts at the next call of every process without a system call.
//!
//! For each file of `/proc/sys/kernel` there is a *text area* in which a program's `write(2)` lands as it is, for the
//! preloaded library hands out a descriptor of `limits` at that offset. So `echo 100 > /proc/sys/kernel/shmmni` works
//! from any shell and through any number of `dup2` and `execve`. A text area that holds a number overrides the value;
//! one that holds anything else counts for nothing (the kernel would have failed the write with `EINVAL`).

use core::ffi::CStr;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::abi::{SHMALL_DEFAULT, SHMMAX_DEFAULT, SHMMNI_DEFAULT};
use crate::errno::{Errno, Result};
use crate::path::PathBuf;
use crate::sys::{self, Fd};
use crate::table::SEGMENTS;

/// The limits, as the files of `/proc/sys/kernel` hold them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest segment, in bytes.
    pub shmmax: u64,
    /// Sum of all segments, in pages.
    pub shmall: u64,
    /// Number of segments; at most 16384.
    pub shmmni: u64,
}

impl Default for Limits {
    /// Linux's defaults.
    fn default() -> Limits {
        Limits {
            shmmax: SHMMAX_DEFAULT,
            shmall: SHMALL_DEFAULT,
            shmmni: SHMMNI_DEFAULT,
        }
    }
}

/// One limit, by its name under `/proc/sys/kernel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// [`Limits::shmmax`].
    Shmmax,
    /// [`Limits::shmall`].
    Shmall,
    /// [`Limits::shmmni`].
    Shmmni,
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 3] = [Limit::Shmmax, Limit::Shmall, Limit::Shmmni];

    /// The name of its file.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::Shmmax => "shmmax",
            Limit::Shmall => "shmall",
            Limit::Shmmni => "shmmni",
        }
    }

    /// The largest value that it may have.
    pub const fn maximum(self) -> u64 {
        match self {
            Limit::Shmmax | Limit::Shmall => u64::MAX,
            Limit::Shmmni => SEGMENTS as u64,
        }
    }
}

impl Limits {
    /// The value of one limit.
    pub fn get(&self, limit: Limit) -> u64 {
        match limit {
            Limit::Shmmax => self.shmmax,
            Limit::Shmall => self.shmall,
            Limit::Shmmni => self.shmmni,
        }
    }

    /// Sets one limit.
    ///
    /// # Errors
    /// `EINVAL` if the value is beyond [`Limit::maximum`], as the kernel says on writing it.
    pub fn set(&mut self, limit: Limit, value: u64) -> Result<()> {
        if value > limit.maximum() {
            return Err(Errno::EINVAL);
        }
        match limit {
            Limit::Shmmax => self.shmmax = value,
            Limit::Shmall => self.shmall = value,
            Limit::Shmmni => self.shmmni = value,
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
    /// By the number of [`Limit`]; room for the other mechanisms'.
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

    /// The limits in force.
    pub(crate) fn load(&self) -> Limits {
        let mut limits = Limits::default();
        for limit in Limit::ALL {
            let written = self.texts[limit as usize].parse();
            let value = written.filter(|&v| v <= limit.maximum());
            let _ = limits.set(
                limit,
                value.unwrap_or_else(|| self.values[limit as usize].load(Relaxed)),
            );
        }
        limits
    }
}

impl TextArea {
    /// The number that stands here, if one does and nothing else.
    fn parse(&self) -> Option<u64> {
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
        core::str::from_utf8(line).ok()?.trim().parse().ok()
    }
}

/// Bytes of a new `limits` file.
fn initial(limits: &Limits) -> [u8; 4096] {
    let mut page = [0u8; 4096];
    page[..8].copy_from_slice(&MAGIC.to_le_bytes());
    for limit in Limit::ALL {
        let at = value_offset(limit);
        page[at..at + 8].copy_from_slice(&limits.get(limit).to_le_bytes());
    }
    page
}

fn value_offset(limit: Limit) -> usize {
    offset_of!(LimitsPage, values) + limit as usize * 8
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
    if Limit::ALL.iter().any(|&limit| limits.get(limit) > limit.maximum()) {
        return Err(Errno::EINVAL);
    }
    let fd = open_for_writing(directory)?;
    for limit in Limit::ALL {
        // The value first: until its text is gone, the old one overrides it.
        sys::pwrite(&fd, &limits.get(limit).to_le_bytes(), value_offset(limit) as u64)?;
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
    sys::pwrite(&fd, &current.get(limit).to_le_bytes(), value_offset(limit) as u64)?;
    sys::pwrite(&fd, &[0; TEXT_BYTES], text_offset(limit) as u64)?;
    let fd = sys::open(PathBuf::join(directory, b"limits")?.as_c_str(), libc::O_WRONLY, 0)?;
    sys::seek(&fd, text_offset(limit) as u64)?;
    Ok(fd.into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<u64> {
        let area = TextArea {
            bytes: core::array::from_fn(|i| AtomicU8::new(*text.as_bytes().get(i).unwrap_or(&0))),
        };
        area.parse()
    }

    #[test]
    fn a_text_area_holds_a_number_or_nothing() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("4096\n"), Some(4096));
        assert_eq!(parse(" 18446744073692774399"), Some(SHMMAX_DEFAULT));
        assert_eq!(parse("1\n2\n"), Some(2));
        assert_eq!(parse("5abc\n"), None);
        assert_eq!(parse("-1\n"), None);
    }

    #[test]
    fn no_limit_passes_its_maximum() {
        let mut limits = Limits::default();
        assert_eq!(limits.set(Limit::Shmmni, 16385), Err(Errno::EINVAL));
        assert_eq!(limits.set(Limit::Shmmni, 16384), Ok(()));
    }
}
