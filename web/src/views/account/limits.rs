//! What an account may use of its server.

use maud::{Markup, html};
use shared::ids::AccountId;
use shared::jobs::AccountLimits;
use shared::names::LinuxUser;

use crate::paths;
use crate::views::components::button::{self, Weight};
use crate::views::components::form_field::Field;
use crate::views::components::note;
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::Errors;
use crate::views::preview::{self, PreviewModel};

/// What is typed. Empty means no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsForm {
    /// `cpu_percent`: percent of one core.
    pub cpu_percent: String,
    /// `memory_mib`: MiB.
    pub memory_mib: String,
    /// `tasks`: processes and threads.
    pub tasks: String,
}

impl LimitsForm {
    /// The fields' names.
    pub const FIELDS: [&'static str; 3] = ["cpu_percent", "memory_mib", "tasks"];
}

impl From<AccountLimits> for LimitsForm {
    fn from(limits: AccountLimits) -> Self {
        let text = |limit: Option<u32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        Self { cpu_percent: text(limits.cpu_percent), memory_mib: text(limits.memory_mib), tasks: text(limits.tasks) }
    }
}

/// The page's model.
#[derive(Debug, Clone)]
pub struct LimitsModel {
    /// The account.
    pub id: AccountId,
    /// Its Linux user.
    pub user: LinuxUser,
    /// What was typed, or the limits.
    pub form: LimitsForm,
    /// What was wrong.
    pub errors: Errors,
    /// What it would change, if that was asked.
    pub preview: Option<PreviewModel>,
}

/// The page.
#[must_use]
pub fn limits_page(viewer: &Viewer, model: &LimitsModel) -> Markup {
    let line = html! { "What PHP and everything else of this account may use together, so that no account slows another." };
    let body = html! {
        (layout::page_head(&html! { "Limits of " (model.user) }, &line, &layout::nothing()))
        form.card method="post" action=(paths::account_limits(model.id)) {
            div.card-body.form { (note::form_errors(&model.errors)) (limit_fields(&model.form, &model.errors)) }
            footer.card-foot {
                (button::submit(Weight::Primary, "Save changes"))
                (button::submit_to("Preview", &paths::preview_of(&paths::account_limits(model.id))))
                (button::link(Weight::Normal, None, "Cancel", &paths::account(model.id)))
                (note::form_summary(&model.errors))
            }
        }
        @if let Some(shown) = &model.preview { (preview::card(shown)) }
    };
    let page =
        Page::new("Limits", Nav::Accounts, body).below("Accounts", paths::ACCOUNTS).below(model.user.as_str(), paths::account(model.id));
    layout::page(viewer, &page)
}

/// The three fields, for this page and for a new account.
#[must_use]
pub(super) fn limit_fields(form: &LimitsForm, errors: &Errors) -> Markup {
    html! {
        div.fields {
            (Field::number("cpu_percent", "Processor").value(&form.cpu_percent).unit("%").optional().error(errors.get("cpu_percent"))
                .help("Percent of one core: 200 is two cores. Empty means no limit."))
            (Field::number("memory_mib", "Memory").value(&form.memory_mib).unit("MB").optional().error(errors.get("memory_mib"))
                .help("Empty means no limit."))
            (Field::number("tasks", "Processes").value(&form.tasks).unit("processes").optional().error(errors.get("tasks"))
                .help("Processes and threads at once. Empty means no limit."))
        }
    }
}

/// The limits in words.
#[must_use]
pub(super) fn limit_text(limits: AccountLimits) -> [(&'static str, Markup); 3] {
    let text = |limit: Option<u32>, unit: &str| match limit {
        Some(limit) => html! { (limit) " " (unit) },
        None => html! { "No limit" },
    };
    [
        ("Processor", text(limits.cpu_percent, "% of a core")),
        ("Memory", text(limits.memory_mib, "MB")),
        ("Processes", text(limits.tasks, "at once")),
    ]
}
