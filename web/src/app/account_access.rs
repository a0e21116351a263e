//! How files arrive in an account: SFTP by password or key.

use serde::Deserialize;
use shared::ids::AccountId;
use shared::jobs::{AccountLimits, Presence, ResourceKey};
use shared::names::{CryptHash, SshPublicKey};
use shared::secret::Secret;

use super::account::LimitsForm;
use super::account_change::{account_for_change, write};
use super::desired::account_job;
use super::preview::{Preview, preview_of};
use super::unit::{Asked, Open, Place, Unit, finish, settle};
use super::{Actor, App, AppError, FieldErrors, Requested};
use crate::auth::crypt::sftp_hash;
use crate::auth::password::one_time_password;
use crate::auth::policy;
use crate::store::account::{AccountRow, account_fetch};
use crate::store::operation::OperationKind;
use crate::store::sftp_key::{sftp_key_delete_in_tx, sftp_key_insert_in_tx, sftp_key_list, sftp_key_list_in_tx};

/// A person manages this many keys by eye; more belong elsewhere.
const MOST_KEYS: usize = 50;

/// The form for an SFTP password.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SftpPasswordForm {
    /// The password; empty asks for a random one.
    pub password: String,
    /// The form's key.
    pub key_once: Option<String>,
}

/// The form for a new SFTP key.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct SftpKeyForm {
    /// The public key, one line.
    pub key: String,
}

/// What changes about an account's access or limits.
enum Change<'a> {
    Password(CryptHash),
    AddKey(SshPublicKey),
    RemoveKey(&'a str),
    Limits(AccountLimits),
}

/// Sets the SFTP password: the one typed, or a random one, which is returned to be shown once. A repeated request has none
/// to show.
///
/// # Errors
/// [`AppError::Invalid`] on `password`; [`AppError::Conflict`] while the account or its server cannot take one.
pub async fn sftp_password_set(
    app: &App,
    actor: &Actor,
    id: AccountId,
    form: &SftpPasswordForm,
) -> Result<(Requested, Option<Secret<String>>), AppError> {
    let (password, shown) = password_of(app, actor, id, form).await?;
    let hash = sftp_hash(password).await?;
    let key = form.key_once.as_deref();
    match finish(change_open(app, actor, id, Change::Password(hash), key).await).await {
        Ok(requested) => Ok((requested, shown)),
        // The password that is set is the first request's; this one's was never used.
        Err(refused) => Ok((settle(app, actor, key, Err(refused)).await?, None)),
    }
}

/// What setting the SFTP password would change. A random one is made for the question and never used.
///
/// # Errors
/// As [`sftp_password_set`].
pub async fn sftp_password_preview(app: &App, actor: &Actor, id: AccountId, form: &SftpPasswordForm) -> Result<Preview, AppError> {
    let (password, _) = password_of(app, actor, id, form).await?;
    let hash = sftp_hash(password).await?;
    change_preview(app, actor, id, Change::Password(hash)).await
}

