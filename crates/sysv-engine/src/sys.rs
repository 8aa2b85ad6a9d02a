//! System calls, made raw.
//!
//! Nothing here goes through the C library's wrappers: a preloaded library interposes those (`munmap`,
//! `open`, `syscall` and the twelve System V calls), and the engine must neither catch itself nor touch
//! the program's `errno`.

#![allow(unsafe_code)]

#[cfg(not(miri))]
use core::arch::asm;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::sync::atomic::AtomicU32;
use core::time::Duration;

use crate::errno::{Errno, Result};

/// What Miri has of a kernel: memory, and sleepers that wake by themselves.
#[cfg(miri)]
pub(crate) unsafe fn call6(nr: i64, arguments: [usize; 6]) -> Result<usize> {
    match (nr, arguments) {
        (libc::SYS_mmap, [0, len, prot, flags, _, 0]) => {
            // SAFETY: a new range.
            let at = unsafe { libc::mmap(core::ptr::null_mut(), len, prot as i32, flags as i32, -1, 0) };
            Ok(at.expose_provenance())
        }
        (libc::SYS_munmap, [at, len, ..]) => {
            // SAFETY: the caller's promise.
            unsafe { libc::munmap(core::ptr::with_exposed_provenance_mut(at), len) };
            Ok(0)
        }
        (libc::SYS_futex, _) => {
            std::thread::yield_now();
            Ok(0)
        }
        _ => panic!("system call {nr} under Miri"),
    }
}

/// Makes a system call with up to six arguments.
///
/// # Safety
/// The call's own conditions: pointers among the arguments must be valid for what the call does.
#[cfg(not(miri))]
#[inline(always)]
pub(crate) unsafe fn call6(nr: i64, a: [usize; 6]) -> Result<usize> {
    let ret: isize;
    // SAFETY: the x86-64 system call convention: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9;
    // rcx and r11 are lost. What the call does to memory is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") nr as isize => ret,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    if (-4095..0).contains(&ret) {
        Err(Errno::from_raw(-ret as i32))
    } else {
        Ok(ret as usize)
    }
}

/// `syscall!(SYS_name, a, b, …)`: [`call6`] with the missing arguments zero.
macro_rules! syscall {
    ($nr:ident) => { $crate::sys::call6(libc::$nr, [0; 6]) };
    ($nr:ident, $a:expr) => { $crate::sys::call6(libc::$nr, [$a as usize, 0, 0, 0, 0, 0]) };
    ($nr:ident, $a:expr, $b:expr) => { $crate::sys::call6(libc::$nr, [$a as usize, $b as usize, 0, 0, 0, 0]) };
    ($nr:ident, $a:expr, $b:expr, $c:expr) => {
        $crate::sys::call6(libc::$nr, [$a as usize, $b as usize, $c as usize, 0, 0, 0])
    };
    ($nr:ident, $a:expr, $b:expr, $c:expr, $d:expr) => {
        $crate::sys::call6(libc::$nr, [$a as usize, $b as usize, $c as usize, $d as usize, 0, 0])
    };
    ($nr:ident, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr) => {
        $crate::sys::call6(libc::$nr, [$a as usize, $b as usize, $c as usize, $d as usize, $e as usize, 0])
    };
    ($nr:ident, $a:expr, $b:expr, $c:expr, $d:expr, $e:expr, $f:expr) => {
        $crate::sys::call6(libc::$nr, [$a as usize, $b as usize, $c as usize, $d as usize, $e as usize, $f as usize])
    };
}
pub(crate) use syscall;

/// An open file descriptor, closed on drop.
#[derive(Debug)]
pub(crate) struct Fd(i32);

impl Fd {
    pub(crate) fn raw(&self) -> i32 {
        self.0
    }

    /// Gives the descriptor away, open.
    pub(crate) fn into_raw(self) -> i32 {
        let raw = self.0;
        core::mem::forget(self);
        raw
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        let _ = unsafe { syscall!(SYS_close, self.0) };
    }
}

/// `open(2)`; `O_CLOEXEC`, `O_NOFOLLOW` and `O_NONBLOCK` are always added: the last changes nothing about files, and keeps a
/// pipe that somebody put in a file's place from being waited for.
pub(crate) fn open(path: &CStr, flags: i32, mode: u32) -> Result<Fd> {
    let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    // SAFETY: `path` is a terminated string.
    unsafe { syscall!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, mode) }.map(|fd| Fd(fd as i32))
}

