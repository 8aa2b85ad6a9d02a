//! `sysv limits`: how much a facility gives.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;
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
Limits: shmmax, the largest segment, in bytes; shmall, the sum of all segments, in pages of 4096 bytes; shmmni, the \
number of segments.

Example: sysv limits shmmax=1G shmmni=100")]
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
    let mut values = BTreeMap::new();
    for name in Limits::NAMES {
        values.extend(limits.by_name(name).map(|value| (name, *value)));
    }
    if arguments.json {
        return output::print_json(&values);
    }
    let rows = Limits::NAMES
        .iter()
        .map(|name| vec![(*name).to_owned(), values[name].to_string(), meaning(name).to_owned()]);
    output::print(output::table(&["LIMIT", "VALUE", "MEANING"], &["VALUE"], rows))
}

fn meaning(name: &str) -> &'static str {
    match name {
        "shmmax" => "largest segment, in bytes",
        "shmall" => "sum of all segments, in pages of 4096 bytes",
        "shmmni" => "number of segments",
        _ => "",
    }
}
