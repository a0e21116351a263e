//! Workers that join, and servers that were deleted: serve has checked the token and kept the worker's public keys, dispatch answers with credentials.

use std::sync::Arc;
use std::time::Duration;

use shared::bus::authority::BusAddress;
use shared::bus::credentials::{is_seal_public_key, is_user_public_key};
use shared::enrolment::{EnrolmentReply, Refusal};

use super::{Dispatch, DispatchError, chain};
use crate::store::ended_server::ended_server_list;
use crate::store::enrolment::{EnrolmentRow, enrolment_answer_in_tx, enrolment_list_pending, enrolment_refuse_in_tx};
use crate::store::panel::panel_keep_bus_url;
use crate::store::server::{ServerRow, server_fetch, server_list};
use crate::store::shut_out::{server_list_shut_out, server_mark_shut_out};
use crate::store::{StoreError, now_ms, to_json};

/// How often pending enrolments are looked for; a worker waits for its answer meanwhile.
const PAUSE: Duration = Duration::from_millis(500);

/// Answers until the process ends.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    if let Err(error) = panel_keep_bus_url(&dispatch.db, &dispatch.bus_for_workers.url).await {
        tracing::warn!(error = %chain(&error), "the address of the bus could not be kept; pages do not show it");
    }
    if let Err(error) = ensure_servers(&dispatch).await {
        tracing::warn!(error = %chain(&error), "not every server can connect yet");
    }
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Err(error) = answer_all(&dispatch).await {
            tracing::warn!(error = %chain(&error), "enrolments could not be looked for; it is tried again");
        }
    }
}

/// Every server that has joined has its consumer and account, also after the bus has lost its store.
async fn ensure_servers(dispatch: &Dispatch) -> Result<(), DispatchError> {
    for server in server_list(&dispatch.db).await?.iter().filter(|server| server.public_key.is_some()) {
        dispatch.ensure_server(server).await?;
    }
    Ok(())
}

/// Who is to be cut off comes first. **One entry that fails holds up no other**: it is said, and tried again.
async fn answer_all(dispatch: &Dispatch) -> Result<(), DispatchError> {
    for server in &server_list_shut_out(&dispatch.db).await? {
        if let Err(error) = shut_out(dispatch, server).await {
            tracing::warn!(server.name = %server.name, error = %chain(&error), "a worker could not be shut out yet; it is tried again");
        }
    }
    for ended in ended_server_list(&dispatch.db).await?.iter().filter(|ended| !ended.closed) {
        if let Err(error) = dispatch.end_server(ended).await {
            tracing::warn!(server.name = %ended.name, error = %chain(&error), "a deleted server could not be shut out yet; it is tried again");
        }
    }
    for pending in enrolment_list_pending(&dispatch.db).await? {
        if let Err(error) = answer(dispatch, &pending).await {
            tracing::warn!(enrolment.id = %pending.id, error = %chain(&error), "an enrolment could not be answered; it is tried again");
        }
    }
    Ok(())
}

async fn shut_out(dispatch: &Dispatch, server: &ServerRow) -> Result<(), DispatchError> {
    dispatch.workers.forget().await;
    dispatch.ensure_server(server).await?;
    server_mark_shut_out(&dispatch.db, server).await?;
    tracing::info!(server.name = %server.name, "a worker is shut out of the bus");
    Ok(())
}

async fn answer(dispatch: &Dispatch, pending: &EnrolmentRow) -> Result<(), DispatchError> {
    let Some(server) = server_fetch(&dispatch.db, pending.server).await? else { return Ok(()) };
    let Some(public_key) = pending.public_key.as_deref() else { return Ok(()) };
    // Whoever recorded it, nobody is let in by a key that is none, nor takes the place of a worker with one.
    if !is_user_public_key(public_key) || !pending.seal_key.as_deref().is_some_and(is_seal_public_key) {
        return refuse(dispatch, pending, &server).await;
    }
    dispatch.ensure_server(&server).await?;
    let reply = EnrolmentReply {
        server: server.name.clone(),
        epoch: dispatch.epoch,
        jwt: dispatch.keys.worker_jwt(&server.name, public_key, now_ms() / 1000)?,
        panel_key: dispatch.bus.signer_public_key(),
        stream: server.stream.clone(),
        bus: BusAddress {
            url: Some(server.places.bus_url.clone()).filter(|url| !url.is_empty()).unwrap_or(dispatch.bus_for_workers.url.clone()),
            authority: dispatch.bus_for_workers.authority.clone(),
        },
    };
    let mut tx = dispatch.db.write().await?;
    if !enrolment_answer_in_tx(&mut tx, pending, &to_json("enrolments.reply", &reply)?).await? {
        // Answered by another dispatch, or deleted with its server.
        return Ok(());
    }
    tx.commit().await.map_err(StoreError::from)?;
    dispatch.workers.forget().await;
    // The key it had before, if any, is revoked now: the bus cuts that connection. Should this fail, the sweep does it.
    dispatch.ensure_server(&server).await?;
    tracing::info!(server.name = %server.name, "a worker has joined");
    Ok(())
}

async fn refuse(dispatch: &Dispatch, pending: &EnrolmentRow, server: &ServerRow) -> Result<(), DispatchError> {
    let mut tx = dispatch.db.write().await?;
    enrolment_refuse_in_tx(&mut tx, pending, &to_json("enrolments.reply", &Refusal::Keys)?).await?;
    tx.commit().await.map_err(StoreError::from)?;
    tracing::warn!(server.name = %server.name, "a worker wanted to join with damaged keys, and was refused");
    Ok(())
}