/// `ftruncate(2)`, for files that stand for memory: the limit on the size of files (`RLIMIT_FSIZE`), which does not count for
/// the kernel's segments, is lifted for the moment, as far as the process may.
///
/// # Errors
/// `ENOMEM` where it may not; the kernel would send `SIGXFSZ`.
pub(crate) fn ftruncate(fd: &Fd, len: u64) -> Result<()> {
    with_files_of(len, || {
        // SAFETY: no pointer.
        unsafe { syscall!(SYS_ftruncate, fd.0, len) }.map(drop)
    })
}

/// As [`ftruncate`], for a file that others may be making longer at this moment: it is never made shorter, and gets memory for the
/// last byte.
///
/// # Errors
/// As [`ftruncate`].
pub(crate) fn lengthen(fd: &Fd, len: u64) -> Result<()> {
    match with_files_of(len, || fallocate(fd, len.saturating_sub(1), 1)) {
        // As well as can be.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) if (fstat(fd)?.st_size as u64) < len => ftruncate(fd, len),
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        other => other,
    }
}

/// Does what makes a file so long.
fn with_files_of(len: u64, act: impl Fn() -> Result<()>) -> Result<()> {
    let limit = get_limit(libc::RLIMIT_FSIZE);
    if limit.rlim_cur >= len {
        return act();
    }
    if limit.rlim_max < len {
        return Err(Errno::ENOMEM);
    }
    set_limit(
        libc::RLIMIT_FSIZE,
        libc::rlimit {
            rlim_cur: limit.rlim_max,
            ..limit
        },
    )?;
    let done = act();
    set_limit(libc::RLIMIT_FSIZE, limit)?;
    done
}

pub(crate) fn fallocate(fd: &Fd, offset: u64, len: u64) -> Result<()> {
    // SAFETY: no pointer.
    unsafe { syscall!(SYS_fallocate, fd.0, 0, offset, len) }.map(drop)
}

/// Gives a range's memory back; it reads as zeros then.
pub(crate) fn punch_hole(fd: &Fd, offset: u64, len: u64) -> Result<()> {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: no pointer.
    unsafe { syscall!(SYS_fallocate, fd.0, mode, offset, len) }.map(drop)
}

pub(crate) fn fchmod(fd: &Fd, mode: u32) -> Result<()> {
    // SAFETY: no pointer.
    unsafe { syscall!(SYS_fchmod, fd.0, mode) }.map(drop)
}

pub(crate) fn chmod(path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe { syscall!(SYS_chmod, path.as_ptr(), mode) }.map(drop)
}

pub(crate) fn chown(path: &CStr, uid: u32, gid: u32) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe { syscall!(SYS_chown, path.as_ptr(), uid, gid) }.map(drop)
}

/// `getxattr(2)`: how long the value is, which is then in `value`.
pub(crate) fn getxattr(path: &CStr, name: &CStr, value: &mut [u8]) -> Result<usize> {
    // SAFETY: two terminated strings, and the kernel writes at most `value.len()` bytes.
    unsafe {
        syscall!(
            SYS_getxattr,
            path.as_ptr(),
            name.as_ptr(),
            value.as_mut_ptr(),
            value.len()
        )
    }
}

/// `setxattr(2)`.
pub(crate) fn setxattr(path: &CStr, name: &CStr, value: &[u8]) -> Result<()> {
    // SAFETY: two terminated strings, and the kernel reads `value.len()` bytes.
    unsafe {
        syscall!(
            SYS_setxattr,
            path.as_ptr(),
            name.as_ptr(),
            value.as_ptr(),
            value.len(),
            0
        )
    }
    .map(drop)
}

pub(crate) fn mkdir(path: &CStr, mode: u32) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe { syscall!(SYS_mkdir, path.as_ptr(), mode) }.map(drop)
}

pub(crate) fn unlink(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe { syscall!(SYS_unlink, path.as_ptr()) }.map(drop)
}

pub(crate) fn rmdir(path: &CStr) -> Result<()> {
    // SAFETY: `path` is a terminated string.
    unsafe { syscall!(SYS_rmdir, path.as_ptr()) }.map(drop)
}

