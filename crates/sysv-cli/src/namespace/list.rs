//! `sysv namespace list`: which namespaces there are.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sysv::{Namespace, Usage};

use crate::failure::Failure;
use crate::output;
use crate::users::user_name;

const SHARED_MEMORY: &str = "/dev/shm";

/// One namespace.
#[derive(Serialize)]
struct Found {
    directory: PathBuf,
    owner: u32,
    /// Whether it is for several users.
    shared: bool,
    /// Whether programs use it that are told nothing else.
    current: bool,
    /// Living members; null if this process may not look.
    living: Option<usize>,
    segments: Option<u64>,
    semaphores: Option<u64>,
    queues: Option<u64>,
    /// Why it cannot be used.
    error: Option<String>,
}

pub(super) fn list(json: bool) -> Result<(), Failure> {
    let current = Namespace::current_directory()?;
    let mut directories = below(Path::new(SHARED_MEMORY));
    if is_namespace(&current) && !directories.contains(&current) {
        directories.push(current.clone());
    }
    directories.sort();
    let found: Vec<Found> = directories.iter().filter_map(|one| look(one, &current)).collect();
    if json {
        return output::print_json(&found);
    }
    let rows = found.iter().map(|one| {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let mut notes = Vec::new();
        if one.current {
            notes.push("current".to_owned());
        }
        notes.extend(one.error.clone());
        vec![
            one.directory.display().to_string(),
            user_name(one.owner),
            if one.shared { "several users" } else { "one user" }.to_owned(),
            number(one.living.map(|living| living as u64)),
            number(one.segments),
            number(one.semaphores),
            number(one.queues),
            output::printable(&notes.join("; ")),
        ]
    });
    let header = [
        "DIRECTORY",
        "OWNER",
        "FOR",
        "PROCESSES",
        "SEGMENTS",
        "SETS",
        "QUEUES",
        "NOTES",
    ];
    output::print(output::table(
        &header,
        &["PROCESSES", "SEGMENTS", "SETS", "QUEUES"],
        rows,
    ))
}

/// The namespaces in a directory and in those directories of it that are none.
fn below(base: &Path) -> Vec<PathBuf> {
    let directories = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        entries.map(|entry| entry.path()).collect()
    };
    let (mut found, others): (Vec<_>, Vec<_>) = directories(base).into_iter().partition(|path| is_namespace(path));
    let inner = others.iter().flat_map(|path| directories(path));
    found.extend(inner.filter(|path| is_namespace(path)));
    found
}

fn is_namespace(directory: &Path) -> bool {
    ["table", "live", "limits"]
        .iter()
        .all(|file| directory.join(file).is_file())
}

fn look(directory: &Path, current: &Path) -> Option<Found> {
    let meta = fs::metadata(directory).ok()?;
    // Counted before this process becomes a member.
    let remains = Namespace::remains(directory);
    let living = remains.as_ref().ok().map(|remains| remains.living);
    let usage = remains.map_err(|error| error.to_string()).and_then(|_| {
        let namespace = Namespace::open(directory).map_err(|error| error.to_string())?;
        namespace.usage().map_err(|error| error.to_string())
    });
    let count = |of: fn(&Usage) -> u64| usage.as_ref().ok().map(of);
    Some(Found {
        directory: directory.to_owned(),
        owner: meta.uid(),
        shared: meta.mode() & 0o011 != 0,
        current: directory == current,
        living,
        segments: count(|usage| usage.segments),
        semaphores: count(|usage| usage.sets),
        queues: count(|usage| usage.queues),
        error: usage.as_ref().err().cloned(),
    })
}
