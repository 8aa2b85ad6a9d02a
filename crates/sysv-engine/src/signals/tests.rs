//! What a program sees of its actions. Programs with handlers of every kind are tested under `libsysv.so`.

#![allow(unsafe_code)]

use super::*;

#[test]
fn a_change_is_seen_by_the_program_and_not_by_the_kernel() {
    let mut byte = 0u8;
    // SAFETY: `byte` is one byte.
    let mut bad_pointer = || unsafe { crate::usercopy::copy_in(&raw mut byte, 8, 1) };
    assert_eq!(bad_pointer(), Err(crate::Errno::EFAULT));
    let signal = libc::SIGBUS;
    let before = change(signal, None).unwrap();
    let flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    let wanted = Action::new(before.handler, flags, 0x5500);
    assert_eq!(change(signal, Some(&wanted)), Ok(before));
    assert_eq!(change(signal, None), Ok(wanted));
    assert_eq!(
        bad_pointer(),
        Err(crate::Errno::EFAULT),
        "our handler is still in place"
    );
    change(signal, Some(&before)).unwrap();
}

#[test]
fn signals_without_an_action_are_refused() {
    for signal in [0, -1, 65, 32, 33, libc::SIGKILL, libc::SIGSTOP] {
        let refused = change(signal, Some(&Action::new(libc::SIG_IGN, 0, 0)));
        assert_eq!(refused, Err(crate::Errno::EINVAL), "{signal}");
    }
}