/// `getdents64(2)`: the next entries, and how many bytes of them.
pub(crate) fn getdents(fd: &Fd, buf: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes at most `buf.len()` bytes.
    unsafe { syscall!(SYS_getdents64, fd.0, buf.as_mut_ptr(), buf.len()) }
}

pub(crate) fn rename(from: &CStr, to: &CStr) -> Result<()> {
    // SAFETY: both are terminated strings.
    unsafe { syscall!(SYS_rename, from.as_ptr(), to.as_ptr()) }.map(drop)
}

/// An exclusive `flock(2)`, given back on drop.
///
/// Closing the descriptor would not do: a child that another thread forks meanwhile has a copy of it, and would wait for
/// itself.
pub(crate) struct Flock<'f>(&'f Fd);

/// `flock(2)` with `LOCK_EX`; waits.
pub(crate) fn flock_exclusive(fd: &Fd) -> Result<Flock<'_>> {
    loop {
        // SAFETY: no pointer.
        match unsafe { syscall!(SYS_flock, fd.0, libc::LOCK_EX) } {
            Err(Errno::EINTR) => {}
            other => return other.map(|_| Flock(fd)),
        }
    }
}

impl Drop for Flock<'_> {
    fn drop(&mut self) {
        // SAFETY: no pointer.
        let _ = unsafe { syscall!(SYS_flock, self.0.0, libc::LOCK_UN) };
    }
}

pub(crate) fn fstat(fd: &Fd) -> Result<libc::stat> {
    let mut st = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the whole structure on success.
    unsafe {
        syscall!(SYS_fstat, fd.0, st.as_mut_ptr())?;
        Ok(st.assume_init())
    }
}

/// `stat(2)`, or `lstat(2)` with `follow` false.
pub(crate) fn stat(path: &CStr, follow: bool) -> Result<libc::stat> {
    let mut st = MaybeUninit::<libc::stat>::uninit();
    let flags = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    // SAFETY: `path` is a terminated string; the kernel fills the whole structure on success.
    unsafe {
        syscall!(SYS_newfstatat, libc::AT_FDCWD, path.as_ptr(), st.as_mut_ptr(), flags)?;
        Ok(st.assume_init())
    }
}

/// `statfs(2)`.
pub(crate) fn statfs(path: &CStr) -> Result<libc::statfs> {
    let mut st = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `path` is a terminated string; the kernel fills the whole structure on success.
    unsafe {
        syscall!(SYS_statfs, path.as_ptr(), st.as_mut_ptr())?;
        Ok(st.assume_init())
    }
}

/// Memory and swap of the machine together, in bytes.
pub(crate) fn total_memory() -> u64 {
    let mut info = MaybeUninit::<libc::sysinfo>::zeroed();
    // SAFETY: the kernel fills the structure; zeros are valid for it.
    let info = unsafe {
        let _ = syscall!(SYS_sysinfo, info.as_mut_ptr());
        info.assume_init()
    };
    (info.totalram + info.totalswap).saturating_mul(u64::from(info.mem_unit))
}

