//! The filter that takes the kernel's System V IPC away from a program.

#![allow(unsafe_code)]

use std::io;

/// The twelve calls.
const CALLS: [libc::c_long; 12] = [
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

const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// In a forked child: from here on the twelve calls fail with `ENOSYS`, in whatever the child executes too.
pub(crate) fn without_kernel_ipc() -> io::Result<()> {
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    // The call's number is the first word of what a filter sees.
    let mut program = [statement(LOAD_WORD, 0); CALLS.len() + 3];
    for (index, call) in CALLS.iter().enumerate() {
        program[1 + index] = libc::sock_filter {
            code: JUMP_IF_EQUAL,
            // Past the remaining comparisons and the statement that allows.
            jt: (CALLS.len() - index) as u8,
            jf: 0,
            k: *call as u32,
        };
    }
    program[CALLS.len() + 1] = statement(RETURN, libc::SECCOMP_RET_ALLOW);
    program[CALLS.len() + 2] = statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the program, which lives until the call returns.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
    };
    if installed {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
