//! What a worker in foreign hands may say, and that it harms nobody but its own server. On every database there is.

use shared::bus::asking::ASK_PATIENCE;
use shared::bus::credentials::{PanelUser, user_key};
use shared::bus::panel::ServeBus;
use shared::bus::signing::{Purpose, sign};
use shared::bus::tampering::Tamperer;
use shared::bus::topology::{EVENT_CONSUMER, EVENT_STREAM};
use shared::bus::worker::WorkerBus;
use shared::events::{Event, EventEnvelope, Heartbeat, Outcome, Verdict};
use shared::ids::EventId;
use shared::live_read::{About, Answer, Ask, Says, Told};
use shared::security::{Refused, SecurityKind};
use shared::testing::{NatsServer, now_s};
use sqlx::{AssertSqlSafe, Row};
use web::dispatch::outcomes::outcome_apply_in_tx;
use web::store::{Backend, Db};
use worker::config::Identity;

use super::support::app::TestApp;
use super::support::db::on_each;
use super::support::fleet::{Town, heartbeat, open_jobs};
use super::whole::{Running, join, start_dispatch, until};

/// A panel with dispatch, and two servers of whose workers there is nothing but what a test says for them.
struct Stage {
    db: Db,
    nats: NatsServer,
    dispatch: Running,
    good: (Identity, WorkerBus),
    evil: (Identity, WorkerBus),
}

impl Stage {
    async fn set(db: Db) -> Self {
        let (app, nats) = (TestApp::over(db.clone()), NatsServer::start());
        let dispatch = start_dispatch(&db, &nats);
        let mut workers = Vec::new();
        for name in ["web1", "web2"] {
            let identity = join(&app, &nats, name).await;
            let bus = WorkerBus::connect(&nats.address(), &identity.server, &identity.credentials).await.unwrap();
            workers.push((identity, bus));
        }
        let (Some(evil), Some(good)) = (workers.pop(), workers.pop()) else { unreachable!("two were pushed") };
        Self { db, nats, dispatch, good, evil }
    }