/// Reads at an offset; short only at the end of the file.
pub(crate) fn pread(fd: &Fd, buf: &mut [u8], offset: u64) -> Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        let rest = &mut buf[done..];
        // SAFETY: the kernel writes at most `rest.len()` bytes to `rest`.
        match unsafe { syscall!(SYS_pread64, fd.0, rest.as_mut_ptr(), rest.len(), offset + done as u64) } {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// Writes all of `buf` at an offset.
pub(crate) fn pwrite(fd: &Fd, buf: &[u8], offset: u64) -> Result<()> {
    let mut done = 0;
    while done < buf.len() {
        let rest = &buf[done..];
        // SAFETY: the kernel reads at most `rest.len()` bytes from `rest`.
        match unsafe { syscall!(SYS_pwrite64, fd.0, rest.as_ptr(), rest.len(), offset + done as u64) } {
            Ok(n) => done += n,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// `lseek(2)` with `SEEK_SET`.
pub(crate) fn seek(fd: &Fd, offset: u64) -> Result<()> {
    // SAFETY: no pointer.
    unsafe { syscall!(SYS_lseek, fd.0, offset, libc::SEEK_SET) }.map(drop)
}

/// `mmap(2)`.
///
/// # Safety
/// With `MAP_FIXED` the caller owns whatever is mapped in the range.
pub(crate) unsafe fn mmap(addr: usize, len: usize, prot: i32, flags: i32, fd: i32, offset: u64) -> Result<usize> {
    // SAFETY: the caller's promise about MAP_FIXED.
    unsafe { syscall!(SYS_mmap, addr, len, prot, flags, fd, offset) }
}

/// New zeroed private memory.
pub(crate) fn map_anonymous(len: usize) -> Result<usize> {
    // SAFETY: a new range, chosen by the kernel.
    unsafe {
        mmap(
            0,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    }
}

/// `madvise(2)` with `MADV_REMOVE`: takes whole pages of a shared mapping out of their file.
///
/// # Safety
/// Nobody needs the bytes.
pub(crate) unsafe fn remove_pages(addr: usize, len: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { syscall!(SYS_madvise, addr, len, libc::MADV_REMOVE) }.map(drop)
}

/// `munmap(2)`.
///
/// # Safety
/// Nothing may use the range afterwards.
pub(crate) unsafe fn munmap(addr: usize, len: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { syscall!(SYS_munmap, addr, len) }.map(drop)
}

/// `mremap(2)`.
///
/// # Safety
/// Nothing may use the old range afterwards, and with `MREMAP_FIXED` nothing the new one.
pub(crate) unsafe fn mremap(old: usize, old_len: usize, new_len: usize, flags: i32, new: usize) -> Result<usize> {
    // SAFETY: the caller's promise.
    unsafe { syscall!(SYS_mremap, old, old_len, new_len, flags, new) }
}

/// `madvise(2)` with advice that does not change the contents in this process.
pub(crate) fn madvise_fork(addr: usize, len: usize, advice: i32) -> Result<()> {
    debug_assert!(matches!(advice, libc::MADV_DONTFORK | libc::MADV_WIPEONFORK));
    // SAFETY: these two change what a forked child sees, nothing here.
    unsafe { syscall!(SYS_madvise, addr, len, advice) }.map(drop)
}

/// `mlock2(2)` with `MLOCK_ONFAULT`.
pub(crate) fn mlock_on_fault(addr: usize, len: usize) -> Result<()> {
    // SAFETY: locking pages does not change their contents.
    unsafe { syscall!(SYS_mlock2, addr, len, libc::MLOCK_ONFAULT) }.map(drop)
}

/// `munlock(2)`.
pub(crate) fn munlock(addr: usize, len: usize) -> Result<()> {
    // SAFETY: unlocking pages does not change their contents.
    unsafe { syscall!(SYS_munlock, addr, len) }.map(drop)
}

/// What an open-file-description lock command answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteLock {
    /// The lock was taken, or nobody else holds it.
    Free,
    /// Somebody else holds it.
    Held,
}

fn byte_lock(fd: &Fd, command: i32, kind: i32, byte: u64) -> Result<(Result<()>, libc::flock)> {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte as i64,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: `lock` is the structure that these commands read and write.
    let done = unsafe { syscall!(SYS_fcntl, fd.0, command, &raw mut lock) }.map(drop);
    match done {
        Ok(()) | Err(Errno::EAGAIN | Errno::EACCES) => Ok((done, lock)),
        Err(e) => Err(e),
    }
}

/// Takes a write lock on one byte for the open file description, without waiting.
pub(crate) fn lock_byte(fd: &Fd, byte: u64) -> Result<ByteLock> {
    let (done, _) = byte_lock(fd, libc::F_OFD_SETLK, libc::F_WRLCK, byte)?;
    Ok(if done.is_ok() { ByteLock::Free } else { ByteLock::Held })
}

/// Gives a byte back.
pub(crate) fn unlock_byte(fd: &Fd, byte: u64) {
    let _ = byte_lock(fd, libc::F_OFD_SETLK, libc::F_UNLCK, byte);
}

/// Whether another open file description holds the byte.
pub(crate) fn probe_byte(fd: &Fd, byte: u64) -> Result<ByteLock> {
    let (_, lock) = byte_lock(fd, libc::F_OFD_GETLK, libc::F_WRLCK, byte)?;
    Ok(if i32::from(lock.l_type) == libc::F_UNLCK {
        ByteLock::Free
    } else {
        ByteLock::Held
    })
}

/// Sleeps until `word` is woken, no longer holds `expected`, `timeout` has passed or a signal came.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    // SAFETY: the kernel reads the word and the timeout. Not FUTEX_PRIVATE: other processes wake us.
    let _ = unsafe { syscall!(SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const timeout) };
}

/// As [`futex_wait`], and says why it returned: `EINTR` after a signal handler, `ETIMEDOUT`, `EAGAIN` for another value.
pub(crate) fn futex_wait_interruptibly(word: &AtomicU32, expected: u32, timeout: Duration) -> Result<()> {
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    // SAFETY: as above.
    unsafe { syscall!(SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const timeout) }.map(drop)
}

/// Wakes up to `count` sleepers of `word`, and returns how many.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) -> usize {
    futex_wake_at(word.as_ptr() as usize, count)
}

/// As [`futex_wake`], for a word that need not be there any more.
pub(crate) fn futex_wake_at(address: usize, count: i32) -> usize {
    // SAFETY: the kernel only looks the address up.
    unsafe { syscall!(SYS_futex, address, libc::FUTEX_WAKE, count) }.unwrap_or(0)
}

/// The process's id in its own pid namespace.
pub(crate) fn getpid() -> u32 {
    // SAFETY: no argument.
    unsafe { syscall!(SYS_getpid) }.unwrap_or(0) as u32
}

/// The thread's id.
pub(crate) fn gettid() -> u32 {
    // SAFETY: no argument.
    unsafe { syscall!(SYS_gettid) }.unwrap_or(0) as u32
}

pub(crate) fn geteuid() -> u32 {
    // SAFETY: no argument.
    unsafe { syscall!(SYS_geteuid) }.unwrap_or(u32::MAX as usize) as u32
}

pub(crate) fn getegid() -> u32 {
    // SAFETY: no argument.
    unsafe { syscall!(SYS_getegid) }.unwrap_or(u32::MAX as usize) as u32
}

/// The supplementary groups that fit into `groups`; `None` if there are more.
pub(crate) fn getgroups(groups: &mut [u32]) -> Option<usize> {
    // SAFETY: the kernel writes at most `groups.len()` entries.
    unsafe { syscall!(SYS_getgroups, groups.len(), groups.as_mut_ptr()) }.ok()
}

/// The thread's effective capabilities, a bit each.
pub(crate) fn effective_capabilities() -> u64 {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0u32];
    let mut data = [0u32; 6];
    // SAFETY: version 3 reads two words and writes six.
    match unsafe { syscall!(SYS_capget, header.as_ptr(), data.as_mut_ptr()) } {
        Ok(_) => u64::from(data[0]) | u64::from(data[3]) << 32,
        Err(_) => 0,
    }
}

/// The soft limit on locked memory, in bytes.
pub(crate) fn memlock_limit() -> u64 {
    get_limit(libc::RLIMIT_MEMLOCK).rlim_cur
}

fn get_limit(which: libc::__rlimit_resource_t) -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes the structure.
    let _ = unsafe { syscall!(SYS_getrlimit, which, &raw mut limit) };
    limit
}

