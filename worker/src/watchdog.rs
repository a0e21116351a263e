//! Tells systemd that the worker lives, **only as long as nothing it does has hung**: a call of the host that never returns would
//! hold the engine's turn for ever while the heartbeat says that all is well. Then systemd kills the worker (`WatchdogSec=`) and
//! starts it again, and the journal puts back what was in flight.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use crate::run::Worker;
use crate::system::{HANGS_AFTER, Watch};

/// Says so three times within the time that systemd allows.
pub(crate) async fn keep_quiet(worker: Arc<Worker>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return pending().await };
    tell_while_well(&worker.engine.watch, HANGS_AFTER, period / 3, || {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    })
    .await;
}

async fn tell_while_well(watch: &Watch, limit: Duration, every: Duration, mut tell: impl FnMut()) {
    let mut told = None;
    loop {
        tokio::time::sleep(every).await;
        match watch.overdue(limit) {
            None => {
                tell();
                told = None;
            }
            Some((name, time)) => {
                if told.replace(name) != Some(name) {
                    let duration_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                    tracing::error!(
                        call = name,
                        duration_ms,
                        "something hangs; unless it goes on, systemd ends the worker and starts it again"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::tell_while_well;
    use crate::executor::tests::{Scene, tenants};
    use crate::system::fake::Trouble;
    use crate::system::{HANGS_AFTER, Watch};

    #[test]
    fn nothing_with_a_limit_of_its_own_is_taken_for_hung() {
        assert!(HANGS_AFTER >= Duration::from_secs(190), "{HANGS_AFTER:?}");
        let watch = Watch::default();
        let one = watch.begin("one");
        assert_eq!(watch.overdue(HANGS_AFTER), None);
        assert_eq!(watch.overdue(Duration::ZERO).map(|(name, _)| name), Some("one"));
        drop(one);
        assert_eq!(watch.overdue(Duration::ZERO), None);
    }

    #[tokio::test]
    async fn a_job_that_hangs_is_not_covered_up_and_one_that_goes_on_is_told_again() {
        let (scene, [tenant]) = (Scene::new().await, tenants());
        let (limit, every) = (Duration::from_millis(200), Duration::from_millis(1));
        let (watch, told) = (&scene.worker.engine.watch, Cell::new(0));
        let until = async |holds: &dyn Fn() -> bool| {
            while !holds() {
                tokio::time::sleep(every).await;
            }
        };
        let script = scene.work(async || {
            until(&|| told.get() > 0).await;
            scene.host.trouble_of(tenant.user().as_str(), 0, 1, Trouble::Stall);
            let account = tenant.account();
            scene.hand_over(std::slice::from_ref(&account)).await;
            until(&|| watch.overdue(limit).is_some()).await;
            let before = told.get();
            tokio::time::sleep(limit).await;
            assert_eq!(told.get(), before, "{:?}", scene.host.stalled());
            scene.host.let_go();
            scene.applied(&[account]).await;
            until(&|| told.get() > before).await;
        });
        tokio::select! {
            () = script => {}
            () = tell_while_well(watch, limit, every, || told.set(told.get() + 1)) => {}
        }
    }
}
