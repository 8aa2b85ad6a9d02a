//! What is looked at, and how.

use sysv::{Filter, Id, Location, Mechanism, Namespace, Object, Order, ReportError, Snapshot};

use crate::{removal, show, wording};

/// So many messages of a queue are listed.
const MESSAGES: usize = 100;

/// What fills the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// The objects.
    List,
    /// The objects, while the text to look for is being typed.
    Search,
    /// Whether the selected object shall be removed.
    Question,
    /// One object, from this line of its sheet on.
    Sheet(u16),
    /// The keys.
    Help,
}

pub(super) struct App {
    namespace: Namespace,
    /// Everything, as it was when it was last looked at.
    taken: Snapshot,
    /// What of it is shown, in order.
    pub shown: Snapshot,
    pub kinds: Vec<Mechanism>,
    order: usize,
    pub reverse: bool,
    pub text: String,
    pub paused: bool,
    pub view: View,
    /// What is selected keeps being so, wherever it moves.
    selected: Option<(Mechanism, Id)>,
    /// Its place, which is kept when it goes.
    place: usize,
    /// The selected object's sheet.
    pub sheet: String,
    /// What was done last, or why not.
    pub said: Option<String>,
}

impl App {
    pub(super) fn new(namespace: Namespace, kinds: Vec<Mechanism>, order: Order) -> App {
        let nothing = Snapshot::empty(namespace.location().clone());
        App {
            namespace,
            shown: nothing.clone(),
            taken: nothing,
            kinds,
            order: Order::ALL.iter().position(|&other| other == order).unwrap_or(0),
            reverse: false,
            text: String::new(),
            paused: false,
            view: View::List,
            selected: None,
            place: 0,
            sheet: String::new(),
            said: None,
        }
    }

    pub(super) fn location(&self) -> &Location {
        self.namespace.location()
    }

    pub(super) fn order(&self) -> &'static str {
        Order::NAMES[self.order]
    }

    /// Looks again, unless it is to stand still.
    pub(super) fn refresh(&mut self) -> Result<(), ReportError> {
        if !self.paused {
            self.look()?;
        }
        Ok(())
    }

    /// Looks again.
    pub(super) fn look(&mut self) -> Result<(), ReportError> {
        self.taken = self.namespace.snapshot(&Mechanism::ALL)?;
        self.arrange();
        Ok(())
    }

    /// Chooses and sorts what is shown.
    pub(super) fn arrange(&mut self) {
        let filter = Filter {
            mechanisms: self.kinds.clone(),
            text: Some(self.text.clone()).filter(|text| !text.is_empty()),
            ..Filter::default()
        };
        self.shown = self.taken.clone();
        let now = self.shown.taken_at;
        self.shown.objects.retain(|object| filter.admits(object, now));
        Order::ALL[self.order].sort(&mut self.shown.objects);
        if self.reverse {
            self.shown.objects.reverse();
        }
        let named = |object: &Object| (object.mechanism, object.id);
        let found = self
            .shown
            .objects
            .iter()
            .position(|object| Some(named(object)) == self.selected);
        self.select(found.unwrap_or(self.place));
        if matches!(self.view, View::Sheet(_)) {
            self.open_sheet();
        }
    }

    /// The selected object's place.
    pub(super) fn place(&self) -> Option<usize> {
        (!self.shown.objects.is_empty()).then_some(self.place)
    }

    pub(super) fn selected(&self) -> Option<&Object> {
        self.shown.objects.get(self.place()?)
    }

    /// Selects the object at this place, or the last.
    pub(super) fn select(&mut self, place: usize) {
        self.place = place.min(self.shown.objects.len().saturating_sub(1));
        self.selected = self.selected().map(|object| (object.mechanism, object.id));
    }

    pub(super) fn select_by(&mut self, steps: isize) {
        self.select(self.place.saturating_add_signed(steps));
    }

    /// Sorts by the next column.
    pub(super) fn sort_by_next(&mut self) {
        self.order = (self.order + 1) % Order::ALL.len();
        self.arrange();
    }

    /// Shows the next kind alone; after the last, all.
    pub(super) fn show_next_kind(&mut self) {
        let next = match self.kinds.as_slice() {
            [only] => Mechanism::ALL
                .iter()
                .position(|kind| kind == only)
                .map_or(0, |at| at + 1),
            _ => 0,
        };
        self.kinds = match Mechanism::ALL.get(next) {
            Some(&kind) => vec![kind],
            None => Mechanism::ALL.to_vec(),
        };
        self.arrange();
    }

    /// Opens the selected object. One that is gone is closed.
    pub(super) fn open_sheet(&mut self) {
        let line = match self.view {
            View::Sheet(line) => line,
            _ => 0,
        };
        (self.view, self.sheet) = match self.selected() {
            Some(object) => (
                View::Sheet(line),
                show::page(&self.namespace, &self.shown, object, MESSAGES),
            ),
            None => (View::List, String::new()),
        };
    }

    /// Asks whether the selected object shall be removed.
    pub(super) fn ask(&mut self) {
        if self.selected().is_some() {
            self.view = View::Question;
        }
    }

    /// The question.
    pub(super) fn question(&self) -> String {
        let Some(object) = self.selected() else {
            return String::new();
        };
        let users = match object.is_in_use() {
            true => format!(", in use by {}", wording::parties(object, 2)),
            false => String::new(),
        };
        format!("Remove {}{users}?", wording::title(object))
    }

    /// Removes the selected object.
    pub(super) fn remove(&mut self) -> Result<(), ReportError> {
        if let Some(object) = self.selected() {
            self.said = Some(match removal::remove(&self.namespace, object) {
                Ok(()) => format!("removed {}", wording::title(object)),
                Err(error) => error.to_string(),
            });
        }
        self.view = View::List;
        self.look()
    }
}
