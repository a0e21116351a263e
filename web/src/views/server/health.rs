//! Whether the daemons of a server's roles run.

use maud::{Markup, html};
use shared::role::Role;

use super::ShowModel;
use crate::paths;
use crate::views::components::badge::Tone;
use crate::views::components::button;
use crate::views::components::icon::Icon;
use crate::views::fragment::Fragment;

/// What a host says of a role that its server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Its daemons run: their names and versions.
    Well(String),
    /// They do not: what is wrong.
    Ill(String),
    /// Nothing: they are not installed.
    Missing,
}

const HEALTH: &str = "server-health";

/// The card.
pub(super) fn health(model: &ShowModel) -> Fragment {
    let html = html! {
        section.card #(HEALTH) {
            header.card-head { h2 { "Services" } }
            @if model.health.is_empty() {
                div.card-body { p.muted.small { "Nothing reported yet." } }
            } @else {
                ul.checks {
                    @for (role, health) in &model.health { (line(model, *role, health)) }
                    @if !model.php_versions.is_empty() {
                        li data-state=(Tone::Ok) {
                            (Icon::CircleCheck)
                            div { b { "PHP" } p { @for (at, version) in model.php_versions.iter().enumerate() { @if at > 0 { ", " } (version) } } }
                        }
                    }
                }
            }
        }
    };
    Fragment::new(HEALTH, html)
}

fn line(model: &ShowModel, role: Role, health: &Health) -> Markup {
    let (tone, icon, words) = match health {
        Health::Well(_) => (Tone::Ok, Icon::CircleCheck, ""),
        Health::Ill(_) => (Tone::Bad, Icon::CircleAlert, ", not working"),
        Health::Missing => (Tone::Warn, Icon::CircleAlert, ", not reported"),
    };
    html! {
        li data-state=(tone) {
            (icon)
            div {
                b { (role) (words) }
                p {
                    @match health {
                        Health::Well(summary) | Health::Ill(summary) => {
                            (summary) @if role != Role::Web { ". Watched; provisioning it is not in this version." }
                        }
                        Health::Missing => "Its packages are not installed on the host. A new installation script installs them.",
                    }
                }
            }
            @if *health == Health::Missing { (button::small_link(None, "Installation script", &paths::server_token(model.server.id))) }
        }
    }
}
