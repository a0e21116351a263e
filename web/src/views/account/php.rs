//! PHP settings of an account for one version. All of its sites with this version share them.

use maud::{Markup, html};
use shared::ids::AccountId;
use shared::jobs::{PhpSettings, ProcessManager};
use shared::names::{DomainName, LinuxUser, PhpVersion};

use crate::paths;
use crate::views::components::button::{self, Weight};
use crate::views::components::choice::{Choice, ChoiceField, Look};
use crate::views::components::form_field::Field;
use crate::views::components::{note, stat};
use crate::views::layout::{self, Nav, Page, Viewer};
use crate::views::model::{Errors, Failure, FormKey};
use crate::views::preview::{self, PreviewModel};

/// What is typed; each field has the name of the setting. `pm` is `ondemand`, `dynamic` or `static`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in PhpSettings and ProcessManager, with their ranges and units")]
pub struct PhpForm {
    pub memory_limit_mib: String,
    pub max_execution_time_s: String,
    pub max_input_time_s: String,
    pub max_input_vars: String,
    pub post_max_size_mib: String,
    pub upload_max_filesize_mib: String,
    pub pm: String,
    pub max_children: String,
    pub max_requests: String,
    pub idle_timeout_s: String,
    pub start_servers: String,
    pub min_spare: String,
    pub max_spare: String,
}

impl From<&PhpSettings> for PhpForm {
    /// Fields of another process manager get sensible values, so that changing over needs no thinking.
    fn from(settings: &PhpSettings) -> Self {
        let mut form = Self {
            memory_limit_mib: settings.memory_limit_mib.to_string(),
            max_execution_time_s: settings.max_execution_time_s.to_string(),
            max_input_time_s: settings.max_input_time_s.to_string(),
            max_input_vars: settings.max_input_vars.to_string(),
            post_max_size_mib: settings.post_max_size_mib.to_string(),
            upload_max_filesize_mib: settings.upload_max_filesize_mib.to_string(),
            idle_timeout_s: "600".to_owned(),
            start_servers: "2".to_owned(),
            min_spare: "1".to_owned(),
            max_spare: "3".to_owned(),
            ..Self::default()
        };
        form.fill_process_manager(&settings.process_manager);
        form
    }
}

impl PhpForm {
    fn fill_process_manager(&mut self, manager: &ProcessManager) {
        let (pm, children, requests) = match *manager {
            ProcessManager::Ondemand { max_children, idle_timeout_s, max_requests } => {
                self.idle_timeout_s = idle_timeout_s.to_string();
                ("ondemand", max_children, max_requests)
            }
            ProcessManager::Static { max_children, max_requests } => ("static", max_children, max_requests),
            ProcessManager::Dynamic { max_children, start_servers, min_spare, max_spare, max_requests } => {
                self.start_servers = start_servers.to_string();
                self.min_spare = min_spare.to_string();
                self.max_spare = max_spare.to_string();
                ("dynamic", max_children, max_requests)
            }
        };
        pm.clone_into(&mut self.pm);
        self.max_children = children.to_string();
        self.max_requests = requests.to_string();
    }
}

/// The page's model.
#[derive(Debug, Clone)]
pub struct PhpModel {
    /// The account.
    pub id: AccountId,
    /// Its Linux user.
    pub user: LinuxUser,
    /// The PHP version.
    pub version: PhpVersion,
    /// The sites that use it.
    pub sites: Vec<DomainName>,
    /// What was typed, or the settings.
    pub form: PhpForm,
    /// Makes a repeated post the same request.
    pub key: FormKey,
    /// What was wrong.
    pub errors: Errors,
    /// Why the last change failed.
    pub failure: Option<Failure>,
    /// What it would change, if that was asked.
    pub preview: Option<PreviewModel>,
}

