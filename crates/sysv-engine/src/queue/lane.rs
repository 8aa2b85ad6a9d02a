//! The lane: how small messages pass without an envelope or a block, and from one processor to another without their sender and
//! their receiver waiting for each other's lock.
//!
//! With one lock for both ends two processors spend more time on passing that lock to each other than on all the rest. So whoever
//! receives a message that another process has sent, or small messages one at a time as they come, opens the lane, if nobody is
//! asleep at the queue: from then on senders *post* small messages in a ring, under a lock of their own, and receivers take them
//! from there under the queue's. The two locks stay each on its side, and what passes between the processors is the message.
//!
//! | [`lane_room`](super::layout::Header::lane_room) | meaning | set by |
//! |---|---|---|
//! | 0 | closed and empty | the queue's holder |
//! | 1 … [`POSTS`] | open: so many may stand there at once | the queue's holder; it only rises |
//! | [`SHUT`] | nobody posts any more, what was posted is being moved to the order | the queue's holder, with the senders' lock too |
//!
//! What is posted comes after everything in the order, and is in the queue from the store of its number: whoever does anything else
//! at the queue than to receive what comes first *closes* the lane first, which moves what is posted to the end of the order.
//! So nobody sleeps at a queue whose lane is open, and a message that a sleeper waits for is given to it as always. The room is what
//! the queue has left when it is filled with posts of the full length, so that no post exceeds `msg_qbytes`.
//!
//! A sender that is killed has posted its message or has not; the next one counts it. Of a receiver, or one who moves messages,
//! [`Taking`](super::layout::Taking) says how far it came. `taken_seen` and `posts_seen` are what each side last saw of the other,
//! so that it looks there only when it must: a receiver that keeps up with the senders sees of them the messages alone.
//!
//! Lock order: the senders' lock is taken alone or under the queue's.

#![allow(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::ahead;
use super::contents::{Contents, Party, add32};
use super::ground::Ground;
use super::layout::{HELD, Header, Lane, POST_BYTES, POSTS, Post};
use super::selection::Selection;
use super::window::Mapped;
use crate::critical::Section;
use crate::errno::Result;
use crate::lock;
use crate::member::Member;
use crate::usercopy;

/// In [`Header::lane_room`].
pub(super) const SHUT: u32 = 1 << 31;
/// In [`Header::taking`]: a message in the lane, by its number there.
pub(super) const POSTED: u64 = HELD;

const MOST: u32 = POSTS as u32;
/// Room for which a sender waits that found none.
const SEVERAL: u32 = MOST / 2;
/// Messages taken of which the senders do not know, at the most.
const SHOWN: u32 = MOST / 4;
/// Messages in the lane that a receiver asks for before it needs them.
const POSTS_AHEAD: u32 = 4;
/// Looks at the senders' lock or for room, before the sender goes the long way.
const LOOKS: u32 = 64;
/// Turns of the waiting loop between two looks.
const PAUSE: u32 = 12;

/// Where a receiver finds what it wants, while the lane is open.
pub(super) enum Beside<'g> {
    /// In the order, if anywhere.
    Order,
    /// This, in the lane.
    Lane(&'g Post),
    /// That is known once what is in the lane has been moved to the order.
    Both,
}

/// Whether the lane is open for a message of this length.
#[inline(always)]
pub(super) fn takes(mapped: &Mapped<'_>, len: usize) -> bool {
    matches!(mapped.window().header.lane_room.load(Relaxed), 1..SHUT) && len <= POST_BYTES
}

