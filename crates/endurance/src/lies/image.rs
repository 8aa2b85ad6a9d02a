//! One image: the lies told about a namespace, and the calls made on that. Kept as text where it has found a defect.

#![allow(unsafe_code)]

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::Mechanism;

/// Words that the lies of one image write at most: eight of 256 bytes.
const MOST: usize = 8 * 64;

/// The lies of an image, in memory that the harness shares with the honest process, so that they outlive it.
#[repr(C)]
pub(super) struct Image {
    count: AtomicU32,
    words: [[AtomicU32; 3]; MOST],
}

impl Image {
    /// An empty one. It stays until the process ends.
    pub(super) fn new() -> &'static Image {
        // SAFETY: a new shared mapping, large enough, zeroed, of atomics only.
        unsafe {
            let at = libc::mmap(
                std::ptr::null_mut(),
                size_of::<Image>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(at, libc::MAP_FAILED, "no memory for an image");
            &*at.cast::<Image>()
        }
    }

    /// Gives its memory back.
    ///
    /// # Safety
    /// Nobody may use it any more.
    pub(super) unsafe fn free(&'static self) {
        // SAFETY: mapped by `new`; the caller's promise.
        unsafe { libc::munmap(core::ptr::from_ref(self).cast_mut().cast(), size_of::<Image>()) };
    }

    pub(super) fn clear(&self) {
        self.count.store(0, Relaxed);
    }

    /// Notes that a word of a file was written.
    pub(super) fn note(&self, file: usize, at: usize, value: u32) {
        let count = self.count.load(Relaxed) as usize;
        if let Some(words) = self.words.get(count) {
            for (word, value) in words.iter().zip([file as u32, at as u32, value]) {
                word.store(value, Relaxed);
            }
            self.count.store(count as u32 + 1, Relaxed);
        }
    }

    /// File, offset and value of each word, in the order in which they were written.
    pub(super) fn lies(&self) -> impl Iterator<Item = (usize, usize, u32)> {
        let count = (self.count.load(Relaxed) as usize).min(MOST);
        self.words[..count].iter().map(|[file, at, value]| {
            let [file, at] = [file, at].map(|word| word.load(Relaxed) as usize);
            (file, at, value.load(Relaxed))
        })
    }
}

/// An image as it is kept: a story, and what makes it.
pub(super) struct Kept {
    pub mechanism: Mechanism,
    pub shared: bool,
    /// Seed of the calls.
    pub calls: u64,
    pub lies: Vec<(usize, usize, u32)>,
}

impl Kept {
    /// Its text, without a story.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "mechanism {}\nshared {}\ncalls {:#x}\n",
            self.mechanism.name(),
            u8::from(self.shared),
            self.calls
        );
        for (file, at, value) in &self.lies {
            let _ = writeln!(text, "lie {file} {at:#x} {value:#x}");
        }
        text
    }

    /// Reads a kept image.
    ///
    /// # Errors
    /// Which line cannot be understood.
    pub(super) fn read(path: &Path) -> Result<Kept, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut kept = Kept {
            mechanism: Mechanism::Segments,
            shared: false,
            calls: 0,
            lies: Vec::new(),
        };
        for (number, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let numbers: Option<Vec<u64>> = words.iter().skip(1).map(|word| crate::parse(word)).collect();
            let understood = match (words.first().copied(), numbers.as_deref()) {
                (None, _) => true,
                (Some(word), _) if word.starts_with('#') => true,
                (Some("mechanism"), _) => {
                    let mechanism = words.get(1).and_then(|name| Mechanism::named(name));
                    mechanism.map(|found| kept.mechanism = found).is_some()
                }
                (Some("shared"), Some(&[shared])) => {
                    kept.shared = shared != 0;
                    true
                }
                (Some("calls"), Some(&[seed])) => {
                    kept.calls = seed;
                    true
                }
                (Some("lie"), Some(&[file, at, value])) => {
                    kept.lies.push((file as usize, at as usize, value as u32));
                    true
                }
                _ => false,
            };
            if !understood {
                return Err(format!("{}:{}: what is `{line}`?", path.display(), number + 1));
            }
        }
        Ok(kept)
    }
}
