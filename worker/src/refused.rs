//! What this worker refuses as a matter of security: logged each time, told to the panel once a minute of each kind.

use shared::events::Event;
use shared::security::{Refused, SecurityKind};

use crate::outbox::outbox_insert;
use crate::run::Worker;
use crate::store::now_ms;
use crate::system::cut;

/// What the panel is told of one message.
const DETAIL_LIMIT: usize = 512;

/// Logs what was refused, and tells the panel.
pub(crate) async fn refused(worker: &Worker, kind: SecurityKind, detail: String) {
    tracing::error!(security.kind = %kind, security.detail = detail, "SECURITY: a message from the bus was dropped");
    let at_ms = now_ms();
    let Some(times) = worker.refused.lock().await.count(kind, at_ms) else { return };
    let event = Event::Refused(Refused { kind, detail: cut(detail, DETAIL_LIMIT), times, at_ms });
    let kept = async { outbox_insert(&mut *worker.store.pool.acquire().await?, &worker.identity, event).await };
    match kept.await {
        Ok(()) => worker.event_came.notify_one(),
        Err(error) => tracing::error!(error = %error, "the panel could not be told what was refused"),
    }
}