/// Posts a message of `len` bytes that `fill` writes, if [`takes`] says that they can be; `None` if the lane does not take it.
///
/// # Errors
/// `fill`'s; nothing is posted then.
#[inline(never)]
pub(super) fn post(
    mapped: &Mapped<'_>,
    kind: i64,
    len: usize,
    from: Party,
    fill: impl FnOnce(*mut u8) -> Result<()>,
) -> Option<Result<()>> {
    let header = &mapped.window().header;
    let lane = &header.lane;
    let _locked = Locked::lock(mapped)?;
    // Perhaps it is another queue's by now.
    if header.id.load(Relaxed) != mapped.id as u32 + 1 {
        return None;
    }
    let posted = count_posts(lane);
    // Messages for which there is room, as far as is known or as has just been looked up.
    let room = |taken: u32| match header.lane_room.load(Acquire) {
        room if room & SHUT != 0 => 0,
        room => room.min(MOST).saturating_sub(posted.wrapping_sub(taken)),
    };
    if room(lane.posting.taken_seen.load(Relaxed)) == 0 {
        let look = |wanted| {
            let taken = lane.taking.taken.load(Acquire);
            (room(taken) >= wanted).then(|| lane.posting.taken_seen.store(taken, Relaxed))
        };
        // Who has filled the lane waits for room for several, so that not each message waits for the other processor; but not for
        // messages that it has been receiving itself.
        let others_receive = || header.taker.load(Relaxed) != from.identity;
        look(1)
            .or_else(|| others_receive().then(|| patiently(mapped, || look(SEVERAL)))?)
            .or_else(|| look(1))?;
    }
    let (post, next) = (lane.post_after(posted), lane.post_after(posted.wrapping_add(1)));
    ahead::fetch(&raw const next.kind);
    ahead::fetch(&raw const next.bytes[4]);
    if let Err(errno) = fill(post.bytes.as_ptr().cast_mut().cast()) {
        return Some(Err(errno));
    }
    post.kind.store(kind, Relaxed);
    post.len.store(len as u32, Relaxed);
    post.sender.store(from.identity, Relaxed);
    post.sent_at.store(from.now, Relaxed);
    let posted = posted.wrapping_add(1);
    // The message is in the queue from here.
    post.number.store(posted, Release);
    lane.posting.posted.store(posted, Release);
    Some(Ok(()))
}

/// Tries until it succeeds, or for a short while, if another processor can make progress meanwhile.
#[inline(always)]
fn patiently<T>(mapped: &Mapped<'_>, attempt: impl Fn() -> Option<T>) -> Option<T> {
    let mut looks = if mapped.member.spins() { LOOKS } else { 0 };
    loop {
        if let Some(done) = attempt() {
            return Some(done);
        }
        looks = looks.checked_sub(1)?;
        for _ in 0..PAUSE {
            core::hint::spin_loop();
        }
    }
}

/// The senders' lock, held.
struct Locked<'c, 'm> {
    mapped: &'c Mapped<'m>,
    // Ends last, with the lock given back.
    _section: Section,
}

impl<'c, 'm> Locked<'c, 'm> {
    /// Takes it, if nobody has it for long.
    #[inline(always)]
    fn lock(mapped: &'c Mapped<'m>) -> Option<Locked<'c, 'm>> {
        let section = Section::enter();
        let lock = &mapped.window().header.lane.posting.lock;
        let tag = mapped.member.tag().word();
        patiently(mapped, || lock.compare_exchange(0, tag, Acquire, Relaxed).ok())?;
        Some(Locked {
            mapped,
            _section: section,
        })
    }
}

impl Drop for Locked<'_, '_> {
    #[inline(always)]
    fn drop(&mut self) {
        lock::release(&self.mapped.window().header.lane.posting.lock);
    }
}

/// Whether there are messages in the lane, for one who does not hold the queue's lock. All of the first is fetched, so that it is
/// there with its number.
#[inline(always)]
pub(super) fn is_used(header: &Header) -> bool {
    let taken = header.posts_taken.load(Relaxed);
    let first = header.lane.post_after(taken);
    ahead::fetch_to_read(first);
    first.is_posted_after(taken)
}

/// How many messages have been posted, for whoever holds the senders' lock.
#[inline(always)]
pub(super) fn count_posts(lane: &Lane) -> u32 {
    let posted = lane.posting.posted.load(Relaxed);
    if !lane.post_after(posted).is_posted_after(posted) {
        return posted;
    }
    // The last sender was killed before it counted.
    let posted = posted.wrapping_add(1);
    lane.posting.posted.store(posted, Relaxed);
    posted
}

