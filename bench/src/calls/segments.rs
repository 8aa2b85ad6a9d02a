//! `shmget`, `shmat`, `shmdt`, `shmctl`, first touch and copying.

#![allow(unsafe_code)]

use std::hint::black_box;

use super::{Operation, on};
use crate::bystanders::Bystanders;
use crate::c_api::Segment;
use crate::job::Among;

const PAGE: usize = 4096;
/// Pages that are touched in a round.
const PAGES: usize = 64;

/// The `n`th key of this process's.
fn key(n: usize) -> i32 {
    std::process::id().wrapping_mul(0x2000).wrapping_add(1 + n as u32) as i32
}

struct Scene {
    /// They go first: whoever waits would fail when what it waits at is removed.
    _bystanders: Bystanders,
    segment: Segment,
    _others: Vec<Segment>,
}

impl Scene {
    fn new(size: usize, among: Among) -> Scene {
        let count = if let Among::Objects(count) = among { count } else { 0 };
        // Around the one in question, whose slot is then in the middle.
        let other = |n: usize| Segment::new(key(1 + n), PAGE);
        let mut others: Vec<Segment> = (0..count / 2).map(other).collect();
        let segment = Segment::new(key(0), size);
        others.extend((count / 2..count.saturating_sub(1)).map(other));
        if let Among::Attachments(count) = among {
            (0..count).for_each(|_| _ = segment.attach());
        }
        let bystanders = match among {
            Among::Processes(count) => Bystanders::new(count, || _ = segment.attach()),
            _ => Bystanders::none(),
        };
        Scene {
            segment,
            _others: others,
            _bystanders: bystanders,
        }
    }
}

pub(super) fn prepare(call: &str, size: usize, among: Among) -> Option<Operation> {
    let scene = |size| Scene::new(size, among);
    Some(match call {
        "shmget" => {
            let key = key(0);
            on(scene(PAGE), move |scene| {
                assert_eq!(Segment::get(key), scene.segment.id)
            })
        }
        "shmctl IPC_STAT" => on(scene(PAGE), |scene| _ = black_box(scene.segment.attachments())),
        "shmctl IPC_STAT, attached" => {
            let scene = scene(PAGE);
            scene.segment.attach();
            on(scene, |scene| _ = black_box(scene.segment.attachments()))
        }
        "shmat + shmdt, again" => {
            let scene = scene(PAGE);
            scene.segment.attach();
            on(scene, |scene| attach_and_detach(&scene.segment))
        }
        "shmat + shmdt, first" => on(scene(PAGE), |scene| attach_and_detach(&scene.segment)),
        "shmget + IPC_RMID" => on(scene(PAGE), |_| drop(Segment::new(libc::IPC_PRIVATE, PAGE))),
        "shmget + shmat + shmdt + IPC_RMID" => on(scene(PAGE), |_| {
            attach_and_detach(&Segment::new(libc::IPC_PRIVATE, PAGE));
        }),
        "first touch of 64 pages" => Box::new(|| {
            let segment = Segment::new(libc::IPC_PRIVATE, PAGES * PAGE);
            let at = segment.attach();
            for page in 0..PAGES {
                // SAFETY: within the attachment.
                unsafe { at.add(page * PAGE).write_volatile(1) };
            }
            // SAFETY: nobody else knows the address.
            unsafe { Segment::detach(at) };
        }),
        "copy into a segment" => {
            let scene = scene(size);
            let at = scene.segment.attach();
            let source = vec![7u8; size];
            // SAFETY: the attachment has the size.
            unsafe { at.write_bytes(1, size) };
            on(scene, move |_| {
                // SAFETY: the attachment is as long as the source, and apart from it.
                unsafe { std::ptr::copy_nonoverlapping(black_box(source.as_ptr()), at, source.len()) };
            })
        }
        _ => return None,
    })
}

fn attach_and_detach(segment: &Segment) {
    let at = segment.attach();
    // SAFETY: nobody else knows the address.
    unsafe { Segment::detach(at) };
}
