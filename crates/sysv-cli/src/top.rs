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
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::SIGTERM;
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
    // The terminal is left as it was found, also then. SIGHUP ends us at once: there is no terminal any more.
    let ended = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&ended))?;
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
        match typed(patience)? {
            Input::Nothing => {}
            Input::HungUp => return Ok(()),
            Input::Something => {
                while event::poll(Duration::ZERO)? {
                    if let Event::Key(key) = event::read()?
                        && key.kind == KeyEventKind::Press
                        && keys::press(app, key)?.is_break()
                    {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

/// What comes from the terminal.
enum Input {
    Nothing,
    Something,
    /// Nobody will ever type there again.
    HungUp,
}

/// Waits for input. The terminal library would read the end of a terminal that is gone again and again, so that it is asked
/// only if there is something to read.
fn typed(patience: Duration) -> Result<Input, Failure> {
    let terminal = stdin();
    let mut fds = [PollFd::new(&terminal, PollFlags::IN)];
    let timeout = Timespec::try_from(patience).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(0) => Ok(Input::Nothing),
        // The terminal's size has changed, or it is time to end.
        Err(Errno::INTR) => Ok(Input::Nothing),
        Ok(_) if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR) => Ok(Input::HungUp),
        Ok(_) => Ok(Input::Something),
        Err(error) => Err(error.into()),
    }
}
