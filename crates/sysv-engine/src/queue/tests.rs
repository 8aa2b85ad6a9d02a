//! A queue over plain memory, and in processes that die.

#![allow(unsafe_code)]

use core::cell::{Cell, RefCell};
use core::sync::atomic::Ordering::Relaxed;

use super::contents::{Contents, Party};
use super::ground::{Ground, Piece};
use super::lane::{self, Beside, SHUT};
use super::layout::{GRANTED, LOOK, Tally, Window};
use super::selection::Selection;
use super::waiters::Wakes;
use crate::errno::{Errno, Result};
use crate::lock::Tag;

/// Plain memory: each piece is an allocation, known by its place in the file.
struct Plain {
    window: Box<Window>,
    tally: Box<Tally>,
    pieces: RefCell<Vec<(u64, Vec<Page>)>>,
    /// Bytes that may still be asked for.
    memory: Cell<u64>,
    /// The file's length.
    len: Cell<u64>,
}

#[repr(align(4096))]
#[derive(Clone)]
struct Page([u64; 512]);

impl Plain {
    fn new(capacity: u64) -> Plain {
        let plain = Plain {
            // SAFETY: atomics of plain integers, of which zeros are values.
            window: unsafe { Box::<Window>::new_zeroed().assume_init() },
            // SAFETY: as above.
            tally: unsafe { Box::<Tally>::new_zeroed().assume_init() },
            pieces: RefCell::default(),
            memory: Cell::new(u64::MAX),
            len: Cell::new(0),
        };
        plain.tally.capacity.store(capacity, Relaxed);
        plain
    }

    fn contents(&self) -> Contents<'_, Plain> {
        Contents::held(self)
    }

    fn send(&self, kind: i64, text: &[u8]) -> Result<()> {
        let contents = self.contents();
        if !contents.has_room(text.len()) {
            return Err(Errno::EAGAIN);
        }
        let mut wakes = Wakes::default();
        let fill = |to: *mut u8| {
            // SAFETY: `put` made room for them.
            unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), to, text.len()) };
            Ok(())
        };
        contents.put(kind, text.len(), PARTY, fill, |envelope| {
            !contents.offer(envelope, kind, text.len(), &mut wakes)
        })
    }

    fn receive(&self, selection: Selection) -> Option<(i64, Vec<u8>)> {
        let contents = self.contents();
        let (at, message) = contents.find(selection)?;
        // SAFETY: `message` vouches for its bytes.
        let text = unsafe { core::slice::from_raw_parts(message.bytes, message.len) }.to_vec();
        contents.take(&message, PARTY, Some(at));
        Some((message.kind, text))
    }

    /// What a takeover finds: everything that is derived is garbage.
    fn forget_what_is_derived(&self) {
        let header = &self.window.header;
        for word in [
            &header.receivers.first,
            &header.receivers.last,
            &header.senders.first,
            &header.senders.last,
            &header.free_waiter,
            &header.order_head,
            &header.order_tail,
            &header.order_live,
            &header.free_envelope,
            &header.live_units,
            &header.granted,
        ] {
            word.store(0xdead_beef, Relaxed);
        }
        for head in &header.free_blocks {
            head.store(77, Relaxed);
        }
        for chunk in &header.heap_chunks {
            chunk.filled.store(chunk.backed.load(Relaxed), Relaxed);
        }
        self.tally.messages.store(12345, Relaxed);
        self.tally.bytes.store(12345, Relaxed);
    }
}

impl Ground for Plain {
    fn window(&self) -> &Window {
        &self.window
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn piece(&self, _: Piece, at: u64, len: usize) -> Option<*mut u8> {
        if at == 0 || !at.is_multiple_of(4096) || at.checked_add(len as u64).is_none_or(|end| end > self.len.get()) {
            return None;
        }
        let mut pieces = self.pieces.borrow_mut();
        let known = pieces.iter_mut().find(|(known, _)| *known == at);
        let memory = match known {
            Some((_, memory)) => memory,
            None => {
                pieces.push((at, vec![Page([0; 512]); len.div_ceil(4096)]));
                &mut pieces.last_mut().unwrap().1
            }
        };
        (memory.len() * 4096 >= len).then(|| memory.as_mut_ptr().cast())
    }

    fn extend(&self, len: u64) -> Result<()> {
        if len > 1 << 26 {
            return Err(Errno::ENOMEM);
        }
        self.len.set(self.len.get().max(len));
        Ok(())
    }

    fn allocated(&self) -> u64 {
        u64::MAX
    }

    fn back(&self, _: u64, len: u64) -> Result<()> {
        let left = self.memory.get().checked_sub(len).ok_or(Errno::ENOMEM)?;
        self.memory.set(left);
        Ok(())
    }

    fn discard(&self, _: u64, len: u64) {
        self.memory.set(self.memory.get().saturating_add(len));
    }

    fn is_alive(&self, tag: Tag) -> bool {
        tag == OWNER
    }
}

const PARTY: Party = Party { identity: 7, now: 100 };

impl Plain {
    /// What a sender does that holds the senders' lock: posts, if there is room.
    fn post(&self, kind: i64, text: &[u8]) -> bool {
        let posted = self.post_and_die(kind, text);
        if posted {
            lane::count_posts(&self.window.header.lane);
        }
        posted
    }

