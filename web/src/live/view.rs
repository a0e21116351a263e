//! Which pages are live, and by whom a rendering may be shared.

use std::time::Duration;

use shared::bus::panel::Hint;
use shared::ids::{AccountId, OperationId, ServerId, SiteId, UserId};
use shared::jobs::ResourceKey;

use crate::app::Actor;
use crate::paths;
use crate::routes::model::ListQuery;
use crate::views::server::Span;

/// A page that has live parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LiveView {
    /// The first page.
    Home,
    /// The list of sites.
    Sites(ListQuery),
    /// A site.
    Site(SiteId),
    /// The list of accounts.
    Accounts(ListQuery),
    /// An account.
    Account(AccountId),
    /// The list of clients.
    Clients(ListQuery),
    /// The list of operations.
    Operations(ListQuery),
    /// An operation.
    Operation(OperationId),
    /// The list of servers.
    Servers(ListQuery),
    /// A server.
    Server(ServerId, Span),
    /// A server's queue.
    Queue(ServerId, ListQuery),
    /// The audit log.
    Audit(ListQuery),
    /// Security events.
    Security(ListQuery),
    /// Drift.
    Drift(ListQuery),
    /// A server's drift.
    DriftServer(ServerId, ListQuery),
    /// Updates of all workers.
    Rollout,
}

/// Whose rights a page is rendered with. Admins see the same; each client sees their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Any admin.
    Admin,
    /// This client.
    Client(UserId),
}

impl From<&Actor> for Scope {
    fn from(actor: &Actor) -> Self {
        if actor.is_admin() { Self::Admin } else { Self::Client(actor.user) }
    }
}

/// What is rendered once and shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ViewKey {
    /// The page.
    pub view: LiveView,
    /// The rights.
    pub scope: Scope,
}

impl ViewKey {
    /// The shortest time between two renderings: faster than the eye follows steps, slower than they come in bulk. What every
    /// heartbeat of the fleet moves is rendered less often: a thousand servers send a hundred a second. So is a server's drift:
    /// thousands of resources that are repaired at once are counted anew for each rendering.
    #[must_use]
    pub const fn pause(&self) -> Duration {
        match (&self.view, self.scope) {
            (LiveView::Home, Scope::Admin)
            | (LiveView::Servers(_) | LiveView::Drift(_) | LiveView::DriftServer(..) | LiveView::Rollout, _) => Duration::from_millis(500),
            _ => Duration::from_millis(40),
        }
    }

    /// Whether the page may show something else to its viewers after this hint.
    #[must_use]
    pub fn shows(&self, hint: &Hint) -> bool {
        match self.scope {
            Scope::Admin => self.view.shows(hint),
            // Every server's heartbeat moves an admin's home, and no client's.
            Scope::Client(_) => self.view.shows(hint) && (is_provisioning(hint) || hint.presence || hint.user.is_some() || hint.audit),
        }
    }
}

impl LiveView {
    /// The page at an address such as `/sites?state=failed`; `None` if that page has no live parts.
    #[must_use]
    pub fn at(address: &str) -> Option<Self> {
        let uri: axum::http::Uri = address.parse().ok().filter(|uri: &axum::http::Uri| uri.host().is_none())?;
        let query = || axum::extract::Query::<ListQuery>::try_from_uri(&uri).map(|query| query.0).unwrap_or_default();
        let path = uri.path();
        match path {
            paths::HOME => return Some(Self::Home),
            paths::SITES => return Some(Self::Sites(query())),
            paths::ACCOUNTS => return Some(Self::Accounts(query())),
            paths::CLIENTS => return Some(Self::Clients(query())),
            paths::OPERATIONS => return Some(Self::Operations(query())),
            paths::SERVERS => return Some(Self::Servers(query())),
            paths::AUDIT => return Some(Self::Audit(query())),
            paths::SECURITY => return Some(Self::Security(query())),
            paths::DRIFT => return Some(Self::Drift(query())),
            paths::ROLLOUT => return Some(Self::Rollout),
            _ => {}
        }
        let below = |list: &str| path.strip_prefix(list).and_then(|rest| rest.strip_prefix('/'));
        if let Some(id) = below(paths::SITES) {
            return id.parse().ok().map(Self::Site);
        }
        if let Some(id) = below(paths::ACCOUNTS) {
            // The page of an account is also the answer to the forms on it.
            return id.split('/').next().and_then(|id| id.parse().ok()).map(Self::Account);
        }
        if let Some(id) = below(paths::OPERATIONS) {
            return id.parse().ok().map(Self::Operation);
        }
        let server = below(paths::SERVERS)?;
        if let Some(id) = server.strip_suffix("/queue") {
            return id.parse().ok().map(|id| Self::Queue(id, query()));
        }
        if let Some(id) = server.strip_suffix("/drift") {
            return id.parse().ok().map(|id| Self::DriftServer(id, query()));
        }
        let span = uri.query().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("span=")));
        Some(Self::Server(server.parse().ok()?, Span::of(span.unwrap_or_default())))
    }

    fn shows(&self, hint: &Hint) -> bool {
        let provisioning = is_provisioning(hint);
        match self {
            Self::Home => !hint.audit,
            Self::Servers(_) | Self::Rollout | Self::Drift(_) => hint.server.is_some() || provisioning,
            Self::DriftServer(id, _) => hint.server == Some(*id) || provisioning,
            Self::Audit(_) => hint.audit,
            Self::Security(_) => hint.security,
            Self::Sites(_) | Self::Accounts(_) | Self::Operations(_) => provisioning || hint.presence,
            Self::Clients(_) => provisioning || hint.user.is_some(),
            // A site's page shows its account's state too.
            Self::Site(id) => hint.presence || provisioning && (hint.resource == Some(ResourceKey::Site(*id)) || !is_site(hint)),
            Self::Account(id) => hint.presence || hint.account == Some(*id),
            Self::Operation(id) => hint.presence || hint.operation == Some(*id),
            Self::Server(id, _) | Self::Queue(id, _) => hint.server == Some(*id),
        }
    }
}

