//! An X server and a client that share images with it in segments (the extension MIT-SHM): x11perf on Xvfb.

use programs::{found, same_on_both};

/// Starts a server; `client` runs x11perf, and `images` lists what client and server share.
const SERVER: &str = r#"
place=$(mktemp -d)
trap 'rm -rf $place' EXIT
mkfifo $place/display
Xvfb -displayfd 3 -screen 0 640x640x24 -nolisten tcp -noreset 3> $place/display 2>/dev/null &
server=$!
read number < $place/display
export DISPLAY=:$number
images() { ipcs -m | awk '$1 ~ /^0x/ { print "mode", $4, "bytes", $5, "attached", $6 }'; }
await() { until images | grep -q "attached $1"; do sleep 0.02; done; }
"#;

#[track_caller]
fn compare(script: &str) -> Option<String> {
    found(&["Xvfb", "x11perf", "ipcs"])
        .then(|| same_on_both(&format!("{SERVER}{script}")))
        .flatten()
}

#[test]
fn client_and_server_share_an_image() {
    let Some(output) = compare(
        "x11perf -shmput500 -shmget100 -repeat 1 -reps 1500 > $place/report 2>&1 &
        client=$!
        await 2
        images
        wait $client
        echo client $?
        sed -n 's/.*sec): //p' $place/report
        images
        kill $server
        wait $server 2>/dev/null || true
        images",
    ) else {
        return;
    };
    assert!(
        output.contains(" attached 2\nclient 0\nShmPutImage 500x500 square\n"),
        "{output}"
    );
    assert!(output.ends_with("square\n"), "left behind: {output}");
}

#[test]
fn the_server_lets_go_of_a_killed_clients_image() {
    let Some(output) = compare(
        "x11perf -shmput500 -repeat 1 -reps 100000 >/dev/null 2>&1 &
        client=$!
        await 2
        kill -9 $client
        wait $client 2>/dev/null || true
        await 0
        images
        # It goes on with the next one.
        x11perf -shmput10 -repeat 1 -reps 400 2>&1 | sed -n 's/.*sec): //p'
        ipcrm --all=shm
        kill $server
        wait $server 2>/dev/null || true
        images",
    ) else {
        return;
    };
    assert!(output.contains(" attached 0\nShmPutImage 10x10 square\n"), "{output}");
}