    /// What one does that is killed before it has counted.
    fn post_and_die(&self, kind: i64, text: &[u8]) -> bool {
        let header = &self.window.header;
        let posted = lane::count_posts(&header.lane);
        let room = header.lane_room.load(Relaxed);
        if room & SHUT != 0 || posted.wrapping_sub(header.posts_taken.load(Relaxed)) >= room {
            return false;
        }
        let post = header.lane.post_after(posted);
        post.kind.store(kind, Relaxed);
        post.len.store(text.len() as u32, Relaxed);
        post.sender.store(PARTY.identity, Relaxed);
        // SAFETY: a post has room for that many bytes.
        unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), post.bytes.as_ptr().cast_mut().cast(), text.len()) };
        post.number.store(posted.wrapping_add(1), Relaxed);
        true
    }

    /// What a receiver does that finds the lane open.
    fn receive_beside_lane(&self, selection: Selection) -> Option<(i64, Vec<u8>)> {
        let contents = self.contents();
        match contents.look_beside_lane(selection) {
            Beside::Order => {}
            Beside::Lane(post) => {
                let (kind, bytes, len) = lane::read(post)?;
                // SAFETY: the post has so many.
                let text = unsafe { core::slice::from_raw_parts(bytes, len) }.to_vec();
                contents.take_post(post, PARTY);
                return Some((kind, text));
            }
            Beside::Both => self.close_lane().ok()?,
        }
        self.receive(selection)
    }

    fn close_lane(&self) -> Result<()> {
        self.window.header.lane_room.store(SHUT, Relaxed);
        self.contents().move_posts()
    }
}

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What a queue is by definition: a list, searched from its start.
#[derive(Default)]
struct Model(Vec<(i64, Vec<u8>)>);

impl Model {
    fn receive(&mut self, selection: Selection) -> Option<(i64, Vec<u8>)> {
        let place = match selection {
            Selection::Any => (!self.0.is_empty()).then_some(0),
            Selection::Exactly(kind) => self.0.iter().position(|m| m.0 == kind),
            Selection::Except(kind) => self.0.iter().position(|m| m.0 != kind),
            Selection::AtMost(bound) => {
                let lowest = self.0.iter().map(|m| m.0).filter(|&kind| kind <= bound).min()?;
                self.0.iter().position(|m| m.0 == lowest)
            }
            Selection::Position(_) => None,
        };
        place.map(|place| self.0.remove(place))
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|m| m.1.len() as u64).sum()
    }
}

