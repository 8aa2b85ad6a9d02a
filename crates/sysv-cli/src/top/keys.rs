//! What the keys do.

use std::ops::ControlFlow;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use sysv::ReportError;

use super::app::{App, View};

/// A screenful, near enough.
const PAGE: isize = 10;

/// Every key, and what it does.
pub(super) const HELP: [(&str, &str); 13] = [
    ("up, down, k, j", "select an object; page up, page down, home, end"),
    ("enter", "open the selected object; up and down move in it"),
    ("esc", "back; forget the text looked for"),
    ("s", "sort by the next column"),
    ("r", "the other way round"),
    (
        "/",
        "show only objects with this text in key, identifier, or a process's name",
    ),
    ("tab", "show segments, semaphore sets or queues alone, or all"),
    ("x, delete", "remove the selected object, after a question"),
    ("space", "stand still; go on"),
    ("g", "look again now"),
    ("?", "this page"),
    ("q, ctrl-c", "end"),
    ("", "State: see `sysv ls --help`"),
];

/// Does what a key says; breaks at the end.
pub(super) fn press(app: &mut App, key: KeyEvent) -> Result<ControlFlow<()>, ReportError> {
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return Ok(ControlFlow::Break(()));
    }
    match app.view {
        View::Search => search(app, key.code),
        View::Question => {
            app.view = View::List;
            if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                app.remove()?;
            }
        }
        View::Help => app.view = View::List,
        View::Sheet(line) => match key.code {
            KeyCode::Char('q') => return Ok(ControlFlow::Break(())),
            KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace | KeyCode::Left => app.view = View::List,
            KeyCode::Char('x') | KeyCode::Delete => app.ask(),
            code => {
                if let Some(steps) = steps(code) {
                    let last = app.sheet.lines().count().saturating_sub(1);
                    let line = usize::from(line).saturating_add_signed(steps).min(last);
                    app.view = View::Sheet(line.try_into().unwrap_or(u16::MAX));
                }
            }
        },
        View::List => return list(app, key.code),
    }
    Ok(ControlFlow::Continue(()))
}

fn list(app: &mut App, code: KeyCode) -> Result<ControlFlow<()>, ReportError> {
    app.said = None;
    match code {
        KeyCode::Char('q') => return Ok(ControlFlow::Break(())),
        KeyCode::Char('?' | 'h') => app.view = View::Help,
        KeyCode::Char('s') => app.sort_by_next(),
        KeyCode::Char('r') => {
            app.reverse = !app.reverse;
            app.arrange();
        }
        KeyCode::Char('/') => app.view = View::Search,
        KeyCode::Char('x') | KeyCode::Delete => app.ask(),
        KeyCode::Char(' ') => app.paused = !app.paused,
        KeyCode::Char('g') => app.look()?,
        KeyCode::Tab => app.show_next_kind(),
        KeyCode::Enter | KeyCode::Right => app.open_sheet(),
        KeyCode::Esc => {
            app.text.clear();
            app.arrange();
        }
        code => {
            if let Some(steps) = steps(code) {
                app.select_by(steps);
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn search(app: &mut App, code: KeyCode) {
    match code {
        KeyCode::Enter => app.view = View::List,
        KeyCode::Esc => {
            app.text.clear();
            app.view = View::List;
        }
        KeyCode::Backspace => {
            app.text.pop();
        }
        KeyCode::Char(typed) => app.text.push(typed),
        _ => {}
    }
    app.arrange();
}

/// By how many lines a key moves.
fn steps(code: KeyCode) -> Option<isize> {
    Some(match code {
        KeyCode::Up | KeyCode::Char('k') => -1,
        KeyCode::Down | KeyCode::Char('j') => 1,
        KeyCode::PageUp => -PAGE,
        KeyCode::PageDown => PAGE,
        KeyCode::Home => isize::MIN,
        KeyCode::End => isize::MAX,
        _ => return None,
    })
}
