//! The semaphores and message queues of the Python module `sysv_ipc`.

use programs::{python, same_on_both};

#[track_caller]
fn compare(program: &str) -> Option<String> {
    let python = python()?;
    same_on_both(&format!(
        "{} - <<'END_OF_PROGRAM'\nimport os, signal, sys, time, sysv_ipc\n{PRELUDE}{program}\nEND_OF_PROGRAM\n",
        python.display()
    ))
}

/// For the programs: `child(body)` forks and returns the process id, `attempt` tells a call's result or exception.
const PRELUDE: &str = r#"
def child(body):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        body()
        sys.stdout.flush()
        os._exit(0)
    return pid
def ended(pid):
    return os.waitpid(pid, 0)[1]
def attempt(what, action):
    try:
        print(what, action(), flush=True)
    except Exception as error:
        print(what, type(error).__name__, error, flush=True)
"#;

#[test]
fn semaphores_are_acquired_released_and_waited_for() {
    let Some(output) = compare(
        r#"
semaphore = sysv_ipc.Semaphore(0x7e57, sysv_ipc.IPC_CREX, mode=0o640, initial_value=1)
print(semaphore.value, oct(semaphore.mode), semaphore.last_pid == os.getpid(), semaphore.o_time > 0)
with semaphore:
    print("inside", semaphore.value)
    semaphore.block = False
    attempt("without waiting", lambda: semaphore.acquire())
    semaphore.block = True
    waiter = child(lambda: (sysv_ipc.Semaphore(0x7e57).acquire(), print("the child has it")))
    while semaphore.waiting_for_nonzero != 1:
        time.sleep(0.001)
print("waiter", ended(waiter), "value", semaphore.value, "last by the child", semaphore.last_pid == waiter)
zero = child(lambda: (semaphore.Z(), print("zero")))
print("zero", ended(zero))
semaphore.V()
zero = child(lambda: (semaphore.Z(), print("zero")))
while semaphore.waiting_for_zero != 1:
    time.sleep(0.001)
semaphore.P()
print("zero", ended(zero))
semaphore.release(5)
attempt("three of five", lambda: semaphore.acquire(None, 3))
print(semaphore.value)
semaphore.value = 9
print(semaphore.value, sysv_ipc.SEMAPHORE_VALUE_MAX)
attempt("too much", lambda: semaphore.release(32767))
waiter = child(lambda: attempt("removed while waiting:", lambda: semaphore.acquire(None, 100)))
while semaphore.waiting_for_nonzero != 1:
    time.sleep(0.001)
semaphore.remove()
print("waiter", ended(waiter))
attempt("removed", lambda: semaphore.acquire())
"#,
    ) else {
        return;
    };
    assert!(output.starts_with("1 0o640 True "), "{output}");
    assert!(output.contains("without waiting BusyError"), "{output}");
    assert!(
        output.contains("the child has it\nwaiter 0 value 0 last by the child True\n"),
        "{output}"
    );
}

#[test]
fn undo_survives_a_kill_of_its_process() {
    let Some(output) = compare(
        r#"
semaphore = sysv_ipc.Semaphore(None, sysv_ipc.IPC_CREX, initial_value=2)
semaphore.undo = True
def hold():
    semaphore.acquire(None, 2)
    time.sleep(30)
holder = child(hold)
while semaphore.value != 0:
    time.sleep(0.001)
waiter = child(lambda: (semaphore.acquire(), print("acquired after the death")))
while semaphore.waiting_for_nonzero != 1:
    time.sleep(0.001)
os.kill(holder, signal.SIGKILL)
print("holder", ended(holder), "waiter", ended(waiter))
# The waiter's own unit came back when it ended.
print(semaphore.value)
semaphore.remove()
"#,
    ) else {
        return;
    };
    assert_eq!(output, "acquired after the death\nholder 9 waiter 0\n2\n");
}

#[test]
fn queues_send_receive_and_select() {
    let Some(output) = compare(
        r#"
queue = sysv_ipc.MessageQueue(0x7e57, sysv_ipc.IPC_CREX, mode=0o640, max_message_size=4096)
for kind, text in [(5, b"five"), (3, b"three"), (9, b""), (3, b"three again"), (1, b"x" * 80)]:
    queue.send(text, type=kind)
print(queue.current_messages, queue.max_size, queue.last_send_pid == os.getpid(), queue.last_receive_pid)
for kind in (3, -4, -4, 0, 0):
    attempt(kind, lambda: queue.receive(type=kind, block=False))
attempt("empty", lambda: queue.receive(block=False))
attempt("type 0", lambda: queue.send(b"", type=0))
receiver = child(lambda: (print(sysv_ipc.MessageQueue(0x7e57).receive(type=7)), print(queue.receive(type=8))))
queue.send(b"not this", type=8)
queue.send(b"this", type=7)
print("receiver", ended(receiver), "messages", queue.current_messages, "by the child", queue.last_receive_pid == receiver)
queue.max_size = 100
queue.send(b"y" * 100)
attempt("full", lambda: queue.send(b"z", block=False))
sender = child(lambda: (queue.send(b"late"), print("sent at last")))
time.sleep(0.02)
print(len(queue.receive()[0]), queue.receive(), "sender", ended(sender))
waiter = child(lambda: attempt("removed while waiting:", lambda: queue.receive()))
time.sleep(0.05)
queue.remove()
print("waiter", ended(waiter))
attempt("removed", lambda: queue.send(b"x"))
"#,
    ) else {
        return;
    };
    assert!(
        output.starts_with("5 16384 True 0\n3 (b'three', 3)\n-4 (b'xxx"),
        "{output}"
    );
    assert!(output.contains("removed while waiting: ExistentialError"), "{output}");
}

#[test]
fn many_processes_share_a_queue_and_a_semaphore() {
    let Some(output) = compare(
        r#"
import mmap
queue = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX)
lock = sysv_ipc.Semaphore(None, sysv_ipc.IPC_CREX, initial_value=1)
counter = mmap.mmap(-1, 8)
def send(first):
    for number in range(first, first + 400):
        queue.send(b"%d" % number, type=1 + number % 3)
def receive(kind):
    for number in range(400):
        number = int(queue.receive(type=kind)[0])
        with lock:
            counter[:] = (int.from_bytes(counter[:], "little") + number).to_bytes(8, "little")
children = [child(lambda: send(first)) for first in (0, 400, 800)] + [child(lambda: receive(kind)) for kind in (1, 2, 3)]
print([ended(pid) for pid in children], int.from_bytes(counter[:], "little"), sum(range(1200)))
queue.remove()
lock.remove()
"#,
    ) else {
        return;
    };
    assert_eq!(output, "[0, 0, 0, 0, 0, 0] 719400 719400\n");
}
