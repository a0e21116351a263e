//! What each applied state of a site has become on its server, and the state itself: its history.

use shared::events::SiteConfiguration;
use shared::ids::{OperationId, ServerId, SiteId};
use shared::jobs::{Generation, Job, ResourceKey, SiteSpec};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::operation::OperationKind;
use super::{Db, StoreError, Tx, now_ms, parse, parse_json};

/// So many generations of each site are kept.
const KEPT: i64 = 50;

/// One generation.
#[derive(Debug, Clone)]
pub struct SiteConfigurationRow {
    /// Its number.
    pub generation: Generation,
    /// The state.
    pub spec: SiteSpec,
    /// The vhost's file.
    pub path: String,
    /// What it held.
    pub text: String,
    /// When it was applied.
    pub at_ms: i64,
    /// The request.
    pub operation: OperationId,
    /// What was asked, while that is known.
    pub kind: Option<OperationKind>,
    /// Who asked, by the name they had.
    pub asked_by: Option<String>,
}

impl TryFrom<&AnyRow> for SiteConfigurationRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let kind: Option<String> = row.try_get("kind")?;
        let job: Job = parse_json("site_configurations.job", row.try_get("job")?)?;
        let Job::Site(spec) = job else {
            return Err(StoreError::Corrupt { column: "site_configurations.job", source: "the state of no site".into() });
        };
        Ok(Self {
            generation: Generation(row.try_get("generation")?),
            spec,
            path: row.try_get("path")?,
            text: row.try_get("text")?,
            at_ms: row.try_get("at_ms")?,
            operation: parse("site_configurations.operation_id", row.try_get("operation_id")?)?,
            kind: kind.map(|kind| parse("operations.kind", &kind)).transpose()?,
            asked_by: row.try_get("asked_by_name")?,
        })
    }
}

/// Keeps a generation that a worker reports, with the state that it was sent. False if the server was sent no such state, or
/// the site is gone.
///
/// # Errors
/// The database fails.
pub async fn site_configuration_keep_in_tx(tx: &mut Tx, server: ServerId, reported: &SiteConfiguration) -> Result<bool, StoreError> {
    let ResourceKey::Site(site) = reported.resource else { return Ok(false) };
    let sent = sqlx::query(
        "SELECT j.operation_id, j.job FROM jobs j JOIN sites s ON s.id = $1 \
         WHERE j.resource = $2 AND j.generation = $3 AND j.server_id = $4 ORDER BY j.id DESC LIMIT 1",
    )
    .bind(site.to_string())
    .bind(reported.resource.to_string())
    .bind(reported.generation.0)
    .bind(server.to_string())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(sent) = sent else { return Ok(false) };
    sqlx::query(
        "INSERT INTO site_configurations (site_id, generation, operation_id, job, path, text, at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (site_id, generation) DO UPDATE SET path = excluded.path, text = excluded.text",
    )
    .bind(site.to_string())
    .bind(reported.generation.0)
    .bind(sent.try_get::<String, _>("operation_id")?)
    .bind(sent.try_get::<String, _>("job")?)
    .bind(&reported.path)
    .bind(&reported.text)
    .bind(now_ms())
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM site_configurations WHERE site_id = $1 AND generation <= $2")
        .bind(site.to_string())
        .bind(reported.generation.0 - KEPT)
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// The generations of a site, newest first.
///
/// # Errors
/// The database fails.
pub async fn site_configuration_list(db: &Db, site: SiteId) -> Result<Vec<SiteConfigurationRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT c.generation, c.job, c.path, c.text, c.at_ms, c.operation_id, o.kind, o.asked_by_name FROM site_configurations c \
         LEFT JOIN operations o ON o.id = c.operation_id WHERE c.site_id = $1 ORDER BY c.generation DESC",
    )
    .bind(site.to_string())
    .fetch_all(db.read())
    .await?;
    Ok(rows.iter().filter_map(|row| readable(site, row)).collect())
}

/// A generation that no longer reads as one of this release is left out: the others can still be looked at and brought back.
fn readable(site: SiteId, row: &AnyRow) -> Option<SiteConfigurationRow> {
    let lost = |error: &StoreError| {
        tracing::error!(site.id = %site, error = error as &dyn std::error::Error, "a generation of a site cannot be read and is left out");
    };
    SiteConfigurationRow::try_from(row).inspect_err(lost).ok()
}
