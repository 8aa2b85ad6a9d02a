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
