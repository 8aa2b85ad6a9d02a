//! Several operations, or one with undo, on a set that is at rest: nobody has its lock, nobody waits, nobody owes a unit.
//!
//! The steps are [`commit`](super::commit)'s, in its order, so that recovery finds no difference; what is left out is all that
//! only others' presence makes necessary. Whatever is not so simple is left to [`operate`](super::operate), untouched.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::commit::{ARMED, STAGED, carry_over, freeze};
use super::memory::Glimpse;
use super::operate::note_time;
use super::registry;
use super::undo::UndoRecord;
use super::word::{FROZEN, HELD, Last, OWED};
use crate::abi::{SEM_UNDO, SEMAEM, SEMVMX, Sembuf};
use crate::credentials::Caller;
use crate::critical::Section;
use crate::lock::{self, Tag};
use crate::member::Member;
use crate::table::Semaphore;

/// Operations that are done so.
const MOST: usize = 4;

/// One operation, staged.
#[derive(Clone, Copy)]
struct Step<'s> {
    semaphore: &'s Semaphore,
    /// The process's undo record for it, and the record's number.
    undo: Option<(usize, &'s UndoRecord)>,
}

/// The operations: done, or not done for whatever reason.
#[inline]
pub(super) fn operate(member: &Member, id: i32, operations: &[Sembuf]) -> Option<()> {
    if operations.is_empty() || operations.len() > MOST {
        return None;
    }
    let (mut undo, mut alter) = (false, false);
    for operation in operations {
        undo |= i32::from(operation.flg) & SEM_UNDO != 0;
        alter |= operation.op != 0;
    }
    let (number, slot, state) = registry(member.table()).find_id(id).ok()?;
    let wanted = if alter { 0o222 } else { 0o444 };
    if !Caller::current().permits(&slot.head.ownership(), wanted) {
        return None;
    }
    let in_table = if undo { None } else { Glimpse::of_table(member, slot) };
    let set = match in_table {
        Some(set) => set,
        None => Glimpse::of_mapped(member, number, slot, state.sequence)?,
    };
    let _section = Section::enter();
    let head = set.head;
    let tag = member.tag();
    head.lock.compare_exchange(0, tag.word(), Acquire, Relaxed).ok()?;
    let at_rest = head.owner.load(Acquire) == u32::from(state.sequence) + 1
        && head.dirty.load(Relaxed) == 0
        && head.waiting.load(Relaxed) == 0;
    let party = (tag, Last::of(member.identity()));
    let done = at_rest && operate_locked(&set, operations, party);
    lock::release(&head.lock);
    done.then_some(())
}

#[inline(always)]
fn operate_locked(set: &Glimpse<'_>, operations: &[Sembuf], (tag, last): (Tag, Last)) -> bool {
    // An array of steps would cost one or two operations as much as all the rest.
    match operations {
        [one] => stage(set, one, tag).is_some_and(|step| {
            carry_out(set, [step].into_iter(), last);
            true
        }),
        [one, two] => stage(set, one, tag).is_some_and(|one| {
            let two = stage(set, two, tag);
            match two {
                Some(two) => carry_out(set, [one, two].into_iter(), last),
                None => unstage(&[Some(one)]),
            }
            two.is_some()
        }),
        _ => operate_several(set, operations, (tag, last)),
    }
}

#[inline(never)]
fn operate_several(set: &Glimpse<'_>, operations: &[Sembuf], (tag, last): (Tag, Last)) -> bool {
    let mut steps = [None; MOST];
    for (step, operation) in steps.iter_mut().zip(operations) {
        *step = stage(set, operation, tag);
        if step.is_none() {
            unstage(&steps);
            return false;
        }
    }
    carry_out(set, steps.into_iter().flatten(), last);
    true
}

/// Does what has been staged.
#[inline(always)]
fn carry_out<'s>(set: &Glimpse<'s>, steps: impl Iterator<Item = Step<'s>>, last: Last) {
    set.head.serving.store(0, Relaxed);
    set.head.intent.store(ARMED | last.bits(), Release);
    for step in steps {
        let mut flags = step.semaphore.word.load(Relaxed) & (HELD | OWED);
        if let Some((index, record)) = step.undo {
            record.settle();
            flags = record.flags_in(step.semaphore, index);
        }
        carry_over(step.semaphore, last, flags);
    }
    set.head.intent.store(0, Release);
    note_time(set.head);
}

/// Stages one operation; `None` leaves everything as it was.
#[inline(always)]
fn stage<'s>(set: &Glimpse<'s>, operation: &Sembuf, tag: Tag) -> Option<Step<'s>> {
    let semaphore = set.semaphores.get(operation.num as usize)?;
    // A second operation on the same semaphore finds it frozen.
    if semaphore.word.load(Relaxed) & (FROZEN | OWED) != 0 {
        return None;
    }
    let undo = if i32::from(operation.flg) & SEM_UNDO != 0 {
        Some(set.known_undo(operation.num, tag)?)
    } else {
        None
    };
    let op = i32::from(operation.op);
    let value = freeze(semaphore);
    let adjustment = undo.map_or(0, |(_, record)| record.adjustment() - op);
    let possible =
        (op != 0 || value == 0) && (0..=SEMVMX).contains(&(value + op)) && (-SEMAEM - 1..=SEMAEM).contains(&adjustment);
    if !possible {
        semaphore.word.fetch_and(!FROZEN, Release);
        return None;
    }
    if let Some((_, record)) = undo {
        record.stage(adjustment);
    }
    semaphore.next.store(STAGED | (value + op) as u16, Relaxed);
    Some(Step { semaphore, undo })
}

#[cold]
fn unstage(steps: &[Option<Step<'_>>]) {
    for step in steps.iter().flatten() {
        if let Some((_, record)) = step.undo {
            record.unstage();
        }
        step.semaphore.next.store(0, Relaxed);
        step.semaphore.word.fetch_and(!FROZEN, Release);
    }
}