fn play(seed: u64, steps: usize, capacity: u64, longest: u64) {
    let (queue, mut model, mut dice) = (Plain::new(capacity), Model::default(), Dice(seed));
    for step in 0..steps {
        match dice.roll(100) {
            0..55 => {
                let kind = 1 + dice.roll(6) as i64;
                let len = if dice.roll(3) == 0 {
                    dice.roll(longest + 1)
                } else {
                    dice.roll(65)
                };
                let text: Vec<u8> = (0..len).map(|n| (n as u8) ^ step as u8).collect();
                let full = model.bytes() + len > capacity || model.0.len() as u64 + 1 > capacity;
                let expected = if full { Err(Errno::EAGAIN) } else { Ok(()) };
                assert_eq!(queue.send(kind, &text), expected, "step {step}");
                if !full {
                    model.0.push((kind, text));
                }
            }
            55..97 => {
                let kind = 1 + dice.roll(7) as i64;
                let selection = match dice.roll(5) {
                    0 => Selection::Exactly(kind),
                    1 => Selection::AtMost(kind),
                    2 => Selection::Except(kind),
                    _ => Selection::Any,
                };
                assert_eq!(
                    queue.receive(selection),
                    model.receive(selection),
                    "step {step}, {selection:?}"
                );
            }
            97 => {
                queue.forget_what_is_derived();
                queue.contents().rebuild(&|_| true).unwrap();
            }
            98 => queue.contents().join_free_space().unwrap(),
            _ => {
                let position = dice.roll(model.0.len() as u64 + 2) as i64;
                let found = queue
                    .contents()
                    .find(Selection::Position(position))
                    .map(|(_, m)| (m.kind, m.len));
                let expected = model.0.get(position as usize).map(|m| (m.0, m.1.len()));
                assert_eq!(found, expected, "step {step}");
            }
        }
        assert_eq!(queue.tally.messages.load(Relaxed), model.0.len() as u64);
        assert_eq!(queue.tally.bytes.load(Relaxed), model.bytes());
    }
    while let Some(message) = queue.receive(Selection::Any) {
        assert_eq!(Some(message), model.receive(Selection::Any));
    }
    assert!(model.0.is_empty());
}

#[test]
fn a_queue_does_what_a_list_does() {
    let scale = if cfg!(miri) { 100 } else { 1 };
    for seed in 1..20 {
        play(seed * 0x9e37_79b9, 3000 / scale, 16384, 2000);
    }
    play(12345, 20_000 / scale, 4 << 20, 200_000);
    play(54321, 100_000 / scale, 3000, 10);
}

#[test]
fn a_queue_with_a_lane_does_what_a_list_does() {
    for seed in 1..if cfg!(miri) { 2 } else { 40 } {
        let (queue, mut model, mut dice) = (Plain::new(1 << 20), Model::default(), Dice(seed * 0x9e37_79b9));
        // Near the end of the numbers, so that they begin anew.
        for word in [
            &queue.window.header.lane.posting.posted,
            &queue.window.header.posts_taken,
            &queue.window.header.posts_seen,
        ] {
            word.store(u32::MAX - 20, Relaxed);
        }
        for step in 0..4000 {
            match dice.roll(20) {
                0..9 => {
                    let (kind, text) = (1 + dice.roll(4) as i64, vec![step as u8; dice.roll(65) as usize]);
                    let sent = match dice.roll(8) {
                        0 => queue.post_and_die(kind, &text),
                        _ => queue.post(kind, &text),
                    };
                    if !sent {
                        queue.close_lane().unwrap();
                        queue.send(kind, &text).unwrap();
                    }
                    model.0.push((kind, text));
                }
                9..18 => {
                    let kind = 1 + dice.roll(5) as i64;
                    let selection = match dice.roll(8) {
                        0 => Selection::Exactly(kind),
                        1 => Selection::AtMost(kind),
                        2 => Selection::Except(kind),
                        _ => Selection::Any,
                    };
                    assert_eq!(
                        queue.receive_beside_lane(selection),
                        model.receive(selection),
                        "step {step}, {selection:?}"
                    );
                    queue.contents().open_lane();
                }
                18 => queue.contents().rebuild(&|_| true).unwrap(),
                _ => {
                    queue.close_lane().unwrap();
                    assert_eq!(queue.tally.messages.load(Relaxed), model.0.len() as u64);
                    assert_eq!(queue.tally.bytes.load(Relaxed), model.bytes());
                }
            }
        }
    }
}

#[test]
fn the_lane_has_no_more_room_than_the_queue() {
    let queue = Plain::new(1000);
    let room = || {
        queue.contents().open_lane();
        queue.window.header.lane_room.load(Relaxed)
    };
    queue.send(1, &[0; 900]).unwrap();
    assert_eq!(room(), 1);
    queue.send(1, &[0; 37]).unwrap();
    queue.close_lane().unwrap();
    assert_eq!(room(), 0);
    while queue.receive(Selection::Any).is_some() {}
    assert_eq!(room(), 15);
    queue.close_lane().unwrap();
    queue.contents().enlist(OWNER, Some(Selection::Any), 10).unwrap();
    assert_eq!(room(), 0, "somebody waits");
}

