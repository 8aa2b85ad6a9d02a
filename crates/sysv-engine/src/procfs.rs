//! The text of `/proc/sysvipc/{shm,sem,msg}` and of the limits under `/proc/sys/kernel`, byte for byte as Linux prints it.
//!
//! Programs parse these files by column as often as by word, so the widths count.

use core::fmt::{self, Write};

use crate::abi::{MsqidDs, SemidDs, ShmidDs};

/// The first line of `/proc/sysvipc/shm`.
const SHM_HEADER: &str = concat!(
    "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid",
    "      atime      dtime      ctime                   rss                  swap\n"
);

/// Writes the first line of `/proc/sysvipc/shm`.
///
/// # Errors
/// Those of `out`.
pub fn shm_header(out: &mut impl Write) -> fmt::Result {
    out.write_str(SHM_HEADER)
}

/// Writes one segment's line of `/proc/sysvipc/shm`; `resident` and `swapped` are in bytes.
///
/// # Errors
/// Those of `out`.
pub fn shm_line(out: &mut impl Write, id: i32, ds: &ShmidDs, resident: u64, swapped: u64) -> fmt::Result {
    let perm = &ds.perm;
    write!(
        out,
        "{:>10} {id:>10}  {:>4o} {:>21} {:>5} {:>5}  ",
        perm.key, perm.mode, ds.segsz, ds.cpid, ds.lpid
    )?;
    write!(
        out,
        "{:>5} {:>5} {:>5} {:>5} {:>5} ",
        ds.nattch, perm.uid, perm.gid, perm.cuid, perm.cgid
    )?;
    writeln!(
        out,
        "{:>10} {:>10} {:>10} {resident:>21} {swapped:>21}",
        ds.atime, ds.dtime, ds.ctime
    )
}

/// The first line of `/proc/sysvipc/sem`.
const SEM_HEADER: &str = "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n";

/// Writes the first line of `/proc/sysvipc/sem`.
///
/// # Errors
/// Those of `out`.
pub fn sem_header(out: &mut impl Write) -> fmt::Result {
    out.write_str(SEM_HEADER)
}

/// Writes one set's line of `/proc/sysvipc/sem`.
///
/// # Errors
/// Those of `out`.
pub fn sem_line(out: &mut impl Write, id: i32, ds: &SemidDs) -> fmt::Result {
    let perm = &ds.perm;
    write!(out, "{:>10} {id:>10}  {:>4o} {:>10} ", perm.key, perm.mode, ds.nsems)?;
    write!(
        out,
        "{:>5} {:>5} {:>5} {:>5} ",
        perm.uid, perm.gid, perm.cuid, perm.cgid
    )?;
    writeln!(out, "{:>10} {:>10}", ds.otime, ds.ctime)
}

/// The first line of `/proc/sysvipc/msg`.
const MSG_HEADER: &str = concat!(
    "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid",
    "      stime      rtime      ctime\n"
);

/// Writes the first line of `/proc/sysvipc/msg`.
///
/// # Errors
/// Those of `out`.
pub fn msg_header(out: &mut impl Write) -> fmt::Result {
    out.write_str(MSG_HEADER)
}

/// Writes one queue's line of `/proc/sysvipc/msg`.
///
/// # Errors
/// Those of `out`.
pub fn msg_line(out: &mut impl Write, id: i32, ds: &MsqidDs) -> fmt::Result {
    let perm = &ds.perm;
    write!(
        out,
        "{:>10} {id:>10}  {:>4o}  {:>10} {:>10} {:>5} {:>5} ",
        perm.key, perm.mode, ds.cbytes, ds.qnum, ds.lspid, ds.lrpid
    )?;
    write!(
        out,
        "{:>5} {:>5} {:>5} {:>5} ",
        perm.uid, perm.gid, perm.cuid, perm.cgid
    )?;
    writeln!(out, "{:>10} {:>10} {:>10}", ds.stime, ds.rtime, ds.ctime)
}

