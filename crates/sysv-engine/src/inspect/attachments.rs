//! Attach records: each in its segment's list and in its process's, or in the list of the free ones.

use core::fmt::Arguments;
use core::sync::atomic::Ordering::Relaxed;

use crate::lock::Tag;
use crate::table::{ATTACHMENTS, AttachRecord, Links, PROCESSES, SEGMENTS, Table};

pub(super) fn examine(table: &Table, complain: &mut dyn FnMut(Arguments<'_>)) {
    let pool = &table.header.attachments;
    let high = (pool.high.load(Relaxed) as usize).min(ATTACHMENTS);
    let mut committed = 0;
    for (index, record) in table.attachments[..high].iter().enumerate() {
        let word = record.owner.load(Relaxed);
        if word == 0 {
            continue;
        }
        committed += 1;
        let owner = Tag::from_word(word).and_then(|tag| Some((tag, table.processes.get(tag.index())?)));
        let lives = owner.is_some_and(|(tag, process)| tag.is_of_generation(process.generation.load(Relaxed)));
        let state = table
            .segments
            .get(record.slot.load(Relaxed) as usize)
            .map(|slot| slot.head.state());
        let names = state.is_some_and(|s| s.exists() && u32::from(s.sequence) == record.sequence.load(Relaxed));
        if !lives || !names {
            complain(format_args!(
                "attach record {index} of {word:#x}: owner current {lives}, segment exists {names}"
            ));
        }
    }
    let mut of_segments = 0;
    for slot in &table.segments[..(table.header.segments.high.load(Relaxed) as usize).min(SEGMENTS)] {
        of_segments += list_length(table, slot.attachments.load(Relaxed), |r| &r.segment_links, complain);
    }
    let mut of_processes = 0;
    for process in &table.processes[..(table.header.processes.high.load(Relaxed) as usize).min(PROCESSES)] {
        of_processes += list_length(table, process.attachments.load(Relaxed), |r| &r.process_links, complain);
    }
    let (mut next, mut free) = (pool.free.load(Relaxed), 0);
    while let Some(record) = (next as usize).checked_sub(1).and_then(|i| table.attachments.get(i)) {
        free += 1;
        if record.owner.load(Relaxed) != 0 || free > high {
            complain(format_args!("the list of free attach records is damaged at {next}"));
            break;
        }
        next = record.process_links.next.load(Relaxed);
    }
    if (of_segments, of_processes, free) != (committed, committed, high - committed) {
        complain(format_args!(
            "{committed} attach records of {high}: {of_segments} listed by segment, {of_processes} by process, {free} free"
        ));
    }
}

fn list_length(
    table: &Table,
    first: u32,
    links: fn(&AttachRecord) -> &Links,
    complain: &mut dyn FnMut(Arguments<'_>),
) -> usize {
    let (mut link, mut previous, mut length) = (first, 0, 0);
    while let Some(record) = (link as usize).checked_sub(1).and_then(|i| table.attachments.get(i)) {
        length += 1;
        if record.owner.load(Relaxed) == 0 || links(record).prev.load(Relaxed) != previous || length > ATTACHMENTS {
            complain(format_args!("a list of attach records is damaged at {link}"));
            break;
        }
        previous = link;
        link = links(record).next.load(Relaxed);
    }
    length
}