    /// From now on the database refuses a text in a column.
    async fn forbid(&self, table: &str, column: &str, text: &str) {
        let sql = match self.db.backend() {
            Backend::Postgres => format!("ALTER TABLE {table} ADD CONSTRAINT poison CHECK ({column} <> '{text}')"),
            Backend::Sqlite => format!(
                "CREATE TRIGGER poison_of_{table} BEFORE {} ON {table} WHEN NEW.{column} = '{text}' BEGIN SELECT RAISE(ABORT, 'poison'); END",
                if table == "servers" { "UPDATE" } else { "INSERT" }
            ),
        };
        let mut tx = self.db.write().await.unwrap();
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn until_online(&self, name: &str) -> String {
        until("the server is online", async || {
            let sql = "SELECT version FROM servers WHERE name = $1 AND online = 1";
            let row = sqlx::query(sql).bind(name).fetch_optional(self.db.read()).await.unwrap();
            row.map(|row| row.get::<String, _>("version"))
        })
        .await
    }

    /// What admins were told of a server: kind, detail, how often.
    async fn told(&self, server: &str) -> Vec<(String, String, i64)> {
        let sql = "SELECT kind, detail, times FROM security_events WHERE server_name = $1 ORDER BY id";
        sqlx::query_as(sql).bind(server).fetch_all(self.db.read()).await.unwrap()
    }

    async fn until_told(&self, server: &str, kind: SecurityKind) {
        until("admins are told", async || self.told(server).await.iter().any(|told| told.0 == kind.as_str()).then_some(())).await;
    }

    async fn until_every_event_has_been_taken(&self) {
        let tamperer = Tamperer::connect(&self.nats.address(), &self.nats.keys, now_s()).await.unwrap();
        until("every event has been taken", async || {
            (tamperer.unacknowledged(EVENT_STREAM, EVENT_CONSUMER).await.unwrap() == 0).then_some(())
        })
        .await;
    }

    async fn end(mut self) {
        self.dispatch.stop().await;
    }
}

async fn beat((identity, bus): &(Identity, WorkerBus), version: &str) {
    let beat = Heartbeat { version: version.to_owned(), ..heartbeat(identity.server.as_str()) };
    bus.publish_heartbeat(&beat).await.unwrap();
}

async fn refuses((identity, bus): &(Identity, WorkerBus), kind: SecurityKind, detail: &str, times: u32) {
    let event = Event::Refused(Refused { kind, detail: detail.to_owned(), times, at_ms: 0 });
    let envelope = EventEnvelope { v: 1, id: EventId::new(), epoch: identity.epoch, server: identity.server.clone(), event };
    let signed = sign(Purpose::Event, &user_key(&identity.credentials.seed).unwrap(), &envelope).unwrap();
    bus.publish_event(&envelope.id.to_string(), &signed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_in_a_heartbeat_and_an_event_is_kept_as_a_mark() {
    on_each(async |db| {
        let stage = Stage::set(db).await;
        beat(&stage.evil, "1.0\0").await;
        refuses(&stage.evil, SecurityKind::ForgedJob, "a\0b", 1).await;
        assert_eq!(stage.until_online("web2").await, "1.0\u{fffd}");
        stage.until_told("web2", SecurityKind::ForgedJob).await;
        assert_eq!(stage.told("web2").await, [("forged_job".to_owned(), "a\u{fffd}b".to_owned(), 1)]);
        stage.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_can_never_be_kept_takes_no_other_servers_with_it() {
    on_each(async |db| {
        let stage = Stage::set(db).await;
        stage.forbid("servers", "version", "poison").await;
        beat(&stage.evil, "poison").await;
        beat(&stage.good, "1.0").await;
        beat(&stage.evil, "poison").await;
        stage.until_online("web1").await;
        stage.until_told("web2", SecurityKind::UnusableMessage).await;
        stage.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_can_never_be_applied_is_dropped_and_told_and_holds_up_no_other() {
    on_each(async |db| {
        let stage = Stage::set(db).await;
        stage.forbid("security_events", "detail", "poison").await;
        refuses(&stage.evil, SecurityKind::ForgedJob, "poison", 1).await;
        refuses(&stage.good, SecurityKind::ForgedJob, "not signed", 1).await;
        stage.until_told("web1", SecurityKind::ForgedJob).await;
        stage.until_told("web2", SecurityKind::UnusableMessage).await;
        stage.until_every_event_has_been_taken().await;
        stage.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_what_a_worker_says_it_refused_is_one_short_line() {
    on_each(async |db| {
        let stage = Stage::set(db).await;
        for _ in 0..20 {
            refuses(&stage.evil, SecurityKind::ForgedJob, &"x".repeat(5_000), 3).await;
        }
        until("all of them are counted", async || (stage.told("web2").await.iter().map(|told| told.2).sum::<i64>() == 60).then_some(()))
            .await;
        let told = stage.told("web2").await;
        // A minute may have passed on a machine that is at its limit.
        assert!(told.len() < 20 && told.iter().all(|told| told.1.len() == 1_000), "{} lines", told.len());
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_workers_clock_may_say_anything() {
    let mut town = Town::new().await;
    town.site("shop.example.com").await;
    for job in open_jobs(town.app.db()).await {
        let outcome = Outcome {
            job: job.id,
            operation: job.operation_id,
            resource: job.resource,
            generation: job.generation,
            attempt: job.attempt,
            verdict: Verdict::Applied,
            steps: Vec::new(),
            started_ms: i64::MIN,
            finished_ms: i64::MAX,
            record: None,
        };
        let mut tx = town.app.db().write().await.unwrap();
        assert!(outcome_apply_in_tx(&mut tx, town.server, &outcome).await.unwrap().is_some());
        tx.commit().await.unwrap();
    }
    assert!(open_jobs(town.app.db()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_or_offline_keeps_no_place_from_the_questions_to_another() {
    let fresh = super::support::db::sqlite().await;
    let stage = Stage::set(fresh.db.clone()).await;
    let panel_key = stage.good.0.panel_key.clone();
    let mut questions = stage.good.1.questions().await.unwrap();
    // An answer to something else: the bus knows of the subscription before it.
    drop(stage.good.1.commands(&stage.good.0.stream).await.unwrap());
    for worker in [&stage.good, &stage.evil] {
        beat(worker, "1.0").await;
        stage.until_online(worker.0.server.as_str()).await;
    }
    let credentials = stage.nats.keys.panel_credentials(PanelUser::Serve, now_s()).unwrap();
    let serve = ServeBus::connect(&stage.nats.address(), &credentials).await.unwrap();
    let ask = |server: &str| {
        let (serve, ask) = (serve.clone(), Ask { server: server.parse().unwrap(), about: About::Drift });
        async move { serve.ask(&ask).await }
    };
    // Of 32 places of five seconds each, as many as outlast the patience of whoever asks for another server.
    let silent: Vec<_> = (0..100).map(|_| tokio::spawn(ask("web2"))).collect();
    let answering = async {
        let question = questions.next().await.unwrap().open(&panel_key).unwrap();
        let answer = Answer { question: question.id, server: question.server, says: Says::Noted };
        stage.good.1.answer(&answer).await.unwrap();
    };
    tokio::task::yield_now().await;
    let (told, ()) = tokio::join!(ask("web1"), answering);
    assert_eq!(told.unwrap(), Told::Answered { says: Says::Noted });
    for one in silent {
        one.abort();
    }

    let mut tx = stage.db.write().await.unwrap();
    sqlx::query("UPDATE servers SET online = 0 WHERE name = 'web2'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let offline = futures::future::join_all((0..100).map(|_| ask("web2"))).await;
    assert!(offline.iter().all(|told| matches!(told, Ok(Told::Silent))), "each is told within {ASK_PATIENCE:?}: {offline:?}");
    stage.end().await;
}