impl Lane {
    /// Where the message is, or goes, that is posted after so many others.
    #[inline(always)]
    pub(super) fn post_after(&self, others: u32) -> &Post {
        &self.posts[others as usize % POSTS]
    }
}

impl Post {
    #[inline(always)]
    fn is_posted_after(&self, others: u32) -> bool {
        self.number.load(Acquire) == others.wrapping_add(1)
    }
}

/// Keeps everybody from posting, for whoever holds the queue's lock. What is posted stays for [`Contents::move_posts`].
pub(super) fn shut(member: &Member, header: &Header) {
    // Nothing is to be recovered after a dead sender.
    member.acquire(&header.lane.posting.lock);
    header.lane_room.store(SHUT, Release);
    lock::release(&header.lane.posting.lock);
}

impl<'g, G: Ground> Contents<'g, G> {
    /// Whether there may be messages in the lane.
    #[inline(always)]
    pub(super) fn uses_lane(self) -> bool {
        self.header().lane_room.load(Relaxed) != 0
    }

    /// Whether small messages are received as they come: this one, of so many bytes, is alone in the order, and so was the one
    /// before. In a burst they are not, and would have to be moved to the order. Notes it for the next.
    #[inline(always)]
    pub(super) fn come_alone(self, len: usize) -> bool {
        let header = self.header();
        if len > POST_BYTES || header.order_live.load(Relaxed) != 1 {
            return false;
        }
        let departures = header.departures.load(Relaxed);
        let before = header.alone_at.load(Relaxed);
        header.alone_at.store(departures.wrapping_add(1), Relaxed);
        before == departures
    }

    /// Opens the lane, or widens it, if nobody waits and there is room for at least one message.
    #[inline(never)]
    pub(super) fn open_lane(self) {
        let header = self.header();
        let waits =
            header.receivers.first.load(Relaxed) | header.senders.first.load(Relaxed) | header.granted.load(Relaxed);
        let open = header.lane_room.load(Relaxed);
        if waits != 0 || open >= MOST {
            return;
        }
        let tally = self.tally();
        let capacity = tally.capacity.load(Relaxed);
        let bytes = capacity.saturating_sub(tally.bytes.load(Relaxed)) / POST_BYTES as u64;
        let messages = capacity.saturating_sub(tally.messages.load(Relaxed));
        let room = bytes.min(messages).min(POSTS as u64) as u32;
        if room > open {
            let taken = header.posts_taken.load(Relaxed);
            header.lane.taking.taken.store(taken, Relaxed);
            // First said, then done: what is posted is looked for.
            tally.lane.store(1, Release);
            header.lane_room.store(room, Release);
        }
    }

    /// Moves what is posted to the end of the order. The lane is shut; it is closed then.
    ///
    /// # Errors
    /// `ENOMEM` if there is no memory; what is left is in the lane.
    #[inline(never)]
    pub(super) fn move_posts(self) -> Result<()> {
        let header = self.header();
        let taking = &header.lane.taking;
        // There are no more, whatever is said of their number.
        for _ in 0..POSTS {
            let Some(post) = self.first_post() else { break };
            let after = header.posts_taken.load(Relaxed).wrapping_add(1);
            // What nobody honest posts is nothing.
            if let Some((kind, bytes, len)) = read(post) {
                let from = Party {
                    identity: post.sender.load(Relaxed),
                    now: post.sent_at.load(Relaxed),
                };
                taking.moving_past.store(after, Relaxed);
                taking.moving.store(self.next_sequence(), Release);
                // SAFETY: `put` made room for so many bytes.
                let fill = |to| unsafe { usercopy::copy_in(to, bytes.expose_provenance(), len) };
                if let Err(errno) = self.put(kind, len, from, fill, |_| true) {
                    taking.moving.store(0, Relaxed);
                    return Err(errno);
                }
            }
            header.posts_taken.store(after, Release);
            taking.moving.store(0, Release);
        }
        header.lane_room.store(0, Relaxed);
        self.tally().lane.store(0, Release);
        Ok(())
    }

