//! What a worker can be told to do.

use std::fmt;

/// A kind of actions.
pub trait Act: Copy + fmt::Debug + fmt::Display + PartialEq + std::str::FromStr<Err = String> {}

/// Defines a kind of actions with their text and wire forms. All fields are plain numbers, so that a case can be
/// written down and read back without loss.
macro_rules! actions {
    ($action:ident $($(#[doc = $doc:literal])* $variant:ident $name:literal { $($field:ident),* })*) => {
        /// One action. The driver and the worker say what its numbers mean.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $action {
            $($(#[doc = $doc])* $variant { $($field: i64),* },)*
        }

        impl $crate::differential::action::Act for $action {}

        impl $action {
            /// The word for it.
            pub fn name(&self) -> &'static str {
                match self {
                    $($action::$variant { .. } => $name,)*
                }
            }

            /// Its fields, by name.
            fn fields(&self) -> Vec<(&'static str, i64)> {
                match *self {
                    $($action::$variant { $($field),* } => vec![$((stringify!($field), $field)),*],)*
                }
            }

            /// The action of that name, its fields taken from `field`.
            fn build(name: &str, mut field: impl FnMut(&str) -> Option<i64>) -> Option<$action> {
                match name {
                    $($name => Some($action::$variant { $($field: field(stringify!($field))?),* }),)*
                    _ => None,
                }
            }

            const NAMES: &[&str] = &[$($name),*];
        }

        impl std::fmt::Display for $action {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())?;
                for (name, value) in self.fields() {
                    match name {
                        name if name.starts_with("flags") || name == "mode" => write!(f, " {name}=0o{value:o}")?,
                        _ => write!(f, " {name}={value}")?,
                    }
                }
                Ok(())
            }
        }

        impl std::str::FromStr for $action {
            type Err = String;

            fn from_str(text: &str) -> Result<$action, String> {
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
                $action::build(name, |wanted| number(field(wanted)?.1)).ok_or_else(|| format!("not an action: {text:?}"))
            }
        }

        impl $crate::wire::Wire for $action {
            fn put(&self, out: &mut Vec<u8>) {
                let number = $action::NAMES
                    .iter()
                    .position(|name| *name == self.name())
                    .expect("every action has a name");
                $crate::wire::Wire::put(&(number as u8), out);
                self.fields().iter().for_each(|(_, value)| $crate::wire::Wire::put(value, out));
            }

            fn take(input: &mut &[u8]) -> Self {
                let name = $action::NAMES[usize::from(<u8 as $crate::wire::Wire>::take(input))];
                $action::build(name, |_| Some(<i64 as $crate::wire::Wire>::take(input))).expect("fields in the order in which they were put")
            }
        }
    };
}

pub(crate) use actions;

actions! { Action
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
