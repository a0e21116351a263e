//! SFTP keys as pages show them.

use shared::ids::AccountId;
use shared::names::SshPublicKey;

use super::account::fetch;
use crate::app::{Actor, AppError};
use crate::error::PageError;
use crate::state::AppState;
use crate::store::sftp_key::sftp_key_list;
use crate::views::account::{KeyRemoveModel, KeyRow};

/// One key of a list.
#[must_use]
pub fn key_row(key: &SshPublicKey) -> KeyRow {
    KeyRow { comment: key.comment().to_owned(), kind: key.kind().to_owned(), fingerprint: key.fingerprint() }
}

/// The question before a key is removed.
///
/// # Errors
/// [`AppError::NotFound`] if there is no such account or key, or the database fails.
pub async fn sftp_key_remove_model(state: &AppState, actor: &Actor, id: AccountId, fingerprint: &str) -> Result<KeyRemoveModel, PageError> {
    let account = fetch(state, actor, id).await?;
    let keys = sftp_key_list(state.db(), id).await?;
    let found = keys.iter().find(|row| row.key.fingerprint() == fingerprint).ok_or(AppError::NotFound)?;
    Ok(KeyRemoveModel { id, user: account.linux_user, key: key_row(&found.key), preview: None })
}
