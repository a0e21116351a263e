//! Suspending sites, accounts and clients, and bringing them back: the question, what it would change, and the change.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get as on_get, post as on_post};
use shared::ids::{AccountId, SiteId, UserId};

use super::model::suspend::{account_suspend_model, client_suspend_model, previewed, site_suspend_model};
use super::{Access, Route, at_page, get, go, post};
use crate::app::account_change::{account_suspend, account_switch_preview, account_unsuspend};
use crate::app::client::{client_suspend, client_switch_preview, client_unsuspend};
use crate::app::preview::Preview;
use crate::app::site_change::{Press, Switch, site_suspend, site_switch_preview, site_unsuspend};
use crate::error::PageError;
use crate::extract::{Flash, Form, Path, SignedIn};
use crate::paths;
use crate::state::AppState;
use crate::views::suspend::{SuspendModel, page};

pub(super) const TABLE: &[Route] = &[
    get(paths::SITE_SUSPEND, Access::Owner),
    post(paths::SITE_SUSPEND, Access::Owner),
    post(paths::SITE_SUSPEND_PREVIEW, Access::Owner),
    get(paths::SITE_UNSUSPEND, Access::Owner),
    post(paths::SITE_UNSUSPEND, Access::Owner),
    post(paths::SITE_UNSUSPEND_PREVIEW, Access::Owner),
    get(paths::ACCOUNT_SUSPEND, Access::Admin),
    post(paths::ACCOUNT_SUSPEND, Access::Admin),
    post(paths::ACCOUNT_SUSPEND_PREVIEW, Access::Admin),
    get(paths::ACCOUNT_UNSUSPEND, Access::Admin),
    post(paths::ACCOUNT_UNSUSPEND, Access::Admin),
    post(paths::ACCOUNT_UNSUSPEND_PREVIEW, Access::Admin),
    get(paths::CLIENT_SUSPEND, Access::Admin),
    post(paths::CLIENT_SUSPEND, Access::Admin),
    post(paths::CLIENT_SUSPEND_PREVIEW, Access::Admin),
    get(paths::CLIENT_UNSUSPEND, Access::Admin),
    post(paths::CLIENT_UNSUSPEND, Access::Admin),
    post(paths::CLIENT_UNSUSPEND_PREVIEW, Access::Admin),
];

/// The routes.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::SITE_SUSPEND, on_get(site_off_question).post(site_off))
        .route(paths::SITE_SUSPEND_PREVIEW, on_post(site_off_preview))
        .route(paths::SITE_UNSUSPEND, on_get(site_on_question).post(site_on))
        .route(paths::SITE_UNSUSPEND_PREVIEW, on_post(site_on_preview))
        .route(paths::ACCOUNT_SUSPEND, on_get(account_off_question).post(account_off))
        .route(paths::ACCOUNT_SUSPEND_PREVIEW, on_post(account_off_preview))
        .route(paths::ACCOUNT_UNSUSPEND, on_get(account_on_question).post(account_on))
        .route(paths::ACCOUNT_UNSUSPEND_PREVIEW, on_post(account_on_preview))
        .route(paths::CLIENT_SUSPEND, on_get(client_off_question).post(client_off))
        .route(paths::CLIENT_SUSPEND_PREVIEW, on_post(client_off_preview))
        .route(paths::CLIENT_UNSUSPEND, on_get(client_on_question).post(client_on))
        .route(paths::CLIENT_UNSUSPEND_PREVIEW, on_post(client_on_preview))
}

fn question(signed_in: &SignedIn, model: &SuspendModel) -> Response {
    page(&signed_in.viewer, model).into_response()
}

/// The question again, with what it would change; nothing is recorded. `here` is the question's own address.
fn answered(signed_in: SignedIn, here: String, model: SuspendModel, previews: Vec<Preview>) -> Response {
    let model = previewed(&signed_in.actor, model, previews);
    page(&at_page(signed_in, here), &model).into_response()
}

type Site = Path<SiteId>;

async fn site_off_question(State(state): State<AppState>, signed_in: SignedIn, Path(id): Site) -> Result<Response, PageError> {
    Ok(question(&signed_in, &site_suspend_model(&state, &signed_in.actor, id, Switch::Off).await?))
}

async fn site_on_question(State(state): State<AppState>, signed_in: SignedIn, Path(id): Site) -> Result<Response, PageError> {
    Ok(question(&signed_in, &site_suspend_model(&state, &signed_in.actor, id, Switch::On).await?))
}

async fn site_off_preview(State(state): State<AppState>, signed_in: SignedIn, Path(id): Site) -> Result<Response, PageError> {
    site_preview(&state, signed_in, id, Switch::Off).await
}

async fn site_on_preview(State(state): State<AppState>, signed_in: SignedIn, Path(id): Site) -> Result<Response, PageError> {
    site_preview(&state, signed_in, id, Switch::On).await
}

