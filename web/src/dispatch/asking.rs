//! Questions of pages to workers: signed here, answered at once or not at all.

use std::sync::Arc;

use shared::bus::asking::AskMessage;
use shared::ids::QuestionId;
use shared::live_read::{Ask, Question, Told};
use tokio::sync::Semaphore;

use super::{Dispatch, DispatchError, chain};

/// Questions under way at a time; of more, those who ask wait.
const MOST: usize = 32;

/// Passes questions on until the client is closed.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    let mut asks = match dispatch.bus.asks().await {
        Ok(asks) => asks,
        Err(error) => return tracing::error!(error = %chain(&error), "questions cannot be heard"),
    };
    let places = Arc::new(Semaphore::new(MOST));
    while let Some(message) = asks.next().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let dispatch = Arc::clone(&dispatch);
        tokio::spawn(async move {
            answer(&dispatch, &message).await;
            drop(place);
        });
    }
}

async fn answer(dispatch: &Dispatch, message: &AskMessage) {
    let told = match message.open() {
        Ok(ask) => put(dispatch, ask).await.unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "a question could not be asked");
            Told::Silent
        }),
        Err(error) => return tracing::error!(error = %chain(&error), "a question does not decode"),
    };
    if let Err(error) = message.tell(&told).await {
        tracing::debug!(error = %chain(&error), "an answer was not passed on");
    }
}

async fn put(dispatch: &Dispatch, ask: Ask) -> Result<Told, DispatchError> {
    let Some(worker) = dispatch.workers.find(&dispatch.db, &ask.server).await? else { return Ok(Told::Silent) };
    let question = Question { id: QuestionId::new(), epoch: dispatch.epoch, server: ask.server, about: ask.about };
    let says = dispatch.bus.ask(&question, &worker.public_key).await?;
    Ok(says.map_or(Told::Silent, |says| Told::Answered { says }))
}
