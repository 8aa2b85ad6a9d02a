//! `sysv write`: standard input, into a segment.

use std::io::{self, Read};

use clap::Args;

use crate::failure::Failure;
use crate::read::CHUNK;
use crate::size::Size;
use crate::target::{Target, Which};

/// Write standard input into a segment
///
/// Other processes see the bytes as they arrive. Input that reaches beyond the segment is an error; what fits has been
/// written then.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,

    /// Begin at this byte
    #[arg(long, short, value_name = "N", default_value = "0")]
    offset: Size,

    /// At most so many bytes of the input [default: all]
    #[arg(long, short, value_name = "N")]
    length: Option<Size>,

    #[command(flatten)]
    target: Target,
}

pub(crate) fn write(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let memory = arguments.which.segment(&namespace)?.attach()?;
    let mut offset = arguments.offset.bytes();
    memory.check(offset, 0)?;

    let mut input = io::stdin().lock().take(arguments.length.map_or(u64::MAX, |l| l.0));
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Failure::new(format_args!("cannot read standard input: {e}"))),
        };
        let fits = read.min(memory.len() - offset);
        memory.copy_in(offset, &buffer[..fits])?;
        offset += fits;
        if fits < read {
            return Err(Failure::new(format_args!(
                "the input is longer than what is left of the segment's {} bytes; the first {} bytes of it are \
                 written; give a --length, or create a larger segment",
                memory.len(),
                offset - arguments.offset.bytes()
            )));
        }
    }
}
