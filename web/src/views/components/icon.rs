//! Icons: Lucide's, from the one sprite.

use maud::{Markup, Render, html};

use crate::views::assets;

macro_rules! icons {
    ($($name:ident => $text:literal),+ $(,)?) => {
        /// An icon of the sprite. Decoration only: the words beside it say the same.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is named as Lucide names it")]
        pub enum Icon {
            $($name),+
        }

        impl Icon {
            /// All icons in use.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The symbol's id in the sprite.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

icons! {
    Activity => "activity",
    ArrowDown => "arrow-down",
    ArrowUp => "arrow-up",
    Ban => "ban",
    Check => "check",
    CircleAlert => "circle-alert",
    CircleCheck => "circle-check",
    CircleDashed => "circle-dashed",
    Clock => "clock",
    Copy => "copy",
    Ellipsis => "ellipsis",
    ExternalLink => "external-link",
    FileCode => "file-code",
    FolderKey => "folder-key",
    Gantry => "gantry",
    Gauge => "gauge",
    Globe => "globe",
    History => "history",
    House => "house",
    Info => "info",
    KeyRound => "key-round",
    ListChecks => "list-checks",
    LoaderCircle => "loader-circle",
    LockKeyhole => "lock-keyhole",
    LogOut => "log-out",
    Menu => "menu",
    Minus => "minus",
    Monitor => "monitor",
    MonitorSmartphone => "monitor-smartphone",
    Moon => "moon",
    PanelLeftClose => "panel-left-close",
    PanelLeftOpen => "panel-left-open",
    Pause => "pause",
    Pencil => "pencil",
    Plus => "plus",
    Power => "power",
    RefreshCw => "refresh-cw",
    RotateCw => "rotate-cw",
    ScrollText => "scroll-text",
    Search => "search",
    Server => "server",
    Sun => "sun",
    Trash => "trash-2",
    TriangleAlert => "triangle-alert",
    Undo => "undo-2",
    Unplug => "unplug",
    UserRound => "user-round",
    Users => "users",
    X => "x",
}

impl Render for Icon {
    fn render(&self) -> Markup {
        html! { svg.icon aria-hidden="true" { use href={ (assets::ICONS) "#" (self.id()) } {} } }
    }
}

impl Icon {
    /// The icon, turning for as long as its surroundings are in the state `work`.
    #[must_use]
    pub fn spinning(self) -> Markup {
        html! { svg.icon.is-spin aria-hidden="true" { use href={ (assets::ICONS) "#" (self.id()) } {} } }
    }
}