fn set_limit(which: libc::__rlimit_resource_t, limit: libc::rlimit) -> Result<()> {
    // SAFETY: the kernel reads the structure.
    unsafe { syscall!(SYS_setrlimit, which, &raw const limit) }.map(drop)
}

// The C library's `__libc_single_threaded`, where it has one (glibc 2.32 and later): its address, or null.
core::arch::global_asm!(
    ".pushsection .data.rel.ro.sysv_single_threaded, \"aw\", @progbits",
    ".weak __libc_single_threaded",
    ".balign 8",
    ".globl sysv_single_threaded",
    ".hidden sysv_single_threaded",
    ".type sysv_single_threaded, @object",
    ".size sysv_single_threaded, 8",
    "sysv_single_threaded:",
    "    .quad __libc_single_threaded",
    ".popsection",
);

/// Whether the process certainly has no other thread. Only a thread itself can end that, by making another.
#[inline]
pub(crate) fn is_single_threaded() -> bool {
    unsafe extern "C" {
        static sysv_single_threaded: *const u8;
    }
    // SAFETY: the linker has put the variable's address there; nobody writes the variable while there is one thread.
    unsafe { !sysv_single_threaded.is_null() && sysv_single_threaded.read_volatile() != 0 }
}

/// Whether the process has other threads, however they were made; `true` where it cannot be told.
pub(crate) fn has_other_threads() -> bool {
    // The directory has a link for itself, one in its parent, and one for each thread.
    stat(c"/proc/self/task", true).map_or(true, |st| st.st_nlink != 3)
}