async fn site_preview(state: &AppState, signed_in: SignedIn, id: SiteId, switch: Switch) -> Result<Response, PageError> {
    let preview = site_switch_preview(&state.app, &signed_in.actor, id, switch).await?;
    let model = site_suspend_model(state, &signed_in.actor, id, switch).await?;
    let here = match switch {
        Switch::Off => paths::site_suspend(id),
        Switch::On => paths::site_unsuspend(id),
    };
    Ok(answered(signed_in, here, model, vec![preview]))
}

async fn site_off(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Site,
    Form(press): Form<Press>,
) -> Result<Response, PageError> {
    site_suspend(&state.app, &signed_in.actor, id, &press).await?;
    Ok(go(&paths::site(id), Flash::Requested))
}

async fn site_on(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Site,
    Form(press): Form<Press>,
) -> Result<Response, PageError> {
    site_unsuspend(&state.app, &signed_in.actor, id, &press).await?;
    Ok(go(&paths::site(id), Flash::Requested))
}

type Account = Path<AccountId>;

async fn account_off_question(State(state): State<AppState>, signed_in: SignedIn, Path(id): Account) -> Result<Response, PageError> {
    Ok(question(&signed_in, &account_suspend_model(&state, &signed_in.actor, id, Switch::Off).await?))
}

async fn account_on_question(State(state): State<AppState>, signed_in: SignedIn, Path(id): Account) -> Result<Response, PageError> {
    Ok(question(&signed_in, &account_suspend_model(&state, &signed_in.actor, id, Switch::On).await?))
}

async fn account_off_preview(State(state): State<AppState>, signed_in: SignedIn, Path(id): Account) -> Result<Response, PageError> {
    account_preview(&state, signed_in, id, Switch::Off).await
}

async fn account_on_preview(State(state): State<AppState>, signed_in: SignedIn, Path(id): Account) -> Result<Response, PageError> {
    account_preview(&state, signed_in, id, Switch::On).await
}

async fn account_preview(state: &AppState, signed_in: SignedIn, id: AccountId, switch: Switch) -> Result<Response, PageError> {
    let preview = account_switch_preview(&state.app, &signed_in.actor, id, switch).await?;
    let model = account_suspend_model(state, &signed_in.actor, id, switch).await?;
    let here = match switch {
        Switch::Off => paths::account_suspend(id),
        Switch::On => paths::account_unsuspend(id),
    };
    Ok(answered(signed_in, here, model, vec![preview]))
}

async fn account_off(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Account,
    Form(press): Form<Press>,
) -> Result<Response, PageError> {
    account_suspend(&state.app, &signed_in.actor, id, &press).await?;
    Ok(go(&paths::account(id), Flash::Requested))
}

async fn account_on(
    State(state): State<AppState>,
    signed_in: SignedIn,
    Path(id): Account,
    Form(press): Form<Press>,
) -> Result<Response, PageError> {
    account_unsuspend(&state.app, &signed_in.actor, id, &press).await?;
    Ok(go(&paths::account(id), Flash::Requested))
}

type Client = Path<UserId>;

async fn client_off_question(State(state): State<AppState>, signed_in: SignedIn, Path(id): Client) -> Result<Response, PageError> {
    Ok(question(&signed_in, &client_suspend_model(&state, &signed_in.actor, id, Switch::Off).await?))
}

async fn client_on_question(State(state): State<AppState>, signed_in: SignedIn, Path(id): Client) -> Result<Response, PageError> {
    Ok(question(&signed_in, &client_suspend_model(&state, &signed_in.actor, id, Switch::On).await?))
}

async fn client_off_preview(State(state): State<AppState>, signed_in: SignedIn, Path(id): Client) -> Result<Response, PageError> {
    client_preview(&state, signed_in, id, Switch::Off).await
}

async fn client_on_preview(State(state): State<AppState>, signed_in: SignedIn, Path(id): Client) -> Result<Response, PageError> {
    client_preview(&state, signed_in, id, Switch::On).await
}

async fn client_preview(state: &AppState, signed_in: SignedIn, id: UserId, switch: Switch) -> Result<Response, PageError> {
    let previews = client_switch_preview(&state.app, &signed_in.actor, id, switch).await?;
    let model = client_suspend_model(state, &signed_in.actor, id, switch).await?;
    let here = match switch {
        Switch::Off => paths::client_suspend(id),
        Switch::On => paths::client_unsuspend(id),
    };
    Ok(answered(signed_in, here, model, previews))
}

async fn client_off(State(state): State<AppState>, signed_in: SignedIn, Path(id): Client) -> Result<Response, PageError> {
    client_suspend(&state.app, &signed_in.actor, id).await?;
    Ok(go(&paths::client(id), Flash::ClientSuspended))
}

async fn client_on(State(state): State<AppState>, signed_in: SignedIn, Path(id): Client) -> Result<Response, PageError> {
    client_unsuspend(&state.app, &signed_in.actor, id).await?;
    Ok(go(&paths::client(id), Flash::ClientBack))
}