    /// Finishes what one who was killed had begun to move.
    pub(super) fn finish_moving(self) {
        let taking = &self.header().lane.taking;
        let moving = taking.moving.load(Relaxed);
        if moving == 0 {
            return;
        }
        let mut moved = false;
        self.for_each_in_use(&mut |_, envelope| moved |= envelope.state.load(Relaxed) == moving);
        if moved {
            let past = taking.moving_past.load(Relaxed);
            self.header().posts_taken.store(past, Release);
        }
        taking.moving.store(0, Release);
    }

    /// The first message in the lane.
    #[inline(always)]
    pub(super) fn first_post(self) -> Option<&'g Post> {
        let header = self.header();
        let taken = header.posts_taken.load(Relaxed);
        let post = header.lane.post_after(taken);
        post.is_posted_after(taken).then_some(post)
    }

    /// Fetches what comes after the first message in the lane, for a receiver that did not have to wait for that: the senders are
    /// ahead of it.
    #[inline(always)]
    pub(super) fn fetch_posts_ahead(self) {
        let header = self.header();
        let taken = header.posts_taken.load(Relaxed);
        let left = |posted: u32| match posted.wrapping_sub(taken) {
            // More than nobody honest has posted are none.
            left @ 0..=MOST => left,
            _ => 0,
        };
        let fetch = |next| ahead::fetch_to_read(header.lane.post_after(taken.wrapping_add(next)));
        let seen = left(header.posts_seen.load(Relaxed));
        if seen > POSTS_AHEAD {
            fetch(POSTS_AHEAD);
        } else if seen == 0 {
            let posted = header.lane.posting.posted.load(Relaxed);
            header.posts_seen.store(posted, Relaxed);
            (1..left(posted).min(POSTS_AHEAD + 1)).for_each(fetch);
        }
    }

    /// Where a receiver finds what it wants.
    #[inline(always)]
    pub(super) fn look_beside_lane(self, selection: Selection) -> Beside<'g> {
        let Some(post) = self.first_post() else {
            return Beside::Order;
        };
        let is_first = self.header().order_live.load(Relaxed) == 0;
        if is_first && selection.is_of_the_first() && selection.admits(post.kind.load(Relaxed)) {
            Beside::Lane(post)
        } else if !is_first && selection == Selection::Any {
            Beside::Order
        } else {
            Beside::Both
        }
    }

    /// Takes the first message in the lane for good. Its bytes must have been copied.
    #[inline(always)]
    pub(super) fn take_post(self, post: &Post, by: Party) {
        let header = self.header();
        let tally = self.tally();
        let taken = header.posts_taken.load(Relaxed);
        tally.sender.store(post.sender.load(Relaxed), Relaxed);
        tally.sent_at.store(post.sent_at.load(Relaxed), Relaxed);
        self.begin_taking(by, POSTED | u64::from(taken));
        // The message is out of the queue from here.
        header.posts_taken.store(taken.wrapping_add(1), Release);
        tally.receiver.store(by.identity, Relaxed);
        tally.received_at.store(by.now, Relaxed);
        add32(&header.departures, 1);
        self.show_taken(taken.wrapping_add(1));
    }

    /// Lets the senders know of the messages taken, if there are some of which they do not know.
    #[inline(always)]
    fn show_taken(self, taken: u32) {
        let header = self.header();
        let shown = &header.lane.taking.taken;
        let unshown = taken.wrapping_sub(shown.load(Relaxed));
        if unshown >= SHOWN.min(header.lane_room.load(Relaxed)) {
            shown.store(taken, Release);
        }
    }
}

/// A posted message's type, where its bytes are, and how many; `None` if nobody honest posted it. Read once: who lies may change
/// them meanwhile.
#[inline(always)]
pub(super) fn read(post: &Post) -> Option<(i64, *const u8, usize)> {
    let (kind, len) = (post.kind.load(Relaxed), post.len.load(Relaxed) as usize);
    (kind > 0 && len <= POST_BYTES).then_some((kind, post.bytes.as_ptr().cast(), len))
}
