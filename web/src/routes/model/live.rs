//! The live parts of pages. A page names itself by its address; its stream renders the same fragments from the same model.

use super::account::{SftpTyped, account_list_model, account_show_model};
use super::audit::audit_list_model;
use super::client::client_list_model;
use super::count;
use super::drift::{drift_model, drift_server_model};
use super::home::{home_admin_model, home_client_model};
use super::operation::{operation_list_model, operation_show_model};
use super::queue::queue_model;
use super::rollout::rollout_model;
use super::security::security_list_model;
use super::server::server_show_model;
use super::server_list::server_list_model;
use super::site::{site_list_model, site_show_model};
use crate::app::Actor;
use crate::error::PageError;
use crate::live::diff::{LiveList, LivePage};
use crate::live::view::LiveView;
use crate::state::AppState;
use crate::store::operation_list::operation_count_failed;
use crate::views::fragment::Fragment;
use crate::views::{account, audit, client, drift, drift_server, home_admin, home_client, nav, operation, queue, security, server, site};

/// The live parts of a page as they now are, for one viewer.
///
/// # Errors
/// As the page's own model: what the viewer may not see is not found here either.
pub async fn live_page(state: &AppState, actor: &Actor, view: &LiveView) -> Result<LivePage, PageError> {
    let mut page = parts_of(state, actor, view).await?;
    page.parts.push(nav::failed_operations(count(operation_count_failed(state.db(), actor.visible()).await?)));
    Ok(page)
}

async fn parts_of(state: &AppState, actor: &Actor, view: &LiveView) -> Result<LivePage, PageError> {
    Ok(match view {
        LiveView::Home if actor.is_admin() => {
            let model = home_admin_model(state, actor, None).await?;
            let list = LiveList { container: home_admin::container(&model), rows: home_admin::rows(&model) };
            LivePage { parts: home_admin::fragments(&model), list: Some(list) }
        }
        LiveView::Home => parts(home_client::fragments(&home_client_model(state, actor, None).await?)),
        LiveView::Sites(query) => {
            let model = site_list_model(state, actor, query, None).await?;
            list(site::container(&model), site::fragments(&model))
        }
        LiveView::Site(id) => parts(site::show_fragments(&site_show_model(state, actor, *id, None).await?)),
        LiveView::Accounts(query) => {
            let model = account_list_model(state, actor, query, None).await?;
            list(account::container(&model), account::fragments(&model))
        }
        LiveView::Account(id) => parts(account::show_fragments(&account_show_model(state, actor, *id, SftpTyped::default(), None).await?)),
        LiveView::Clients(query) => {
            let model = client_list_model(state, actor, query, None).await?;
            list(client::container(&model), client::fragments(&model))
        }
        LiveView::Operations(query) => {
            let model = operation_list_model(state, actor, query, None).await?;
            list(operation::container(&model), operation::fragments(&model))
        }
        LiveView::Operation(id) => parts(operation::show_fragments(&operation_show_model(state, actor, *id, None).await?)),
        LiveView::Servers(query) => {
            let model = server_list_model(state, actor, query, None).await?;
            let list = LiveList { container: server::container(&model), rows: server::rows(&model) };
            LivePage { parts: server::parts(&model), list: Some(list) }
        }
        LiveView::Drift(query) => parts(drift::fragments(&drift_model(state, actor, query, None).await?)),
        LiveView::DriftServer(id, query) => parts(drift_server::fragments(&drift_server_model(state, actor, *id, query, None).await?)),
        LiveView::Rollout => parts(server::rollout_fragments(&rollout_model(state, actor, None).await?)),
        LiveView::Server(id, span) => {
            let model = server_show_model(state, actor, *id, *span, None).await?;
            let enrol = server::enrol_fragment(&model.server, model.now);
            parts(server::show_fragments(&model).into_iter().chain([enrol]).collect())
        }
        LiveView::Queue(id, query) => {
            let model = queue_model(state, actor, *id, query, None).await?;
            let list = LiveList { container: queue::container(&model), rows: queue::rows(&model) };
            LivePage { parts: queue::parts(&model), list: Some(list) }
        }
        LiveView::Audit(query) => {
            let model = audit_list_model(state, actor, query, None).await?;
            LivePage { parts: Vec::new(), list: Some(LiveList { container: audit::container(&model), rows: audit::rows(&model) }) }
        }
        LiveView::Security(query) => {
            let model = security_list_model(state, actor, query, None).await?;
            let list = LiveList { container: security::container(&model), rows: security::rows(&model) };
            LivePage { parts: vec![security::filters(&model)], list: Some(list) }
        }
    })
}

fn parts(parts: Vec<Fragment>) -> LivePage {
    LivePage { parts, list: None }
}

/// A list: its rows, and the filters above it, which the views put last.
fn list(container: Fragment, mut rows: Vec<Fragment>) -> LivePage {
    let filters = rows.pop();
    LivePage { parts: filters.into_iter().collect(), list: Some(LiveList { container, rows }) }
}
