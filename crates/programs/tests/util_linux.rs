//! ipcmk, ipcs, lsipc and ipcrm of util-linux, which read `/proc/sysvipc/shm` and `/proc/sys/kernel` besides calling.

use programs::{found, same_on_both};

/// For the scripts: makes a segment, and names its identifier, its key and its creator for the comparison.
const MAKE: &str = r#"
make() { # name, arguments of ipcmk
    name=$1
    shift
    said=$(sh -c 'echo $$; exec ipcmk -M "$@"' sh "$@")
    id=${said##* }
    key=$(ipcs -m | awk -v id="$id" '$2 == id { print $1 }')
    eval "id_$name=$id key_$name=$key"
    echo "@ID_$name $id"
    echo "@KEY_$name $key"
    echo "@CREATOR_$name ${said%%[!0-9]*}"
}
without_times() { sed -E 's/[A-Z][a-z]{2} [ 0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}( [0-9]{4})?|[0-9]{2}:[0-9]{2}/TIME/g'; }
"#;

/// Runs a script behind the functions above; the output of both facilities, or `None` after saying why not.
#[track_caller]
fn compare(script: &str) -> Option<String> {
    let needed = ["ipcmk", "ipcs", "lsipc", "ipcrm", "awk", "sed"];
    found(&needed)
        .then(|| same_on_both(&format!("{MAKE}{script}")))
        .flatten()
}

#[test]
fn ipcmk_makes_what_ipcs_lists() {
    let Some(output) = compare(
        "make A 4096
         make B 77777 -p 600
         make C 1M
         ipcs -m",
    ) else {
        return;
    };
    assert!(output.contains("KEY_B ID_B"), "{output}");
    assert!(output.contains(" 600 77777 0"), "{output}");
}

#[test]
fn ipcs_shows_times_processes_owners_sums_and_limits() {
    let Some(output) = compare(
        "make A 4096
         make B 77777
         ipcs -m -t | without_times
         ipcs -m -p
         ipcs -m -c
         ipcs -m -u
         ipcs -m -l
         ipcs -m -l --human
         ipcs -m -b",
    ) else {
        return;
    };
    assert!(
        output.contains("ID_A root Not set Not set TIME") || !programs::is_root(),
        "{output}"
    );
    assert!(output.contains(" CREATOR_B 0\n"), "{output}");
    assert!(
        output.contains("segments allocated 2\npages allocated 20\n"),
        "{output}"
    );
}

#[test]
fn ipcs_shows_one_segment() {
    let Some(output) = compare(
        "make A 4096
         make B 77777 -p 640
         ipcs -m -i $id_B | without_times
         ipcrm -m $id_B
         ipcs -m -i $id_B",
    ) else {
        return;
    };
    assert!(output.contains("Shared memory Segment shmid=ID_B"), "{output}");
    assert!(output.contains("mode=0640 access_perms=0640"), "{output}");
    assert!(output.contains("id ID_B not found"), "{output}");
}

#[test]
fn lsipc_lists_in_every_form() {
    let Some(output) = compare(
        "make A 4096
         make B 77777
         lsipc -m | without_times
         lsipc -m --bytes --output KEY,ID,PERMS,OWNER,SIZE,NATTCH,STATUS,CPID,LPID,CUID,CGID,UID,GID
         lsipc -m --id $id_B | without_times
         lsipc -m --json --output KEY,ID,SIZE,NATTCH
         lsipc -m --creator
         lsipc -m --time --time-format=iso | sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:+,-]*/TIME/g'
         lsipc --noheadings | grep SHM
         lsipc -m --global",
    ) else {
        return;
    };
    assert!(output.contains("KEY_B ID_B"), "{output}");
    assert!(
        output.contains("\"id\": \"ID_A\"") || output.contains("\"id\":\"ID_A\""),
        "{output}"
    );
}

#[test]
fn ipcrm_removes_by_id_by_key_and_all() {
    let Some(output) = compare(
        "make A 4096
         make B 4097
         make C 4098
         make D 4099
         ipcrm -m $id_A
         ipcrm -M $key_B
         ipcs -m
         ! ipcrm -m $id_A
         ! ipcrm -M $key_B
         ipcrm --all=shm
         ipcs -m",
    ) else {
        return;
    };
    assert!(
        output.contains("ipcrm: invalid id (ID_A)\nipcrm: invalid key (KEY_B)\n"),
        "{output}"
    );
    assert!(output.contains("KEY_D ID_D") && !output.contains("ID_B "), "{output}");
}

#[test]
fn what_programs_read_is_in_the_kernels_format() {
    let Some(output) = compare(
        r#"make A 4096
         make B 77777
         head -n 1 /proc/sysvipc/shm | sed 's/ /./g'
         awk 'NR > 1 {
                form = "%10s %10s  %4s %21s %5s %5s  %5s %5s %5s %5s %5s %10s %10s %10s %21s %21s"
                row = sprintf(form, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
                print row == $0 ? "as the kernel writes it" : "not as the kernel writes it: " $0
                print $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $15, $16
              }' /proc/sysvipc/shm
         wc -l < /proc/sysvipc/shm
         dd if=/proc/sysvipc/shm bs=7 2>/dev/null | cmp - /proc/sysvipc/shm && echo 'the same in pieces'
         stat -c '%A %h %s %F' /proc/sysvipc/shm /proc/sys/kernel/shmmni"#,
    ) else {
        return;
    };
    assert_eq!(output.matches("\nas the kernel writes it").count(), 2, "{output}");
    assert!(output.contains("the same in pieces"), "{output}");
}
