//! What this worker refuses as a matter of security: logged each time, told to the panel once a minute of each kind.

use shared::events::Event;
use shared::ids::Epoch;
use shared::names::ServerName;
use shared::security::{Refused, SecurityKind};

use crate::config::Identity;
use crate::outbox::outbox_insert;
use crate::run::Worker;
use crate::store::now_ms;
use crate::system::cut;

/// What the panel is told of one message.
const DETAIL_LIMIT: usize = 512;

/// Whether a message that the panel signed is for somebody else: what that is, and for whom it is.
pub(crate) fn not_ours(identity: &Identity, server: &ServerName, epoch: Epoch) -> Option<(SecurityKind, String)> {
    if *server != identity.server {
        Some((SecurityKind::MisdirectedJob, format!("the server {server}")))
    } else if epoch != identity.epoch {
        Some((SecurityKind::ForeignJob, format!("workers of the panel {epoch}")))
    } else {
        None
    }
}

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

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use shared::ids::Epoch;
    use shared::security::SecurityKind;

    use super::not_ours;
    use crate::executor::tests::Scene;

    #[tokio::test]
    async fn what_is_for_another_server_or_another_panel_is_not_ours() {
        let scene = Scene::new().await;
        let identity = &scene.worker.identity;
        let kind = |server: &str, epoch| not_ours(identity, &server.parse().unwrap(), epoch).map(|(kind, _)| kind);
        assert_eq!(kind("web1", identity.epoch), None);
        assert_eq!(kind("web2", identity.epoch), Some(SecurityKind::MisdirectedJob));
        assert_eq!(kind("web1", Epoch::new()), Some(SecurityKind::ForeignJob));
    }
}
