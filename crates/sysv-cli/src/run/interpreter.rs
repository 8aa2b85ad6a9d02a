//! What kind of program a file is, as the kernel sees it: an ELF file, a script, or neither.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::program::read_at;

/// A program file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An x86-64 program that a dynamic loader starts.
    Dynamic { interpreter: PathBuf },
    /// An x86-64 program that nothing is loaded into.
    Static,
    /// A program of another architecture or word size.
    Foreign,
    /// A file that begins with `#!`, and the rest of that line.
    Script {
        interpreter: PathBuf,
        argument: Option<OsString>,
    },
    /// Anything else.
    Text,
}

/// What the kernel looks at of a script (`BINPRM_BUF_SIZE`).
const FIRST: usize = 256;
const EHDR: usize = 64;
const PHDR: usize = 56;
const ELFCLASS64: u8 = 2;
const ELFDATA2LSB: u8 = 1;
const EM_X86_64: u16 = 62;
const PT_INTERP: u32 = 3;
const PATH_MAX: usize = 4096;

pub(super) fn kind(file: &mut File) -> io::Result<Kind> {
    let first = read_at::<FIRST>(file, 0)?;
    if let Some(line) = first.strip_prefix(b"#!") {
        return Ok(script(line));
    }
    if !first.starts_with(b"\x7fELF") {
        return Ok(Kind::Text);
    }
    if first.len() < EHDR || first[4] != ELFCLASS64 || first[5] != ELFDATA2LSB || u16_at(&first, 18) != EM_X86_64 {
        return Ok(Kind::Foreign);
    }
    let (offset, size, count) = (u64_at(&first, 32), u16_at(&first, 54), u16_at(&first, 56));
    if usize::from(size) != PHDR {
        return Ok(Kind::Foreign);
    }
    for index in 0..u64::from(count) {
        let header = read_at::<PHDR>(file, offset.saturating_add(index * PHDR as u64))?;
        if header.len() == PHDR && u32_at(&header, 0) == PT_INTERP {
            let name = read_at::<PATH_MAX>(file, u64_at(&header, 8))?;
            let length = (u64_at(&header, 32) as usize).min(name.len());
            let name = name[..length].split(|&b| b == 0).next().unwrap_or_default();
            return Ok(Kind::Dynamic {
                interpreter: Path::new(OsStr::from_bytes(name)).to_owned(),
            });
        }
    }
    Ok(Kind::Static)
}

/// The line behind `#!`: an interpreter and at most one argument, which may contain blanks.
fn script(bytes: &[u8]) -> Kind {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | 0);
    let line = line.trim_ascii();
    let mut parts = line.splitn(2, blank);
    let interpreter = parts.next().unwrap_or_default();
    if interpreter.is_empty() {
        return Kind::Text;
    }
    let argument = parts
        .next()
        .map(<[u8]>::trim_ascii)
        .filter(|argument| !argument.is_empty());
    Kind::Script {
        interpreter: Path::new(OsStr::from_bytes(interpreter)).to_owned(),
        argument: argument.map(|argument| OsStr::from_bytes(argument).to_owned()),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script_of(line: &str) -> (String, Option<String>) {
        match script(line.as_bytes()) {
            Kind::Script { interpreter, argument } => (
                interpreter.display().to_string(),
                argument.map(|a| a.display().to_string()),
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_first_line_names_an_interpreter_and_one_argument() {
        assert_eq!(script_of("/bin/sh\necho"), ("/bin/sh".into(), None));
        assert_eq!(
            script_of(" /bin/sh  -e -x \necho"),
            ("/bin/sh".into(), Some("-e -x".into()))
        );
        assert_eq!(
            script_of("\t/usr/bin/env\tperl"),
            ("/usr/bin/env".into(), Some("perl".into()))
        );
        assert_eq!(script(b"\n"), Kind::Text);
    }

    #[test]
    fn this_program_is_dynamic() {
        let mut file = File::open("/proc/self/exe").unwrap();
        let loader = PathBuf::from("/lib64/ld-linux-x86-64.so.2");
        assert_eq!(kind(&mut file).unwrap(), Kind::Dynamic { interpreter: loader });
    }
}
