//! Mechanisms by name.

use std::str::FromStr;

use crate::Mechanism;

impl Mechanism {
    /// All of them.
    ///
    /// ```
    /// assert_eq!(sysv::Mechanism::ALL.len(), 3);
    /// ```
    pub const ALL: [Mechanism; 3] = [Mechanism::Segment, Mechanism::SemaphoreSet, Mechanism::MessageQueue];

    /// Its name in one word.
    ///
    /// ```
    /// assert_eq!(sysv::Mechanism::SemaphoreSet.word(), "semaphores");
    /// ```
    pub const fn word(self) -> &'static str {
        match self {
            Mechanism::Segment => "segment",
            Mechanism::SemaphoreSet => "semaphores",
            Mechanism::MessageQueue => "queue",
        }
    }
}

impl FromStr for Mechanism {
    type Err = String;

    fn from_str(text: &str) -> Result<Mechanism, String> {
        let found = Mechanism::ALL.into_iter().find(|mechanism| mechanism.word() == text);
        found.ok_or_else(|| format!("`{text}` is none of {}", Mechanism::ALL.map(Mechanism::word).join(", ")))
    }
}