/// In a burst each message would have to be moved to the order once the lane is full.
#[test]
fn the_lane_is_for_small_messages_that_come_one_at_a_time() {
    let queue = Plain::new(1 << 20);
    let received = |len: usize| {
        queue.send(1, &vec![0; len]).unwrap();
        let alone = queue.contents().come_alone(len);
        queue.receive(Selection::Any).unwrap();
        alone
    };
    received(8);
    assert!(received(8) && received(64) && received(0));
    assert!(!received(65), "too long");
    assert!(!received(8), "the one before was too long");
    assert!(received(8));
    queue.send(1, b"burst").unwrap();
    assert!(!received(8), "one of two");
    queue.receive(Selection::Any).unwrap();
    assert!(!received(8), "the one before was not alone");
    assert!(received(8));
}

/// A killed process may have moved a message to the order, and not have said yet that it is out of the lane.
#[test]
fn a_message_that_is_moved_is_there_once() {
    let queue = Plain::new(1000);
    queue.contents().open_lane();
    assert!(queue.post(1, b"one") && queue.post(2, b"two"));
    queue.close_lane().unwrap();
    let (header, taking) = (&queue.window.header, &queue.window.header.lane.taking);
    let state = |number| queue.contents().envelope(number).unwrap().state.load(Relaxed);
    let last = (0..header.envelope_high.load(Relaxed)).map(state).max().unwrap();
    for (moving, seen) in [(last, 2), (last + 1, 3)] {
        // As just before the store that takes the second from the lane, and as before it was put into the order.
        header.posts_taken.store(1, Relaxed);
        header.lane_room.store(SHUT, Relaxed);
        taking.moving_past.store(2, Relaxed);
        taking.moving.store(moving, Relaxed);
        queue.contents().rebuild(&|_| true).unwrap();
        queue.contents().move_posts().unwrap();
        assert_eq!(queue.tally.messages.load(Relaxed), seen);
    }
}

#[test]
fn what_finds_no_memory_in_the_order_stays_in_the_lane() {
    let queue = Plain::new(1 << 20);
    queue.contents().open_lane();
    assert!(queue.post(1, b"one") && queue.post(2, b"two"));
    queue.memory.set(0);
    assert_eq!(queue.close_lane(), Err(Errno::ENOMEM));
    assert_eq!(queue.receive_beside_lane(Selection::Any), Some((1, b"one".to_vec())));
    queue.memory.set(1 << 20);
    assert_eq!(
        queue.receive_beside_lane(Selection::AtMost(5)),
        Some((2, b"two".to_vec()))
    );
    assert_eq!(queue.receive_beside_lane(Selection::Any), None);
}

#[test]
fn memory_that_is_not_there_costs_one_message_and_nothing_else() {
    let queue = Plain::new(1 << 30);
    queue.send(1, b"first").unwrap();
    queue.memory.set(200_000);
    let long = vec![7u8; 50_000];
    let mut sent = 0;
    while queue.send(2, &long).is_ok() {
        sent += 1;
    }
    assert!((1..10).contains(&sent));
    assert_eq!(queue.receive(Selection::Any), Some((1, b"first".to_vec())));
    for _ in 0..sent {
        assert_eq!(queue.receive(Selection::Any), Some((2, long.clone())));
    }
    assert_eq!(queue.receive(Selection::Any), None);
    queue.send(3, &long).unwrap();
}

#[test]
fn freed_space_serves_messages_of_other_lengths() {
    let queue = Plain::new(1 << 20);
    for round in 0..200usize {
        let len = 100 + round * 37;
        let count = (1 << 19) / len;
        for _ in 0..count {
            queue.send(1, &vec![1; len]).unwrap();
        }
        // One stays, so that the heap is never empty.
        for _ in 0..count - usize::from(round == 0) {
            queue.receive(Selection::Any).unwrap();
        }
    }
    let backed: u32 = queue
        .window
        .header
        .heap_chunks
        .iter()
        .map(|c| c.backed.load(Relaxed))
        .sum();
    assert!(backed as usize * 64 < 8 << 20, "{backed} units");
}

const OWNER: Tag = Tag::new(3, 1);
const OTHER: Tag = Tag::new(4, 1);

