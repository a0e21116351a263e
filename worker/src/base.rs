//! The host's base: what every site relies on and no job writes. Made fit at the worker's start, and kept so from then on.
//!
//! **What is written again over somebody's hand is told**: in the journal, and on the page of drift with what it held before.

use std::sync::Arc;
use std::time::Duration;

use shared::events::SetAside;

use crate::drift::report_set_aside;
use crate::engine::error::chain;
use crate::includes;
use crate::registry::{Prepared, Unplanned, keep_host, prepare_host};
use crate::run::Worker;
use crate::store::{StoreError, now_ms};

/// Makes the host fit for its roles, at the worker's start: what is written then may be what another release writes.
pub(crate) async fn prepare(worker: &Worker) {
    drop(said(prepare_host(&worker.engine, &mut |_| {}).await));
}

/// Keeps it fit: PHP versions come and go, and others flush packet filters.
pub(crate) async fn keep(worker: Arc<Worker>) {
    loop {
        tokio::time::sleep(Duration::from_mins(1)).await;
        look(&worker).await;
    }
}

async fn look(worker: &Worker) {
    let rewritten = said(keep_host(&worker.engine, &mut |_| {}).await).map(|prepared| prepared.rewritten).unwrap_or_default();
    if let Err(error) = tell(worker, rewritten).await {
        tracing::error!(error = chain(&error), "the panel could not be told what of the host's base was written again");
    }
}

/// Says in the journal how it came out. What was done, if it was.
fn said(prepared: Result<Prepared, Unplanned>) -> Option<Prepared> {
    match prepared {
        Ok(prepared) if prepared.steps.is_empty() => tracing::debug!("the host is as it should be"),
        Ok(prepared) if prepared.failure.is_none() => {
            let done = prepared.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>().join(", ");
            tracing::info!(done, files = prepared.written.join(" "), "the host is prepared");
            return Some(prepared);
        }
        Ok(Prepared { failure, .. }) => {
            let (code, detail) = failure.map(|(code, detail)| (code.to_string(), detail)).unwrap_or_default();
            tracing::error!(failure.code = code, failure.detail = detail, "the host could not be prepared; trying again in a minute");
        }
        Err(error) => tracing::error!(error = chain(&error), "the host could not be prepared; trying again in a minute"),
    }
    None
}

async fn tell(worker: &Worker, rewritten: Vec<(String, String)>) -> Result<(), StoreError> {
    if rewritten.is_empty() {
        return Ok(());
    }
    for (path, said) in rewritten {
        tracing::warn!(file = path, "a file of the host's base was not as it should be; it was written again");
        includes::keep(&worker.store.pool, &SetAside { path, said, at_ms: now_ms() }).await?;
    }
    report_set_aside(worker).await
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::path::Path;

    use shared::events::{Event, EventEnvelope};

    use super::{look, prepare};
    use crate::executor::tests::Scene;
    use crate::includes::{Looked, set_aside_list};
    use crate::system::fake::Node;

    const BASELINE: &str = "/etc/nginx/conf.d/gantry.conf";

    fn text(scene: &Scene, path: &str) -> String {
        match scene.host.snapshot().nodes.get(Path::new(path)) {
            Some(Node::File { content, .. }) => String::from_utf8_lossy(content).into_owned(),
            other => panic!("{path} is no file: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_file_of_the_base_that_somebody_changes_is_written_again_and_the_panel_is_told_what_it_held() {
        let scene = Scene::new().await;
        let pool = &scene.worker.store.pool;
        let as_it_should_be = text(&scene, BASELINE);
        scene.host.put_file(BASELINE, &as_it_should_be.replace("gantry_sites:10m", "gantry_sites:1m"));
        look(&scene.worker).await;
        assert_eq!(text(&scene, BASELINE), as_it_should_be);
        let events: Vec<Vec<u8>> = sqlx::query_scalar("SELECT payload FROM outbox").fetch_all(pool).await.unwrap();
        let told: Vec<(String, String)> = events
            .iter()
            .filter_map(|event| match serde_json::from_slice::<EventEnvelope>(event).unwrap().event {
                Event::Drift(report) => report.set_aside,
                _ => None,
            })
            .flatten()
            .map(|file| (file.path, file.said))
            .collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].0 == BASELINE && told[0].1.contains("-limit_conn_zone $gantry_counted zone=gantry_sites:1m;"), "{told:?}");
        // What another release of the worker writes at its start is nobody's hand, and what is as it should be is no news.
        scene.host.put_file("/etc/sysctl.d/60-gantry.conf", "# of an older release\n");
        prepare(&scene.worker).await;
        look(&scene.worker).await;
        let kept = async || set_aside_list(&mut pool.acquire().await.unwrap()).await.unwrap();
        assert_eq!(kept().await.into_iter().map(|file| file.path).collect::<Vec<_>>(), [BASELINE]);
        // It is news for a day.
        assert_eq!(crate::includes::look(&scene.worker.engine, pool).await.unwrap(), Looked::Same);
        sqlx::query("UPDATE set_aside SET at_ms = at_ms - 90000000").execute(pool).await.unwrap();
        assert_eq!(crate::includes::look(&scene.worker.engine, pool).await.unwrap(), Looked::Changed);
        assert!(kept().await.is_empty());
    }

    #[tokio::test]
    async fn f52_an_nginx_that_somebody_stops_stays_stopped_until_the_worker_starts_again() {
        let scene = Scene::new().await;
        let runs = || scene.host.snapshot().active.contains("nginx.service");
        scene.host.stop("nginx.service");
        for _ in 0..2 {
            look(&scene.worker).await;
            assert!(!runs());
        }
        // Whatever else is to be mended.
        let as_it_should_be = text(&scene, BASELINE);
        scene.host.put_file(BASELINE, "");
        look(&scene.worker).await;
        assert!(!runs() && text(&scene, BASELINE) == as_it_should_be);
        prepare(&scene.worker).await;
        assert!(runs());
    }
}
