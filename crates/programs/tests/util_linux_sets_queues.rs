//! ipcmk, ipcs, lsipc and ipcrm of util-linux with semaphore sets and message queues.

use programs::{found, same_on_both};

/// For the scripts: makes an object, and names its identifier and its key for the comparison.
const MAKE: &str = r#"
make() { # name, ipcs's letter of the mechanism, arguments of ipcmk
    name=$1
    letter=$2
    shift 2
    said=$(ipcmk "$@")
    id=${said##* }
    key=$(ipcs -$letter | awk -v id="$id" '$2 == id { print $1 }')
    eval "id_$name=$id key_$name=$key"
    echo "@ID_$name $id"
    echo "@KEY_$name $key"
}
without_times() {
    sed -E 's/([A-Z][a-z]{2} )?[A-Z][a-z]{2} [ 0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}( [0-9]{4})?|[0-9]{2}:[0-9]{2}/TIME/g'
}
"#;

/// Puts two messages into the queue `$id_Q`, and operates on the set `$id_S`; says who did.
const USE: &str = r#"
perl -e '
    print "\@USER $$\n";
    msgsnd($ARGV[0], pack("l! a*", 1, "x" x $_), 0) or die "msgsnd: $!" for 10, 20;
    msgrcv($ARGV[0], my $got, 100, 0, 0) or die "msgrcv: $!";
    semop($ARGV[1], pack("s3 s3", 0, 5, 0, 2, 7, 0)) or die "semop: $!";
' "$id_Q" "$id_S"
"#;

/// Runs a script behind the functions above; the output of both facilities, or `None` after saying why not.
#[track_caller]
fn compare(script: &str) -> Option<String> {
    let needed = ["ipcmk", "ipcs", "lsipc", "ipcrm", "awk", "sed", "perl"];
    found(&needed)
        .then(|| same_on_both(&format!("{MAKE}{script}")))
        .flatten()
}

#[test]
fn ipcmk_makes_what_ipcs_lists() {
    let Some(output) = compare(
        "make A s -S 3
         make B s -S 250 -p 600
         make X q -Q
         make Y q -Q
         make C q -Q
         make D q -Q -p 660
         ipcs -s -q",
    ) else {
        return;
    };
    assert!(output.contains("KEY_B ID_B") && output.contains(" 600 250"), "{output}");
    assert!(output.contains("KEY_D ID_D") && output.contains(" 660 0 0"), "{output}");
}

#[test]
fn ipcs_shows_times_processes_owners_sums_and_limits() {
    let Some(output) = compare(&format!(
        "make Q q -Q
         make X s -S 1
         make S s -S 3
         {USE}
         for what in -s -q; do
             ipcs $what -t | without_times
             ipcs $what -p
             ipcs $what -c
             ipcs $what -u
             ipcs $what -l
         done"
    )) else {
        return;
    };
    assert!(
        output.contains("ID_Q root TIME TIME TIME") || !programs::is_root(),
        "{output}"
    );
    assert!(output.contains(" USER USER\n"), "{output}");
    assert!(output.contains("used headers = 1\nused space = 20 bytes\n"), "{output}");
    assert!(output.contains("allocated semaphores = 4\n"), "{output}");
    assert!(output.contains("max ops per semop call = 500\n"), "{output}");
}

#[test]
fn ipcs_shows_one_set_and_one_queue() {
    let Some(output) = compare(&format!(
        "make Q q -Q
         make X s -S 1
         make S s -S 3 -p 640
         {USE}
         ipcs -s -i $id_S | without_times
         ipcs -q -i $id_Q | without_times
         ipcrm -s $id_S
         ipcrm -q $id_Q
         ipcs -s -i $id_S
         ipcs -q -i $id_Q"
    )) else {
        return;
    };
    assert!(
        output.contains("Semaphore Array semid=ID_S") && output.contains("mode=0640"),
        "{output}"
    );
    assert!(output.contains("\n2 7 0 0 USER\n"), "{output}");
    assert!(
        output.contains("cbytes=20 qbytes=16384 qnum=1 lspid=USER lrpid=USER"),
        "{output}"
    );
    assert!(
        output.contains("id ID_S not found") && output.contains("id ID_Q not found"),
        "{output}"
    );
}

#[test]
fn lsipc_lists_in_every_form() {
    let Some(output) = compare(&format!(
        "make Q q -Q
         make X s -S 1
         make S s -S 3
         {USE}
         lsipc -s | without_times
         lsipc -q | without_times
         lsipc -s --bytes --output KEY,ID,PERMS,OWNER,NSEMS,CUID,CGID,UID,GID
         lsipc -q --bytes --output KEY,ID,PERMS,OWNER,USEDBYTES,MSGS,LSPID,LRPID,CUID,CGID,UID,GID
         lsipc -s --id $id_S | without_times
         lsipc -q --id $id_Q | without_times
         lsipc -s --json --output KEY,ID,NSEMS
         lsipc -q --json --output KEY,ID,MSGS
         lsipc --noheadings | grep -E 'SEM|MSG'
         lsipc -s --global
         lsipc -q --global"
    )) else {
        return;
    };
    assert!(
        output.contains("KEY_S ID_S") && output.contains("KEY_Q ID_Q"),
        "{output}"
    );
    assert!(output.contains("SEMOPM"), "{output}");
}

#[test]
fn ipcrm_removes_by_id_by_key_and_all() {
    let Some(output) = compare(
        "make A s -S 1
         make B s -S 2
         make C s -S 3
         make X q -Q; make Y q -Q; make Z q -Q
         make D q -Q
         make E q -Q
         make F q -Q
         ipcrm -s $id_A -q $id_D
         ipcrm -S $key_B -Q $key_E
         ipcs -s -q
         ! ipcrm -s $id_A -q $id_D
         ! ipcrm -S $key_B -Q $key_E
         ipcrm --all=sem
         ipcs -s -q
         ipcrm --all
         ipcs",
    ) else {
        return;
    };
    assert!(
        output.contains("ipcrm: invalid id (ID_A)\n") && output.contains("ipcrm: invalid key (KEY_E)\n"),
        "{output}"
    );
    assert_eq!(output.matches("KEY_F ID_F").count(), 2, "{output}");
}

#[test]
fn what_programs_read_is_in_the_kernels_format() {
    let Some(output) = compare(&format!(
        r#"make Q q -Q
         make X s -S 1
         make S s -S 3
         {USE}
         for what in sem msg; do
             head -n 1 /proc/sysvipc/$what | sed 's/ /./g'
             wc -l < /proc/sysvipc/$what
             dd if=/proc/sysvipc/$what bs=7 2>/dev/null | cmp - /proc/sysvipc/$what && echo 'the same in pieces'
         done
         awk 'NR > 1 {{
                row = sprintf("%10d %10d  %4o %10u %5u %5u %5u %5u %10u %10u", $1, $2, 420, $4, $5, $6, $7, $8, $9, $10)
                print row == $0 ? "as the kernel writes it" : "not as the kernel writes it: " $0
                print $2, $3, $4, $5, $6, $7, $8
              }}' /proc/sysvipc/sem
         awk 'NR > 1 {{
                form = "%10d %10d  %4o  %10u %10u %5u %5u %5u %5u %5u %5u %10u %10u %10u"
                row = sprintf(form, $1, $2, 420, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
                print row == $0 ? "as the kernel writes it" : "not as the kernel writes it: " $0
                print $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
              }}' /proc/sysvipc/msg
         cat /proc/sys/kernel/sem /proc/sys/kernel/msgmax /proc/sys/kernel/msgmnb /proc/sys/kernel/msgmni
         stat -c '%A %h %s %F' /proc/sysvipc/sem /proc/sysvipc/msg /proc/sys/kernel/sem /proc/sys/kernel/msgmni"#,
    )) else {
        return;
    };
    assert_eq!(output.matches("\nas the kernel writes it").count(), 3, "{output}");
    assert_eq!(output.matches("the same in pieces").count(), 2, "{output}");
    assert!(output.contains("32000 1024000000 500 32000\n"), "{output}");
}
