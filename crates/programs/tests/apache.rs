//! Apache's httpd with its processes taking turns by a System V semaphore (`Mutex sysvsem`), which the server makes as root and
//! gives to the user that its children become.

use programs::{found, is_root, same_on_both, same_on_both_for_several_users};

/// Makes a configuration and starts the server; `loaded` runs the load generator against it.
const SERVER: &str = r#"
place=$(mktemp -d)
trap 'rm -rf $place' EXIT
chmod 755 $place
mkdir $place/pages
echo 'a page' > $place/pages/index.html
port() { perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }
first=$(port)
second=$(port)
cat > $place/configuration <<END
ServerRoot $place
ServerName localhost
PidFile $place/pid
ErrorLog $place/log
DocumentRoot $place/pages
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
# Two sockets, so that only one process at a time may wait for a connection.
Listen 127.0.0.1:$first
Listen 127.0.0.1:$second
Mutex sysvsem default
StartServers 6
MinSpareServers 6
MaxSpareServers 8
END
[ "$(id -u)" != 0 ] || printf 'User www-data\nGroup www-data\n' >> $place/configuration
apache2 -f $place/configuration -DFOREGROUND &
server=$!
for port in $first $second; do
    until perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new("127.0.0.1:$ARGV[0]")' $port; do sleep 0.02; done
done
# The server ends everything in its process group.
stop() { trap : TERM; kill $server; while kill -0 $server 2>/dev/null; do wait $server || true; done; }
children() { ps -o pid= --ppid $server; }
loaded() { # port, requests, options
    port=$1
    requests=$2
    shift 2
    ab -q -n $requests -c 6 "$@" http://127.0.0.1:$port/ | sed -nE 's/^(Complete requests|Failed requests|Document Length): */\1 /p'
}
"#;

#[track_caller]
fn compare(script: &str) -> Option<String> {
    if !found(&["/usr/sbin/apache2", "ab", "ipcs", "perl", "ps"]) {
        return None;
    }
    let script = format!("PATH=$PATH:/usr/sbin\n{SERVER}{script}");
    // Root's server goes on as another user.
    if is_root() {
        same_on_both_for_several_users(&script)
    } else {
        same_on_both(&script)
    }
}

#[test]
fn httpd_takes_turns_by_a_semaphore() {
    let Some(output) = compare(
        r#"ipcs -s | awk '$1 ~ /^0x/ { print $3, $4, $5 }'
        loaded $first 2000
        loaded $second 500
        stop
        ipcs -s
        grep -c -i -E 'error|crit|emerg' $place/log || true"#,
    ) else {
        return;
    };
    for requests in [2000, 500] {
        let served = format!("Complete requests {requests}\nFailed requests 0\n");
        assert!(output.contains(&served), "{output}");
    }
}

#[test]
fn the_turn_of_a_killed_process_passes_to_the_next() {
    let Some(output) = compare(
        r#"for round in 1 2; do
            # One of them waits for a connection, and has the semaphore.
            for child in $(children); do
                kill -9 $child
                loaded $first 20 -r >/dev/null
            done
            sleep 0.2
        done
        # Those who are new are all ready by then.
        sleep 1
        loaded $first 1000
        loaded $second 1000
        stop
        ipcs -s"#,
    ) else {
        return;
    };
    assert_eq!(
        output.matches("Complete requests 1000\nFailed requests 0\n").count(),
        2,
        "{output}"
    );
}
