//! PHP settings of an account for one version.

use serde::Deserialize;
use shared::ids::AccountId;
use shared::jobs::{PhpSettings, PoolPresence, ProcessManager, ResourceKey};
use shared::names::PhpVersion;

use super::account_change::account_for_change;
use super::desired::{needs_account, pool_job};
use super::preview::{Preview, preview_of};
use super::unit::{Asked, Open, Place, Unit, finish, once, settle};
use super::{Actor, App, AppError, FieldErrors, Requested};
use crate::store::operation::OperationKind;
use crate::store::php_pool::{php_pool_list_in_tx, php_pool_update_in_tx};

/// The form for PHP settings, as typed. Which fields of the process manager count depends on `pm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct PhpForm {
    /// `memory_limit` in MiB.
    pub memory_limit_mib: String,
    /// `max_execution_time` in seconds.
    pub max_execution_time_s: String,
    /// `max_input_time` in seconds.
    pub max_input_time_s: String,
    /// `max_input_vars`.
    pub max_input_vars: String,
    /// `post_max_size` in MiB.
    pub post_max_size_mib: String,
    /// `upload_max_filesize` in MiB.
    pub upload_max_filesize_mib: String,
    /// `ondemand`, `dynamic` or `static`.
    pub pm: String,
    /// `pm.max_children`.
    pub max_children: String,
    /// How long a pool that runs on demand may be idle, in seconds.
    pub idle_timeout_s: String,
    /// `pm.max_requests`.
    pub max_requests: String,
    /// `pm.start_servers`.
    pub start_servers: String,
    /// `pm.min_spare_servers`.
    pub min_spare: String,
    /// `pm.max_spare_servers`.
    pub max_spare: String,
    /// The form's key.
    pub key: Option<String>,
}

/// Asks for other PHP settings.
///
/// # Errors
/// [`AppError::NotFound`] if no site of the account uses the version; [`AppError::Invalid`] on any field.
pub async fn php_update(app: &App, actor: &Actor, id: AccountId, version: PhpVersion, form: &PhpForm) -> Result<Requested, AppError> {
    settle(app, actor, once(form.key.as_deref(), form).as_deref(), finish(update_open(app, actor, id, version, form).await).await).await
}

/// What other PHP settings would change on the account's server.
///
/// # Errors
/// As [`php_update`].
pub async fn php_preview(app: &App, actor: &Actor, id: AccountId, version: PhpVersion, form: &PhpForm) -> Result<Preview, AppError> {
    let form = PhpForm { key: None, ..form.clone() };
    preview_of(app, update_open(app, actor, id, version, &form).await).await
}

/// The request, not committed.
async fn update_open<'a>(
    app: &'a App,
    actor: &'a Actor,
    id: AccountId,
    version: PhpVersion,
    form: &PhpForm,
) -> Result<(Unit<'a>, Open), AppError> {
    let mut unit = Unit::begin(app, actor).await?;
    let (account, _) = account_for_change(&mut unit, actor, id).await?;
    let pools = php_pool_list_in_tx(&mut unit.tx, id).await?;
    let pool = pools.into_iter().find(|pool| pool.version == version && pool.presence != PoolPresence::Deleted);
    let pool = pool.ok_or(AppError::NotFound)?;
    let settings = form.parse()?;
    let subject = format!("PHP {version} of {}", account.linux_user);
    let key = once(form.key.as_deref(), form);
    let asked = Asked { kind: OperationKind::PhpUpdate, resource: ResourceKey::PhpPool(pool.id), subject: &subject, key: key.as_deref() };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    let pool = php_pool_update_in_tx(&mut unit.tx, &pool, pool.presence, &settings).await?;
    unit.job(&mut open, &pool_job(&account, &pool, vec![needs_account(&account)])).await?;
    Ok((unit, open))
}

impl PhpForm {
    /// The form as it shows settings.
    #[must_use]
    pub fn of(settings: &PhpSettings) -> Self {
        let mut form = Self {
            memory_limit_mib: settings.memory_limit_mib.to_string(),
            max_execution_time_s: settings.max_execution_time_s.to_string(),
            max_input_time_s: settings.max_input_time_s.to_string(),
            max_input_vars: settings.max_input_vars.to_string(),
            post_max_size_mib: settings.post_max_size_mib.to_string(),
            upload_max_filesize_mib: settings.upload_max_filesize_mib.to_string(),
            ..Self::default()
        };
        let requests = match settings.process_manager {
            ProcessManager::Ondemand { max_children, idle_timeout_s, max_requests } => {
                (form.pm, form.idle_timeout_s) = ("ondemand".to_owned(), idle_timeout_s.to_string());
                (max_children, max_requests)
            }
            ProcessManager::Static { max_children, max_requests } => {
                form.pm = "static".to_owned();
                (max_children, max_requests)
            }
            ProcessManager::Dynamic { max_children, start_servers, min_spare, max_spare, max_requests } => {
                form.pm = "dynamic".to_owned();
                form.start_servers = start_servers.to_string();
                (form.min_spare, form.max_spare) = (min_spare.to_string(), max_spare.to_string());
                (max_children, max_requests)
            }
        };
        (form.max_children, form.max_requests) = (requests.0.to_string(), requests.1.to_string());
        form
    }

    fn parse(&self) -> Result<PhpSettings, AppError> {
        let mut errors = FieldErrors::new();
        let mut number =
            |field, text: &str| errors.take(field, text.trim().parse::<u32>().map_err(|_| "Enter a whole number.")).unwrap_or(0);
        let (max_children, max_requests) = (number("max_children", &self.max_children), number("max_requests", &self.max_requests));
        let process_manager = match self.pm.as_str() {
            "ondemand" => {
                ProcessManager::Ondemand { max_children, idle_timeout_s: number("idle_timeout_s", &self.idle_timeout_s), max_requests }
            }
            "static" => ProcessManager::Static { max_children, max_requests },
            "dynamic" => ProcessManager::Dynamic {
                max_children,
                start_servers: number("start_servers", &self.start_servers),
                min_spare: number("min_spare", &self.min_spare),
                max_spare: number("max_spare", &self.max_spare),
                max_requests,
            },
            _ => return Err(AppError::invalid("pm", "Choose how PHP workers come and go.")),
        };
        let settings = PhpSettings {
            memory_limit_mib: number("memory_limit_mib", &self.memory_limit_mib),
            max_execution_time_s: number("max_execution_time_s", &self.max_execution_time_s),
            max_input_time_s: number("max_input_time_s", &self.max_input_time_s),
            max_input_vars: number("max_input_vars", &self.max_input_vars),
            post_max_size_mib: number("post_max_size_mib", &self.post_max_size_mib),
            upload_max_filesize_mib: number("upload_max_filesize_mib", &self.upload_max_filesize_mib),
            process_manager,
        };
        errors.check()?;
        settings.check().map_err(|out| AppError::invalid(out.field, format!("Enter a number from {} to {}.", out.least, out.most)))?;
        Ok(settings)
    }
}
