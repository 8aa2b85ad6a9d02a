//! The shared memory of the Python module `sysv_ipc`.

use programs::{python, same_on_both};

#[track_caller]
fn compare(program: &str) -> Option<String> {
    let python = python()?;
    same_on_both(&format!(
        "{} - <<'END_OF_PROGRAM'\n{program}\nEND_OF_PROGRAM\n",
        python.display()
    ))
}

#[test]
fn one_process_writes_and_another_reads() {
    let Some(output) = compare(
        r#"
import os, sysv_ipc
memory = sysv_ipc.SharedMemory(0x7e57, sysv_ipc.IPC_CREX, mode=0o640, size=10000)
memory.write(b"written by the parent", 100)
print("attached", memory.attached, "number", memory.number_attached, flush=True)
child = os.fork()
if child == 0:
    print("inherited, so number", memory.number_attached)
    again = sysv_ipc.SharedMemory(0x7e57)
    print("the same" if again.id == memory.id else "another", "number", memory.number_attached)
    print(again.read(21, 100))
    again.write(b"written by the child", 9980)
    print("last by me", memory.last_pid == os.getpid(), "created by me", memory.creator_pid == os.getpid(), flush=True)
    os._exit(0)
print("child", os.waitpid(child, 0)[1])
print(memory.read(20, 9980), "number", memory.number_attached, "last by me", memory.last_pid == os.getpid())
print(oct(memory.mode), memory.size, memory.uid == os.getuid(), memory.cgid == os.getgid())
print(memory.last_attach_time > 0, memory.last_detach_time > 0, memory.last_change_time > 0)
memory.mode = 0o600
print(oct(memory.mode))
memory.remove()
print("removed, number", memory.number_attached, memory.read(7, 100))
memory.detach()
try:
    print(memory.number_attached)
except sysv_ipc.ExistentialError as error:
    print("gone")
"#,
    ) else {
        return;
    };
    assert!(
        output.contains("attached True number 1\ninherited, so number 2\nthe same number 3\n"),
        "{output}"
    );
    assert!(
        output.contains("b'written by the child' number 1 last by me False\n"),
        "{output}"
    );
    assert!(output.ends_with("removed, number 1 b'written'\ngone\n"), "{output}");
}

#[test]
fn addresses_and_read_only_attachments_are_the_kernels() {
    let Some(output) = compare(
        r#"
import sysv_ipc
memory = sysv_ipc.SharedMemory(None, sysv_ipc.IPC_CREX, size=8192, init_character=b"*")
print(memory.read(4))
address = memory.address
memory.detach()
memory.attach(address)
print("at the same address", memory.address == address)
memory.detach()
memory.attach(address + 5, sysv_ipc.SHM_RND)
print("rounded", memory.address == address)
memory.detach()
try:
    memory.attach(address + 5)
except ValueError as error:
    print("ValueError")
memory.attach(None, sysv_ipc.SHM_RDONLY)
print("read only", memory.read(4))
try:
    memory.write(b"no")
except OSError as error:
    print("OSError", error)
view = memoryview(memory)
print(len(view), bytes(view[8188:]))
view.release()
memory.detach()
memory.remove()
"#,
    ) else {
        return;
    };
    assert!(output.contains("at the same address True\nrounded True\n"), "{output}");
}

#[test]
fn errors_are_the_kernels() {
    let Some(output) = compare(
        r#"
import os, sysv_ipc
def attempt(what, action):
    try:
        result = action()
        print(what, "fine")
        return result
    except Exception as error:
        print(what, type(error).__name__)
made = attempt("made", lambda: sysv_ipc.SharedMemory(0x7e57, sysv_ipc.IPC_CREX, size=100))
attempt("again", lambda: sysv_ipc.SharedMemory(0x7e57, sysv_ipc.IPC_CREX, size=100))
attempt("larger", lambda: sysv_ipc.SharedMemory(0x7e57, 0, size=5000))
attempt("missing", lambda: sysv_ipc.SharedMemory(0x7e58))
attempt("past the end", lambda: made.write(b"x" * 200))
attempt("no such segment", lambda: sysv_ipc.remove_shared_memory(0x7ffffff0))
attempt("nothing there", lambda: sysv_ipc.attach(0x7ffffff0))
made.remove()
attempt("removed, attached", lambda: sysv_ipc.attach(made.id).detach())
made.detach()
attempt("removed, detached", lambda: sysv_ipc.attach(made.id))
attempt("ftok", lambda: sysv_ipc.ftok("/etc/passwd", 7, True))
"#,
    ) else {
        return;
    };
    assert!(output.contains("made fine\nagain ExistentialError\n"), "{output}");
}