/// Writes the text of a file that holds limits: `value` is a number or the file's [`Numbers`](crate::Numbers).
///
/// # Errors
/// Those of `out`.
pub fn limit(out: &mut impl Write, value: impl fmt::Display) -> fmt::Result {
    writeln!(out, "{value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::IPC_PRIVATE;
    use crate::{Kernel, Segments, StatBy};

    const PATH: &str = "/proc/sysvipc/shm";

    /// A segment of the kernel's that goes with the test.
    struct KernelSegment(i32);

    impl Drop for KernelSegment {
        fn drop(&mut self) {
            let _ = Kernel.shm_remove(self.0);
        }
    }

    #[test]
    fn a_queue_reads_as_the_kernels() {
        use crate::Queues;
        const PATH: &str = "/proc/sysvipc/msg";
        struct KernelQueue(i32);
        impl Drop for KernelQueue {
            fn drop(&mut self) {
                let _ = Kernel.msg_remove(self.0);
            }
        }
        if !std::fs::exists(PATH).unwrap_or(false) {
            eprintln!("skipped: {PATH} cannot be read");
            return;
        }
        let queue = KernelQueue(Kernel.msgget(IPC_PRIVATE, 0o640).unwrap());
        let real = std::fs::read_to_string(PATH).unwrap();
        let mut ours = String::new();
        msg_header(&mut ours).unwrap();
        assert_eq!(real.split_inclusive('\n').next(), Some(ours.as_str()));
        let (_, ds) = Kernel.msg_stat(queue.0, StatBy::Id).unwrap();
        ours.clear();
        msg_line(&mut ours, queue.0, &ds).unwrap();
        assert!(
            real.split_inclusive('\n').any(|line| line == ours),
            "{ours}is not in\n{real}"
        );
    }

    #[test]
    fn the_header_is_the_kernels() {
        let Ok(real) = std::fs::read_to_string(PATH) else {
            eprintln!("skipped: {PATH} cannot be read");
            return;
        };
        let mut ours = String::new();
        shm_header(&mut ours).unwrap();
        assert_eq!(real.split_inclusive('\n').next(), Some(ours.as_str()));
    }

    #[test]
    fn a_line_is_the_kernels() {
        for (size, mode) in [(1, 0o600), (5000, 0o607), (1 << 40, 0o777 | crate::abi::SHM_NORESERVE)] {
            let id = match Kernel.shmget(IPC_PRIVATE, size, mode) {
                Ok(id) => id,
                Err(e) => {
                    eprintln!("skipped: shmget: {e}");
                    return;
                }
            };
            let _segment = KernelSegment(id);
            let Ok(real) = std::fs::read_to_string(PATH) else {
                eprintln!("skipped: {PATH} cannot be read");
                return;
            };
            let (_, ds) = Kernel.shm_stat(id, StatBy::Id).unwrap_or_default();
            let mut ours = String::new();
            shm_line(&mut ours, id, &ds, 0, 0).unwrap();
            assert!(real.contains(&ours), "{ours:?} is not in\n{real}");
        }
    }

    #[test]
    fn a_sets_line_is_the_kernels() {
        use crate::Semaphores;
        use crate::abi::Sembuf;
        /// A set of the kernel's that goes with the test.
        struct KernelSet(i32);
        impl Drop for KernelSet {
            fn drop(&mut self) {
                let _ = Kernel.sem_remove(self.0);
            }
        }
        let Ok(id) = Kernel.semget(IPC_PRIVATE, 17, 0o642) else {
            eprintln!("skipped: no semaphore set can be made");
            return;
        };
        let _set = KernelSet(id);
        Kernel.semop(id, &[Sembuf { num: 3, op: 1, flg: 0 }], None).unwrap();
        let Ok(real) = std::fs::read_to_string("/proc/sysvipc/sem") else {
            eprintln!("skipped: /proc/sysvipc/sem cannot be read");
            return;
        };
        let (_, ds) = Kernel.sem_stat(id, StatBy::Id).unwrap();
        let (mut header, mut line) = (String::new(), String::new());
        sem_header(&mut header).unwrap();
        sem_line(&mut line, id, &ds).unwrap();
        assert_eq!(real.split_inclusive('\n').next(), Some(header.as_str()));
        assert!(real.contains(&line), "{line:?} is not in\n{real}");
    }

    #[test]
    fn wide_values_push_the_columns_apart() {
        let mut ds = ShmidDs {
            segsz: u64::MAX,
            cpid: 1_234_567,
            atime: 99_999_999_999,
            ..ShmidDs::default()
        };
        ds.perm.key = i32::MIN;
        ds.perm.mode = 0o3777;
        let mut line = String::new();
        shm_line(&mut line, i32::MAX, &ds, u64::MAX, u64::MAX).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words.len(), 16);
        assert_eq!(
            words[..6],
            [
                "-2147483648",
                "2147483647",
                "3777",
                "18446744073709551615",
                "1234567",
                "0"
            ]
        );
        assert_eq!(words[14..], ["18446744073709551615", "18446744073709551615"]);
    }

    #[test]
    fn a_limit_is_a_line() {
        let mut text = String::new();
        limit(&mut text, 4096).unwrap();
        assert_eq!(text, "4096\n");
    }
}
