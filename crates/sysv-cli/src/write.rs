//! `sysv write`: standard input, into a segment or to a queue.

use std::io::{self, Read};

use clap::Args;
use sysv::{Mechanism, Message, MessageQueue, Segment};

use crate::duration::Span;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::read::CHUNK;
use crate::size::Size;
use crate::target::{Target, Which};

/// Write standard input into a segment, or send it to a queue as a message
///
/// Other processes see a segment's bytes as they arrive. Input that reaches beyond the segment is an error; what fits has
/// been written then. To a queue all of the input is sent as one message; if there is no room for it, the command waits, or
/// as long as --timeout says.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo hello | sysv write 49152
  echo stop | sysv write --queue 32768 --type 5")]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,

    /// Begin at this byte of a segment
    #[arg(long, short, value_name = "N", default_value = "0")]
    offset: Size,

    /// At most so many bytes of the input [default: all]
    #[arg(long, short, value_name = "N")]
    length: Option<Size>,

    /// The message's type [default: 1]
    #[arg(long = "type", value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    kind: Option<i64>,

    /// Wait no longer than this for room in the queue
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,

    #[command(flatten)]
    target: Target,
}

pub(crate) fn write(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let (_, object) = arguments.which.find(&namespace)?;
    match object.mechanism {
        Mechanism::Segment => write_segment(arguments, &Segment::from_id(&namespace, object.id)),
        Mechanism::MessageQueue => send(arguments, &MessageQueue::from_id(&namespace, object.id)),
        Mechanism::SemaphoreSet => Err(Failure::new(
            "a semaphore set has no bytes to write; `sysv set --value` sets a semaphore's value",
        )),
    }
}

fn send(arguments: &Arguments, queue: &MessageQueue) -> Result<(), Failure> {
    if arguments.offset != Size(0) {
        return Err(Failure::new("--offset is for segments, and this is a queue"));
    }
    // One byte more than fits is as much too long as any number, and says so.
    let most = queue.namespace().limits()?.msgmax.saturating_add(1);
    let most = arguments.length.map_or(most, |length| length.0.min(most));
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::new(format_args!("cannot read standard input: {e}")))?;
    let message = Message::new(arguments.kind.unwrap_or(1), &bytes);
    match arguments.timeout {
        None => queue.send(&message)?,
        Some(Span(timeout)) if timeout.is_zero() => queue.try_send(&message)?,
        Some(Span(timeout)) => queue.send_timeout(&message, timeout)?,
    }
    Ok(())
}

fn write_segment(arguments: &Arguments, segment: &Segment) -> Result<(), Failure> {
    if arguments.kind.is_some() || arguments.timeout.is_some() {
        return Err(Failure::new(
            "--type and --timeout are for queues, and this is a segment",
        ));
    }
    let memory = segment.attach()?;
    let mut offset = arguments.offset.bytes();
    memory.check(offset, 0)?;

    let mut input = io::stdin().lock().take(arguments.length.map_or(u64::MAX, |l| l.0));
    let mut buffer = vec![0; CHUNK];
    let mut progress = Progress::of("bytes written", None);
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
        progress.advance(fits as u64);
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
