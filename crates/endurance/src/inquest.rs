//! What is looked at after a death: that nothing is lost, nothing is left, and the namespace works on.

mod queues;
mod sets;

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use sysv_engine::abi::{IPC_CREAT, IPC_EXCL};
use sysv_engine::{Engine, Segments, StatBy, inspect};

pub(crate) use queues::{receive, receive_at_most, send};

/// What an inquest found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Every object, as anybody sees it. Times and process ids do not count.
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

/// Looks at the namespace while no call is in progress in it but those of `in_call` processes that wait, and does some work
/// in it.
pub(crate) fn hold(engine: &Engine, directory: &Path, in_call: &dyn Fn() -> usize) -> Findings {
    let mut complaints = Vec::new();
    // The first look comes before the sweep: what is asked for must be right without one.
    let view = settled_view(engine, in_call).unwrap_or_else(|error| error);
    examine(engine, directory, &view, &mut complaints);
    for done in [work(engine), use_all(engine), sets::work(engine), queues::work(engine)] {
        complaints.extend(done.err());
    }
    if complaints.is_empty() {
        examine(engine, directory, &view, &mut complaints);
    }
    Findings { view, complaints }
}

/// The view once whoever was told to go on has gone on.
fn settled_view(engine: &Engine, in_call: &dyn Fn() -> usize) -> Result<String, String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let before = (inspect::waiters(engine), in_call());
        let view = view(engine);
        let now = (inspect::waiters(engine), in_call());
        if before == now && now.0.going_on == 0 && now.0.asleep >= now.1 {
            return view;
        }
        if Instant::now() > deadline {
            return Err(format!("{} processes wait in calls, but {:?}: {view:?}", now.1, now.0));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
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

/// Every object: what the calls say of it.
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
    reported.map_err(|errno| format!("listing: {errno:?}"))?;
    sets::view(engine, &mut view)?;
    queues::view(engine, &mut view)?;
    Ok(view)
}

/// A file for each object that must have one, and none for any that is not there.
fn files(engine: &Engine, directory: &Path, complaints: &mut Vec<String>) {
    let names = |below: &Path| -> Option<Vec<String>> {
        let entries = std::fs::read_dir(below).ok()?;
        Some(entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect())
    };
    // In a namespace for several users only its owner may list these.
    let Some(top) = names(directory) else { return };
    let mut objects = Vec::new();
    for name in top {
        if !["table", "live", "limits", "shm", "sem", "msg"].contains(&name.as_str()) {
            complaints.push(format!("{name} is left in the directory"));
        }
        if let Some(inside) = names(&directory.join(&name)) {
            objects.extend(inside.into_iter().map(|file| format!("{name}/{file}")));
        }
    }
    inspect::files(engine, &mut |file| {
        let name = format!("{}/{}", file.directory, file.id);
        let there = objects
            .iter()
            .position(|n| *n == name)
            .map(|at| objects.swap_remove(at));
        if there.is_some() && !file.may || there.is_none() && file.must {
            complaints.push(format!("{name}: it is there {}, {file:?}", there.is_some()));
        }
        let found = std::fs::metadata(directory.join(&name)).map(|m| m.len());
        let right = |len| len == file.len || file.grows && len > file.len;
        if file.must && found.is_ok_and(|len| !right(len)) {
            complaints.push(format!("{name}: its length is wrong, {file:?}"));
        }
    });
    for name in objects {
        complaints.push(format!("{name} belongs to nothing"));
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