#[test]
fn a_message_goes_to_the_first_who_waits_for_it() {
    let queue = Plain::new(1000);
    let contents = queue.contents();
    let wanting = |kind| contents.enlist(OWNER, Some(Selection::Exactly(kind)), 100).unwrap();
    let (first, second, third) = (wanting(5), wanting(6), wanting(6));
    queue.send(6, b"six").unwrap();
    let state = |number: u32| contents.waiter(number).unwrap().state.load(Relaxed);
    assert_eq!([first, second, third].map(state), [1, GRANTED, 1]);
    assert_eq!(queue.tally.messages.load(Relaxed), 0, "what is given does not count");
    assert_eq!(queue.receive(Selection::Any), None, "nobody takes it away");
    let message = contents.granted(contents.waiter(second).unwrap()).unwrap();
    assert_eq!((message.kind, message.len), (6, 3));
    contents.take(&message, PARTY, None);
    contents.delist(second);
    queue.send(6, b"again").unwrap();
    assert_eq!([first, third].map(state), [1, GRANTED]);
}

#[test]
fn who_waits_with_too_small_a_buffer_hears_of_it() {
    let queue = Plain::new(1000);
    let contents = queue.contents();
    let small = contents.enlist(OWNER, Some(Selection::Any), 2).unwrap();
    let large = contents.enlist(OWNER, Some(Selection::Any), 20).unwrap();
    queue.send(1, b"long").unwrap();
    let state = |number: u32| contents.waiter(number).unwrap().state.load(Relaxed);
    assert_eq!([small, large].map(state), [super::layout::TOO_BIG, GRANTED]);
}

#[test]
fn what_the_dead_were_given_comes_back_at_its_place() {
    let queue = Plain::new(1000);
    let contents = queue.contents();
    let number = contents.enlist(OTHER, Some(Selection::Any), 100).unwrap();
    queue.send(1, b"given").unwrap();
    queue.send(1, b"later").unwrap();
    contents.bury_granted(&|tag| tag != OTHER).unwrap();
    assert_eq!(
        contents.waiter(number).unwrap().state.load(Relaxed),
        super::layout::FREE
    );
    assert_eq!(queue.tally.messages.load(Relaxed), 2);
    assert_eq!(queue.receive(Selection::Any), Some((1, b"given".to_vec())));
    assert_eq!(queue.receive(Selection::Any), Some((1, b"later".to_vec())));
}

#[test]
fn a_takeover_strikes_the_dead_and_rouses_the_living_in_their_order() {
    let queue = Plain::new(1000);
    let contents = queue.contents();
    let living: Vec<u32> = (0..3).map(|_| contents.enlist(OWNER, None, 10).unwrap()).collect();
    let dead = contents.enlist(OTHER, None, 10).unwrap();
    let last = contents.enlist(OWNER, None, 10).unwrap();
    queue.forget_what_is_derived();
    contents.rebuild(&|tag| tag == OWNER).unwrap();
    assert_eq!(contents.waiter(dead).unwrap().state.load(Relaxed), super::layout::FREE);
    let mut next = queue.window.header.senders.first.load(Relaxed);
    for number in living.into_iter().chain([last]) {
        assert_eq!(next, number + 1);
        let waiter = contents.waiter(number).unwrap();
        assert_eq!(waiter.state.load(Relaxed), LOOK);
        next = waiter.next.load(Relaxed);
    }
    assert_eq!(next, 0);
    assert_eq!(contents.enlist(OWNER, None, 1), Some(dead), "its record is free");
}

#[test]
fn what_is_read_in_place_is_out_of_the_queue_and_its_block_in_use() {
    let queue = Plain::new(1000);
    let contents = queue.contents();
    for text in [b"mine", b"dead", b"left"] {
        queue.send(1, text).unwrap();
    }
    let hold = |holder| {
        let (at, message) = contents.find(Selection::Any).unwrap();
        (contents.hold(&message, PARTY, holder, Some(at)), message.bytes)
    };
    let (mine, bytes) = hold(OWNER);
    let (other, _) = hold(OTHER);
    assert_eq!(queue.tally.messages.load(Relaxed), 1);
    queue.forget_what_is_derived();
    queue.window.header.held.store(77, Relaxed);
    contents.rebuild(&|tag| tag == OWNER).unwrap();
    assert_eq!(queue.tally.messages.load(Relaxed), 1);
    let state = contents.envelope(other.envelope).unwrap().state.load(Relaxed);
    assert_eq!(state, 0, "the dead one's is free");
    assert_eq!(queue.window.header.held.load(Relaxed), mine.envelope + 1);
    for n in 0..200 {
        queue.send(2, &[n; 3]).unwrap();
    }
    // SAFETY: the message is held.
    assert_eq!(unsafe { core::slice::from_raw_parts(bytes, 4) }, b"mine");
    contents.release(&mine);
    assert_eq!(queue.window.header.held.load(Relaxed), 0);
    // Once is enough, and whoever comes late changes nothing.
    contents.release(&mine);
    contents.release(&other);
    assert_eq!(queue.receive(Selection::Any), Some((1, b"left".to_vec())));
    for n in 0..200 {
        assert_eq!(queue.receive(Selection::Any), Some((2, vec![n; 3])));
    }
}

