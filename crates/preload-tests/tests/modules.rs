//! Modules that a program loads reach the library, also those that ask for their own symbols first.

use std::process::Command;

use sysv_preload_tests::{Linked, Namespace, Outcome, Program, Run, assert_same};

fn loaded(mode: &str) -> (Outcome, Outcome) {
    let module = Program::compile_as("deepbound", Linked::AsModule);
    let run = || Program::compile("loader").run().arg(mode).arg(module.path());
    (run().on_library(&Namespace::fresh()), run().on_kernel())
}

#[test]
fn a_module_loaded_with_deepbind_is_served() {
    for mode in ["plain", "deepbind", "missing"] {
        let (library, kernel) = loaded(mode);
        assert_eq!(kernel.code, Some(0), "{kernel:?}");
        library.assert_is(&kernel, mode);
    }
}

#[test]
fn a_module_is_searched_for_where_its_caller_says() {
    // By $ORIGIN in the caller's DT_RUNPATH, which the C library finds by the address that dlopen(3) returns to.
    let module = Program::compile_as("deepbound", Linked::AsModule);
    let name = module.path().file_name().expect("the module has a name");
    let loader = Program::compile_as("loader", Linked::WithOrigin);
    let run = || loader.run().arg("deepbind").arg(name).directory("/");
    let kernel = run().on_kernel();
    assert_eq!(kernel.code, Some(0), "{kernel:?}");
    run().on_library(&Namespace::fresh()).assert_is(&kernel, "by $ORIGIN");
}

#[test]
fn a_function_that_is_looked_up_in_the_c_library_is_ours() {
    assert_same(&Program::compile("looked_up"), "");
}

#[test]
fn phps_extension_is_served() {
    let script = r#"
        $shm = shm_attach(0x1234, 10000, 0600);
        var_dump(shm_put_var($shm, 1, "a value"), shm_get_var($shm, 1), shm_has_var($shm, 2));
        $again = shm_attach(0x1234);
        var_dump(shm_get_var($again, 1));
        echo intdiv(filesize('/proc/self/maps'), 1), count(file('/proc/sysvipc/shm')), "\n";
        var_dump(shm_remove($shm), count(file('/proc/sysvipc/shm')));
        shm_detach($shm);
        shm_detach($again);
        var_dump(count(file('/proc/sysvipc/shm')));
    "#;
    let has_extension = Command::new("php")
        .args(["-r", "exit(extension_loaded('sysvshm') ? 0 : 1);"])
        .status();
    if !has_extension.is_ok_and(|status| status.success()) {
        eprintln!("skipped: needs php with sysvshm");
        return;
    }
    let run = || {
        Run::of("php")
            .arg("-n")
            .arg("-d")
            .arg("extension=sysvshm")
            .arg("-r")
            .arg(script)
    };
    let kernel = run().on_kernel();
    assert!(kernel.stdout.contains("a value"), "{kernel:?}");
    run().on_library(&Namespace::fresh()).assert_is(&kernel, "php");
}
