//! State as a badge: an icon and a word, never a colour alone.

use maud::{Markup, Render, html};
use shared::events::StepState;
use shared::operation::{JobState, OperationState, ResourceState};

use super::icon::Icon;

/// The five meanings of colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Works.
    Ok,
    /// Under way.
    Work,
    /// Wants attention, or waits.
    Warn,
    /// Broken.
    Bad,
    /// Inactive.
    Off,
}

impl Tone {
    /// The value of `data-state`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Work => "work",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Off => "off",
        }
    }
}

impl Render for Tone {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(self.as_str());
    }
}

/// A badge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Badge {
    /// Its meaning.
    pub tone: Tone,
    /// Its icon.
    pub icon: Icon,
    /// Its word.
    pub label: &'static str,
}

impl Render for Badge {
    fn render(&self) -> Markup {
        html! {
            span.badge data-state=(self.tone) {
                @if self.tone == Tone::Work { (self.icon.spinning()) } @else { (self.icon) }
                (self.label)
            }
        }
    }
}

const fn badge(tone: Tone, icon: Icon, label: &'static str) -> Badge {
    Badge { tone, icon, label }
}

/// Work that waits, for a server or for its turn.
pub const WAITING: Badge = badge(Tone::Warn, Icon::Clock, "Waiting");
/// Something on its server is other than it was applied.
pub const DRIFTED: Badge = badge(Tone::Warn, Icon::TriangleAlert, "Drifted");
/// A server that answers.
pub const ONLINE: Badge = badge(Tone::Ok, Icon::Check, "Online");
/// A server that does not.
pub const OFFLINE: Badge = badge(Tone::Bad, Icon::Unplug, "Offline");
/// A server whose worker an admin has shut out.
pub const SHUT_OUT: Badge = badge(Tone::Bad, Icon::Unplug, "Shut out");
/// A server whose worker has not called yet.
pub const WAITING_TO_ENROL: Badge = badge(Tone::Warn, Icon::Clock, "Waiting to enrol");

/// The badge of an account, site or pool.
#[must_use]
pub const fn resource(state: ResourceState) -> Badge {
    match state {
        ResourceState::Provisioning => badge(Tone::Work, Icon::LoaderCircle, "Provisioning"),
        ResourceState::Active => badge(Tone::Ok, Icon::Check, "Active"),
        ResourceState::Updating => badge(Tone::Work, Icon::RefreshCw, "Updating"),
        ResourceState::Suspended => badge(Tone::Off, Icon::Pause, "Suspended"),
        ResourceState::Deleting => badge(Tone::Off, Icon::Trash, "Deleting"),
        ResourceState::Failed => badge(Tone::Bad, Icon::X, "Failed"),
        ResourceState::Deleted => badge(Tone::Off, Icon::Trash, "Deleted"),
    }
}

/// The badge of a request.
#[must_use]
pub const fn operation(state: OperationState) -> Badge {
    match state {
        OperationState::Waiting => WAITING,
        OperationState::Working => badge(Tone::Work, Icon::LoaderCircle, "Working"),
        OperationState::Succeeded => badge(Tone::Ok, Icon::Check, "Succeeded"),
        OperationState::Failed => badge(Tone::Bad, Icon::X, "Failed"),
        OperationState::Superseded => badge(Tone::Off, Icon::Minus, "Superseded"),
        OperationState::Cancelled => badge(Tone::Off, Icon::Ban, "Cancelled"),
    }
}

/// The badge of a job.
#[must_use]
pub const fn job(state: JobState) -> Badge {
    match state {
        JobState::Queued => badge(Tone::Warn, Icon::Clock, "Queued"),
        JobState::Sent => badge(Tone::Work, Icon::LoaderCircle, "Sent"),
        JobState::Working => badge(Tone::Work, Icon::LoaderCircle, "Working"),
        JobState::Blocked => badge(Tone::Warn, Icon::Clock, "Blocked"),
        JobState::Done => badge(Tone::Ok, Icon::Check, "Done"),
        JobState::Failed => badge(Tone::Bad, Icon::X, "Failed"),
        JobState::Superseded => badge(Tone::Off, Icon::Minus, "Superseded"),
        JobState::Cancelled => badge(Tone::Off, Icon::Ban, "Cancelled"),
    }
}

/// What a step's state looks like: `data-state`, icon, and the word read aloud.
#[must_use]
pub const fn step(state: StepState) -> (&'static str, Icon, &'static str) {
    match state {
        StepState::Waiting => ("wait", Icon::CircleDashed, "not started"),
        StepState::Running => ("work", Icon::LoaderCircle, "running"),
        StepState::Done => ("ok", Icon::Check, "done"),
        StepState::Failed => ("bad", Icon::X, "failed"),
        StepState::Undone => ("warn", Icon::Undo, "undone"),
    }
}
