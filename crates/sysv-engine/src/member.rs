//! A process's membership in a namespace: the mapped files, its record, and what only it knows.

#![allow(unsafe_code)]

use core::ffi::CStr;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use crate::abi::PAGE_SIZE;
use crate::attachments::{LocalAttachment, Template};
use crate::critical;
use crate::errno::{Errno, Result};
use crate::identity::Identity;
use crate::limits::{Limit, Limits, LimitsPage};
use crate::live::{LazyLive, ProofOfLife};
use crate::lock::{self, Acquired, Tag};
use crate::namespace::{self, Join, JoinError, Mapped};
use crate::page_vec::PageVec;
use crate::path::PathBuf;
use crate::private_lock::{PrivateGuard, PrivateLock};
use crate::process;
use crate::queue::{Orphan, Windows};
use crate::segment;
use crate::semaphore::Mappings;
use crate::semaphore::turn::Turn;
use crate::sys;
use crate::table::Table;
use crate::usercopy;

/// What [`Presence::state`] says: zero is what a child sees that was forked behind our back.
const ABSENT: u32 = 0;
/// The process has a record of its own.
const PRESENT: u32 = 1;

/// A page that the kernel wipes in every forked child, however it was forked (`MADV_WIPEONFORK`).
#[repr(C, align(4096))]
struct Presence {
    state: AtomicU32,
}

/// A process's membership in one namespace.
pub(crate) struct Member {
    mapped: Mapped,
    presence: *const Presence,
    /// The record's [`Tag`] as a word.
    tag: AtomicU32,
    identity: AtomicU64,
    /// The process whose threads `private` is among.
    lock_owner: AtomicU32,
    /// Spinning helps: another processor can make progress.
    spin: AtomicBool,
    /// The message queues that the process has mapped.
    pub(crate) queues: Windows,
    /// How long it has been taking what others wait for.
    pub(crate) turn: Turn,
    /// What the process's threads change in turns.
    pub(crate) private: PrivateLock<Private>,
    /// Mapped files of semaphore sets.
    pub(crate) sets: Mappings,
    /// Raised once the table or the limits have turned out to be cut short.
    damage: usercopy::Alarm,
    /// [`Engine`](crate::Engine) handles on it. Changed under `process::MEMBERS`.
    pub(crate) handles: AtomicU32,
}

// SAFETY: the pointers lead to mapped memory of atomics that stays as long as the member does; `private` is a lock.
unsafe impl Sync for Member {}
// SAFETY: as above; nothing belongs to a thread.
unsafe impl Send for Member {}

/// What only this process knows, and its threads change in turns.
pub(crate) struct Private {
    /// What the process has attached, by pieces that are still mapped.
    pub attachments: PageVec<LocalAttachment>,
    /// Mappings from which further attachments are duplicated.
    pub templates: PageVec<Template>,
    /// Keeps the lock on the record's byte.
    pub proof: Option<ProofOfLife>,
    /// Slots of semaphore sets whose files have been mapped.
    pub sets: PageVec<u32>,
    /// Parts of removed queues in which messages are read.
    pub orphans: PageVec<Orphan>,
    /// What a `fork` in progress has prepared for the child.
    pub child: Option<process::PreparedChild>,
}

