//! What is looked at after a death: that nothing is lost, nothing is left, and the namespace works on.

use std::fmt::Write;
use std::path::Path;

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL};
use sysv_engine::{Engine, Segments, StatBy, inspect};

/// What an inquest found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Every segment, as anybody sees it. Times and process ids do not count.
    pub view: String,
    /// What should not be.
    pub complaints: Vec<String>,
}

impl Findings {
    /// As one text, for a pipe.
    pub(crate) fn to_text(&self) -> String {
        format!("{}\0{}", self.view, self.complaints.join("\n"))
    }

    pub(crate) fn from_text(text: &str) -> Findings {
        let (view, complaints) = text.split_once('\0').unwrap_or((text, "the findings are cut short"));
        Findings {
            view: view.to_owned(),
            complaints: complaints.lines().map(str::to_owned).collect(),
        }
    }
}

/// Looks at the namespace while no call is in progress in it, and does some work in it.
pub(crate) fn hold(engine: &Engine, directory: &Path) -> Findings {
    let mut complaints = Vec::new();
    // The first look comes before the sweep: what is asked for must be right without one.
    let view = view(engine).unwrap_or_else(|error| error);
    examine(engine, directory, &view, &mut complaints);
    for done in [work(engine), use_all(engine)] {
        complaints.extend(done.err());
    }
    if complaints.is_empty() {
        examine(engine, directory, &view, &mut complaints);
    }
    Findings { view, complaints }
}

fn examine(engine: &Engine, directory: &Path, expected: &str, complaints: &mut Vec<String>) {
    if let Err(errno) = engine.sweep() {
        complaints.push(format!("sweeping: {errno:?}"));
    }
    match view(engine) {
        Ok(now) if now == expected => {}
        Ok(now) => complaints.push(format!("the view changed from [{expected}] to [{now}]")),
        Err(error) => complaints.push(error),
    }
    inspect::examine(engine, &mut |complaint| complaints.push(complaint.to_string()));
    files(engine, directory, complaints);
}

/// Every segment, a line each.
pub(crate) fn view(engine: &Engine) -> Result<String, String> {
    let mut view = String::new();
    let limits = engine.limits();
    let _ = write!(view, "limits {} {} {}", limits.shmmax, limits.shmall, limits.shmmni);
    let reported = engine.segments(&mut |s| {
        let p = &s.ds.perm;
        let _ = write!(
            view,
            "; id {} key {:#x} mode {:o} owner {}:{} size {} nattch {}",
            s.id, p.key, p.mode, p.uid, p.gid, s.ds.segsz, s.ds.nattch
        );
    });
    reported.map(|()| view).map_err(|errno| format!("listing: {errno:?}"))
}

/// A file for each segment that must have one, and none for any that is not there.
fn files(engine: &Engine, directory: &Path, complaints: &mut Vec<String>) {
    let names = |below: &Path| -> Option<Vec<String>> {
        let entries = std::fs::read_dir(below).ok()?;
        Some(entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect())
    };
    // In a namespace for several users only its owner may list these.
    let (Some(top), Some(mut objects)) = (names(directory), names(&directory.join("shm"))) else {
        return;
    };
    for name in top {
        if !["table", "live", "limits", "shm", "sem", "msg"].contains(&name.as_str()) {
            complaints.push(format!("{name} is left in the directory"));
        }
    }
    inspect::files(engine, &mut |id, may, must, len| {
        let name = id.to_string();
        let there = objects
            .iter()
            .position(|n| *n == name)
            .map(|at| objects.swap_remove(at));
        if there.is_some() && !may || there.is_none() && must {
            complaints.push(format!(
                "segment {id}: file there {}, may {may}, must {must}",
                there.is_some()
            ));
        }
        let found = std::fs::metadata(directory.join("shm").join(&name)).map(|m| m.len());
        if must && found.is_ok_and(|found| found != len) {
            complaints.push(format!("segment {id}: its file has not {len} bytes"));
        }
    });
    for name in objects {
        complaints.push(format!("shm/{name} belongs to no segment"));
    }
}

