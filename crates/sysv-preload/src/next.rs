//! The definition that would have been used if we were not there: the C library's, or another preloaded library's.
//!
//! It is looked up when it is first needed, not at load. Where there is none (a static program), the callers make the
//! system call themselves.

#![allow(unsafe_code)]

use core::ffi::CStr;
#[cfg(feature = "interpose")]
use core::ffi::{c_char, c_void};
use core::sync::atomic::AtomicUsize;
#[cfg(feature = "interpose")]
use core::sync::atomic::Ordering::Relaxed;

/// A function's next definition.
///
/// `address`: 0 not looked up yet, 1 there is none, otherwise the function's. Threads that look it up at the same time
/// find the same.
#[repr(C)]
pub(crate) struct Next {
    address: AtomicUsize,
    #[cfg_attr(not(feature = "interpose"), allow(dead_code))]
    name: &'static CStr,
}

/// [`Next::address`]: there is none.
#[cfg(feature = "interpose")]
const NONE: usize = 1;

impl Next {
    /// The next definition of `name`.
    pub(crate) const fn new(name: &'static CStr) -> Next {
        Next {
            address: AtomicUsize::new(0),
            name,
        }
    }

    /// Its address, if there is one.
    #[cfg(feature = "interpose")]
    fn address(&self) -> Option<usize> {
        match self.address.load(Relaxed) {
            0 => self.look_up(),
            NONE => None,
            address => Some(address),
        }
    }

    #[cfg(not(feature = "interpose"))]
    fn address(&self) -> Option<usize> {
        None
    }

    #[cfg(feature = "interpose")]
    #[cold]
    fn look_up(&self) -> Option<usize> {
        // By the C library's `dlsym(3)`, for the one of that plain name is ours.
        let found = look_up_function().map_or(0, |dlsym| {
            // SAFETY: a terminated name.
            let found = unsafe { dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
            found as usize
        });
        self.address.store(if found == 0 { NONE } else { found }, Relaxed);
        (found != 0).then_some(found)
    }

    /// The function, if there is one.
    ///
    /// # Safety
    /// `F` is the type of a pointer to the C library's function of this name.
    pub(crate) unsafe fn get<F: Copy>(&self) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<usize>()) };
        // SAFETY: the address is that of the named function; its type is the caller's promise.
        self.address()
            .map(|address| unsafe { core::mem::transmute_copy(&address) })
    }
}

/// `dlsym(3)`.
#[cfg(feature = "interpose")]
pub(crate) type LookUp = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// The next definition of `dlsym(3)`, which is the one that cannot be looked up by itself.
#[cfg(feature = "interpose")]
pub(crate) static DLSYM: Next = Next::new(c"dlsym");

#[cfg(feature = "interpose")]
pub(crate) fn look_up_function() -> Option<LookUp> {
    unsafe extern "C" {
        fn dlvsym(handle: *mut c_void, name: *const c_char, version: *const c_char) -> *mut c_void;
    }
    let mut address = DLSYM.address.load(Relaxed);
    if address == 0 {
        // The versions that the C library has had it under.
        for version in [c"GLIBC_2.34", c"GLIBC_2.2.5"] {
            if address == 0 {
                // SAFETY: terminated strings.
                let found = unsafe { dlvsym(libc::RTLD_NEXT, DLSYM.name.as_ptr(), version.as_ptr()) };
                address = found as usize;
            }
        }
        DLSYM.address.store(if address == 0 { NONE } else { address }, Relaxed);
    }
    // SAFETY: the address is that of `dlsym`.
    (address > NONE).then(|| unsafe { core::mem::transmute::<usize, LookUp>(address) })
}

/// The next definition of a function, as an `Option` of a function pointer:
/// `next!(fn close(c_int) -> c_int)`.
macro_rules! next {
    (fn $name:ident($($arguments:tt)*) $(-> $returned:ty)?) => {{
        static NEXT: $crate::next::Next = {
            const NAME: &str = concat!(stringify!($name), "\0");
            match core::ffi::CStr::from_bytes_with_nul(NAME.as_bytes()) {
                Ok(name) => $crate::next::Next::new(name),
                Err(_) => panic!("a name holds no NUL"),
            }
        };
        #[allow(unused_unsafe)] // Where the caller's block is one.
        // SAFETY: the signature is the C library's, as its header states it.
        let next = unsafe { NEXT.get::<unsafe extern "C" fn($($arguments)*) $(-> $returned)?>() };
        next
    }};
}
pub(crate) use next;

/// For [`jump_to_next!`]: the address to jump to, with a stand-in where there is no next definition.
///
/// # Safety
/// Called by the stub only.
pub(crate) unsafe extern "C" fn jump_target(next: &'static Next, stand_in: usize) -> usize {
    next.address().unwrap_or(stand_in)
}

/// The end of a naked function: jumps to the next definition with every argument register and the stack as the caller
/// left them, so that it sees the caller's return address. Operands: `next`, a [`Next`]; `stand_in`, a function;
/// `jump_target`, the function above.
macro_rules! jump_to_next {
    () => {
        "mov r11, [rip + {next}]
         cmp r11, 1
         jbe 99f
         jmp r11
     99: push rdi
         push rsi
         push rdx
         push rcx
         push r8
         push r9
         push rax
         lea rdi, [rip + {next}]
         lea rsi, [rip + {stand_in}]
         call {jump_target}
         mov r11, rax
         pop rax
         pop r9
         pop r8
         pop rcx
         pop rdx
         pop rsi
         pop rdi
         jmp r11"
    };
}
pub(crate) use jump_to_next;
