//! Workers that join, and servers that were deleted: serve has checked the token and kept the worker's public keys, dispatch answers with credentials.

use std::sync::Arc;
use std::time::Duration;

use shared::bus::authority::BusAddress;
use shared::enrolment::EnrolmentReply;

use super::{Dispatch, DispatchError, chain};
use crate::store::ended_server::ended_server_list;
use crate::store::enrolment::{EnrolmentRow, enrolment_answer_in_tx, enrolment_list_pending};
use crate::store::panel::panel_keep_bus_url;
use crate::store::server::{server_fetch, server_list};
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
            tracing::warn!(error = %chain(&error), "an enrolment could not be answered; it is tried again");
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

async fn answer_all(dispatch: &Dispatch) -> Result<(), DispatchError> {
    for ended in ended_server_list(&dispatch.db).await?.iter().filter(|ended| !ended.closed) {
        dispatch.end_server(ended).await?;
    }
    for server in &server_list_shut_out(&dispatch.db).await? {
        dispatch.workers.forget().await;
        dispatch.ensure_server(server).await?;
        server_mark_shut_out(&dispatch.db, server).await?;
        tracing::info!(server.name = %server.name, "a worker is shut out of the bus");
    }
    for pending in enrolment_list_pending(&dispatch.db).await? {
        answer(dispatch, &pending).await?;
    }
    Ok(())
}

async fn answer(dispatch: &Dispatch, pending: &EnrolmentRow) -> Result<(), DispatchError> {
    let Some(server) = server_fetch(&dispatch.db, pending.server).await? else { return Ok(()) };
    let Some(public_key) = pending.public_key.as_deref() else { return Ok(()) };
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
