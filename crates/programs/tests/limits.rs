//! Limits, read and written where the kernel has them: sysctl of procps, and the shell's redirections.

use programs::{found, is_root, same_on_both, skipped};

/// On the kernel only root may write them; on ours whoever owns the namespace.
fn can_compare() -> bool {
    if !is_root() {
        skipped("only root may change the kernel's limits to compare with");
        return false;
    }
    found(&["sysctl", "ipcmk", "ipcs"])
}

#[test]
fn sysctl_reads_and_writes_limits_that_count_at_once() {
    if !can_compare() {
        return;
    }
    let Some(output) = same_on_both(
        "sysctl kernel.shmmax kernel.shmall kernel.shmmni
         sysctl -w kernel.shmmni=2
         ipcmk -M 4096 >/dev/null; ipcmk -M 4096 >/dev/null
         ! ipcmk -M 4096
         sysctl -w kernel.shmmni=3
         ipcmk -M 4096 >/dev/null
         sysctl -w kernel.shmmax=8192
         ! ipcmk -M 8193
         sysctl -w kernel.shmmni=100 kernel.shmall=4
         ! ipcmk -M 8192
         ipcmk -M 4096 >/dev/null
         ipcs -m -l
         sysctl -n kernel.shmmni kernel.shmmax kernel.shmall",
    ) else {
        return;
    };
    assert!(output.contains("kernel.shmmni = 2\n"), "{output}");
    assert_eq!(output.matches("No space left on device").count(), 2, "{output}");
    assert!(output.ends_with("100\n8192\n4\n"), "{output}");
}

#[test]
fn the_shell_reads_and_writes_limits_in_proc() {
    if !can_compare() {
        return;
    }
    let Some(output) = same_on_both(
        "cat /proc/sys/kernel/shmmax /proc/sys/kernel/shmall /proc/sys/kernel/shmmni
         echo 5000 > /proc/sys/kernel/shmmni
         cat /proc/sys/kernel/shmmni
         printf 6000 > /proc/sys/kernel/shmmni
         cat /proc/sys/kernel/shmmni
         echo 123456 > /proc/sys/kernel/shmmax
         cat /proc/sys/kernel/shmmax
         sh -c 'exec 3<>/proc/sys/kernel/shmmni; echo 8000 >&3'
         dd if=/proc/sys/kernel/shmmni bs=100 2>/dev/null
         grep . /proc/sys/kernel/shm*[xli]",
    ) else {
        return;
    };
    assert!(output.contains("\n5000\n6000\n"), "{output}");
    assert!(output.contains("/proc/sys/kernel/shmmni:8000\n"), "{output}");
}
