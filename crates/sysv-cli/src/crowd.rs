//! Who has most of what there is: the answer to "no space".

use std::collections::HashMap;
use std::hash::Hash;

use sysv::{Contents, Mechanism, Namespace, Object};

use crate::users::user_name;
use crate::{output, wording};

/// Who has most of a mechanism's objects, in a sentence; `None` where there is none to be found.
pub(crate) fn sentence(namespace: &Namespace, mechanism: Mechanism) -> Option<String> {
    let objects = namespace.snapshot(&[mechanism]).ok()?.objects;
    of(&objects)
}

/// The same of objects that have been looked at, which are of one mechanism.
pub(crate) fn of(objects: &[Object]) -> Option<String> {
    let all = objects.len() as u64;
    let mechanism = objects.first()?.mechanism;
    let (owner, owned) = most(objects.iter().map(|object| object.permissions.owner))?;
    let made = most(objects.iter().filter_map(|object| {
        let creator = object.created_by.as_ref()?;
        Some(creator.command.as_str())
    }));
    let made = match made {
        Some((command, count)) => format!(", and `{}` made {count}", output::printable(command)),
        None => String::new(),
    };
    let unused = objects.iter().filter(|object| !object.is_in_use()).count();
    let sizes = match mechanism {
        Mechanism::Segment => {
            let bytes: u64 = objects.iter().map(size).fold(0, u64::saturating_add);
            format!(" with {bytes} bytes")
        }
        _ => String::new(),
    };
    Some(format!(
        "it holds {}{sizes}: {} has {owned}{made}; {unused} of them nobody has in use",
        wording::counted(all, &mechanism.to_string(), &format!("{mechanism}s")),
        user_name(owner),
    ))
}

fn size(object: &Object) -> u64 {
    match object.contents {
        Contents::Segment { size, .. } => size,
        _ => 0,
    }
}

/// What comes most often, and how often.
fn most<T: Hash + Eq + Ord + Copy>(all: impl Iterator<Item = T>) -> Option<(T, usize)> {
    let mut counts = HashMap::new();
    for one in all {
        *counts.entry(one).or_insert(0) += 1;
    }
    counts.into_iter().max_by_key(|&(one, count)| (count, one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_comes_most_often_is_found() {
        assert_eq!(most([3, 1, 3, 2].into_iter()), Some((3, 2)));
        assert_eq!(most([2, 1].into_iter()), Some((2, 1)));
        assert_eq!(most([0; 0].into_iter()), None);
    }
}
