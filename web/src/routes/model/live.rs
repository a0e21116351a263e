//! The live parts of pages. A page names itself by its address; its stream renders the same fragments from the same model.

use shared::ids::{AccountId, OperationId, ServerId, SiteId};

use super::ListQuery;
use super::account::{SftpTyped, account_list_model, account_show_model};
use super::client::client_list_model;
use super::home::{home_admin_model, home_client_model};
use super::operation::{operation_list_model, operation_show_model};
use super::server::{server_list_model, server_show_model};
use super::site::{site_list_model, site_show_model};
use crate::app::{Actor, AppError};
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::views::fragment::Fragment;
use crate::views::{account, client, home_admin, home_client, operation, server, site};

/// A page that has live parts.
#[derive(Debug, Clone)]
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
    Server(ServerId),
}

impl LiveView {
    /// The page at an address, if it has live parts.
    #[must_use]
    pub fn parse(page: &str) -> Option<Self> {
        let uri: axum::http::Uri = page.parse().ok()?;
        let query = || axum::extract::Query::<ListQuery>::try_from_uri(&uri).map(|query| query.0).unwrap_or_default();
        let path = uri.path();
        match path {
            paths::HOME => return Some(Self::Home),
            paths::SITES => return Some(Self::Sites(query())),
            paths::ACCOUNTS => return Some(Self::Accounts(query())),
            paths::CLIENTS => return Some(Self::Clients(query())),
            paths::OPERATIONS => return Some(Self::Operations(query())),
            paths::SERVERS => return Some(Self::Servers(query())),
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
        below(paths::SERVERS).and_then(|id| id.parse().ok()).map(Self::Server)
    }
}

/// The live parts of a page as they now are, for one viewer.
///
/// # Errors
/// As the page's own model: what the viewer may not see is [`AppError::NotFound`] here too.
pub async fn live_model(state: &AppState, actor: &Actor, view: &LiveView) -> Result<Vec<Fragment>, PageError> {
    Ok(match view {
        LiveView::Home if actor.is_admin() => home_admin::fragments(&home_admin_model(state, actor, None).await?),
        LiveView::Home => home_client::fragments(&home_client_model(state, actor, None).await?),
        LiveView::Sites(query) => {
            let model = site_list_model(state, actor, query, None).await?;
            whole_list(site::container(&model), site::fragments(&model))
        }
        LiveView::Site(id) => site::show_fragments(&site_show_model(state, actor, *id, None).await?),
        LiveView::Accounts(query) => {
            let model = account_list_model(state, actor, query, None).await?;
            whole_list(account::container(&model), account::fragments(&model))
        }
        LiveView::Account(id) => account::show_fragments(&account_show_model(state, actor, *id, SftpTyped::default(), None).await?),
        LiveView::Clients(query) => {
            let model = client_list_model(state, actor, query, None).await?;
            whole_list(client::container(&model), client::fragments(&model))
        }
        LiveView::Operations(query) => {
            let model = operation_list_model(state, actor, query, None).await?;
            whole_list(operation::container(&model), operation::fragments(&model))
        }
        LiveView::Operation(id) => operation::show_fragments(&operation_show_model(state, actor, *id, None).await?),
        LiveView::Servers(query) => {
            let model = server_list_model(state, actor, query, None).await?;
            whole_list(server::container(&model), server::fragments(&model))
        }
        LiveView::Server(id) => server::show_fragments(&server_show_model(state, actor, *id, None).await?),
    })
}

/// The list as a whole, in which rows come and go, and the filters above it.
fn whole_list(container: Fragment, parts: Vec<Fragment>) -> Vec<Fragment> {
    std::iter::once(container).chain(parts.into_iter().next_back()).collect()
}

/// An address that has no live parts is one that does not exist.
///
/// # Errors
/// [`AppError::NotFound`].
pub fn live_view(page: &str) -> Result<LiveView, PageError> {
    Ok(LiveView::parse(page).ok_or(AppError::NotFound)?)
}

#[cfg(test)]
mod tests {
    use shared::ids::SiteId;

    use super::LiveView;
    use crate::paths;

    #[test]
    fn a_stream_is_opened_by_the_address_of_its_page() {
        let id = SiteId::new();
        assert!(matches!(LiveView::parse("/"), Some(LiveView::Home)));
        assert!(matches!(LiveView::parse("/sites?q=shop&page=2"), Some(LiveView::Sites(query)) if query.q == "shop"));
        assert!(matches!(LiveView::parse(&paths::site(id)), Some(LiveView::Site(found)) if found == id));
        for none in ["/sites/new", "/password", "https://evil.example/", "/../etc", "", "/accounts/new"] {
            assert!(LiveView::parse(none).is_none_or(|view| matches!(view, LiveView::Home)), "{none:?}");
        }
    }
}