/// Whether the machine has several processors, whichever this thread may run on: others may run elsewhere.
pub(crate) fn has_processors() -> bool {
    let mut mask = [0u64; 128];
    // SAFETY: the kernel writes at most the mask's size and returns how much.
    let allowed: u32 = match unsafe { syscall!(SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr()) } {
        Ok(bytes) => mask[..(bytes / 8).min(mask.len())].iter().map(|w| w.count_ones()).sum(),
        Err(_) => 1,
    };
    if allowed > 1 {
        return true;
    }
    // A list such as 0-3,6.
    let mut online = [0; 64];
    let read = open(c"/sys/devices/system/cpu/online", libc::O_RDONLY, 0).and_then(|fd| pread(&fd, &mut online, 0));
    read.is_ok_and(|read| online[..read].iter().any(|byte| matches!(byte, b'-' | b',')))
}

/// The processor on which the thread runs at this moment.
#[inline]
pub(crate) fn processor() -> u32 {
    if cfg!(miri) {
        return 0;
    }
    // SAFETY: the C library's sched_getcpu (the thread's own memory or the vDSO's, no system call) takes no argument.
    unsafe { libc::sched_getcpu() as u32 }
}

/// Lets others run that want this processor: `sched_yield(2)`.
pub(crate) fn give_way() {
    // SAFETY: no argument.
    let _ = unsafe { syscall!(SYS_sched_yield) };
}

/// Seconds since the Epoch, from the coarse clock: the `*_ds` structures hold whole seconds.
pub(crate) fn now() -> i64 {
    clock(libc::CLOCK_REALTIME_COARSE).0
}

/// Coarse time since some fixed point, in milliseconds.
pub(crate) fn monotonic_ms() -> u64 {
    let (s, ns) = clock(libc::CLOCK_MONOTONIC_COARSE);
    s as u64 * 1000 + ns as u64 / 1_000_000
}

/// Time since some fixed point, in microseconds.
pub(crate) fn monotonic_us() -> u64 {
    let (s, ns) = clock(libc::CLOCK_MONOTONIC);
    s as u64 * 1_000_000 + ns as u64 / 1000
}

fn clock(id: libc::clockid_t) -> (i64, i64) {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the C library's clock_gettime (the vDSO's, no system call) fills the structure.
    unsafe { libc::clock_gettime(id, &raw mut t) };
    (t.tv_sec, t.tv_nsec)
}

/// Fills `buf` with random bytes.
pub(crate) fn random(buf: &mut [u8]) -> Result<()> {
    let mut done = 0;
    while done < buf.len() {
        let rest = &mut buf[done..];
        // SAFETY: the kernel writes at most `rest.len()` bytes.
        match unsafe { syscall!(SYS_getrandom, rest.as_mut_ptr(), rest.len(), 0) } {
            Ok(n) => done += n,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// The working directory, terminated; `None` if it does not fit.
pub(crate) fn getcwd(buf: &mut [u8]) -> Option<&CStr> {
    // SAFETY: the kernel writes at most `buf.len()` bytes.
    let len = unsafe { syscall!(SYS_getcwd, buf.as_mut_ptr(), buf.len()) }.ok()?;
    CStr::from_bytes_with_nul(buf.get(..len)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue's file was made shorter under a process that had more of it mapped, and its next access raised `SIGBUS`: two
    /// believed to have the lock, each had seen a file that was too short, and the one that wanted less came last.
    #[test]
    fn a_file_is_never_made_shorter_by_making_it_longer() {
        let path = std::ffi::CString::new(format!("/dev/shm/sysv-engine-longer-{}", std::process::id())).unwrap();
        let fd = open(&path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL, 0o600).unwrap();
        unlink(&path).unwrap();
        lengthen(&fd, 3 * 4096).unwrap();
        assert_eq!(fstat(&fd).unwrap().st_size, 3 * 4096);
        lengthen(&fd, 4096).unwrap();
        assert_eq!(fstat(&fd).unwrap().st_size, 3 * 4096);
        lengthen(&fd, 1 << 40).unwrap();
        let st = fstat(&fd).unwrap();
        assert_eq!(st.st_size, 1 << 40);
        assert!(st.st_blocks * 512 <= 3 * 4096, "memory for last bytes only");
    }
}
