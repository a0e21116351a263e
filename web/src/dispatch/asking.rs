//! Questions of pages to workers: signed here, answered at once or not at all.
//!
//! **A silent server holds up no other**: one that is offline is not asked, one that has not answered yet is asked nothing else, and
//! few wait for its turn.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use shared::bus::asking::{ASK_PATIENCE, AskMessage};
use shared::ids::QuestionId;
use shared::live_read::{Ask, Question, Told};
use shared::names::ServerName;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::{Dispatch, DispatchError, chain};
use crate::store::server::server_fetch;

/// Questions held at a time; of more, those who ask are told at once that nobody answers.
const MOST: usize = 256;
/// Of these, as many of one server: the one that is put and those that wait for their turn.
const MOST_OF_ONE: usize = 8;

/// Each server's turn, with its places to wait.
#[derive(Default)]
struct Turns(std::sync::Mutex<HashMap<ServerName, Turn>>);

#[derive(Clone)]
struct Turn {
    places: Arc<Semaphore>,
    turn: Arc<Mutex<()>>,
}

impl Turns {
    fn of(&self, server: &ServerName) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = || Turn { places: Arc::new(Semaphore::new(MOST_OF_ONE)), turn: Arc::default() };
        turns.entry(server.clone()).or_insert_with(turn).clone()
    }
}

/// Passes questions on until the client is closed.
pub(crate) async fn run(dispatch: Arc<Dispatch>) {
    let mut asks = match dispatch.bus.asks().await {
        Ok(asks) => asks,
        Err(error) => return tracing::error!(error = %chain(&error), "questions cannot be heard"),
    };
    let (places, turns) = (Arc::new(Semaphore::new(MOST)), Arc::new(Turns::default()));
    while let Some(message) = asks.next().await {
        // Whoever asks gives up by then.
        let until = Instant::now() + ASK_PATIENCE;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tell(&message, &Told::Silent).await;
            continue;
        };
        let (dispatch, turns) = (Arc::clone(&dispatch), Arc::clone(&turns));
        tokio::spawn(async move {
            answer(&dispatch, &turns, &message, until).await;
            drop(place);
        });
    }
}

async fn answer(dispatch: &Dispatch, turns: &Turns, message: &AskMessage, until: Instant) {
    let told = match message.open() {
        Ok(ask) => put(dispatch, turns, ask, until).await.unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "a question could not be asked");
            Told::Silent
        }),
        Err(error) => return tracing::error!(error = %chain(&error), "a question does not decode"),
    };
    tell(message, &told).await;
}

async fn tell(message: &AskMessage, told: &Told) {
    if let Err(error) = message.tell(told).await {
        tracing::debug!(error = %chain(&error), "an answer was not passed on");
    }
}

async fn put(dispatch: &Dispatch, turns: &Turns, ask: Ask, until: Instant) -> Result<Told, DispatchError> {
    let Some(worker) = dispatch.workers.find(&dispatch.db, &ask.server).await? else { return Ok(Told::Silent) };
    let Turn { places, turn } = turns.of(&ask.server);
    let Ok(_place) = places.try_acquire() else { return Ok(Told::Silent) };
    let Ok(_turn) = timeout_at(until, turn.lock()).await else { return Ok(Told::Silent) };
    let is_online = server_fetch(&dispatch.db, worker.id).await?.is_some_and(|server| server.online);
    if !is_online || Instant::now() >= until {
        return Ok(Told::Silent);
    }
    let question = Question { id: QuestionId::new(), epoch: dispatch.epoch, server: ask.server, about: ask.about };
    let Ok(says) = timeout_at(until, dispatch.bus.ask(&question, &worker.public_key)).await else { return Ok(Told::Silent) };
    Ok(says?.map_or(Told::Silent, |says| Told::Answered { says }))
}
