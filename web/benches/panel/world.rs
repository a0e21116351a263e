//! A panel with a fleet of one server, 20 accounts of one client and 1,000 sites, all of them active.

use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use shared::events::{Heartbeat, HostFacts, RoleHealth};
use shared::ids::UserId;
use shared::names::ServerName;
use shared::role::Role;
use shared::secret::Secret;
use web::app::account::{AccountCreate, account_create};
use web::app::client::{ClientCreate, client_create};
use web::app::server::server_add;
use web::app::server_form::ServerForm;
use web::app::signal::NoSignals;
use web::app::site::{SiteCreate, site_create};
use web::app::user::admin_add;
use web::app::{Actor, App};
use web::auth::token::{token_hash, token_new};
use web::config::Config;
use web::extract::SESSION;
use web::live;
use web::live::hub::Hub;
use web::router::router;
use web::state::AppState;
use web::store::ids::SessionId;
use web::store::panel::panel_epoch;
use web::store::server::server_heartbeat_in_tx;
use web::store::session::{NewSession, session_insert_in_tx};
use web::store::user::{Login, UserRole, user_fetch_by_login};
use web::store::{Db, now_ms};

/// Accounts of the one client.
const ACCOUNTS: usize = 20;
/// Sites in each account.
const SITES_EACH: usize = 50;

/// A seeded panel.
pub(crate) struct World {
    /// Its database, for [`panel`].
    pub(crate) database: String,
    /// `Cookie:` of the admin and of the client, and the hash by which the client's session is found.
    pub(crate) admin_cookie: String,
    pub(crate) client_cookie: String,
    pub(crate) client_hash: String,
    _directory: tempfile::TempDir,
}

impl World {
    pub(crate) async fn seed() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let database = format!("sqlite:{}/panel.db", directory.path().display());
        let db = Db::open(&database).await?;
        // The row of this panel is made when it is first asked for.
        panel_epoch(&db).await?;
        let state = AppState::new(db.clone(), Config::new("https://panel.example"), Arc::new(NoSignals))?;
        let app = state.app.clone();
        let actor = admin(&app).await?;
        let client = fill(&app, &actor).await?;
        settle(&db).await?;
        let (admin_cookie, _) = session(&db, actor.user).await?;
        let (client_cookie, client_hash) = session(&db, client).await?;
        db.close().await;
        Ok(Self { database, admin_cookie, client_cookie, client_hash, _directory: directory })
    }
}

/// The first admin.
pub(crate) async fn admin(app: &App) -> anyhow::Result<Actor> {
    let login: Login = "admin".parse()?;
    admin_add(app, &login, "Admin").await?;
    let user = user_fetch_by_login(&app.db, &login).await?.context("the admin")?.id;
    Ok(Actor {
        user,
        login,
        name: "Admin".to_owned(),
        role: UserRole::Admin,
        session: SessionId::new(),
        address: String::new(),
        must_change_password: false,
    })
}

/// The one client.
pub(crate) async fn client(app: &App, actor: &Actor) -> anyhow::Result<UserId> {
    let form = ClientCreate { name: "Client".to_owned(), login: "client".to_owned(), role: String::new() };
    Ok(client_create(app, actor, &form).await?.0)
}

/// The whole panel over a database, as `gantry serve` has it, without TLS.
pub(crate) async fn panel(database: &str) -> anyhow::Result<(Router, Db, Hub)> {
    let db = Db::open(database).await?;
    let state = AppState::new(db.clone(), Config::new("https://panel.example"), Arc::new(NoSignals))?;
    let hub = Hub::default();
    Ok((router(state, live::route::router(hub.clone())), db, hub))
}

/// Server, client, accounts and sites, through the use cases.
async fn fill(app: &App, actor: &Actor) -> anyhow::Result<UserId> {
    let form = ServerForm { name: "web1".to_owned(), hostname: "web1.example.com".to_owned(), ..ServerForm::fresh() };
    let server = server_add(app, actor, &form).await?.id;
    let mut tx = app.db.write().await?;
    sqlx::query("UPDATE servers SET public_key = 'U', seal_key = 'X' WHERE id = $1").bind(server.to_string()).execute(&mut *tx).await?;
    server_heartbeat_in_tx(&mut tx, server, &heartbeat("web1".parse()?)?, now_ms()).await?;
    tx.commit().await?;
    let client = client(app, actor).await?;
    for account in 0..ACCOUNTS {
        let form = AccountCreate { owner: client.to_string(), user: format!("user{account:02}"), ..AccountCreate::default() };
        let shared::jobs::ResourceKey::Account(id) = account_create(app, actor, &form).await?.resource else { anyhow::bail!("no account") };
        for site in 0..SITES_EACH {
            let domain = format!("site{:04}.com", account * SITES_EACH + site);
            let php = if site % 4 == 0 { "static" } else { "8.2" };
            let form = SiteCreate { account: id.to_string(), domain, php: php.to_owned(), ..SiteCreate::default() };
            site_create(app, actor, &form).await?;
        }
    }
    Ok(client)
}

/// What a worker says of its server.
pub(crate) fn heartbeat(server: ServerName) -> anyhow::Result<Heartbeat> {
    Ok(Heartbeat {
        server,
        at_ms: now_ms(),
        boot: "b".to_owned(),
        version: "0.1.0".to_owned(),
        roles: vec![RoleHealth { role: Role::Web, healthy: true, summary: "nginx 1.22.1".to_owned() }],
        php_versions: vec!["8.2".parse()?],
        host: HostFacts::default(),
        jobs_waiting: 0,
        events_waiting: 0,
        ledger_resources: 0,
        look: None,
    })
}

/// As if a worker had applied everything.
async fn settle(db: &Db) -> anyhow::Result<()> {
    let mut tx = db.write().await?;
    for sql in [
        "UPDATE accounts SET state = 'active', applied_generation = generation",
        "UPDATE sites SET state = 'active', applied_generation = generation",
        "UPDATE php_pools SET applied_generation = generation",
        "UPDATE jobs SET state = 'done', finished_ms = created_ms",
        "UPDATE operations SET state = 'succeeded', finished_ms = created_ms",
        "UPDATE users SET must_change_password = 0",
    ] {
        sqlx::query(sql).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// A session as signing in makes it: the cookie, and the hash in the table.
pub(crate) async fn session(db: &Db, user: UserId) -> anyhow::Result<(String, String)> {
    let token: Secret<String> = token_new();
    let hash = token_hash(token.expose());
    let mut tx = db.write().await?;
    let new = NewSession {
        id: SessionId::new(),
        token_hash: hash.clone(),
        user,
        expires_ms: now_ms() + 3_600_000,
        address: "127.0.0.1".to_owned(),
        user_agent: "bench".to_owned(),
    };
    session_insert_in_tx(&mut tx, &new).await?;
    tx.commit().await?;
    Ok((format!("{SESSION}={}", token.expose()), hash))
}
