//! The panel's questions, answered at once. **None of them changes the host**, and none is remembered.

use std::collections::HashSet;

use shared::bus::asking::QuestionMessage;
use shared::bus::worker::WorkerBus;
use shared::live_read::{About, Answer, MOST_PROPOSALS, Planned, Question, Says};
use shared::security::SecurityKind;

use crate::engine::error::chain;
use crate::refused::{not_ours, refused};
use crate::registry::propose;
use crate::run::Worker;

/// Answers questions one after another until the client is closed.
pub(crate) async fn answer_all(worker: &Worker, bus: &WorkerBus) {
    let mut questions = match bus.questions().await {
        Ok(questions) => questions,
        Err(error) => return tracing::error!(error = %error, "questions cannot be heard"),
    };
    while let Some(message) = questions.next().await {
        let Some(question) = opened(worker, &message).await else { continue };
        let says = says(worker, question.about).await;
        let answer = Answer { question: question.id, server: worker.identity.server.clone(), says };
        if let Err(error) = bus.answer(&answer).await {
            tracing::debug!(error = %error, "an answer was not sent");
        }
    }
}

/// The question, if the panel signed it for this worker.
async fn opened(worker: &Worker, message: &QuestionMessage) -> Option<Question> {
    let identity = &worker.identity;
    let question = match message.open(&identity.panel_key) {
        Ok(question) => question,
        Err(error) => {
            let detail = format!("a question that is not signed by the panel, or not readable: {}", chain(&error));
            refused(worker, SecurityKind::ForgedJob, detail).await;
            return None;
        }
    };
    if let Some((kind, whose)) = not_ours(identity, &question.server, question.epoch) {
        refused(worker, kind, format!("a question is for {whose}")).await;
        return None;
    }
    Some(question)
}

async fn says(worker: &Worker, about: About) -> Says {
    match about {
        About::Drift => {
            worker.look_wanted.notify_one();
            Says::Noted
        }
        About::Plan { proposals } => {
            let fit = proposals.iter().all(|proposal| proposal.resource.kind() == proposal.job.kind());
            if !fit || proposals.len() > MOST_PROPOSALS {
                return Says::Unable;
            }
            match propose(&worker.engine, proposals).await {
                Ok(plans) => Says::Plans { plans: fitting(plans) },
                Err(error) => {
                    tracing::warn!(error = chain(&error), "what a change would do could not be planned");
                    Says::Unable
                }
            }
        }
    }
}

/// An answer is at most so long: half of what a message may have, written as JSON.
const LONGEST: usize = 256 * 1024;

/// Repeats nothing, and leaves out what would make the answer too long for the bus.
fn fitting(plans: Vec<Planned>) -> Vec<Planned> {
    let (mut length, mut seen) = (0, HashSet::new());
    let mut kept = Vec::with_capacity(plans.len());
    for mut plan in plans {
        plan.differences.retain(|difference| {
            length += difference.len();
            length <= LONGEST && seen.insert(format!("{difference:?}"))
        });
        kept.push(plan);
    }
    kept
}
