//! The live parts of pages. A page names itself by its address; its stream renders the same fragments from the same model.

use super::ListQuery;
use super::account::{SftpTyped, account_list_model, account_show_model};
use super::home::{home_admin_model, home_client_model};
use super::operation::{operation_list_model, operation_show_model};
use super::server::{server_list_model, server_show_model};
use super::site::{site_list_model, site_show_model};
use crate::app::Actor;
use crate::error::PageError;
use crate::live::diff::{LiveList, LivePage};
use crate::live::view::{LiveView, Scope};
use crate::state::AppState;
use crate::views::fragment::Fragment;
use crate::views::{account, home_admin, home_client, operation, server, site};

/// What a list's address asked for. A query that does not decode is the whole list, as on the page.
fn list_query(query: &str) -> ListQuery {
    let uri = format!("/?{query}").parse().unwrap_or_default();
    axum::extract::Query::<ListQuery>::try_from_uri(&uri).map(|query| query.0).unwrap_or_default()
}

/// The live parts of a page as they now are, for everybody with the same rights.
///
/// # Errors
/// As the page's own model: what the viewer may not see is not found here too.
pub async fn live_model(state: &AppState, scope: Scope, view: &LiveView) -> Result<LivePage, PageError> {
    let actor = &Actor::watcher(match scope {
        Scope::Admin => None,
        Scope::Client(user) => Some(user),
    });
    Ok(match view {
        LiveView::Home if actor.is_admin() => parts(home_admin::fragments(&home_admin_model(state, actor, None).await?)),
        LiveView::Home => parts(home_client::fragments(&home_client_model(state, actor, None).await?)),
        LiveView::Sites { query } => {
            let model = site_list_model(state, actor, &list_query(query), None).await?;
            list(site::container(&model), site::fragments(&model))
        }
        LiveView::Site(id) => parts(site::show_fragments(&site_show_model(state, actor, *id, None).await?)),
        LiveView::Accounts { query } => {
            let model = account_list_model(state, actor, &list_query(query), None).await?;
            list(account::container(&model), account::fragments(&model))
        }
        LiveView::Account(id) => parts(account::show_fragments(&account_show_model(state, actor, *id, SftpTyped::default(), None).await?)),
        LiveView::Operations { query } => {
            let model = operation_list_model(state, actor, &list_query(query), None).await?;
            list(operation::container(&model), operation::fragments(&model))
        }
        LiveView::Operation(id) => parts(operation::show_fragments(&operation_show_model(state, actor, *id, None).await?)),
        LiveView::Servers { query } => {
            let model = server_list_model(state, actor, &list_query(query), None).await?;
            list(server::container(&model), server::fragments(&model))
        }
        LiveView::Server(id) => parts(server::show_fragments(&server_show_model(state, actor, *id, None).await?)),
    })
}

const fn parts(parts: Vec<Fragment>) -> LivePage {
    LivePage { parts, list: None }
}

/// A list's fragments are its rows, and last the filters above it.
fn list(container: Fragment, mut fragments: Vec<Fragment>) -> LivePage {
    let filters = fragments.pop();
    LivePage { parts: filters.into_iter().collect(), list: Some(LiveList { container, rows: fragments }) }
}
