//! A registry: its derived data against its slots.

use core::fmt::Arguments;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::abi::IPC_PRIVATE;
use crate::registry::{Mechanism, Phase, Registry};
use crate::table::{RegistryIndex, Table};

/// Compares a mechanism's index, bits and counters with its slots.
pub(super) fn examine<S: Mechanism, const WORDS: usize>(
    table: &Table,
    index: &RegistryIndex<WORDS>,
    complain: &mut dyn FnMut(Arguments<'_>),
) {
    let (what, registry) = (S::DIRECTORY, S::registry(table));
    let header = registry.header;
    for (word, value) in [
        ("lock", u64::from(header.lock.load(Relaxed))),
        ("odd version", header.version.load(Relaxed) % 2),
        ("intent", u64::from(header.intent.armed.load(Relaxed))),
    ] {
        if value != 0 {
            complain(format_args!("{what}: {word} is {value:#x}"));
        }
    }
    let high = header.high.load(Relaxed) as usize;
    let mut counted = Counted::default();
    for (number, slot) in registry.slots.iter().enumerate() {
        let (used_bit, doomed_bit) = (bit(&index.used, number), bit(&index.doomed, number));
        if number >= high {
            if used_bit || doomed_bit {
                complain(format_args!("{what} {number} is marked, but was never used"));
            }
            continue;
        }
        let state = slot.head().state();
        if matches!(state.phase, Phase::Making | Phase::Dying) {
            complain(format_args!("{what} {number} stays {:?}", state.phase));
        }
        if used_bit != state.exists() || doomed_bit != (state.phase == Phase::Doomed) {
            complain(format_args!(
                "{what} {number}: {:?}, used bit {used_bit}, doomed bit {doomed_bit}",
                state.phase
            ));
        }
        if !state.exists() {
            continue;
        }
        counted.in_use += 1;
        counted.doomed += u64::from(state.phase == Phase::Doomed);
        counted.total += slot.size();
        counted.promised += slot.promised();
        let key = slot.head().key(state);
        if key != IPC_PRIVATE {
            counted.keyed += 1;
            if registry.find_key(key).map(|found| found.0) != Some(number) {
                complain(format_args!("{what} {number} is not found by its key {key:#x}"));
            }
        }
    }
    let chained: usize = index
        .buckets
        .iter()
        .map(|bucket| chain_length(&registry, bucket.load(Relaxed)))
        .sum();
    for (word, derived, counted) in [
        ("in use", u64::from(header.in_use.load(Relaxed)), counted.in_use),
        ("doomed", u64::from(header.doomed.load(Relaxed)), counted.doomed),
        ("total size", header.total.load(Relaxed), counted.total),
        ("bytes promised", header.promised.load(Relaxed), counted.promised),
        ("keys chained", chained as u64, counted.keyed),
    ] {
        if derived != counted {
            complain(format_args!("{what}: {word} {derived}, but {counted} are there"));
        }
    }
}

/// What the slots say.
#[derive(Default)]
struct Counted {
    in_use: u64,
    doomed: u64,
    total: u64,
    promised: u64,
    keyed: u64,
}

fn bit(bits: &[AtomicU64], number: usize) -> bool {
    bits.get(number / 64)
        .is_some_and(|word| word.load(Relaxed) >> (number % 64) & 1 == 1)
}

fn chain_length<S: Mechanism>(registry: &Registry<'_, S>, first: u32) -> usize {
    let (mut next, mut length) = (first, 0);
    while next != 0 && length <= registry.slots.len() {
        length += 1;
        let slot = registry.slots.get(next as usize - 1);
        next = slot.map_or(0, |slot| slot.head().next.load(Relaxed));
    }
    length
}
