//! Copies between a segment's bytes and private memory.
//!
//! Other processes, and other threads of this one, may write the same bytes at the same moment. A plain read or write
//! would be a data race then, and `ptr::read_volatile` would be one too, for it is not atomic. So every access here is
//! an instruction in `asm!`, of which the compiler knows only that it moves bytes: what a thread of this process does
//! through these routines is to the compiler the same as what another process does.
//!
//! One aligned value of 1, 2, 4 or 8 bytes is moved by one instruction and never seen half written.

#![allow(unsafe_code)]

use std::arch::asm;
use std::mem::MaybeUninit;

use bytemuck::AnyBitPattern;

/// From this many bytes on, the processor's own string instructions beat a loop of moves.
const STRING: usize = 256;

/// Defines the move of one register between shared and private memory.
macro_rules! word {
    ($copy:ident, $word:ty, $class:ident, $operand:literal) => {
        /// # Safety
        /// As [`copy`], for the size of one word.
        #[inline(always)]
        unsafe fn $copy(src: *const u8, dst: *mut u8) {
            // SAFETY: the caller's promise; `mov` needs no alignment and changes neither stack nor flags.
            unsafe {
                let word: $word;
                asm!(
                    concat!("mov ", $operand, ", [{}]"), out($class) word, in(reg) src,
                    options(nostack, preserves_flags, readonly)
                );
                asm!(
                    concat!("mov [{}], ", $operand), in(reg) dst, in($class) word,
                    options(nostack, preserves_flags)
                );
            }
        }
    };
}

word!(copy_1, u8, reg_byte, "{}");
word!(copy_2, u16, reg, "{:x}");
word!(copy_4, u32, reg, "{:e}");
word!(copy_8, u64, reg, "{:r}");

/// Copies `len` bytes.
///
/// # Safety
/// `src` must be mapped for reading and `dst` for writing over `len` bytes, and the two ranges must not overlap. The
/// private one of them must be this thread's alone; the shared one need not be anybody's.
#[inline]
pub(crate) unsafe fn copy(src: *const u8, dst: *mut u8, len: usize) {
    if len >= STRING {
        // SAFETY: the caller's promise; the direction flag is clear, as the calling convention has it.
        unsafe {
            asm!(
                "rep movsb", inout("rcx") len => _, inout("rsi") src => _, inout("rdi") dst => _,
                options(nostack, preserves_flags)
            );
        }
        return;
    }
    let mut done = 0;
    // SAFETY: `done` plus the word's size never exceeds `len`, and up to there the caller's promise holds.
    unsafe {
        while len - done >= 8 {
            copy_8(src.add(done), dst.add(done));
            done += 8;
        }
        if len & 4 != 0 {
            copy_4(src.add(done), dst.add(done));
            done += 4;
        }
        if len & 2 != 0 {
            copy_2(src.add(done), dst.add(done));
            done += 2;
        }
        if len & 1 != 0 {
            copy_1(src.add(done), dst.add(done));
        }
    }
}

/// Reads one value.
///
/// # Safety
/// `src` must be mapped for reading over the size of `T`.
#[inline]
pub(crate) unsafe fn read<T: AnyBitPattern>(src: *const u8) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the caller's promise for `src`; `value` is ours. Afterwards its bytes are initialised, whatever they
    // are, and `AnyBitPattern` says that any are a value.
    unsafe {
        copy(src, value.as_mut_ptr().cast(), size_of::<T>());
        value.assume_init()
    }
}

/// Sets `len` bytes to `byte`.
///
/// # Safety
/// `dst` must be mapped for writing over `len` bytes.
pub(crate) unsafe fn fill(dst: *mut u8, byte: u8, len: usize) {
    // SAFETY: the caller's promise; the direction flag is clear, as the calling convention has it.
    unsafe {
        asm!(
            "rep stosb", inout("rcx") len => _, inout("rdi") dst => _, in("al") byte,
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_exactly() {
        let src: Vec<u8> = (0..1024u32).map(|i| (i * 7 + 1) as u8).collect();
        for len in (0..=300).chain([511, 512, 513, 1000]) {
            for shift in 0..8 {
                let mut dst = vec![0u8; 1024];
                // SAFETY: both vectors are longer than 8 + 1000 bytes, and distinct.
                unsafe { copy(src[shift..].as_ptr(), dst[8..].as_mut_ptr(), len) };
                assert_eq!(dst[8..8 + len], src[shift..shift + len], "{len} bytes from {shift}");
                assert!(
                    dst[..8].iter().chain(&dst[8 + len..]).all(|&b| b == 0),
                    "{len} bytes from {shift}"
                );
            }
        }
    }

    #[test]
    fn fill_touches_its_range_only() {
        let mut bytes = [1u8; 64];
        // SAFETY: the range lies within the array.
        unsafe { fill(bytes[3..].as_mut_ptr(), 9, 50) };
        assert!(
            bytes
                .iter()
                .enumerate()
                .all(|(i, &b)| b == if (3..53).contains(&i) { 9 } else { 1 })
        );
    }

    #[test]
    fn values_are_read_from_any_address() {
        let bytes = [0, 1, 2, 3, 4, 5, 6, 7, 8];
        // SAFETY: each value lies within the array.
        unsafe {
            assert_eq!(read::<u8>(bytes[1..].as_ptr()), 1);
            assert_eq!(read::<u16>(bytes[1..].as_ptr()), 0x0201);
            assert_eq!(read::<u32>(bytes[1..].as_ptr()), 0x0403_0201);
            assert_eq!(read::<u64>(bytes[1..].as_ptr()), 0x0807_0605_0403_0201);
            assert_eq!(read::<[u8; 3]>(bytes[1..].as_ptr()), [1, 2, 3]);
        }
    }
}
