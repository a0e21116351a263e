//! Servers and people for tests, made the way the panel makes them.

use shared::bus::sealing::SealKey;
use shared::events::{Heartbeat, HostFacts, Progress, RoleHealth, StepReport};
use shared::ids::{ServerId, UserId};
use shared::jobs::{Generation, ResourceKey};
use shared::role::Role;
use web::store::job::{JobRow, job_list_of_operation_in_tx};
use web::store::resource::resource_applied_in_tx;
use web::store::server::{NewServer, server_heartbeat_in_tx, server_insert_in_tx};
use web::store::user::{NewUser, PasswordLife, UserRole, user_insert_in_tx, user_set_password_in_tx};
use web::store::{Db, now_ms};

use super::app::{Browser, PASSWORD, TestApp, password_hash};

/// A server that has joined, reports PHP 8.2 and 8.3, and is online.
pub(crate) async fn server(db: &Db, name: &str, max_accounts: Option<i64>) -> ServerId {
    let mut tx = db.write().await.unwrap();
    let new = NewServer {
        name: name.parse().unwrap(),
        hostname: format!("{name}.servers.example.org"),
        roles: vec![Role::Web],
        address: "192.0.2.80".to_owned(),
        max_accounts,
    };
    let id = server_insert_in_tx(&mut tx, &new).await.unwrap();
    sqlx::query("UPDATE servers SET public_key = $1, seal_key = $2 WHERE id = $3")
        .bind(format!("U{}", "A".repeat(55)))
        .bind(SealKey::generate().public_key())
        .bind(id.to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    server_heartbeat_in_tx(&mut tx, id, &heartbeat(name), now_ms()).await.unwrap();
    tx.commit().await.unwrap();
    id
}

pub(crate) fn heartbeat(name: &str) -> Heartbeat {
    Heartbeat {
        server: name.parse().unwrap(),
        at_ms: 0,
        boot: "boot".to_owned(),
        version: "0.1.0".to_owned(),
        roles: vec![RoleHealth { role: Role::Web, healthy: true, summary: "nginx 1.22.1".to_owned() }],
        php_versions: vec!["8.2".parse().unwrap(), "8.3".parse().unwrap()],
        host: HostFacts::default(),
        jobs_waiting: 0,
        events_waiting: 0,
        ledger_resources: 0,
        look: None,
    }
}

/// A person whose password is [`PASSWORD`].
pub(crate) async fn person(app: &TestApp, login: &str, role: UserRole) -> UserId {
    let hash = password_hash(&app.state).await;
    let id = UserId::new();
    let mut tx = app.db().write().await.unwrap();
    let new = NewUser { id, login: login.parse().unwrap(), name: format!("{login} Person"), role, password_hash: hash.clone() };
    user_insert_in_tx(&mut tx, &new).await.unwrap();
    user_set_password_in_tx(&mut tx, id, &hash, PasswordLife::Lasting).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// A browser in which somebody is signed in.
pub(crate) async fn signed_in(app: &TestApp, login: &str) -> Browser {
    let mut browser = app.browser();
    let answer = browser.sign_in(login, PASSWORD).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    browser
}

/// A panel with a server, an admin, and two clients who own an account each: `alice` has `alpha`, `bob` has `beta`.
pub(crate) struct Town {
    pub(crate) app: TestApp,
    pub(crate) admin: Browser,
    pub(crate) alice: Browser,
    pub(crate) bob: Browser,
    pub(crate) server: ServerId,
    /// The path of alice's account.
    pub(crate) alpha: String,
    /// The path of bob's account.
    pub(crate) beta: String,
}

impl Town {
    pub(crate) async fn new() -> Self {
        Self::over(TestApp::start().await).await
    }

    pub(crate) async fn over(app: TestApp) -> Self {
        let server = server(app.db(), "web1", None).await;
        person(&app, "root", UserRole::Admin).await;
        let alice_id = person(&app, "alice", UserRole::Client).await;
        let bob_id = person(&app, "bob", UserRole::Client).await;
        let mut admin = signed_in(&app, "root").await;
        let alpha = create_account(&mut admin, alice_id, "alpha").await;
        let beta = create_account(&mut admin, bob_id, "beta").await;
        let (alice, bob) = (signed_in(&app, "alice").await, signed_in(&app, "bob").await);
        let town = Self { app, admin, alice, bob, server, alpha, beta };
        town.apply_all().await;
        town
    }

    /// The id in a path such as `/accounts/<id>`.
    pub(crate) fn id(path: &str) -> &str {
        path.rsplit('/').next().unwrap()
    }

    /// Makes a site; the answer is the site's path.
    pub(crate) async fn site(&mut self, domain: &str) -> String {
        let account = Self::id(&self.alpha).to_owned();
        let answer = self.alice.post("/sites", &[("account", &account), ("domain", domain), ("php", "8.2")]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.location().to_owned()
    }

    /// Plays all workers: every job on the queue is applied, in order.
    pub(crate) async fn apply_all(&self) {
        apply_all(self.app.db()).await;
    }
}

async fn create_account(admin: &mut Browser, owner: UserId, user: &str) -> String {
    let answer = admin.post("/accounts", &[("owner", &owner.to_string()), ("user", user)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.location().to_owned()
}

/// What a worker says of a job under way.
pub(crate) fn news(job: &JobRow, sequence: u32, steps: Vec<StepReport>) -> Progress {
    let server = "web1".parse().unwrap();
    Progress { server, job: job.id, operation: job.operation_id, attempt: job.attempt, sequence, steps, blocked: None }
}

/// Every job that has not ended, in the order of the queue.
pub(crate) async fn open_jobs(db: &Db) -> Vec<JobRow> {
    let mut tx = db.write().await.unwrap();
    let operations = sqlx::query("SELECT DISTINCT operation_id FROM jobs WHERE state IN ('queued', 'sent', 'working')")
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    let mut jobs = Vec::new();
    for row in operations {
        let id: String = sqlx::Row::get(&row, "operation_id");
        jobs.extend(job_list_of_operation_in_tx(&mut tx, id.parse().unwrap()).await.unwrap());
    }
    jobs.retain(|job| !job.state.has_ended());
    jobs.sort_by_key(|job| job.id);
    jobs
}

/// Ends every open job well.
pub(crate) async fn apply_all(db: &Db) {
    for job in open_jobs(db).await {
        let mut tx = db.write().await.unwrap();
        end(&mut tx, &job, "done").await;
        resource_applied_in_tx(&mut tx, job.resource, job.generation, &job.job).await.unwrap();
        web::store::operation::operation_settle_in_tx(&mut tx, job.operation_id).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// Ends every open job badly.
pub(crate) async fn fail_all(db: &Db) -> Vec<(ResourceKey, Generation)> {
    let jobs = open_jobs(db).await;
    for job in &jobs {
        let mut tx = db.write().await.unwrap();
        end(&mut tx, job, "failed").await;
        sqlx::query("UPDATE jobs SET failure = 'probe_failed', effect = 'rolled_back', detail = 'raw nginx output' WHERE id = $1")
            .bind(job.id.to_string())
            .execute(&mut *tx)
            .await
            .unwrap();
        web::store::resource::resource_failed_in_tx(&mut tx, job.resource, job.generation).await.unwrap();
        web::store::operation::operation_settle_in_tx(&mut tx, job.operation_id).await.unwrap();
        tx.commit().await.unwrap();
    }
    jobs.iter().map(|job| (job.resource, job.generation)).collect()
}

async fn end(tx: &mut web::store::Tx, job: &JobRow, state: &str) {
    sqlx::query("UPDATE jobs SET state = $1, finished_ms = created_ms WHERE id = $2")
        .bind(state)
        .bind(job.id.to_string())
        .execute(&mut **tx)
        .await
        .unwrap();
}
