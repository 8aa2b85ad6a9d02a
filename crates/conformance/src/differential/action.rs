//! What a worker can be told to do.

use std::fmt;

use crate::wire::Wire;

/// Defines [`Action`] with its text and wire forms. All fields are plain numbers, so that a case can be
/// written down and read back without loss.
macro_rules! actions {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal { $($field:ident),* })*) => {
        /// One action. The driver and the worker say what its numbers mean.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Action {
            $($(#[doc = $doc])* $variant { $($field: i64),* },)*
        }

        impl Action {
            /// The word for it.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Action::$variant { .. } => $name,)*
                }
            }

            /// Its fields, by name.
            fn fields(&self) -> Vec<(&'static str, i64)> {
                match *self {
                    $(Action::$variant { $($field),* } => vec![$((stringify!($field), $field)),*],)*
                }
            }

            /// The action of that name, its fields taken from `field`.
            fn build(name: &str, mut field: impl FnMut(&str) -> Option<i64>) -> Option<Action> {
                match name {
                    $($name => Some(Action::$variant { $($field: field(stringify!($field))?),* }),)*
                    _ => None,
                }
            }

            const NAMES: &[&str] = &[$($name),*];
        }
    };
}

actions! {
    /// `shmget` with the key of that number, 0 for `IPC_PRIVATE`.
    Get "get" { key, size, flags }
    /// `shmat`; page -1 for a null address, otherwise a page of the window plus `odd` bytes.
    Attach "attach" { object, page, odd, flags }
    /// `shmdt` of an attachment that the system placed, or of a place in the window if `held` is -1.
    Detach "detach" { held, page, odd }
    /// `munmap` of a whole attachment that the system placed, or of pages of the window.
    Unmap "unmap" { held, page, pages }
    /// Ordinary memory in the window, in place of whatever is there.
    Occupy "occupy" { page, pages }
    /// Writes a few bytes.
    Write "write" { held, page, odd, value }
    /// `IPC_STAT` (0), `SHM_STAT` (1) or `SHM_STAT_ANY` (2).
    Stat "stat" { object, by }
    /// `IPC_SET`; user and group are numbers of their lists.
    Set "set" { object, user, group, mode }
    /// `IPC_RMID`.
    Remove "remove" { object }
    /// `SHM_LOCK` (1) or `SHM_UNLOCK` (0).
    Lock "lock" { object, lock }
    /// `IPC_INFO`.
    Limits "limits" {}
    /// `SHM_INFO`.
    Usage "usage" {}
    /// Changes limits, on behalf of whoever may: 0 is `shmmax`, 1 `shmall`, 2 `shmmni`.
    Limit "limit" { which, value }
    /// The worker forks a new one, by the bare system call if `bare` is 1.
    Fork "fork" { bare }
    /// The worker's program is executed anew.
    Exec "exec" {}
    /// The worker exits, through destructors if `orderly` is 1.
    Exit "exit" { orderly }
    /// The worker is killed.
    Kill "kill" {}
    /// A new worker starts, as this user.
    Spawn "spawn" { user }
    /// A worker that started as root becomes this user for now.
    Become "become" { user }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for (name, value) in self.fields() {
            match name {
                "flags" | "mode" => write!(f, " {name}=0o{value:o}")?,
                _ => write!(f, " {name}={value}")?,
            }
        }
        Ok(())
    }
}

impl std::str::FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Action, String> {
        let (name, fields) = text.split_once(' ').unwrap_or((text, ""));
        let number = |text: &str| match text.strip_prefix("0o") {
            Some(octal) => i64::from_str_radix(octal, 8).ok(),
            None => text.parse().ok(),
        };
        let field = |wanted: &str| {
            fields
                .split(' ')
                .filter_map(|field| field.split_once('='))
                .find(|(name, _)| *name == wanted)
        };
        Action::build(name, |wanted| number(field(wanted)?.1)).ok_or_else(|| format!("not an action: {text:?}"))
    }
}

impl Wire for Action {
    fn put(&self, out: &mut Vec<u8>) {
        let number = Action::NAMES
            .iter()
            .position(|name| *name == self.name())
            .expect("every action has a name");
        (number as u8).put(out);
        self.fields().iter().for_each(|(_, value)| value.put(out));
    }

    fn take(input: &mut &[u8]) -> Self {
        let name = Action::NAMES[usize::from(u8::take(input))];
        Action::build(name, |_| Some(i64::take(input))).expect("fields in the order in which they were put")
    }
}