fn is_provisioning(hint: &Hint) -> bool {
    hint.resource.is_some() || hint.account.is_some() || hint.operation.is_some()
}

fn is_site(hint: &Hint) -> bool {
    matches!(hint.resource, Some(ResourceKey::Site(_)))
}

#[cfg(test)]
mod tests {
    use shared::bus::panel::Hint;
    use shared::ids::{AccountId, ServerId, SiteId, UserId};
    use shared::jobs::ResourceKey;

    use super::{LiveView, Scope, ViewKey};
    use crate::paths;
    use crate::routes::model::ListQuery;
    use crate::views::server::Span;

    #[test]
    fn a_stream_is_opened_by_the_address_of_its_page() {
        let (id, server) = (SiteId::new(), ServerId::new());
        assert_eq!(LiveView::at("/"), Some(LiveView::Home));
        assert!(matches!(LiveView::at("/sites?q=shop&page=2"), Some(LiveView::Sites(query)) if query.q == "shop"));
        assert!(
            matches!(LiveView::at(&format!("/servers/{server}/queue?page=2")), Some(LiveView::Queue(id, query)) if id == server && query.page == "2")
        );
        assert!(
            matches!(LiveView::at(&format!("/servers/{server}/drift?q=shop")), Some(LiveView::DriftServer(id, query)) if id == server && query.q == "shop")
        );
        assert!(matches!(LiveView::at("/audit?who=x"), Some(LiveView::Audit(query)) if query.who == "x"));
        assert_eq!(LiveView::at(&paths::site(id)), Some(LiveView::Site(id)));
        assert_eq!(LiveView::at(&paths::server(server)), Some(LiveView::Server(server, Span::Hour)));
        let day = format!("{}?span=day", paths::server(server));
        assert_eq!(LiveView::at(&day), Some(LiveView::Server(server, Span::Day)));
        for dead in [
            "/sites/new",
            "/password",
            "https://evil.example/",
            "//evil.example/sites",
            "/../etc",
            "",
            "/accounts/new",
            "/servers/new/queue",
            "/servers/new/drift",
        ] {
            assert_eq!(LiveView::at(dead), None, "{dead:?}");
        }
    }

    #[test]
    fn a_heartbeat_renders_what_shows_servers_only_and_of_the_whole_fleet_less_often() {
        let server = ServerId::new();
        let beat = Hint { server: Some(server), ..Hint::default() };
        assert!(LiveView::Server(server, Span::Hour).shows(&beat) && LiveView::Home.shows(&beat));
        assert!(!LiveView::Server(ServerId::new(), Span::Day).shows(&beat));
        let drift = |of| LiveView::DriftServer(of, ListQuery::default());
        assert!(drift(server).shows(&beat) && !drift(ServerId::new()).shows(&beat));
        assert!(!LiveView::at("/sites").unwrap().shows(&beat) && !LiveView::Site(SiteId::new()).shows(&beat));
        let home = |scope| ViewKey { view: LiveView::Home, scope };
        assert!(home(Scope::Admin).shows(&beat) && !home(Scope::Client(UserId::new())).shows(&beat));
        for fleet in ["/", "/servers", "/drift", "/servers/updates"] {
            let view = ViewKey { view: LiveView::at(fleet).unwrap(), scope: Scope::Admin };
            assert!(view.shows(&beat) && view.pause() >= std::time::Duration::from_millis(500), "{fleet}");
        }
    }

    /// A page said nothing of it for up to half a minute.
    #[test]
    fn a_server_that_goes_or_comes_shows_wherever_something_may_wait_for_it() {
        let gone = Hint { server: Some(ServerId::new()), presence: true, ..Hint::default() };
        let (site, account) = (SiteId::new(), AccountId::new());
        for view in ["/", "/sites", "/accounts", "/operations", &paths::site(site), &paths::account(account)] {
            for scope in [Scope::Admin, Scope::Client(UserId::new())] {
                let key = ViewKey { view: LiveView::at(view).unwrap(), scope };
                assert!(key.shows(&gone), "{view}");
            }
        }
    }

    #[test]
    fn a_sites_page_follows_its_own_site_and_its_account() {
        let (site, account) = (SiteId::new(), AccountId::new());
        let hint = |resource| Hint { resource: Some(resource), account: Some(account), ..Hint::default() };
        assert!(LiveView::Site(site).shows(&hint(ResourceKey::Site(site))));
        assert!(LiveView::Site(site).shows(&hint(ResourceKey::Account(account))));
        assert!(!LiveView::Site(site).shows(&hint(ResourceKey::Site(SiteId::new()))));
    }
}
