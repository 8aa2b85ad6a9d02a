//! `syscall(2)`: the calls that concern the facility, made by number.
//!
//! All others pass through untouched: the function is a table look-up and a jump.

#![allow(unsafe_code)]

use core::arch::naked_asm;
use core::ffi::{c_int, c_long};

use sysv_engine::signals as engine_signals;
use sysv_engine::{Errno, Result, process, usercopy};

use crate::next::{Next, jump_target, jump_to_next};
use crate::raw::{self, or_minus_one, set_errno};
use crate::{forks, mappings, msg, sem, shm, signals};

static SYSCALL: Next = Next::new(c"syscall");

/// The calls that may be ours, by number.
static OURS: [bool; 512] = {
    let mut ours = [false; 512];
    let numbers = [
        libc::SYS_shmget,
        libc::SYS_shmat,
        libc::SYS_shmdt,
        libc::SYS_shmctl,
        libc::SYS_semget,
        libc::SYS_semop,
        libc::SYS_semtimedop,
        libc::SYS_semctl,
        libc::SYS_msgget,
        libc::SYS_msgsnd,
        libc::SYS_msgrcv,
        libc::SYS_msgctl,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_fork,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_setuid,
        libc::SYS_setgid,
        libc::SYS_setreuid,
        libc::SYS_setregid,
        libc::SYS_setresuid,
        libc::SYS_setresgid,
        libc::SYS_setfsuid,
        libc::SYS_setfsgid,
        libc::SYS_setgroups,
        libc::SYS_capset,
        libc::SYS_unshare,
        libc::SYS_setns,
    ];
    let mut i = 0;
    while i < numbers.len() {
        ours[numbers[i] as usize] = true;
        i += 1;
    }
    ours
};

/// syscall(2). The C library declares all arguments but the number as optional; they travel in the same places.
///
/// # Safety
/// As the call.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    naked_asm!(
        ".cfi_startproc",
        "cmp rdi, 512",
        "jae 3f",
        "lea r11, [rip + {ours}]",
        "cmp byte ptr [r11 + rdi], 0",
        "je 3f",
        // A call that makes a child may have to return in the child on another stack, or on this one before the parent
        // does, and then no function of ours may stand in between: only a jump will do.
        "push rdi",
        "push rsi",
        "push rdx",
        "push rcx",
        "push r8",
        "push r9",
        "sub rsp, 8",
        "call {takes}",
        "add rsp, 8",
        "pop r9",
        "pop r8",
        "pop rcx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "test al, al",
        "jz 3f",
        "jmp {take}",
        "3:",
        jump_to_next!(),
        ".cfi_endproc",
        ours = sym OURS,
        takes = sym takes,
        take = sym take,
        next = sym SYSCALL,
        stand_in = sym system_call,
        jump_target = sym jump_target,
    )
}

/// Makes the call and sets `errno`, where there is no next definition.
#[unsafe(naked)]
unsafe extern "C" fn system_call() {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 2f",
        "ret",
        "2: mov edi, eax",
        "neg edi",
        "jmp {failed}",
        ".cfi_endproc",
        failed = sym failed,
    )
}

extern "C" fn failed(errno: c_int) -> c_long {
    set_errno(Errno::from_raw(errno));
    -1
}

/// Whether [`take`] makes the call.
unsafe extern "C" fn takes(number: c_long, a: usize, b: usize) -> bool {
    match number {
        libc::SYS_clone => makes_copy(a as u64, b),
        libc::SYS_clone3 => {
            clone3_request(a, b).is_some_and(|request| makes_copy(request.flags, request.stack as usize))
        }
        _ => true,
    }
}

/// Whether a child with these flags has a copy of its parent's memory and goes on where the parent stands.
fn makes_copy(flags: u64, stack: usize) -> bool {
    flags & libc::CLONE_VM as u64 == 0 && stack == 0
}

/// The beginning of `struct clone_args`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CloneRequest {
    flags: u64,
    _pidfd: u64,
    _child_tid: u64,
    _parent_tid: u64,
    _exit_signal: u64,
    stack: u64,
}

/// `None` for a request that the kernel will refuse.
fn clone3_request(address: usize, size: usize) -> Option<CloneRequest> {
    let mut request = CloneRequest::default();
    if size < size_of::<CloneRequest>() {
        return None;
    }
    // SAFETY: any bytes are a request.
    unsafe { usercopy::copy_in((&raw mut request).cast(), address, size_of::<CloneRequest>()) }.ok()?;
    Some(request)
}

/// Makes a call that is ours.
///
/// # Safety
/// As the call.
unsafe extern "C" fn take(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    // SAFETY: the caller's promise, in every arm: the arguments are the call's, cut to its types as the kernel does.
    unsafe {
        match number {
            libc::SYS_shmget => shm::shmget(a as i32, b, c as i32) as c_long,
            libc::SYS_shmat => shm::shmat(a as i32, b as *const _, c as i32) as c_long,
            libc::SYS_shmdt => shm::shmdt(a as *const _) as c_long,
            libc::SYS_shmctl => shm::shmctl(a as i32, b as i32, c as *mut _) as c_long,
            libc::SYS_semget => sem::semget(a as i32, b as i32, c as i32) as c_long,
            libc::SYS_semop => sem::semop(a as i32, b as *mut _, c as u32 as usize) as c_long,
            libc::SYS_semtimedop => sem::semtimedop(a as i32, b as *mut _, c as u32 as usize, d as *const _) as c_long,
            libc::SYS_semctl => sem::semctl(a as i32, b as i32, c as i32, d) as c_long,
            libc::SYS_msgget => msg::msgget(a as i32, b as i32) as c_long,
            libc::SYS_msgsnd => msg::msgsnd(a as i32, b as *const _, c, d as i32) as c_long,
            libc::SYS_msgrcv => msg::msgrcv(a as i32, b as *mut _, c, d as c_long, e as i32) as c_long,
            libc::SYS_msgctl => msg::msgctl(a as i32, b as i32, c as *mut _) as c_long,
            libc::SYS_mmap => mappings::mmap(a as *mut _, b, c as i32, d as i32, e as i32, f as i64) as c_long,
            libc::SYS_munmap => mappings::munmap(a as *mut _, b) as c_long,
            libc::SYS_mremap => mappings::mremap(a as *mut _, b, c, d as i32, e as *mut _) as c_long,
            libc::SYS_rt_sigaction => or_failed(signals::rt_sigaction(a as i32, b, c, d)),
            libc::SYS_rt_sigprocmask => or_failed(signals::rt_sigprocmask(a as i32, b, c, d)),
            libc::SYS_fork | libc::SYS_clone | libc::SYS_clone3 => {
                // Before the child exists, for a copy in it would come too late.
                let cleared = number == libc::SYS_clone3
                    && clone3_request(a, b).is_some_and(|request| request.flags & CLONE_CLEAR_SIGHAND != 0);
                let child =
                    forks::around(|| or_minus_one(raw::call(number, [a, b, c, d, e, f]).map(|child| child as c_int)));
                if child == 0 && cleared {
                    engine_signals::handlers_cleared();
                }
                c_long::from(child)
            }
            // Changes the calling thread alone, unlike the C library's functions.
            _ => {
                let changed = raw::call(number, [a, b, c, d, e, f]);
                process::credentials_changed();
                or_failed(changed)
            }
        }
    }
}

/// clone3(2): the child starts without handlers.
const CLONE_CLEAR_SIGHAND: u64 = 1 << 32;

fn or_failed(result: Result<usize>) -> c_long {
    result.map_or_else(|errno| failed(errno.raw()), |value| value as c_long)
}