impl Member {
    /// Opens the namespace and enrols the process.
    pub(crate) fn join(mapped: Mapped) -> core::result::Result<&'static Member, JoinError> {
        let system = JoinError::system;
        let pages = size_of::<Member>().next_multiple_of(PAGE_SIZE);
        let presence = sys::map_anonymous(PAGE_SIZE).map_err(system("mapping a page"))?;
        sys::madvise_fork(presence, PAGE_SIZE, libc::MADV_WIPEONFORK).map_err(system("preparing for fork"))?;
        let memory = sys::map_anonymous(pages).map_err(system("mapping a page"))? as *mut Member;
        // SAFETY: the new mapping is large enough, aligned to a page, and nobody else's.
        let member = unsafe {
            memory.write(Member {
                mapped,
                presence: presence as *const Presence,
                tag: AtomicU32::new(0),
                identity: AtomicU64::new(0),
                lock_owner: AtomicU32::new(sys::getpid()),
                spin: AtomicBool::new(sys::has_processors()),
                queues: Windows::new(),
                turn: Turn::new(),
                private: PrivateLock::new(Private {
                    attachments: PageVec::new(),
                    templates: PageVec::new(),
                    sets: PageVec::new(),
                    orphans: PageVec::new(),
                    proof: None,
                    child: None,
                }),
                sets: Mappings::new(),
                damage: usercopy::Alarm::new(),
                handles: AtomicU32::new(1),
            });
            &*memory
        };
        member.guard_files();
        // As after each attachment: the first one may want any free address.
        let _ = member.private.lock().attachments.reserve_one();
        let enrolled = process::enrol(member, &mut member.private.lock());
        enrolled.map(|()| member).inspect_err(|_| {
            // SAFETY: nobody else knows the member yet.
            unsafe { member.free() };
        })
    }

    /// Unmaps everything of it, itself included.
    ///
    /// # Safety
    /// No reference to the member may be used afterwards.
    pub(crate) unsafe fn free(&self) {
        let memory = core::ptr::from_ref(self).cast_mut();
        // SAFETY: `join` mapped these; the caller vouches that nothing refers to them.
        unsafe {
            for start in [self.mapped.table as usize, self.mapped.limits as usize] {
                usercopy::unguard(start);
            }
            self.sets.unmap(self.private.lock().sets.as_slice());
            self.mapped.unmap();
            self.queues.unmap(&mut self.private.lock().orphans);
            let _ = sys::munmap(self.presence as usize, PAGE_SIZE);
            core::ptr::drop_in_place(memory);
            let _ = sys::munmap(memory as usize, size_of::<Member>().next_multiple_of(PAGE_SIZE));
        }
    }

    /// In a namespace for several users another one may cut the table short. Whoever finds that out must not be killed by it.
    fn guard_files(&'static self) {
        if !self.is_shared() {
            return;
        }
        let (table, limits) = (self.mapped.table as usize, self.mapped.limits as usize);
        for (start, len) in [(table, size_of::<Table>()), (limits, size_of::<LimitsPage>())] {
            // SAFETY: `namespace::open` mapped them so, and `free` ends the guards before it unmaps them and the alarm's gate.
            // Where there is no memory for that, they are as unguarded as with any other library.
            unsafe {
                self.damage.close(&self.presence().state);
                let _ = usercopy::guard(start, len, &self.damage).map(core::mem::forget);
            }
        }
    }

    /// Whether the table or the limits have been cut short: then nothing that this process would do here is known to others.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damage.is_raised()
    }

    /// Begins a call: a child that was forked behind our back enrols itself first.
    #[inline]
    pub(crate) fn enter(&self) -> Result<()> {
        critical::begin_call()?;
        self.enrol_if_forked()
    }

    /// As [`enter`](Member::enter), in the midst of a call.
    #[inline]
    pub(crate) fn enrol_if_forked(&self) -> Result<()> {
        if self.presence().state.load(Acquire) == PRESENT {
            Ok(())
        } else {
            process::enrol_again(self)
        }
    }

    fn presence(&self) -> &Presence {
        // SAFETY: mapped by `join`, as long as the member.
        unsafe { &*self.presence }
    }

    pub(crate) fn is_present(&self) -> bool {
        self.presence().state.load(Acquire) == PRESENT
    }

    /// Says that the process has (or no longer has) a record of its own.
    pub(crate) fn set_present(&self, present: bool) {
        self.presence()
            .state
            .store(if present { PRESENT } else { ABSENT }, Release);
    }

    /// The table. What it holds is untrusted.
    #[inline]
    pub(crate) fn table(&self) -> &Table {
        // SAFETY: mapped by `namespace::open` at the table's full size, as long as the member; atomics only.
        unsafe { &*self.mapped.table }
    }

    /// The limits in force at this moment.
    pub(crate) fn limits(&self) -> Limits {
        let page: &LimitsPage = {
            // SAFETY: mapped by `namespace::open`, as long as the member; atomics only.
            unsafe { &*self.mapped.limits }
        };
        page.load()
    }

    /// The largest message, in bytes: a limit that is asked for at every `msgsnd`.
    #[inline]
    pub(crate) fn msgmax(&self) -> u64 {
        // SAFETY: as above.
        unsafe { &*self.mapped.limits }.load_one(Limit::Msgmax)
    }

    pub(crate) fn directory(&self) -> &CStr {
        self.mapped.directory.as_c_str()
    }

    /// What the namespace is, whatever it is called.
    pub(crate) fn namespace_identity(&self) -> (u64, u64) {
        self.mapped.identity
    }

    /// Whether the namespace is for several users.
    pub(crate) fn is_shared(&self) -> bool {
        self.mapped.shared
    }

    /// The process's tag.
    #[inline]
    pub(crate) fn tag(&self) -> Tag {
        // A present member's word is never zero.
        Tag::from_word(self.tag.load(Relaxed)).unwrap_or(Tag::new(0, 0))
    }

    pub(crate) fn set_tag(&self, tag: Tag) {
        self.tag.store(tag.word(), Relaxed);
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_word(self.identity.load(Relaxed))
    }

    pub(crate) fn set_identity(&self, identity: Identity) {
        self.identity.store(identity.word(), Relaxed);
    }

    /// Whether spinning helps.
    #[inline]
    pub(crate) fn spins(&self) -> bool {
        self.spin.load(Relaxed)
    }

    /// The most operations of one `semop`, at this moment.
    #[inline]
    pub(crate) fn semopm(&self) -> u64 {
        // SAFETY: mapped by `namespace::open`, as long as the member; atomics only.
        let page: &LimitsPage = unsafe { &*self.mapped.limits };
        page.semopm()
    }

    /// The file `live`, to be opened if a question needs it.
    pub(crate) fn lazy_live(&self) -> LazyLive<'_> {
        LazyLive::new(&self.mapped.directory)
    }

    /// Takes an object's lock, for which threads of this process wait beside other processes.
    #[inline(always)]
    pub(crate) fn acquire(&self, word: &AtomicU32) -> Acquired {
        lock::acquire(word, self.tag(), self.spins(), &|owner| self.has_lock(owner))
    }

    /// Whether the owner of an object's lock lives. If it is this process, another of its threads has the lock; with one thread
    /// alone, a liar has written that.
    #[cold]
    fn has_lock(&self, owner: Tag) -> bool {
        if owner == self.tag() {
            return sys::has_other_threads();
        }
        self.is_alive(owner, &self.lazy_live())
    }

    /// Whether the process with this tag lives.
    pub(crate) fn is_alive(&self, tag: Tag, live: &LazyLive<'_>) -> bool {
        let own = self.tag();
        if tag.index() == own.index() {
            // The record's lock is this process's own, so it proves nothing for a predecessor, whatever the record says.
            return tag == own;
        }
        let Some(record) = self.table().processes.get(tag.index()) else {
            return false;
        };
        tag.is_of_generation(record.generation.load(Acquire)) && live.holds(tag.index())
    }

    /// Whether the process with this tag, which is dead as a member, has executed another program and owes on.
    #[cold]
    pub(crate) fn lives_on(&self, tag: Tag) -> bool {
        let record = self.table().processes.get(tag.index());
        record.is_some_and(|record| {
            tag.is_of_generation(record.generation.load(Acquire)) && process::lives_on(record, self.identity())
        })
    }

    /// Calls `f` with the name of an object's file. The name is built where it is used: moving a buffer of its size about
    /// costs more than some of the system calls.
    pub(crate) fn with_object_path<T>(&self, kind: &str, id: i32, f: impl FnOnce(&CStr) -> Result<T>) -> Result<T> {
        let mut digits = [0u8; 12];
        let mut at = digits.len();
        let mut rest = id.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let mut path = PathBuf::new();
        path.push(self.directory().to_bytes())?;
        path.push(b"/")?;
        path.push(kind.as_bytes())?;
        path.push(b"/")?;
        path.push(&digits[at..])?;
        f(path.as_c_str())
    }

    /// The private lock's state is this process's.
    pub(crate) fn own_lock(&self) {
        self.lock_owner.store(sys::getpid(), Relaxed);
    }

    /// Whether the private lock's state was inherited from another process; `true` for one thread of this one only.
    pub(crate) fn inherit_lock(&self) -> bool {
        let pid = sys::getpid();
        self.lock_owner.swap(pid, Relaxed) != pid
    }

    /// Makes sure that record `index` of an array in the table has file pages under it.
    ///
    /// # Errors
    /// `ENOSPC` where the file system is full.
    pub(crate) fn back(
        &self,
        backed: &AtomicU32,
        index: usize,
        array: usize,
        record: usize,
        count: usize,
    ) -> Result<()> {
        const STEP: usize = 64 * 1024;
        let have = (backed.load(Relaxed) as usize).min(count);
        if index < have {
            return Ok(());
        }
        let want = (index + 1).next_multiple_of(STEP / record).min(count);
        let bytes = ((want - have) * record) as u64;
        // Not at the expense of what segments were promised.
        segment::spare(self, bytes).map_err(|_| Errno::ENOSPC)?;
        let file = sys::open(PathBuf::join(self.directory(), b"table")?.as_c_str(), libc::O_RDWR, 0)?;
        namespace::allocate(&file, (array + have * record) as u64, bytes)?;
        backed.fetch_max(want as u32, Relaxed);
        Ok(())
    }

    /// What the process's threads change in turns; signals are blocked meanwhile.
    pub(crate) fn lock_private(&self) -> PrivateGuard<'_, Private> {
        self.private.lock()
    }
}

/// Finds the process's membership in the namespace, or makes it one.
pub(crate) fn find_or_join(directory: &CStr, how: Join) -> core::result::Result<&'static Member, JoinError> {
    process::watch_forks();
    let mapped = namespace::open(directory, how)?;
    let mut members = process::MEMBERS.lock();
    if let Some(member) = members
        .as_slice()
        .iter()
        .find(|m| m.namespace_identity() == mapped.identity)
    {
        member.handles.fetch_add(1, Relaxed);
        // SAFETY: just mapped; nobody refers to it.
        unsafe { mapped.unmap() };
        return Ok(member);
    }
    let no_memory = JoinError::system("keeping the membership");
    if members.reserve_one().is_err() {
        // SAFETY: as above.
        unsafe { mapped.unmap() };
        return Err(no_memory(Errno::ENOMEM));
    }
    let member = Member::join(mapped)?;
    members.push(member).map_err(no_memory)?;
    Ok(member)
}