/// The password that was asked for, and what of it is to be shown.
async fn password_of(
    app: &App,
    actor: &Actor,
    id: AccountId,
    form: &SftpPasswordForm,
) -> Result<(Secret<String>, Option<Secret<String>>), AppError> {
    // Ownership first: a stranger learns nothing from how long the hash takes.
    let account = account_fetch(&app.db, actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    if form.password.is_empty() {
        let password = one_time_password();
        return Ok((password.clone(), Some(password)));
    }
    policy::check(&form.password, &[account.linux_user.as_str(), &account.owner_name])
        .map_err(|refused| AppError::invalid("password", refused.to_string()))?;
    Ok((Secret::new(form.password.clone()), None))
}

/// Adds an SFTP key.
///
/// # Errors
/// [`AppError::Invalid`] on `key`; [`AppError::Conflict`] while the account is being deleted.
pub async fn sftp_key_add(app: &App, actor: &Actor, id: AccountId, form: &SftpKeyForm) -> Result<Requested, AppError> {
    let key = key_of(app, actor, id, form).await?;
    change(app, actor, id, Change::AddKey(key), None).await
}

/// What adding an SFTP key would change.
///
/// # Errors
/// As [`sftp_key_add`].
pub async fn sftp_key_add_preview(app: &App, actor: &Actor, id: AccountId, form: &SftpKeyForm) -> Result<Preview, AppError> {
    let key = key_of(app, actor, id, form).await?;
    change_preview(app, actor, id, Change::AddKey(key)).await
}

/// The key that was typed, if the account takes it.
async fn key_of(app: &App, actor: &Actor, id: AccountId, form: &SftpKeyForm) -> Result<SshPublicKey, AppError> {
    account_fetch(&app.db, actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    let mut errors = FieldErrors::new();
    let key = errors.take("key", form.key.parse::<SshPublicKey>());
    if sftp_key_list(&app.db, id).await?.len() >= MOST_KEYS {
        errors.add("key", format!("An account has at most {MOST_KEYS} keys. Remove one first."));
    }
    errors.check()?;
    key.ok_or(AppError::Invalid(errors))
}

/// Removes an SFTP key, by its fingerprint.
///
/// # Errors
/// [`AppError::NotFound`] if the account has no such key.
pub async fn sftp_key_remove(app: &App, actor: &Actor, id: AccountId, fingerprint: &str) -> Result<Requested, AppError> {
    change(app, actor, id, Change::RemoveKey(fingerprint), None).await
}

/// What removing an SFTP key would change.
///
/// # Errors
/// As [`sftp_key_remove`].
pub async fn sftp_key_remove_preview(app: &App, actor: &Actor, id: AccountId, fingerprint: &str) -> Result<Preview, AppError> {
    change_preview(app, actor, id, Change::RemoveKey(fingerprint)).await
}

/// Sets the limits of the account's slice.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Invalid`] on `cpu_percent`, `memory_mib` or `tasks`.
pub async fn account_limits_set(app: &App, actor: &Actor, id: AccountId, form: &LimitsForm) -> Result<Requested, AppError> {
    actor.require_admin()?;
    change(app, actor, id, Change::Limits(limits_of(form)?), None).await
}

/// What other limits would change on the account's server.
///
/// # Errors
/// As [`account_limits_set`].
pub async fn account_limits_preview(app: &App, actor: &Actor, id: AccountId, form: &LimitsForm) -> Result<Preview, AppError> {
    actor.require_admin()?;
    change_preview(app, actor, id, Change::Limits(limits_of(form)?)).await
}

fn limits_of(form: &LimitsForm) -> Result<AccountLimits, AppError> {
    let mut errors = FieldErrors::new();
    let limits = form.parse(&mut errors);
    errors.check()?;
    Ok(limits)
}

async fn change(app: &App, actor: &Actor, id: AccountId, change: Change<'_>, key: Option<&str>) -> Result<Requested, AppError> {
    settle(app, actor, key, finish(change_open(app, actor, id, change, key).await).await).await
}

async fn change_preview(app: &App, actor: &Actor, id: AccountId, change: Change<'_>) -> Result<Preview, AppError> {
    preview_of(app, change_open(app, actor, id, change, None).await).await
}

/// The request, not committed.
async fn change_open<'a>(
    app: &'a App,
    actor: &'a Actor,
    id: AccountId,
    change: Change<'_>,
    key: Option<&str>,
) -> Result<(Unit<'a>, Open), AppError> {
    let mut unit = Unit::begin(app, actor).await?;
    let (account, state) = account_for_change(&mut unit, actor, id).await?;
    let asked = Asked { kind: OperationKind::AccountUpdate, resource: ResourceKey::Account(id), subject: account.linux_user.as_str(), key };
    let mut open = unit.operation(Place::from(&account), asked).await?;
    let mut account = AccountRow { state, generation: account.generation.next(), last_operation: open.id, ..account };
    apply(&mut unit, &mut account, change).await?;
    write(&mut unit, &account).await?;
    let keys = keys_of(&mut unit, id).await?;
    unit.job(&mut open, &account_job(&account, keys, account.generation, Vec::new())?).await?;
    Ok((unit, open))
}

async fn apply(unit: &mut Unit<'_>, account: &mut AccountRow, change: Change<'_>) -> Result<(), AppError> {
    match change {
        Change::Password(hash) => account.sftp_password = Some(hash),
        Change::Limits(limits) => account.limits = limits,
        Change::AddKey(key) => {
            sftp_key_insert_in_tx(&mut unit.tx, account.id, &key).await.map_err(|error| {
                if error.is_duplicate_of("account_keys", "public_key") {
                    AppError::invalid("key", "This key is on the list already.")
                } else {
                    error.into()
                }
            })?;
        }
        Change::RemoveKey(fingerprint) => {
            let keys = sftp_key_list_in_tx(&mut unit.tx, account.id).await?;
            let found = keys.iter().filter(|row| row.key.fingerprint() == fingerprint).collect::<Vec<_>>();
            if found.is_empty() {
                return Err(AppError::NotFound);
            }
            for row in found {
                sftp_key_delete_in_tx(&mut unit.tx, account.id, &row.id).await?;
            }
        }
    }
    Ok(())
}

/// The keys of an account, for its job.
pub(super) async fn keys_of(unit: &mut Unit<'_>, id: AccountId) -> Result<Vec<SshPublicKey>, AppError> {
    Ok(sftp_key_list_in_tx(&mut unit.tx, id).await?.into_iter().map(|row| row.key).collect())
}

/// Whether anybody can sign in to an account over SFTP.
#[must_use]
pub fn has_access(account: &AccountRow, keys: usize) -> bool {
    account.presence == Presence::Active && (account.sftp_password.is_some() || keys > 0)
}
