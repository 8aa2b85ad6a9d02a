//! `sysv limits`: how much a facility gives.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;
use serde::Serialize;
use sysv::Limits;

use crate::failure::Failure;
use crate::output;
use crate::size::Size;
use crate::target::Target;

/// Show the limits, or set some
///
/// A namespace's limits its owner may set, the kernel's only root. They count from the next call of every process on.
#[derive(Debug, Args)]
#[command(after_help = "\
Numbers may end in K, M, G or T (1024 each). A limit on single objects has nothing that could be used up.

Examples:
  sysv limits                          what there is, and how much of it is used
  sysv limits shmmax=1G shmmni=100
  sysv limits --kernel semmni=64000    as root")]
pub(crate) struct Arguments {
    /// Set this limit
    #[arg(value_name = "NAME=NUMBER")]
    settings: Vec<Setting>,

    #[command(flatten)]
    target: Target,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Debug)]
struct Setting {
    name: String,
    value: u64,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        let (name, value) = text.split_once('=').ok_or("expected NAME=NUMBER, as in shmmni=100")?;
        if !Limits::NAMES.contains(&name) {
            return Err(format!(
                "no limit is called `{name}`; there are {}",
                Limits::NAMES.join(", ")
            ));
        }
        let Size(value) = value.parse()?;
        Ok(Setting {
            name: name.to_owned(),
            value,
        })
    }
}

pub(crate) fn limits(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let mut limits = namespace.limits()?;
    if !arguments.settings.is_empty() {
        for Setting { name, value } in &arguments.settings {
            if let Some(limit) = limits.by_name(name) {
                *limit = *value;
            }
        }
        namespace.set_limits(&limits)?;
        limits = namespace.limits()?;
    }
    let usage = namespace.usage()?;
    if arguments.json {
        let mut values = BTreeMap::new();
        for name in Limits::NAMES {
            values.extend(limits.by_name(name).map(|value| (name, *value)));
        }
        let used = Limits::NAMES
            .iter()
            .filter_map(|name| Some((*name, usage.of_limit(name)?)));
        return output::print_json(&Shown {
            limits: values,
            used: used.collect(),
        });
    }
    let rows = Limits::NAMES.iter().map(|name| {
        let limit = limits.by_name(name).map_or(0, |limit| *limit);
        let used = usage.of_limit(name);
        vec![
            (*name).to_owned(),
            limit.to_string(),
            used.map_or_else(|| "-".to_owned(), |used| used.to_string()),
            meaning(name).to_owned(),
        ]
    });
    output::print(output::table(
        &["LIMIT", "VALUE", "USED", "MEANING"],
        &["VALUE", "USED"],
        rows,
    ))
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    limits: BTreeMap<&'static str, u64>,
    used: BTreeMap<&'static str, u64>,
}

pub(crate) fn meaning(name: &str) -> &'static str {
    match name {
        "shmmax" => "largest segment, in bytes",
        "shmall" => "sum of all segments, in pages of 4096 bytes",
        "shmmni" => "number of segments",
        "semmsl" => "semaphores of a set",
        "semmns" => "semaphores of all sets",
        "semopm" => "operations of one semop",
        "semmni" => "number of semaphore sets",
        "msgmax" => "largest message, in bytes",
        "msgmnb" => "bytes that a new queue may hold",
        "msgmni" => "number of message queues",
        _ => "",
    }
}
