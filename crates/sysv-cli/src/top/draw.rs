//! The screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table, TableState, Wrap};
use sysv::{Mechanism, Object, State};

use super::app::{App, View};
use super::keys::HELP;
use crate::columns::Column;
use crate::wording;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const REVERSED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// From so many columns on there is room for sentences.
const WIDE: u16 = 100;

/// No column but the last is wider than this.
const WIDEST: usize = 34;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    frame.render_widget(header(app), head);
    match app.view {
        View::Sheet(line) => frame.render_widget(sheet(&app.sheet).scroll((line, 0)), body),
        View::Help => frame.render_widget(help(), body),
        View::List | View::Search | View::Question => list(frame, app, body),
    }
    if app.view == View::Question {
        question(frame, app, body);
    }
    frame.render_widget(Paragraph::new(footer(app)).style(REVERSED), foot);
}

fn header(app: &App) -> Paragraph<'static> {
    let objects = &app.shown.objects;
    let of = |kind| objects.iter().filter(|object| object.mechanism == kind).count() as u64;
    let resident: u64 = objects.iter().map(Object::resident).sum();
    let waiting: u64 = objects.iter().map(wording::waiting).sum();
    let counted = [
        wording::counted(of(Mechanism::Segment), "segment", "segments"),
        wording::counted(of(Mechanism::SemaphoreSet), "semaphore set", "semaphore sets"),
        wording::counted(of(Mechanism::MessageQueue), "queue", "queues"),
        format!("{resident} bytes resident"),
        format!("{waiting} waiting"),
    ];
    let way = if app.reverse { ", reversed" } else { "" };
    let mut how = format!("sorted by {}{way}", app.order());
    if !app.text.is_empty() {
        how += &format!(", with \"{}\"", app.text);
    }
    if app.paused {
        how += ", standing still";
    }
    if app.shown.unseen > 0 {
        how += &format!(", {} not seen", wording::processes(app.shown.unseen as u64));
    }
    Paragraph::new(vec![
        Line::styled(format!("{}: {how}", app.location()), BOLD),
        Line::raw(counted.join(", ")),
    ])
}

/// The columns that a screen of this width has room for.
fn columns(app: &App, width: u16) -> Vec<Column> {
    let mut columns = Vec::new();
    if app.kinds.len() != 1 {
        columns.push(Column::Kind);
    }
    if width >= WIDE {
        columns.push(Column::Key);
    }
    columns.extend([Column::Id, Column::Owner]);
    if width >= 120 {
        columns.push(Column::Mode);
    }
    columns.push(Column::Size);
    if width >= 130 {
        columns.push(Column::Resident);
    }
    columns.push(Column::Processes);
    if width >= 150 {
        columns.extend([Column::LastUsed, Column::CreatedBy]);
    }
    columns.push(Column::State);
    columns
}

fn list(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let columns = columns(app, area.width);
    let now = app.shown.taken_at;
    // Of thousands only those are put into words that may be seen.
    let height = usize::from(area.height).saturating_sub(1);
    let selected = app.place();
    let first = selected.unwrap_or(0).saturating_sub(height / 2);
    let first = first.min(app.shown.objects.len().saturating_sub(height));
    let visible = app.shown.objects.iter().skip(first).take(height);
    let rows: Vec<Vec<String>> = visible
        .map(|object| {
            let cell = |column: &Column| match column {
                // What follows has no room.
                Column::State if area.width < WIDE && object.state == State::Left => object.state.to_string(),
                column => column.cell(object, now),
            };
            columns.iter().map(cell).collect()
        })
        .collect();
    let widths = columns.iter().enumerate().map(|(at, column)| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        let width = cells.chain([column.header().len()]).max().unwrap_or(0).min(WIDEST);
        match column {
            Column::State => Constraint::Min(16),
            Column::Processes => Constraint::Max(width as u16),
            _ => Constraint::Length(width as u16),
        }
    });
    let table = Table::new(
        rows.iter().map(|row| {
            Row::new(row.iter().zip(&columns).map(|(cell, column)| {
                let text = Text::raw(cell.as_str());
                if column.is_number() { text.right_aligned() } else { text }
            }))
        }),
        widths,
    )
    .header(
        Row::new(columns.iter().map(|column| {
            let text = Text::raw(column.header());
            if column.is_number() { text.right_aligned() } else { text }
        }))
        .style(BOLD),
    )
    .column_spacing(2)
    .row_highlight_style(REVERSED);
    let mut state = TableState::new().with_selected(selected.map(|selected| selected - first));
    frame.render_stateful_widget(table, area, &mut state);
    if app.shown.objects.is_empty() {
        let nothing = Rect {
            y: area.y + 1,
            height: area.height.saturating_sub(1).min(1),
            ..area
        };
        frame.render_widget(Paragraph::new("nothing"), nothing);
    }
}

/// Headings, which are written in bold, are that here, too.
fn sheet(text: &str) -> Paragraph<'_> {
    let lines = text.lines().map(|line| {
        match line
            .strip_prefix("\x1b[1m")
            .and_then(|line| line.strip_suffix("\x1b[0m"))
        {
            Some(heading) => Line::styled(heading, BOLD),
            None => Line::raw(line),
        }
    });
    Paragraph::new(lines.collect::<Vec<_>>())
}

fn help() -> Paragraph<'static> {
    let lines = HELP.iter().map(|(keys, what)| Line::raw(format!("  {keys:<16}{what}")));
    Paragraph::new(lines.collect::<Vec<_>>()).wrap(Wrap { trim: false })
}

fn question(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let text = format!("{}\n\ny removes it, any other key does not", app.question());
    let width = area.width.saturating_sub(8).min(70);
    let lines = text.lines().map(|line| {
        line.chars()
            .count()
            .div_ceil(usize::from(width).saturating_sub(4).max(1))
            .max(1)
    });
    let height = (lines.sum::<usize>() as u16 + 2).min(area.height);
    let window = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let question = Paragraph::new(text).wrap(Wrap { trim: false }).block(Block::bordered());
    frame.render_widget(Clear, window);
    frame.render_widget(question, window);
}

fn footer(app: &App) -> String {
    match (&app.view, &app.said) {
        (View::Search, _) => format!("/{}_   enter keeps it, esc forgets it", app.text),
        (View::Question, _) => "y remove   any other key keep".to_owned(),
        (View::Sheet(_), _) => "esc back   up down move   x remove   q quit".to_owned(),
        (View::Help, _) => "any key back".to_owned(),
        (View::List, Some(said)) => said.clone(),
        (View::List, None) => {
            "enter open  s sort  r reverse  / find  tab kind  x remove  space stop  ? q quit".to_owned()
        }
    }
}
