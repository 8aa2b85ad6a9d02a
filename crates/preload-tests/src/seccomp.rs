//! A filter that fails the kernel's own System V calls.

#![allow(unsafe_code)]

use std::io;

/// The twelve calls.
const CALLS: [i64; 12] = [
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
];

/// The error that they fail with: one that neither facility knows, so that it stands out.
const ANSWER: u32 = libc::SECCOMP_RET_ERRNO | libc::EUNATCH as u32;

/// Makes the calling process, and all that it will become and make, do without them. Allocates nothing.
pub(crate) fn forbid_kernel_calls() -> io::Result<()> {
    const fn statement(code: u32, k: u32) -> libc::sock_filter {
        libc::sock_filter {
            code: code as u16,
            jt: 0,
            jf: 0,
            k,
        }
    }
    const fn jump(k: u32, jt: u8, jf: u8) -> libc::sock_filter {
        libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt,
            jf,
            k,
        }
    }
    /// `AUDIT_ARCH_X86_64`.
    const X86_64: u32 = 0xc000_003e;
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;

    let mut filter = [statement(RETURN, libc::SECCOMP_RET_ALLOW); 6 + CALLS.len()];
    filter[0] = statement(LOAD, ARCHITECTURE);
    filter[1] = jump(X86_64, 1, 0);
    filter[2] = statement(RETURN, libc::SECCOMP_RET_KILL_PROCESS);
    filter[3] = statement(LOAD, NUMBER);
    let last = filter.len() - 1;
    for (i, call) in CALLS.iter().enumerate() {
        filter[4 + i] = jump(*call as u32, (last - (4 + i) - 1) as u8, 0);
    }
    filter[last] = statement(RETURN, ANSWER);
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the kernel reads the program and what it points to.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
