//! PHP's extension sysvshm, which the interpreter loads with `RTLD_DEEPBIND`: its calls find the C library before any
//! preloaded one.

use programs::{found, same_on_both};

#[test]
fn one_process_stores_variables_and_another_fetches_them() {
    if !found(&["php"]) {
        return;
    }
    let Some(output) = same_on_both(
        r#"php -r '
            $shm = shm_attach(0x7e57, 10000, 0640);
            var_dump(shm_put_var($shm, 1, ["text" => "stored by one", "number" => 42]));
            var_dump(shm_put_var($shm, 2, str_repeat("x", 20000)));
            var_dump(shm_has_var($shm, 1), shm_has_var($shm, 2));
            shm_detach($shm);'
        php -r '
            $shm = shm_attach(0x7e57);
            var_dump(shm_get_var($shm, 1));
            shm_put_var($shm, 2, "stored by another");
            shm_remove_var($shm, 1);'
        ipcs -m | awk '$1 == "0x00007e57" { print $4, $5, $6 }'
        php -r '
            $shm = shm_attach(0x7e57);
            var_dump(shm_has_var($shm, 1), shm_get_var($shm, 2));
            var_dump(shm_remove($shm));'
        ipcs -m"#,
    ) else {
        return;
    };
    assert!(output.contains("string(13) \"stored by one\""), "{output}");
    assert!(output.contains("\n640 10000 0\n"), "{output}");
    assert!(output.contains("string(17) \"stored by another\""), "{output}");
}

#[test]
fn ftok_and_errors_are_the_kernels() {
    if !found(&["php"]) {
        return;
    }
    let Some(output) = same_on_both(
        r#"php -r '
            var_dump(ftok("/etc/passwd", "a") === (fileinode("/etc/passwd") & 0xffff
                | (stat("/etc/passwd")["dev"] & 0xff) << 16 | ord("a") << 24));
            $shm = shm_attach(0x7e57, 1000, 0600);
            try { shm_attach(0x7e57, 0, 0600); } catch (ValueError $e) { echo $e->getMessage(), PHP_EOL; }
            shm_attach(0x7e57, 5000, 0600);
            shm_attach(0x7e58, PHP_INT_MAX, 0600);
            shm_remove($shm);' 2>&1"#,
    ) else {
        return;
    };
    assert!(output.starts_with("bool(true)\n"), "{output}");
    assert!(output.contains("Cannot allocate memory"), "{output}");
}

#[test]
fn semaphores_exclude_and_are_released_by_the_dead() {
    if !found(&["php"]) {
        return;
    }
    let Some(output) = same_on_both(
        r#"php -r '
            $sem = sem_get(0x7e57, 2, 0640, true);
            var_dump(sem_acquire($sem), sem_acquire($sem), sem_acquire($sem, true));
            var_dump(sem_release($sem), sem_acquire($sem, true), sem_release($sem), sem_release($sem));'
        # As PHP makes them: the units, the mutual exclusion, the users.
        ipcs -s | awk '$1 == "0x00007e57" { print $4, $5 }'
        php -r '$sem = sem_get(0x7e57, 2, 0640, false); sem_acquire($sem); echo "two units again\n"; sem_acquire($sem); sleep(20);' &
        holder=$!
        perl -e 'my $id = shift; select undef, undef, undef, 0.001 until semctl($id, 0, 12, 0) eq "0 but true"' $(ipcs -s | awk '$1 == "0x00007e57" { print $2 }')
        php -r 'var_dump(sem_acquire(sem_get(0x7e57, 2, 0640), true));'
        { php -r '$sem = sem_get(0x7e57, 2, 0640); var_dump(sem_acquire($sem)); var_dump(sem_remove($sem));'; } &
        waiter=$!
        # Shells say at different moments how a job ended.
        { kill -9 $holder; wait $holder; } 2>/dev/null || echo "the holder is dead"
        wait $waiter
        ipcs -s"#,
    ) else {
        return;
    };
    assert!(output.starts_with("bool(true)\nbool(true)\nbool(false)\n"), "{output}");
    assert!(output.contains("640 3\n"), "{output}");
}

#[test]
fn queues_carry_values_and_strings() {
    if !found(&["php"]) {
        return;
    }
    let Some(output) = same_on_both(
        r#"php -r '
            var_dump(msg_queue_exists(0x7e57));
            $queue = msg_get_queue(0x7e57, 0640);
            var_dump(msg_send($queue, 2, ["text" => "a value", "number" => 42]));
            var_dump(msg_send($queue, 5, "a plain string", false));
            var_dump(msg_send($queue, 3, str_repeat("x", 20000), false, false, $error), $error === MSG_EAGAIN, $error);
            $stat = msg_stat_queue($queue);
            var_dump($stat["msg_qnum"], $stat["msg_lspid"] === getmypid(), $stat["msg_perm.mode"]);'
        php -r '
            var_dump(msg_queue_exists(0x7e57));
            $queue = msg_get_queue(0x7e57);
            var_dump(msg_receive($queue, -5, $type, 5, $message, false, MSG_IPC_NOWAIT, $error), $error);
            var_dump(msg_receive($queue, 5, $type, 7, $message, false, MSG_NOERROR), $type, $message);
            var_dump(msg_receive($queue, 0, $type, 1000, $message), $type, $message);
            var_dump(msg_receive($queue, 0, $type, 1000, $message, true, MSG_IPC_NOWAIT, $error), $error === MSG_ENOMSG);
            msg_set_queue($queue, ["msg_qbytes" => 100, "msg_perm.mode" => 0600]);
            var_dump(msg_send($queue, 1, str_repeat("y", 101), false, false, $error), $error);
            var_dump(msg_remove_queue($queue));' 2>&1
        ipcs -q"#,
    ) else {
        return;
    };
    assert!(
        output.contains("string(7) \"a plain\"") && output.contains("int(42)"),
        "{output}"
    );
}
