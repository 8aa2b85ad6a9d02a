//! `sysv read`: a segment's bytes or a message, to standard output.

use std::io::{self, Write};

use clap::Args;
use sysv::{Mechanism, MessageQueue, Segment, Selection};

use crate::duration::Span;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::size::Size;
use crate::target::{Target, Which};

/// Write a segment's bytes, or a message of a queue, to standard output
///
/// Other processes may write to a segment meanwhile; nothing stops those. From a queue one message is received, which then is
/// gone from it, unless --keep is given; if there is none, the command waits for one, or as long as --timeout says.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 if it was written, 1 if not: also if there is no message to be had.

Examples:
  sysv read 49152 --offset 16 --length 64
  sysv read --queue 32768 --type 5 --timeout 0
  sysv read --queue 32768 --keep            the first message, which stays in the queue")]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,

    /// Begin at this byte of a segment
    #[arg(long, short, value_name = "N", default_value = "0")]
    offset: Size,

    /// So many bytes of a segment [default: up to its end]
    #[arg(long, short, value_name = "N")]
    length: Option<Size>,

    /// The first message of this type, or if the number is negative of the lowest type up to it [default: the first of all]
    #[arg(long = "type", value_name = "N", allow_hyphen_values = true, conflicts_with = "keep")]
    kind: Option<i64>,

    /// Leave the message in its queue
    #[arg(long)]
    keep: bool,

    /// With --keep: the message at this place, from 0
    #[arg(
        long,
        value_name = "N",
        requires = "keep",
        default_value = "0",
        hide_default_value = true
    )]
    message: usize,

    /// Wait no longer than this for a message
    #[arg(long, value_name = "TIME", conflicts_with = "keep")]
    timeout: Option<Span>,

    #[command(flatten)]
    target: Target,
}

/// Bytes that are copied at a time.
pub(crate) const CHUNK: usize = 64 << 10;

pub(crate) fn read(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let (_, object) = arguments.which.find(&namespace)?;
    match object.mechanism {
        Mechanism::Segment => read_segment(arguments, &Segment::from_id(&namespace, object.id)),
        Mechanism::MessageQueue => read_message(arguments, &MessageQueue::from_id(&namespace, object.id)),
        Mechanism::SemaphoreSet => Err(Failure::new(
            "a semaphore set has no bytes to read; `sysv show` shows its values",
        )),
    }
}

fn read_segment(arguments: &Arguments, segment: &Segment) -> Result<(), Failure> {
    if arguments.keep || arguments.kind.is_some() || arguments.timeout.is_some() {
        return Err(Failure::new(
            "--type, --keep and --timeout are for queues, and this is a segment",
        ));
    }
    let memory = segment.attach_read_only()?;
    let mut offset = arguments.offset.bytes();
    let mut left = arguments
        .length
        .map_or(memory.len().saturating_sub(offset), Size::bytes);
    // All of it or nothing.
    memory.check(offset, left)?;

    let mut progress = Progress::new("bytes read", left as u64);
    let mut buffer = vec![0; CHUNK.min(left)];
    let mut out = io::stdout().lock();
    while left > 0 {
        let chunk = &mut buffer[..CHUNK.min(left)];
        memory.copy_out(offset, chunk)?;
        out.write_all(chunk).map_err(|e| Failure::output(&e))?;
        offset += chunk.len();
        left -= chunk.len();
        progress.advance(chunk.len() as u64);
    }
    out.flush().map_err(|e| Failure::output(&e))
}

fn read_message(arguments: &Arguments, queue: &MessageQueue) -> Result<(), Failure> {
    if arguments.length.is_some() || arguments.offset != Size(0) {
        return Err(Failure::new(
            "--offset and --length are for segments: a message is read whole",
        ));
    }
    let message = if arguments.keep {
        let position = arguments.message;
        queue
            .peek(position)?
            .ok_or_else(|| Failure::new(format_args!("the queue has no message at place {position}")))?
    } else {
        let selection = match arguments.kind.unwrap_or(0) {
            0 => Selection::Any,
            kind @ 1.. => Selection::Exactly(kind),
            kind => Selection::AtMost(kind.checked_neg().unwrap_or(i64::MAX)),
        };
        match arguments.timeout {
            None => queue.receive(selection)?,
            Some(Span(timeout)) if timeout.is_zero() => queue.try_receive(selection)?,
            Some(Span(timeout)) => queue.receive_timeout(selection, timeout)?,
        }
    };
    output::print(message.bytes())
}
