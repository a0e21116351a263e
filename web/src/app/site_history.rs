//! A site's earlier settings, and the way back to them.

use serde::Deserialize;
use shared::ids::SiteId;
use shared::jobs::{Generation, SiteSpec};

use super::preview::{Preview, preview_of};
use super::site::{SiteUpdate, update_open};
use super::unit::{Open, Unit, finish, once, settle};
use super::{Actor, App, AppError, Requested};
use crate::store::operation::OperationKind;
use crate::store::site::site_fetch;
use crate::store::site_configuration::{SiteConfigurationRow, site_configuration_list};

/// The button that brings a generation back.
#[derive(Debug, Clone, Default, Hash, Deserialize)]
#[serde(default)]
pub struct RollbackForm {
    /// Which.
    pub generation: String,
    /// The form's key.
    pub key: Option<String>,
}

/// The generations of a site that are known, newest first.
///
/// # Errors
/// [`AppError::NotFound`].
pub async fn site_history(app: &App, actor: &Actor, id: SiteId) -> Result<Vec<SiteConfigurationRow>, AppError> {
    site_fetch(&app.db, actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    Ok(site_configuration_list(&app.db, id).await?)
}

/// A generation of a site, if it is known.
///
/// # Errors
/// [`AppError::NotFound`].
pub async fn site_generation(app: &App, actor: &Actor, id: SiteId, generation: &str) -> Result<SiteConfigurationRow, AppError> {
    let generation = generation.parse().map(Generation).map_err(|_| AppError::NotFound)?;
    site_history(app, actor, id).await?.into_iter().find(|row| row.generation == generation).ok_or(AppError::NotFound)
}

/// Asks for the settings of an earlier generation: names, document root and type. Whether the site is suspended stays as it is.
///
/// # Errors
/// [`AppError::NotFound`] if the generation is not known; [`AppError::Conflict`] if its settings are not possible any more.
pub async fn site_rollback(app: &App, actor: &Actor, id: SiteId, form: &RollbackForm) -> Result<Requested, AppError> {
    let known = site_generation(app, actor, id, &form.generation).await?;
    let settings = settings_of(&known.spec, form.key.clone());
    settle(app, actor, once(form.key.as_deref(), &settings).as_deref(), finish(rollback_open(app, actor, id, &settings).await).await).await
}

/// What bringing an earlier generation back would change.
///
/// # Errors
/// As [`site_rollback`].
pub async fn site_rollback_preview(app: &App, actor: &Actor, id: SiteId, form: &RollbackForm) -> Result<Preview, AppError> {
    let settings = settings_of(&site_generation(app, actor, id, &form.generation).await?.spec, None);
    preview_of(app, rollback_open(app, actor, id, &settings).await).await
}

/// The request, not committed.
async fn rollback_open<'a>(app: &'a App, actor: &'a Actor, id: SiteId, settings: &SiteUpdate) -> Result<(Unit<'a>, Open), AppError> {
    let opened = update_open(app, actor, id, settings, OperationKind::SiteRollback).await;
    opened.map_err(|error| match error {
        AppError::Invalid(refused) => {
            let why: Vec<&str> = refused.iter().map(|(_, sentence)| sentence).collect();
            AppError::conflict(format!("These settings are not possible any more. {}", why.join(" ")))
        }
        other => other,
    })
}

/// The form that asks for the settings of a state.
fn settings_of(spec: &SiteSpec, key: Option<String>) -> SiteUpdate {
    SiteUpdate {
        aliases: spec.aliases.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        document_root: spec.document_root.to_string(),
        php: spec.kind.php().map_or_else(|| "static".to_owned(), |version| version.to_string()),
        key,
    }
}
