//! The question before a site, an account or a client is suspended, or brought back.

use maud::{Markup, html};
use shared::ids::{AccountId, SiteId, UserId};
use shared::names::{DomainName, LinuxUser};

use super::components::confirm::{Ask, Change, ask_change};
use super::components::stat;
use super::layout::{self, Nav, Page, Viewer};
use super::model::FormKey;
use super::preview::{self, PreviewModel};
use crate::paths;

/// What is suspended or brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// A site.
    Site {
        /// Its id.
        id: SiteId,
        /// Its domain.
        domain: DomainName,
    },
    /// An account with all it holds.
    Account {
        /// Its id.
        id: AccountId,
        /// Its Linux user.
        user: LinuxUser,
        /// How many sites it has.
        sites: u64,
    },
    /// A client with all their accounts.
    Client {
        /// Their id.
        id: UserId,
        /// Their name.
        name: String,
        /// How many accounts they own.
        accounts: u64,
        /// How many sites those have.
        sites: u64,
    },
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is suspended.
    Off,
    /// It is brought back.
    Back,
}

/// The question's model.
#[derive(Debug, Clone)]
pub struct SuspendModel {
    /// What is asked about.
    pub whom: Whom,
    /// Which way.
    pub way: Way,
    /// Makes a repeated press the same request; a client has none.
    pub key: Option<FormKey>,
    /// What would change on each server, if that was asked.
    pub preview: Option<Vec<PreviewModel>>,
}

/// The page.
#[must_use]
pub fn page(viewer: &Viewer, model: &SuspendModel) -> Markup {
    let Words { title, button } = words(&model.whom, model.way);
    let name = model.whom.name();
    let question = match (&model.whom, model.way) {
        (_, Way::Off) => format!("Suspend {name}?"),
        (Whom::Client { .. }, Way::Back) => format!("Let {name} in again?"),
        (Whom::Site { .. } | Whom::Account { .. }, Way::Back) => format!("Bring {name} back?"),
    };
    let action = model.whom.action(model.way);
    let asked = paths::preview_of(&action);
    let ask = Ask {
        question: &question,
        consequences: consequences(&model.whom, model.way),
        button,
        action: &action,
        cancel: &model.whom.path(),
    };
    let body = html! {
        (layout::page_head(&html! { (title) }, &html! { (name) }, &layout::nothing()))
        (ask_change(&ask, Change { preview: &asked, key: model.key.as_ref(), fields: &[] }))
        @match &model.preview { Some(shown) => { (preview::cards(shown)) } None => { (preview::coming(&asked)) } }
    };
    let (nav, list, path) = match &model.whom {
        Whom::Site { .. } => (Nav::Sites, "Sites", paths::SITES),
        Whom::Account { .. } => (Nav::Accounts, "Accounts", paths::ACCOUNTS),
        Whom::Client { .. } => (Nav::Clients, "Clients", paths::CLIENTS),
    };
    layout::page(viewer, &Page::new(title, nav, body).below(list, path).below(name, model.whom.path()))
}

impl Whom {
    fn name(&self) -> String {
        match self {
            Self::Site { domain, .. } => domain.to_unicode(),
            Self::Account { user, .. } => user.to_string(),
            Self::Client { name, .. } => name.clone(),
        }
    }

    fn path(&self) -> String {
        match self {
            Self::Site { id, .. } => paths::site(*id),
            Self::Account { id, .. } => paths::account(*id),
            Self::Client { id, .. } => paths::client(*id),
        }
    }

    /// Where the question is, and its form posts to.
    fn action(&self, way: Way) -> String {
        match (self, way) {
            (Self::Site { id, .. }, Way::Off) => paths::site_suspend(*id),
            (Self::Site { id, .. }, Way::Back) => paths::site_unsuspend(*id),
            (Self::Account { id, .. }, Way::Off) => paths::account_suspend(*id),
            (Self::Account { id, .. }, Way::Back) => paths::account_unsuspend(*id),
            (Self::Client { id, .. }, Way::Off) => paths::client_suspend(*id),
            (Self::Client { id, .. }, Way::Back) => paths::client_unsuspend(*id),
        }
    }
}

struct Words {
    title: &'static str,
    button: &'static str,
}

fn words(whom: &Whom, way: Way) -> Words {
    let same = |words| Words { title: words, button: words };
    match (whom, way) {
        (Whom::Site { .. }, Way::Off) => same("Suspend site"),
        (Whom::Site { .. }, Way::Back) => same("Bring site back"),
        (Whom::Account { .. }, Way::Off) => same("Suspend account"),
        (Whom::Account { .. }, Way::Back) => same("Bring account back"),
        (Whom::Client { .. }, Way::Off) => same("Suspend client"),
        (Whom::Client { .. }, Way::Back) => same("Let client in again"),
    }
}

fn consequences(whom: &Whom, way: Way) -> Vec<String> {
    let sites_of = |sites: u64| stat::counted(sites, "site", "sites");
    let mut sentences = Vec::new();
    match (whom, way) {
        (Whom::Site { .. }, Way::Off) => {
            sentences.push("Visitors see a page that says the site is suspended.".to_owned());
            sentences.push("Its files, names and settings stay. Bringing it back restores exactly what was.".to_owned());
        }
        (Whom::Site { .. }, Way::Back) => {
            sentences.push("Visitors see the site again, with the files, names and settings it has.".to_owned());
        }
        (Whom::Account { sites, .. }, Way::Off) => {
            if *sites > 0 {
                sentences.push(format!("Visitors of its {} see a page that says so.", sites_of(*sites)));
            }
            sentences.push("Nobody signs in to it by SFTP.".to_owned());
            sentences.push("Files and settings stay. Bringing it back restores exactly what was.".to_owned());
        }
        (Whom::Account { sites, .. }, Way::Back) => {
            if *sites > 0 {
                sentences.push("Its sites answer again, but for those that are suspended themselves.".to_owned());
            }
            sentences.push("SFTP works again, with the password and the keys it has.".to_owned());
        }
        (Whom::Client { accounts, sites, .. }, Way::Off) => {
            sentences.push("They are signed out everywhere, and cannot sign in.".to_owned());
            if *accounts > 0 {
                let accounts = stat::counted(*accounts, "account is", "accounts are");
                let sites = sites_of(*sites);
                sentences.push(format!(
                    "Their {accounts} switched off: visitors of {sites} see a page that says so, and nobody signs in by SFTP."
                ));
            }
            sentences.push("Files and settings stay. Letting them in again restores exactly what was.".to_owned());
        }
        (Whom::Client { accounts, .. }, Way::Back) => {
            sentences.push("They sign in again with the password they had.".to_owned());
            if *accounts > 0 {
                sentences.push("Their accounts and sites come back, but for those that are suspended themselves.".to_owned());
            }
        }
    }
    sentences
}
