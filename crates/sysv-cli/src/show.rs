//! `sysv show`: everything about one object.

mod hex;
mod sheet;

use clap::Args;
use serde::Serialize;
use sysv::{Mechanism, MessageQueue, Namespace, Object, ReportError, Segment, Snapshot, WaitingMessage};

use crate::described::{Described, SCHEMA, place};
use crate::failure::Failure;
use crate::size::Size;
use crate::target::{Target, Which};
use crate::{ls, output};

/// Show everything about one object: who has it in use and how, and what is in it
///
/// Of a segment each attachment, of a semaphore set each semaphore with its value and those who wait for it or will change
/// it when they end, of a queue those who wait and the messages, which stay in it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sysv show 49152
  sysv show --key 0x1234 --semaphore
  sysv show 49152 --hex --offset 4K --length 64
  sysv show 32768 --queue --hex --message 0")]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,

    /// Also show bytes: of a segment, or of the queue's message that --message names
    #[arg(long)]
    hex: bool,

    /// The message at this place in a queue, from 0
    #[arg(
        long,
        value_name = "N",
        requires = "hex",
        default_value = "0",
        hide_default_value = true
    )]
    message: usize,

    /// Begin at this byte
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        requires = "hex",
        hide_default_value = true
    )]
    offset: Size,

    /// So many bytes
    #[arg(long, short, value_name = "N", default_value = "256", requires = "hex")]
    length: Size,

    /// Show at most so many messages of a queue
    #[arg(long, value_name = "N", default_value = "20")]
    messages: usize,

    #[command(flatten)]
    target: Target,

    /// Print JSON, as docs/json.md describes it
    #[arg(long, conflicts_with = "hex")]
    json: bool,
}

pub(crate) fn show(arguments: &Arguments) -> Result<(), Failure> {
    let namespace = arguments.target.namespace()?;
    let (snapshot, object) = arguments.which.find(&namespace)?;
    if arguments.json {
        let messages = messages(&namespace, &object, arguments.messages);
        // Whoever may not look into a queue sees that it is there.
        let messages = messages.map(|messages| messages.map_or_else(|_| None, |m| Some(Message::all(&m))));
        return output::print_json(&Shown {
            schema: SCHEMA,
            namespace: place(&snapshot.location),
            object: Described::new(&object),
            waiting_messages: messages.flatten(),
        });
    }
    let mut text = page(&namespace, &snapshot, &object, arguments.messages);
    if arguments.hex {
        text += &format!("\n{}", view(arguments, &namespace, &object)?);
    }
    output::print(text)
}

/// Everything about an object of a snapshot, with at most so many messages.
pub(crate) fn page(namespace: &Namespace, snapshot: &Snapshot, object: &Object, most: usize) -> String {
    let messages = match messages(namespace, object, most) {
        Some(Ok(messages)) => sheet::messages(object, &messages),
        Some(Err(error)) => format!("\n{error}\n"),
        None => String::new(),
    };
    [
        sheet::sheet(object, snapshot),
        sheet::lists(object),
        messages,
        ls::unseen(snapshot),
    ]
    .concat()
}

/// The messages that wait in it, if it is a queue.
fn messages(namespace: &Namespace, object: &Object, most: usize) -> Option<Result<Vec<WaitingMessage>, ReportError>> {
    let queue = MessageQueue::from_id(namespace, object.id);
    (object.mechanism == Mechanism::MessageQueue).then(|| queue.waiting_messages(most))
}

/// The bytes that are asked for.
fn view(arguments: &Arguments, namespace: &Namespace, object: &Object) -> Result<String, Failure> {
    let (offset, length) = (arguments.offset.bytes(), arguments.length.bytes());
    match object.mechanism {
        Mechanism::Segment => {
            let memory = Segment::from_id(namespace, object.id).attach_read_only()?;
            memory.check(offset, 0)?;
            let mut bytes = vec![0; length.min(memory.len() - offset)];
            memory.copy_out(offset, &mut bytes)?;
            Ok(hex::view(&bytes, offset))
        }
        Mechanism::MessageQueue => {
            let position = arguments.message;
            let queue = MessageQueue::from_id(namespace, object.id);
            let Some(message) = queue.peek(position)? else {
                return Err(Failure::new(format_args!(
                    "{} has no message at place {position}",
                    object.name()
                )));
            };
            let bytes = message.bytes();
            let rest = bytes
                .get(offset..)
                .ok_or_else(|| Failure::new(format_args!("the message has {} bytes, none at {offset}", bytes.len())))?;
            Ok(hex::view(&rest[..length.min(rest.len())], offset))
        }
        Mechanism::SemaphoreSet => Err(Failure::new("a semaphore set has no bytes to show")),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'o> {
    schema: u32,
    namespace: Option<String>,
    #[serde(flatten)]
    object: Described<'o>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_messages: Option<Vec<Message>>,
}

/// A message.
#[derive(Serialize)]
struct Message {
    position: usize,
    #[serde(rename = "type")]
    kind: i64,
    size: u64,
    sent_at: Option<u64>,
    sender: Option<u32>,
}

impl Message {
    fn all(messages: &[WaitingMessage]) -> Vec<Message> {
        let message = |message: &WaitingMessage| Message {
            position: message.position,
            kind: message.kind,
            size: message.size,
            sent_at: message.sent_at.map(output::seconds),
            sender: message.sender.as_ref().map(|sender| sender.pid),
        };
        messages.iter().map(message).collect()
    }
}
