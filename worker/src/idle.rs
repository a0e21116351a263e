//! Puts PHP masters to sleep that have had nothing to do for a while: their memory is somebody else's meanwhile.
//!
//! **No request is lost by it.** The master is told to finish, as it is when it stops for any other reason: what it has begun it
//! ends. What comes then waits in the socket, which is systemd's, and starts the master again.
//! **No account holds up the others' jobs by it**: a master that does not end soon is not waited for, and left alone for an hour.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::jobs::{Job, PhpPoolSpec, ProcessManager};

use crate::engine::error::chain;
use crate::engine::image::UnitState;
use crate::engine::{Engine, blocking};
use crate::ledger::Rows;
use crate::roles::web::paths::{PHP_SERVICES, php_service_unit};
use crate::store::StoreError;
use crate::system::{ServiceStatus, SystemError};

/// How long a master may have nothing to do whose pool says nothing of it.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often they are looked at.
const GLANCE: Duration = Duration::from_mins(1);
/// So long one is left alone that was told to end and has not: its account may keep it from hearing.
const LEFT_ALONE: Duration = Duration::from_hours(1);

/// Looks for idle masters and ends them. Never ends.
pub(crate) async fn keep_asleep(engine: &Engine) {
    let mut watch = Watch::default();
    loop {
        tokio::time::sleep(GLANCE).await;
        match glance(engine, &mut watch).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = chain(&error), "idle PHP masters could not be ended"),
            Err(error) => tracing::warn!(error = chain(&error), "idle PHP masters could not be ended"),
        }
    }
}

async fn glance(engine: &Engine, watch: &mut Watch) -> Result<Result<(), SystemError>, StoreError> {
    let system = Arc::clone(engine.system());
    let services = match blocking(move || system.services(PHP_SERVICES)).await? {
        Ok(services) => services,
        Err(error) => return Ok(Err(error)),
    };
    let times = idle_times(&engine.ledger().rows());
    let idle = watch.idle(&services, &times, Instant::now());
    end(engine, watch, idle).await
}