/// A segment's whole life, which must go as in a new namespace.
fn work(engine: &Engine) -> Result<(), String> {
    const KEY: i32 = 0x0077_1234;
    let at = |what: &'static str| move |errno| format!("afterwards, {what}: {errno:?}");
    let id = engine
        .shmget(KEY, 3 * 4096, IPC_CREAT | IPC_EXCL | 0o600)
        .map_err(at("creating"))?;
    let first = attach(engine, id).map_err(at("attaching"))?;
    if !memory::is_zero(first, 3 * 4096) {
        return Err("new memory is not zero".to_owned());
    }
    memory::fill(first, 3 * 4096);
    let second = attach(engine, id).map_err(at("attaching again"))?;
    let found = engine.shmget(KEY, 0, 0).map_err(at("finding"))?;
    let nattch = engine.shm_stat(id, StatBy::Id).map_err(at("asking"))?.1.nattch;
    if found != id || nattch != 2 || memory::is_zero(second, 4096) {
        return Err(format!("afterwards {id} is found as {found} with nattch {nattch}"));
    }
    detach(engine, first).map_err(at("detaching"))?;
    engine.shm_remove(id).map_err(at("removing"))?;
    if engine.shmget(KEY, 0, 0).is_ok() {
        return Err("the key of a removed segment is not free".to_owned());
    }
    let nattch = engine.shm_stat(id, StatBy::Id).map_err(at("asking again"))?.1.nattch;
    if nattch != 1 {
        return Err(format!("after one of two detachments nattch is {nattch}"));
    }
    detach(engine, second).map_err(at("detaching the last"))?;
    match engine.shm_stat(id, StatBy::Id) {
        Ok(_) => Err("a removed segment that nobody has is still there".to_owned()),
        Err(_) => Ok(()),
    }
}

/// Attaches every segment for reading, as its owner may.
fn use_all(engine: &Engine) -> Result<(), String> {
    let mut found = Vec::new();
    let listed = engine.segments(&mut |s| found.push((s.id, s.ds.segsz)));
    listed.map_err(|errno| format!("listing: {errno:?}"))?;
    for (id, size) in found {
        let at = memory::attach_to_read(engine, id).map_err(|errno| format!("attaching {id}: {errno:?}"))?;
        memory::read_ends(at, size as usize);
        detach(engine, at).map_err(|errno| format!("detaching {id}: {errno:?}"))?;
    }
    Ok(())
}

pub(crate) use memory::{attach, detach};

mod memory {
    #![allow(unsafe_code)]

    use sysv_engine::{Engine, Result, Segments};

    /// `shmat` where the system likes.
    pub(crate) fn attach(engine: &Engine, id: i32) -> Result<usize> {
        // SAFETY: without SHM_REMAP nothing that exists is touched.
        unsafe { engine.shmat(id, 0, 0) }.map(|at| at as usize)
    }

    /// `shmat` with `SHM_RDONLY`.
    pub(super) fn attach_to_read(engine: &Engine, id: i32) -> Result<usize> {
        // SAFETY: as above.
        unsafe { engine.shmat(id, 0, sysv_engine::abi::SHM_RDONLY) }.map(|at| at as usize)
    }

    /// Reads an attached segment's first and last byte.
    pub(super) fn read_ends(at: usize, size: usize) {
        for byte in [at, at + size - 1] {
            // SAFETY: attached, and this long.
            unsafe { (byte as *const u8).read_volatile() };
        }
    }

    /// `shmdt`.
    pub(crate) fn detach(engine: &Engine, at: usize) -> Result<()> {
        // SAFETY: the harness keeps no reference into attached memory.
        unsafe { engine.shmdt(at) }
    }

    pub(super) fn is_zero(at: usize, len: usize) -> bool {
        // SAFETY: attached, at least this long, and nobody else knows the segment.
        (0..len).all(|i| unsafe { *((at + i) as *const u8) } == 0)
    }

    pub(super) fn fill(at: usize, len: usize) {
        // SAFETY: as above.
        unsafe { std::ptr::write_bytes(at as *mut u8, 0xa5, len) };
    }
}
