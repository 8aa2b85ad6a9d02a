//! Atomics inside a segment.

#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    Ordering, fence,
};

/// The atomic integers of the standard library, which may lie in memory that other processes write.
///
/// Not `AtomicBool` or `AtomicPtr`: another process could store what is no `bool`, and a pointer means nothing in
/// another address space.
///
/// ```
/// use std::sync::atomic::AtomicU64;
///
/// fn bytes_of<A: sysv::Atomic>() -> usize {
///     size_of::<A>()
/// }
/// assert_eq!(bytes_of::<AtomicU64>(), 8);
/// ```
pub trait Atomic: Sync + Sized + sealed::Sealed {
    /// The integer that it holds.
    type Value: Copy;

    #[doc(hidden)]
    fn load_relaxed(&self) -> Self::Value;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! atomics {
    ($($atomic:ty: $value:ty),*) => {
        $(
            // Every pattern of bits is a value, and the size is at most that of a pointer.
            const _: () = assert!(size_of::<$atomic>() == size_of::<$value>() && size_of::<$value>() <= 8);

            impl sealed::Sealed for $atomic {}

            impl Atomic for $atomic {
                type Value = $value;

                #[inline]
                fn load_relaxed(&self) -> $value {
                    <$atomic>::load(self, Ordering::Relaxed)
                }
            }
        )*
    };
}

atomics! {
    AtomicU8: u8, AtomicU16: u16, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize,
    AtomicI8: i8, AtomicI16: i16, AtomicI32: i32, AtomicI64: i64, AtomicIsize: isize
}

/// The atomic at `at`.
///
/// # Safety
/// For the whole of `'a` the bytes are mapped for reading and writing, `at` is aligned for `A`, and whatever else this
/// process's compiler knows to access them does so as an atomic of the same place and size (see `claims`).
#[inline]
pub(crate) unsafe fn reference<'a, A: Atomic>(at: NonNull<u8>) -> &'a A {
    // SAFETY: the caller's promise; `Atomic` is sealed to types of which any bytes are a value and whose shared
    // references allow others to write.
    unsafe { at.cast::<A>().as_ref() }
}

/// Loads the atomic at `at`, also from memory that is mapped for reading only.
///
/// On such memory the standard library allows nothing but relaxed loads: a stronger one might be made as a write of
/// the same value. A fence supplies the ordering.
///
/// # Panics
/// As `AtomicU64::load`, if `order` is one of storing.
///
/// # Safety
/// As [`reference`], for the moment of the call, but the memory need not be writable.
#[inline]
pub(crate) unsafe fn load<A: Atomic>(at: NonNull<u8>, order: Ordering) -> A::Value {
    // SAFETY: the caller's promise. A shared reference to an atomic asserts only that the bytes can be read.
    let atomic: &A = unsafe { at.cast::<A>().as_ref() };
    match order {
        Ordering::Relaxed => atomic.load_relaxed(),
        Ordering::Acquire => {
            let value = atomic.load_relaxed();
            fence(Ordering::Acquire);
            value
        }
        Ordering::SeqCst => {
            fence(Ordering::SeqCst);
            let value = atomic.load_relaxed();
            fence(Ordering::SeqCst);
            value
        }
        _ => panic!("there is no such thing as a load with the ordering {order:?}"),
    }
}
