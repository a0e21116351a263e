//! Which pages are live, and whom a rendering may be shared by.

use shared::bus::panel::Hint;
use shared::ids::{AccountId, OperationId, ServerId, SiteId, UserId};
use shared::jobs::ResourceKey;

/// A live page, by its address. The query of a list is kept as it was asked, so that a reload shows the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LiveView {
    /// A client's or an admin's home.
    Home,
    /// The list of sites.
    Sites {
        /// The list's query.
        query: String,
    },
    /// One site.
    Site(SiteId),
    /// The list of accounts.
    Accounts {
        /// The list's query.
        query: String,
    },
    /// One account.
    Account(AccountId),
    /// The list of operations.
    Operations {
        /// The list's query.
        query: String,
    },
    /// One operation.
    Operation(OperationId),
    /// The list of servers.
    Servers {
        /// The list's query.
        query: String,
    },
    /// One server.
    Server(ServerId),
}

/// Whose rights a page is rendered with. Admins see the same; each client sees their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Any admin.
    Admin,
    /// This client.
    Client(UserId),
}

/// What is rendered once and shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ViewKey {
    /// The page.
    pub view: LiveView,
    /// The rights.
    pub scope: Scope,
}

impl LiveView {
    /// The live page at an address such as `/sites?state=failed`; `None` if that page is not live.
    #[must_use]
    pub fn at(address: &str) -> Option<Self> {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let query = query.to_owned();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match segments[..] {
            [] => Some(Self::Home),
            ["sites"] => Some(Self::Sites { query }),
            ["sites", id] => id.parse().ok().map(Self::Site),
            ["accounts"] => Some(Self::Accounts { query }),
            ["accounts", id] => id.parse().ok().map(Self::Account),
            ["operations"] => Some(Self::Operations { query }),
            ["operations", id] => id.parse().ok().map(Self::Operation),
            ["servers"] => Some(Self::Servers { query }),
            ["servers", id] => id.parse().ok().map(Self::Server),
            _ => None,
        }
    }

    /// Whether the page may show something else after this hint.
    #[must_use]
    pub fn shows(&self, hint: &Hint) -> bool {
        let provisioning = hint.resource.is_some() || hint.account.is_some() || hint.operation.is_some();
        match self {
            Self::Home | Self::Servers { .. } => true,
            Self::Sites { .. } | Self::Accounts { .. } | Self::Operations { .. } => provisioning,
            // A site's page shows its account's state too.
            Self::Site(id) => provisioning && (hint.account.is_none() || hint.resource == Some(ResourceKey::Site(*id)) || !is_site(hint)),
            Self::Account(id) => hint.account == Some(*id),
            Self::Operation(id) => hint.operation == Some(*id),
            Self::Server(id) => hint.server == Some(*id),
        }
    }
}

fn is_site(hint: &Hint) -> bool {
    matches!(hint.resource, Some(ResourceKey::Site(_)))
}

#[cfg(test)]
mod tests {
    use shared::bus::panel::Hint;
    use shared::ids::{AccountId, ServerId, SiteId};
    use shared::jobs::ResourceKey;

    use super::LiveView;

    #[test]
    fn a_page_is_found_by_its_address() {
        let id = SiteId::new();
        assert_eq!(LiveView::at("/"), Some(LiveView::Home));
        assert_eq!(LiveView::at("/sites?q=a&page=2"), Some(LiveView::Sites { query: "q=a&page=2".to_owned() }));
        assert_eq!(LiveView::at(&format!("/sites/{id}")), Some(LiveView::Site(id)));
        for dead in ["/sites/new", "/password", "/sites/x/y", "//evil.example/sites/new"] {
            assert_eq!(LiveView::at(dead), None, "{dead}");
        }
    }

    #[test]
    fn a_heartbeat_renders_servers_and_home_only() {
        let server = ServerId::new();
        let beat = Hint { resource: None, account: None, operation: None, server: Some(server), user: None };
        assert!(LiveView::Server(server).shows(&beat) && LiveView::Home.shows(&beat));
        assert!(!LiveView::Server(ServerId::new()).shows(&beat));
        assert!(!LiveView::Sites { query: String::new() }.shows(&beat) && !LiveView::Site(SiteId::new()).shows(&beat));
    }

    #[test]
    fn a_sites_page_follows_its_own_site_and_its_account() {
        let (site, account) = (SiteId::new(), AccountId::new());
        let hint = |resource| Hint { resource: Some(resource), account: Some(account), operation: None, server: None, user: None };
        assert!(LiveView::Site(site).shows(&hint(ResourceKey::Site(site))));
        assert!(LiveView::Site(site).shows(&hint(ResourceKey::Account(account))));
        assert!(!LiveView::Site(site).shows(&hint(ResourceKey::Site(SiteId::new()))));
    }
}
