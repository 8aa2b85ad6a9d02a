//! Where the figures were measured.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// What a reader must know of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many there are.
    pub processors: usize,
    /// Under which hypervisor, if any.
    pub virtualisation: String,
    /// The kernel's release.
    pub kernel: String,
    /// The distribution.
    pub system: String,
    /// Memory, in bytes.
    pub memory: u64,
    /// Programs and libraries that take part: name and version.
    pub versions: Vec<(String, String)>,
}

impl Machine {
    /// This one.
    pub fn here() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once([':', '=']));
            value.map_or_else(String::new, |(_, value)| value.trim().trim_matches('"').to_owned())
        };
        let cpuinfo = read("/proc/cpuinfo");
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kilobytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        let is_virtual = cpuinfo
            .lines()
            .any(|line| line.starts_with("flags") && line.contains(" hypervisor"));
        let hypervisor = said("systemd-detect-virt", &["--vm"]).filter(|kind| kind != "none");
        let virtualisation = match hypervisor {
            Some(kind) => kind,
            None if is_virtual => "a virtual machine".to_owned(),
            None => "none".to_owned(),
        };
        let programs = [
            ("rustc", "rustc ", said("rustc", &["--version"])),
            ("glibc", "ldd ", said("ldd", &["--version"])),
            ("PostgreSQL", "pgbench ", said("pgbench", &["--version"])),
            ("stress-ng", "stress-ng, version ", said("stress-ng", &["--version"])),
        ];
        let known = programs.into_iter().filter_map(|(name, introduction, said)| {
            Some((name.to_owned(), said?.trim_start_matches(introduction).to_owned()))
        });
        Machine {
            processor: field(&cpuinfo, "model name"),
            processors: crate::system::processors(),
            virtualisation,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: field(&read("/etc/os-release"), "PRETTY_NAME"),
            memory: kilobytes * 1024,
            versions: known.collect(),
        }
    }
}

/// The first line that a program prints, if it is there.
pub(crate) fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .next()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
}