#[test]
fn the_memory_of_dead_readers_is_used_before_new_memory_is_taken() {
    let queue = Plain::new(1 << 20);
    let contents = queue.contents();
    let mut rounds = Vec::new();
    for _ in 0..20 {
        for _ in 0..50 {
            queue.send(1, &[9; 500]).unwrap();
            let (at, message) = contents.find(Selection::Any).unwrap();
            contents.hold(&message, PARTY, OTHER, Some(at));
        }
        rounds.push(u64::MAX - queue.memory.get());
    }
    assert!(rounds[19] <= 2 * rounds[0], "{rounds:?}");
}

/// Reading found it: each entry that led nowhere cost a search of the whole order, with the queue locked.
#[test]
fn an_order_that_leads_nowhere_is_given_up() {
    let queue = Plain::new(1 << 20);
    for _ in 0..1000 {
        queue.send(1, b"").unwrap();
    }
    queue.send(2, b"last").unwrap();
    let header = &queue.window.header;
    let high = header.envelope_high.swap(0, Relaxed);
    assert_eq!(queue.receive(Selection::Any), None);
    assert_eq!(
        header.dirty.load(Relaxed),
        1,
        "the next holder of the lock makes it anew"
    );
    assert!(header.order_live.load(Relaxed) > 900, "and until then it is left alone");
    header.envelope_high.store(high, Relaxed);
    queue.contents().rebuild(&|_| true).unwrap();
    assert_eq!(queue.receive(Selection::Exactly(2)), Some((2, b"last".to_vec())));
}

#[test]
fn no_bytes_in_shared_memory_lead_outside_it() {
    for seed in 1..if cfg!(miri) { 3 } else { 60 } {
        let (queue, mut dice) = (Plain::new(100_000), Dice(seed * 0x2545_f491));
        for n in 0..40 {
            queue.send(1 + n % 3, &vec![n as u8; 10 * n as usize]).unwrap();
        }
        queue.contents().enlist(OWNER, Some(Selection::Exactly(9)), 10);
        for _ in 0..200 {
            let hostile =
                [0, 1, u64::MAX, 1 << 31, 1 << 40, dice.roll(1000), dice.roll(u64::MAX)][dice.roll(7) as usize];
            if dice.roll(2) == 0 {
                let words: &[core::sync::atomic::AtomicU64] = {
                    let start = core::ptr::from_ref(&*queue.window).cast();
                    // SAFETY: the window is atomics of plain integers throughout.
                    unsafe { core::slice::from_raw_parts(start, (4096 + 256) / 8) }
                };
                words[8 + dice.roll(words.len() as u64 - 8) as usize].store(hostile, Relaxed);
            } else {
                let mut pieces = queue.pieces.borrow_mut();
                let count = pieces.len() as u64;
                let (_, memory) = &mut pieces[dice.roll(count) as usize];
                let at = dice.roll(memory.len().min(4) as u64 * 512) as usize;
                memory[at / 512].0[at % 512] = hostile;
            }
            queue.memory.set(1 << 20);
            let _ = queue.send(1 + dice.roll(9) as i64, b"honest");
            let kind = 1 + dice.roll(9) as i64;
            if let Some((_, message)) = queue.contents().find(Selection::AtMost(kind)) {
                let mut sum = 0u64;
                for n in 0..message.len {
                    // SAFETY: `message` vouches for its bytes.
                    sum += u64::from(unsafe { message.bytes.add(n).read() });
                }
                assert!(sum <= message.len as u64 * 255);
            }
            if let Some((at, message)) = queue.contents().find(Selection::Any)
                && dice.roll(3) == 0
            {
                let hold = queue.contents().hold(&message, PARTY, OWNER, Some(at));
                if dice.roll(2) == 0 {
                    queue.contents().release(&hold);
                }
            }
            let _ = queue.receive_beside_lane(Selection::Any);
            queue.contents().open_lane();
            if dice.roll(3) == 0 {
                let _ = queue.close_lane();
            }
            if dice.roll(10) == 0 {
                let _ = queue.contents().rebuild(&|_| true);
            }
        }
    }
}
