//! Values as bytes, for the pipes between a test and the processes it starts.
//!
//! Both ends are forked from one binary, or built from this crate, so that nothing is negotiated:
//! integers are little-endian, sequences carry their length, and malformed input is a defect of the
//! test that panics.

use sysv_engine::Errno;
use sysv_engine::abi::{IpcPerm, ShmidDs};

/// A value that can travel through a pipe.
pub trait Wire: Sized {
    /// Appends the value to `out`.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes the value from the front of `input`.
    fn take(input: &mut &[u8]) -> Self;

    /// The value alone, as bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// The value that `bytes` holds, and nothing else.
    fn from_bytes(mut bytes: &[u8]) -> Self {
        let value = Self::take(&mut bytes);
        assert!(bytes.is_empty(), "{} bytes left over after a message", bytes.len());
        value
    }
}

macro_rules! wire_integers {
    ($($type:ty)*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(input: &mut &[u8]) -> Self {
                let (head, tail) = input.split_first_chunk().expect("message cut short");
                *input = tail;
                <$type>::from_le_bytes(*head)
            }
        }
    )*};
}

wire_integers!(u8 u16 i16 i32 u32 i64 u64 usize);

impl Wire for () {
    fn put(&self, _: &mut Vec<u8>) {}
    fn take(_: &mut &[u8]) -> Self {}
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }
    fn take(input: &mut &[u8]) -> Self {
        u8::take(input) != 0
    }
}

impl Wire for Errno {
    fn put(&self, out: &mut Vec<u8>) {
        self.raw().put(out);
    }
    fn take(input: &mut &[u8]) -> Self {
        Errno::from_raw(i32::take(input))
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().to_vec().put(out);
    }
    fn take(input: &mut &[u8]) -> Self {
        String::from_utf8(Vec::take(input)).expect("a string that is not UTF-8")
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|item| item.put(out));
    }
    fn take(input: &mut &[u8]) -> Self {
        (0..usize::take(input)).map(|_| T::take(input)).collect()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }
    fn take(input: &mut &[u8]) -> Self {
        bool::take(input).then(|| T::take(input))
    }
}

impl<T: Wire, E: Wire> Wire for Result<T, E> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }
    fn take(input: &mut &[u8]) -> Self {
        if bool::take(input) {
            Ok(T::take(input))
        } else {
            Err(E::take(input))
        }
    }
}

macro_rules! wire_tuples {
    ($(($($name:ident $index:tt),*))*) => {$(
        impl<$($name: Wire),*> Wire for ($($name,)*) {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$index.put(out);)*
            }
            fn take(input: &mut &[u8]) -> Self {
                ($($name::take(input),)*)
            }
        }
    )*};
}

wire_tuples!((A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) (A 0, B 1, C 2, D 3, E 4));

impl Wire for ShmidDs {
    fn put(&self, out: &mut Vec<u8>) {
        let perm = &self.perm;
        perm.key.put(out);
        [perm.uid, perm.gid, perm.cuid, perm.cgid, perm.mode]
            .iter()
            .for_each(|field| field.put(out));
        perm.seq.put(out);
        self.segsz.put(out);
        [self.atime, self.dtime, self.ctime]
            .iter()
            .for_each(|time| time.put(out));
        [self.cpid, self.lpid].iter().for_each(|pid| pid.put(out));
        self.nattch.put(out);
    }
    fn take(input: &mut &[u8]) -> Self {
        let mut perm = IpcPerm {
            key: i32::take(input),
            ..IpcPerm::default()
        };
        for field in [
            &mut perm.uid,
            &mut perm.gid,
            &mut perm.cuid,
            &mut perm.cgid,
            &mut perm.mode,
        ] {
            *field = u32::take(input);
        }
        perm.seq = u16::take(input);
        let mut ds = ShmidDs {
            perm,
            segsz: u64::take(input),
            ..ShmidDs::default()
        };
        for time in [&mut ds.atime, &mut ds.dtime, &mut ds.ctime] {
            *time = i64::take(input);
        }
        for pid in [&mut ds.cpid, &mut ds.lpid] {
            *pid = i32::take(input);
        }
        ds.nattch = u64::take(input);
        ds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_comes_back_as_it_went() {
        type Everything = (
            Vec<Option<String>>,
            Result<u16, Errno>,
            (bool, u8, i32, u32),
            (i64, u64, usize),
        );
        let value: Everything = (
            vec![None, Some("ä".into())],
            Err(Errno::EIDRM),
            (true, 7, -1, u32::MAX),
            (i64::MIN, u64::MAX, usize::MAX),
        );
        assert_eq!(Everything::from_bytes(&value.to_bytes()), value);
    }

    #[test]
    fn every_field_of_a_stat_structure_comes_back() {
        let perm = IpcPerm {
            key: -1,
            uid: 2,
            gid: 3,
            cuid: 4,
            cgid: 5,
            mode: 0o1777,
            seq: u16::MAX,
            ..IpcPerm::default()
        };
        let ds = ShmidDs {
            perm,
            segsz: 7,
            atime: 8,
            dtime: 9,
            ctime: 10,
            cpid: 11,
            lpid: 12,
            nattch: 13,
            ..ShmidDs::default()
        };
        assert_eq!(ShmidDs::from_bytes(&ds.to_bytes()), ds);
    }

    #[test]
    #[should_panic(expected = "left over")]
    fn a_message_that_is_too_long_is_noticed() {
        u8::from_bytes(&[1, 2]);
    }
}
