//! The lock that names its owner, so that whoever finds the owner dead can take it over.
//!
//! | word | meaning | who may change it |
//! |---|---|---|
//! | 0 | free | anybody, to its own tag |
//! | tag | held, nobody sleeps | the owner to 0; a contender to tag + `WAITERS` |
//! | tag + `WAITERS` | held, somebody may sleep | the owner to 0, then it wakes one |
//! | either, tag's owner dead | abandoned | anybody, to its own tag + `WAITERS`: a *takeover* |
//!
//! Nobody concludes death from a timeout: it only says when to ask the kernel whether the owner lives.
//! Not a `pthread` robust mutex: its list pointers would lie in memory that others write, and the C library
//! follows them.
//!
//! Lock order: `process::MEMBERS`, a member's private lock, then a registry's lock. No two registries' locks are
//! held at once.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::time::Duration;

use crate::primitive::{AtomicU32, spin_loop};
use crate::sys;

const WAITERS: u32 = 1 << 15;
const INDEX_MASK: u32 = WAITERS - 1;

/// Rounds of spinning before the first sleep, where another processor can make progress meanwhile. A critical
/// section takes well under a microsecond.
const SPINS: u32 = 200;

const FIRST_NAP: Duration = Duration::from_millis(1);
const LONGEST_NAP: Duration = Duration::from_millis(50);

/// A member process: the index of its record + 1 in the low 15 bits, the record's generation in the high 16. Never
/// 0 for a real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(u32);

impl Tag {
    pub(crate) const fn new(index: usize, generation: u32) -> Tag {
        Tag(generation << 16 | (index as u32 + 1))
    }

    /// The owner that a stored word names; `None` for 0 and for words that name no record.
    pub(crate) fn from_word(word: u32) -> Option<Tag> {
        (word & INDEX_MASK != 0).then_some(Tag(word & !WAITERS))
    }

    /// As [`from_word`](Tag::from_word), for words that hold a tag and nothing else: whoever looks for the tag's word must
    /// find this very one.
    pub(crate) fn from_exact_word(word: u32) -> Option<Tag> {
        Tag::from_word(word).filter(|tag| tag.0 == word)
    }

    pub(crate) fn word(self) -> u32 {
        self.0
    }

    pub(crate) fn index(self) -> usize {
        ((self.0 & INDEX_MASK) as usize).wrapping_sub(1)
    }

    /// Whether this is the tag of the record's owner while its generation is `generation`.
    pub(crate) fn is_of_generation(self, generation: u32) -> bool {
        self.0 >> 16 == generation & 0xffff
    }
}

/// How the lock was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// From its last owner, in order.
    Clean,
    /// From a dead owner: what it guards must be recovered before anything else.
    Takeover,
}

/// Takes the lock for `me`, waiting as long as its owner lives.
#[inline]
pub(crate) fn acquire(word: &AtomicU32, me: Tag, spin: bool, alive: &dyn Fn(Tag) -> bool) -> Acquired {
    match word.compare_exchange(0, me.0, Acquire, Relaxed) {
        Ok(_) => Acquired::Clean,
        Err(_) => acquire_contended(word, me, spin, alive),
    }
}

#[cold]
fn acquire_contended(word: &AtomicU32, me: Tag, spin: bool, alive: &dyn Fn(Tag) -> bool) -> Acquired {
    let mut spins = if spin { SPINS } else { 0 };
    let mut nap = FIRST_NAP;
    // Once we have slept we cannot know whether others sleep too, so we take the lock as contended.
    let mut taken = me.0;
    loop {
        let seen = word.load(Relaxed);
        if seen & !WAITERS == 0 {
            if word.compare_exchange(seen, taken, Acquire, Relaxed).is_ok() {
                return Acquired::Clean;
            }
            continue;
        }
        if spins > 0 {
            spins -= 1;
            spin_loop();
            continue;
        }
        if seen & WAITERS == 0 && word.compare_exchange(seen, seen | WAITERS, Relaxed, Relaxed).is_err() {
            continue;
        }
        taken = me.0 | WAITERS;
        sys::futex_wait(word, seen | WAITERS, nap);
        let now = word.load(Relaxed);
        if now != seen | WAITERS {
            continue;
        }
        // The same owner still: does it live? A word that names no record was written by nobody honest. That may be the very
        // process that waits, where another of its threads has the lock.
        let owner_lives = Tag::from_word(now).is_some_and(alive);
        if !owner_lives && word.compare_exchange(now, taken, Acquire, Relaxed).is_ok() {
            return Acquired::Takeover;
        }
        nap = (nap * 2).min(LONGEST_NAP);
    }
}

/// Gives the lock back.
#[inline]
pub(crate) fn release(word: &AtomicU32) {
    if word.swap(0, Release) & WAITERS != 0 {
        // Killed before this, we leave sleepers to their own timeout.
        sys::futex_wake(word, 1);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_from_its_word() {
        let tag = Tag::new(16383, 0xabcd_1234);
        assert_eq!(tag.index(), 16383);
        assert!(tag.is_of_generation(0x1234));
        assert_eq!(Tag::from_word(tag.word() | WAITERS), Some(tag));
        assert_eq!(Tag::from_word(0), None);
        assert_eq!(Tag::from_word(0x1234_0000), None);
    }

    #[test]
    fn threads_exclude_each_other() {
        static WORD: AtomicU32 = AtomicU32::new(0);
        static INSIDE: AtomicU32 = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for index in 0..4 {
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        assert_eq!(acquire(&WORD, Tag::new(index, 0), true, &|_| true), Acquired::Clean);
                        assert_eq!(INSIDE.fetch_add(1, Relaxed), 0);
                        INSIDE.fetch_sub(1, Relaxed);
                        release(&WORD);
                    }
                });
            }
        });
        assert_eq!(WORD.load(Relaxed), 0);
    }

    /// A thread that waited for another of its own process took the lock from it, as from a dead one.
    #[test]
    fn a_thread_waits_for_another_of_its_process() {
        static WORD: AtomicU32 = AtomicU32::new(0);
        let me = Tag::new(1, 0);
        assert_eq!(acquire(&WORD, me, false, &|_| true), Acquired::Clean);
        let waits = std::thread::spawn(move || acquire(&WORD, me, false, &|owner| owner == me));
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(!waits.is_finished());
        release(&WORD);
        assert_eq!(waits.join().unwrap(), Acquired::Clean);
    }

    #[test]
    fn a_dead_owner_is_succeeded() {
        let word = AtomicU32::new(Tag::new(7, 3).word());
        assert_eq!(
            acquire(&word, Tag::new(1, 0), false, &|tag| tag != Tag::new(7, 3)),
            Acquired::Takeover
        );
        release(&word);
        assert_eq!(word.load(Relaxed), 0);
    }
}