/// Ends masters one after another; jobs have their turn between two, however many there are. One that was given a request meanwhile
/// ends after it.
async fn end(engine: &Engine, watch: &mut Watch, units: Vec<String>) -> Result<Result<(), SystemError>, StoreError> {
    for unit in units {
        // A job that means to reload a master must find it as its plan did.
        let _turn = engine.turn.lock().await;
        tracing::debug!(unit, "an idle PHP master is ended");
        let (system, name) = (Arc::clone(engine.system()), unit.clone());
        match blocking(move || system.finish_service(&name)).await? {
            Ok(UnitState::Inactive) => {}
            Ok(UnitState::Active) => watch.leave_alone(unit, Instant::now()),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

/// How long the masters of pools that run on demand may have nothing to do, by their units.
fn idle_times(rows: &Rows) -> HashMap<String, Duration> {
    let time = |job: &Job| match job {
        Job::PhpPool(PhpPoolSpec { user, version, settings, .. }) => match settings.process_manager {
            ProcessManager::Ondemand { idle_timeout_s, .. } => {
                Some((php_service_unit(user, *version), Duration::from_secs(idle_timeout_s.into())))
            }
            ProcessManager::Static { .. } | ProcessManager::Dynamic { .. } => None,
        },
        Job::Account(_) | Job::Site(_) | Job::Worker(_) => None,
    };
    rows.applied().filter_map(|(_, _, job)| time(job)).collect()
}

/// What was seen of masters.
#[derive(Default)]
struct Watch {
    /// How many requests each has had, and since when.
    seen: HashMap<String, (u64, Instant)>,
    /// Which are left alone, and since when.
    left: HashMap<String, Instant>,
}

impl Watch {
    /// The services that have been idle for long enough, by what they say of themselves now.
    fn idle(&mut self, services: &[ServiceStatus], times: &HashMap<String, Duration>, now: Instant) -> Vec<String> {
        self.left.retain(|_, since| now.duration_since(*since) < LEFT_ALONE);
        let mut seen = HashMap::new();
        let mut idle = Vec::new();
        for service in services.iter().filter(|service| !self.left.contains_key(&service.unit)) {
            let Some(requests) = idle_after(&service.text) else { continue };
            let since = match self.seen.get(&service.unit) {
                Some((before, since)) if *before == requests => *since,
                Some(_) | None => now,
            };
            if now.duration_since(since) >= times.get(&service.unit).copied().unwrap_or(PATIENCE) {
                idle.push(service.unit.clone());
            } else {
                seen.insert(service.unit.clone(), (requests, since));
            }
        }
        self.seen = seen;
        idle
    }

    /// One has not ended.
    fn leave_alone(&mut self, unit: String, now: Instant) {
        tracing::info!(unit, "an idle PHP master has not ended at once; it is left alone for an hour");
        self.left.insert(unit, now);
    }
}

/// How many requests an FPM master has had, if it serves none: `Processes active: 0, idle: 2, Requests: 17, slow: 0, ...`
/// (fpm_systemd.c, every ten seconds).
fn idle_after(status: &str) -> Option<u64> {
    let number = |key: &str| -> Option<u64> {
        let rest = status.split_once(key)?.1.trim_start();
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    (number("Processes active:")? == 0).then(|| number("Requests:")).flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::{Duration, Instant};

    use super::{LEFT_ALONE, PATIENCE, Watch};
    use crate::system::ServiceStatus;

    fn status(active: u64, requests: u64) -> Vec<ServiceStatus> {
        let text = format!("Processes active: {active}, idle: 1, Requests: {requests}, slow: 0, Traffic: 0.00req/sec");
        vec![ServiceStatus { unit: "gantry-php8.2@shop.service".to_owned(), text }]
    }

    #[test]
    fn a_master_is_ended_once_it_has_had_nothing_to_do_for_the_whole_time() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let almost = PATIENCE - Duration::from_secs(1);
        assert!(watch.idle(&status(0, 5), &HashMap::new(), start).is_empty());
        assert!(watch.idle(&status(0, 5), &HashMap::new(), start + almost).is_empty());
        assert_eq!(watch.idle(&status(0, 5), &HashMap::new(), start + PATIENCE), ["gantry-php8.2@shop.service"]);
        assert!(watch.idle(&status(0, 5), &HashMap::new(), start + PATIENCE).is_empty(), "one that was started again begins anew");
    }

    #[test]
    fn a_pool_that_runs_on_demand_says_itself_how_long_its_master_stays() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let times = HashMap::from([("gantry-php8.2@shop.service".to_owned(), Duration::from_secs(90))]);
        assert!(watch.idle(&status(0, 5), &times, start).is_empty());
        assert!(watch.idle(&status(0, 5), &times, start + Duration::from_secs(60)).is_empty());
        assert_eq!(watch.idle(&status(0, 5), &times, start + Duration::from_secs(120)), ["gantry-php8.2@shop.service"]);
    }

    #[test]
    fn a_request_in_between_or_one_that_lasts_begins_the_time_anew() {
        for between in [status(0, 6), status(1, 5), Vec::new()] {
            let (mut watch, start) = (Watch::default(), Instant::now());
            assert!(watch.idle(&status(0, 5), &HashMap::new(), start).is_empty());
            assert!(watch.idle(&between, &HashMap::new(), start + PATIENCE / 2).is_empty());
            assert!(watch.idle(&status(0, 6), &HashMap::new(), start + PATIENCE).is_empty());
        }
    }

    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn a_job_has_its_turn_between_two_masters_that_are_ended() {
        let scene = crate::executor::tests::Scene::new().await;
        let units = ["gantry-php8.2@one.service", "gantry-php8.2@two.service"];
        units.into_iter().for_each(|unit| scene.host.start(unit));
        let engine = &scene.worker.engine;
        let before = engine.turn.lock().await;
        let job = async {
            let _turn = engine.turn.lock().await;
            units.map(|unit| scene.host.snapshot().active.contains(unit))
        };
        let mut watch = Watch::default();
        let (ended, seen, ()) = tokio::join!(super::end(engine, &mut watch, units.map(str::to_owned).into()), job, async { drop(before) });
        ended.unwrap().unwrap();
        assert_eq!(seen, [false, true]);
        assert!(units.into_iter().all(|unit| !scene.host.snapshot().active.contains(unit)));
    }

    #[cfg(feature = "testing")]
    #[tokio::test]
    async fn a_master_that_does_not_end_is_left_alone_for_an_hour_and_the_others_are_ended() {
        let scene = crate::executor::tests::Scene::new().await;
        let units = ["gantry-php8.2@shop.service", "gantry-php8.2@two.service"];
        units.into_iter().for_each(|unit| scene.host.start(unit));
        scene.host.keep_from_finishing(units[0]);
        let (mut watch, start) = (Watch::default(), Instant::now());
        super::end(&scene.worker.engine, &mut watch, units.map(str::to_owned).into()).await.unwrap().unwrap();
        assert_eq!(units.map(|unit| scene.host.snapshot().active.contains(unit)), [true, false]);
        let is_idle = |watch: &mut Watch, now| !watch.idle(&status(0, 5), &HashMap::new(), now).is_empty();
        for time in [Duration::ZERO, PATIENCE, LEFT_ALONE - Duration::from_secs(1)] {
            assert!(!is_idle(&mut watch, start + time), "{time:?}");
        }
        let again = Instant::now() + LEFT_ALONE;
        assert!(!is_idle(&mut watch, again), "its time begins anew");
        assert!(is_idle(&mut watch, again + PATIENCE));
    }

    #[test]
    fn a_master_that_says_nothing_of_itself_is_left_alone() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let silent = vec![ServiceStatus { unit: "gantry-php8.2@shop.service".to_owned(), text: "Ready to handle connections".to_owned() }];
        assert!(watch.idle(&silent, &HashMap::new(), start).is_empty());
        assert!(watch.idle(&silent, &HashMap::new(), start + PATIENCE * 2).is_empty());
    }
}
