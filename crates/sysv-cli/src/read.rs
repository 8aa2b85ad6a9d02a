//! `sysv read`: a segment's bytes, to standard output.

use std::io::{self, Write};

use clap::Args;

use crate::failure::Failure;
use crate::size::Size;
use crate::target::{Target, Which};

/// Write a segment's bytes to standard output
///
/// Other processes may write them meanwhile; nothing stops those.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,

    /// Begin at this byte
    #[arg(long, short, value_name = "N", default_value = "0")]
    offset: Size,

    /// So many bytes [default: up to the segment's end]
    #[arg(long, short, value_name = "N")]
    length: Option<Size>,

    #[command(flatten)]
    target: Target,
}

/// Bytes that are copied at a time.
pub(crate) const CHUNK: usize = 64 << 10;

pub(crate) fn read(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let memory = arguments.which.segment(&namespace)?.attach_read_only()?;
    let mut offset = arguments.offset.bytes();
    let mut left = arguments
        .length
        .map_or(memory.len().saturating_sub(offset), Size::bytes);
    // All of it or nothing.
    memory.check(offset, left)?;

    let mut buffer = vec![0; CHUNK.min(left)];
    let mut out = io::stdout().lock();
    while left > 0 {
        let chunk = &mut buffer[..CHUNK.min(left)];
        memory.copy_out(offset, chunk)?;
        out.write_all(chunk).map_err(|e| Failure::output(&e))?;
        offset += chunk.len();
        left -= chunk.len();
    }
    out.flush().map_err(|e| Failure::output(&e))
}