/// The page.
#[must_use]
pub fn php_page(viewer: &Viewer, model: &PhpModel) -> Markup {
    let title = format!("PHP {}", model.version);
    let sites = stat::counted(model.sites.len() as u64, "site uses", "sites use");
    let names: Vec<String> = model.sites.iter().map(DomainName::to_unicode).collect();
    let line = html! { "For " (model.user) ": " (sites) " these settings" @if !names.is_empty() { " (" (names.join(", ")) ")" } "." };
    let body = html! {
        (layout::page_head(&html! { (title) }, &line, &layout::nothing()))
        @if let Some(failure) = &model.failure { (note::failure(failure)) }
        form.card.php-form method="post" action=(paths::account_php(model.id, model.version)) {
            (model.key)
            header.card-head { h2 { "Settings" } small { "Applied at once, put back if PHP does not accept them" } }
            div.card-body.form { (note::form_errors(&model.errors)) (limits(model)) hr; (workers(model)) }
            footer.card-foot {
                (button::submit(Weight::Primary, "Save changes"))
                (button::submit_to("Preview", &paths::preview_of(&paths::account_php(model.id, model.version))))
                (button::link(Weight::Normal, None, "Cancel", &paths::account(model.id)))
                (note::form_summary(&model.errors))
            }
        }
        @if let Some(shown) = &model.preview { (preview::card(shown)) }
    };
    let page =
        Page::new(title, Nav::Accounts, body).below("Accounts", paths::ACCOUNTS).below(model.user.as_str(), paths::account(model.id));
    layout::page(viewer, &page)
}

struct Setting<'a> {
    name: &'a str,
    label: &'a str,
    unit: &'a str,
    help: &'a str,
    value: &'a str,
}

fn number(setting: &Setting<'_>, errors: &Errors) -> Markup {
    html! {
        (Field::number(setting.name, setting.label).value(setting.value).unit(setting.unit).help(setting.help).required()
            .error(errors.get(setting.name)))
    }
}

fn limits(model: &PhpModel) -> Markup {
    let form = &model.form;
    let set = |name, label, unit, help, value| Setting { name, label, unit, help, value };
    let settings = [
        set("memory_limit_mib", "Memory limit", "MB", "32 to 1024. Per request.", form.memory_limit_mib.as_str()),
        set("max_execution_time_s", "Longest run", "s", "1 to 3600. Then the request is stopped.", &form.max_execution_time_s),
        set("max_input_time_s", "Longest upload time", "s", "1 to 3600. For reading what a visitor sends.", &form.max_input_time_s),
        set("upload_max_filesize_mib", "Largest upload", "MB", "1 to 2048. One file.", &form.upload_max_filesize_mib),
        set("post_max_size_mib", "Largest form", "MB", "1 to 2048. At least the largest upload.", &form.post_max_size_mib),
        set("max_input_vars", "Most form fields", "fields", "100 to 100,000. Large shop editors need more.", &form.max_input_vars),
    ];
    html! { div.fields { @for setting in &settings { (number(setting, &model.errors)) } } }
}

fn workers(model: &PhpModel) -> Markup {
    let form = &model.form;
    let choices = [
        Choice::new("ondemand", "On demand").note("Started when a visitor comes. Least memory."),
        Choice::new("dynamic", "Dynamic").note("A few kept ready. Good for busy sites."),
        Choice::new("static", "Fixed").note("Always the same number. Steady load."),
    ];
    let set = |name, label, unit, help, value| Setting { name, label, unit, help, value };
    let children = set("max_children", "Most workers", "workers", "1 to 200. Requests served at once.", form.max_children.as_str());
    let requests = set("max_requests", "Renew after", "requests", "0 to 100,000. 0 means never.", &form.max_requests);
    let idle = set("idle_timeout_s", "Leave when idle for", "s", "1 to 3600. Looked at once a minute.", &form.idle_timeout_s);
    let start = set("start_servers", "At start", "workers", "Between fewest and most idle.", &form.start_servers);
    let fewest = set("min_spare", "Fewest idle", "workers", "At least 1.", &form.min_spare);
    let most = set("max_spare", "Most idle", "workers", "At most the most workers.", &form.max_spare);
    html! {
        (ChoiceField { name: "pm", label: "Workers", look: Look::Cards, chosen: &form.pm, choices: &choices, help: None,
            error: model.errors.get("pm") })
        div.fields {
            (number(&children, &model.errors))
            (number(&requests, &model.errors))
            div.contents data-pm="ondemand" { (number(&idle, &model.errors)) }
            div.contents data-pm="dynamic" { @for setting in [&start, &fewest, &most] { (number(setting, &model.errors)) } }
        }
    }
}
