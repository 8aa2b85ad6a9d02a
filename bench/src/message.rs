//! A message as every way takes it: `msgsnd` with its type, the others without.

/// A type and so many bytes, in memory that has been touched.
pub struct Message {
    words: Vec<u64>,
    len: usize,
}

impl Message {
    /// Type 1 and bytes that are not zero.
    pub fn new(len: usize) -> Message {
        let mut words = vec![0x0101_0101_0101_0101; 1 + len.div_ceil(8)];
        words[0] = 1;
        Message { words, len }
    }

    /// The type.
    pub fn set_kind(&mut self, kind: u64) {
        self.words[0] = kind;
    }

    /// Bytes without the type.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The type's address, which the bytes follow.
    pub fn start(&self) -> *const u64 {
        self.words.as_ptr()
    }

    /// The type's address, for receiving.
    pub fn start_mut(&mut self) -> *mut u64 {
        self.words.as_mut_ptr()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[8..8 + self.len]
    }

    /// The bytes, for receiving.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        &mut bytemuck::cast_slice_mut(&mut self.words)[8..8 + len]
    }
}
