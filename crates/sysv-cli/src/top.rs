//! `sysv top`: a facility on the whole screen, as it changes.

mod app;
mod draw;
mod keys;

use std::io::{IsTerminal, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGTERM};
use sysv::Order;

use crate::duration::Span;
use crate::failure::Failure;
use crate::selection::Kinds;
use crate::target::Target;
use app::App;

/// Look at every object on the whole screen, sort and filter them, open one, remove one
///
/// What is shown is taken anew every two seconds. The keys stand in the last line; `?` shows all of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sysv top
  sysv top --kernel --sort resident
  sysv top --semaphores --interval 1")]
pub(crate) struct Arguments {
    #[command(flatten)]
    kinds: Kinds,

    /// Sort by this at first: kind, key, id, owner, size, resident, processes, used or state
    #[arg(long, value_name = "COLUMN", default_value = "kind", hide_default_value = true)]
    sort: Order,

    /// Look again after this time, as in 2s
    #[arg(long, short, value_name = "TIME", default_value = "2s")]
    interval: Span,

    #[command(flatten)]
    target: Target,
}

/// How often to look whether a signal wants us to end.
const TICK: Duration = Duration::from_millis(250);

pub(crate) fn top(arguments: &Arguments) -> Result<(), Failure> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err(Failure::new(
            "this is no terminal; `sysv ls --watch` writes to anything",
        ));
    }
    let mut app = App::new(arguments.target.namespace()?, arguments.kinds.wanted(), arguments.sort);
    // The terminal is left as it was found, also then.
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let mut terminal = ratatui::try_init()?;
    let result = show(&mut terminal, &mut app, arguments.interval.0, &ended);
    ratatui::restore();
    result
}

fn show(terminal: &mut DefaultTerminal, app: &mut App, interval: Duration, ended: &AtomicBool) -> Result<(), Failure> {
    let interval = interval.max(Duration::from_millis(100));
    let mut due = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        if Instant::now() >= due {
            app.refresh()?;
            due = Instant::now() + interval;
        }
        terminal.draw(|frame| draw::draw(frame, app))?;
        let patience = due.saturating_duration_since(Instant::now()).min(TICK);
        if event::poll(patience)?
            && let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
            && keys::press(app, key)?.is_break()
        {
            return Ok(());
        }
    }
    Ok(())
}
