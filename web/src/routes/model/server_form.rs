//! The forms and questions about servers, as pages show them. For admins.

use jiff::Timestamp;
use shared::ids::ServerId;

use super::server::reach;
use super::{at, count};
use crate::app::server::{ServerToken, TOKEN_MS, server_get};
use crate::app::server_form::ServerForm;
use crate::app::{Actor, FieldErrors};
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::gone_server::server_held;
use crate::store::now_ms;
use crate::store::panel::panel_bus_url;
use crate::views::join::{command, config as join_config};
use crate::views::server::{Defaults, DeleteModel, EditModel, EnrolModel, NewModel, RejoinModel, ServerForm as FormModel, ShutOutModel};

/// The form for a new server, with what was typed before.
///
/// # Errors
/// The database fails.
pub async fn server_new_model(state: &AppState, form: &ServerForm, refused: &FieldErrors) -> Result<NewModel, PageError> {
    Ok(NewModel { defaults: defaults(state).await?, form: form_model(form), errors: super::errors(refused) })
}

async fn defaults(state: &AppState) -> Result<Defaults, PageError> {
    Ok(Defaults { bus_url: panel_bus_url(state.db()).await?, panel_url: state.config.public_url.clone() })
}

/// The form for a server's settings, with what was typed before or the settings.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, [`crate::app::AppError::NotFound`], or the database fails.
pub async fn server_edit_model(
    state: &AppState,
    actor: &Actor,
    id: ServerId,
    typed: Option<(&ServerForm, &FieldErrors)>,
) -> Result<EditModel, PageError> {
    let server = server_get(&state.app, actor, id).await?;
    let form = typed.map_or_else(|| ServerForm::of(&server), |(form, _)| form.clone());
    Ok(EditModel {
        id,
        title: server.places.label.as_ref().map_or_else(|| server.name.to_string(), ToString::to_string),
        name: server.name,
        defaults: defaults(state).await?,
        form: form_model(&form),
        errors: typed.map(|(_, refused)| super::errors(refused)).unwrap_or_default(),
    })
}

fn form_model(form: &ServerForm) -> FormModel {
    FormModel {
        name: form.name.clone(),
        label: form.label.clone(),
        hostname: form.hostname.clone(),
        address: form.address.clone(),
        roles: form.roles(),
        mail_hostname: form.mail_hostname.clone(),
        bus_url: form.bus_url.clone(),
        panel_url: form.panel_url.clone(),
        phpmyadmin_path: form.phpmyadmin_path.clone(),
        roundcube_path: form.roundcube_path.clone(),
        panel_tls: form.panel_tls.clone(),
        mail_tls: form.mail_tls.clone(),
        max_accounts: form.max_accounts.clone(),
        active: !form.active.is_empty(),
    }
}

/// The question before a server is deleted.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, [`crate::app::AppError::NotFound`], or the database fails.
pub async fn server_delete_model(
    state: &AppState,
    actor: &Actor,
    id: ServerId,
    typed: &str,
    refused: &FieldErrors,
) -> Result<DeleteModel, PageError> {
    let server = server_get(&state.app, actor, id).await?;
    let held = server_held(state.db(), id).await?;
    Ok(DeleteModel {
        id,
        name: server.name,
        accounts: count(held.accounts),
        sites: count(held.sites),
        online: server.online,
        typed: typed.to_owned(),
        errors: super::errors(refused),
    })
}

/// The question before a server's worker is shut out.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, [`crate::app::AppError::NotFound`], or the database fails.
pub async fn server_shut_out_model(
    state: &AppState,
    actor: &Actor,
    id: ServerId,
    typed: &str,
    refused: &FieldErrors,
) -> Result<ShutOutModel, PageError> {
    let server = server_get(&state.app, actor, id).await?;
    Ok(ShutOutModel { id, name: server.name, typed: typed.to_owned(), errors: super::errors(refused) })
}

/// The page that shows a server's token once.
///
/// # Errors
/// The database fails.
pub async fn server_enrol_model(state: &AppState, actor: &Actor, made: &ServerToken) -> Result<EnrolModel, PageError> {
    let server = server_get(&state.app, actor, made.id).await?;
    let config = &state.config;
    let token = made.token.expose();
    let panel = server.panel_url(&config.public_url);
    let trust = config.trust_at(panel);
    Ok(EnrolModel {
        now: Timestamp::now(),
        id: made.id,
        name: server.name.clone(),
        token_expires_at: at(now_ms() + TOKEN_MS),
        command: command(panel, &trust, token),
        config: join_config(panel, &trust, token),
        packages: config.worker_packages.iter().map(|package| package.file.clone()).collect(),
        reach: reach(state, &server).await?,
        live: Some(paths::with_query(paths::LIVE, [("page", paths::server(made.id))])),
    })
}

/// The question before a script is made for a server whose worker may answer.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, [`crate::app::AppError::NotFound`], or the database fails.
pub async fn server_rejoin_model(state: &AppState, actor: &Actor, id: ServerId) -> Result<RejoinModel, PageError> {
    let server = server_get(&state.app, actor, id).await?;
    Ok(RejoinModel { id, name: server.name, online: server.online })
}
