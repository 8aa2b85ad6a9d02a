//! The kernel ABI's structures in the program's memory, by addresses that nobody has checked.

#![allow(unsafe_code)]

use core::mem::MaybeUninit;

use sysv_engine::abi::{MsgInfo, MsqidDs, SemInfo, Sembuf, SemidDs, ShmInfoLimits, ShmInfoUsage, ShmidDs, Timespec};
use sysv_engine::{Result, usercopy};

/// A structure of the kernel's ABI: every bit pattern is one.
///
/// # Safety
/// The type is made of integers only.
pub(crate) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($name:ty),* $(,)?) => {$(
        // SAFETY: integers, padded explicitly.
        unsafe impl Plain for $name {}
    )*};
}

plain!(
    ShmidDs,
    ShmInfoLimits,
    ShmInfoUsage,
    SemidDs,
    SemInfo,
    Sembuf,
    Timespec,
    MsqidDs,
    MsgInfo,
    u16
);

/// Reads a structure of the program's.
///
/// # Errors
/// `EFAULT`.
#[inline]
pub(crate) fn take<T: Plain>(address: usize) -> Result<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: `value` has room for it, and every bit pattern of a `Plain` is valid.
    unsafe {
        usercopy::copy_in(value.as_mut_ptr().cast(), address, size_of::<T>())?;
        Ok(value.assume_init())
    }
}

/// Writes a structure of the program's.
///
/// # Safety
/// What is mapped at `address` is the caller's to overwrite.
///
/// # Errors
/// `EFAULT`.
pub(crate) unsafe fn give<T: Plain>(address: usize, value: &T) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { usercopy::copy_out(address, core::ptr::from_ref(value).cast(), size_of::<T>()) }
}
