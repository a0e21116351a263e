//! Pages per second, beside a bare page that runs as many queries with as many rows and cells.
//!
//! The floor has no session rules, no rights, no typed rows, no components, no middleware: axum, sqlx, a table in maud. Its
//! queries read the same tables by the same indexes through the same pool.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};
use sqlx::{AnyPool, Row};
use tokio::process::Command;
use web::store::Db;

use crate::figure::{Aim, Figure, median, report};
use crate::served::{Served, no_event, serve};
use crate::world::World;

/// Rounds of each side, in turn.
const ROUNDS: usize = 5;
/// Seconds of one round; open connections.
const SECONDS: &str = "3s";
const CONNECTIONS: &str = "16";

/// A query and how often a page runs it.
type Query = (&'static str, usize);

const SESSION: Query = (
    "SELECT s.id, s.user_id, u.login, u.name, u.role, u.state, u.must_change_password, s.created_ms, s.last_seen_ms, s.expires_ms, \
     s.address, s.user_agent FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1",
    1,
);
const FAILED_OPERATIONS: Query = ("SELECT COUNT(*) FROM operations WHERE state = 'failed' AND $1 <> ''", 1);
const SITES_BY_STATE: Query = (
    "SELECT s.state, COUNT(*) FROM sites s JOIN accounts a ON a.id = s.account_id WHERE $1 <> '' AND a.owner_id <> '' GROUP BY s.state",
    1,
);
const SITE_ROWS: &str = "SELECT s.id, s.account_id, a.linux_user, a.owner_id, u.name, v.id, v.name, v.address, s.domain, s.document_root, \
     s.php_version, s.presence, s.state, s.generation, s.created_ms, (SELECT COUNT(*) FROM site_names n WHERE n.site_id = s.id AND n.position > 0) \
     FROM sites s JOIN accounts a ON a.id = s.account_id JOIN users u ON u.id = a.owner_id JOIN account_servers p ON p.account_id = a.id \
     AND p.role = 'web' JOIN servers v ON v.id = p.server_id";
const ANY_ACCOUNT: Query = ("SELECT 1 FROM accounts WHERE $1 <> '' LIMIT 1", 1);
const ACCOUNT_COUNT: Query = ("SELECT COUNT(*) FROM accounts WHERE $1 <> ''", 1);
const ACCOUNT_COLUMNS: &str = "SELECT a.id, a.owner_id, a.linux_user, a.uid, a.presence, a.state, a.generation, a.created_ms, v.name, v.php_versions, \
     (SELECT COUNT(*) FROM sites s WHERE s.account_id = a.id) FROM accounts a JOIN account_servers p ON p.account_id = a.id \
     JOIN servers v ON v.id = p.server_id WHERE $1 <> '' ORDER BY a.linux_user LIMIT";
const SERVER: &str =
    "SELECT id, name, hostname, roles, address, version, php_versions, heartbeat, last_seen_ms FROM servers WHERE $1 <> '' LIMIT 1";
const OPERATION_ROWS: &str = "SELECT o.id, o.kind, o.resource, o.subject, o.account_id, o.owner_id, o.asked_by_name, o.state, o.created_ms, o.finished_ms \
     FROM operations o WHERE $1 <> '' ORDER BY o.id DESC LIMIT 8";

/// What a floor page runs: the first query takes the session's hash, the others any text.
#[derive(Clone)]
struct Floor {
    pool: AnyPool,
    hash: String,
    queries: Vec<(String, usize)>,
}

fn own(queries: &[Query]) -> Vec<(String, usize)> {
    queries.iter().map(|(sql, times)| ((*sql).to_owned(), *times)).collect()
}

/// The list of sites: session, failures, states, 50 rows, and whether there is an account. Five queries.
fn list_queries() -> Vec<(String, usize)> {
    let mut queries = own(&[SESSION, FAILED_OPERATIONS, SITES_BY_STATE, ANY_ACCOUNT]);
    queries.push((format!("{SITE_ROWS} WHERE $1 <> '' ORDER BY s.domain, s.id LIMIT 50"), 1));
    queries
}

/// A client's first page: session, failures, 20 accounts and their one server, sites by state, and the newest eight operations
/// each with its subject.
fn home_queries() -> Vec<(String, usize)> {
    let mut queries = own(&[SESSION, FAILED_OPERATIONS, ACCOUNT_COUNT, SITES_BY_STATE]);
    queries.push((format!("{ACCOUNT_COLUMNS} 100"), 1));
    queries.push((SERVER.to_owned(), 1));
    queries.push((OPERATION_ROWS.to_owned(), 1));
    queries.push((format!("{SITE_ROWS} WHERE s.id = (SELECT MAX(id) FROM sites) AND $1 <> ''"), 8));
    queries
}

async fn floor_page(State(floor): State<Floor>) -> Markup {
    let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
    for (sql, times) in &floor.queries {
        for _ in 0..*times {
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql.as_str())).bind(&floor.hash).fetch_all(&floor.pool).await.unwrap_or_default();
            let cells = |row: &sqlx::any::AnyRow| (0..row.len()).map(|at| cell(row, at)).collect();
            tables.push(rows.iter().map(cells).collect());
        }
    }
    html! {
        (DOCTYPE)
        html lang="en" {
            head { title { "Floor" } }
            body { @for table in &tables { table { @for row in table { tr { @for cell in row { td { (cell) } } } } } } }
        }
    }
}

fn cell(row: &sqlx::any::AnyRow, at: usize) -> String {
    let number = || row.try_get::<i64, _>(at).map(|number| number.to_string()).unwrap_or_default();
    row.try_get::<String, _>(at).unwrap_or_else(|_| number())
}

/// The process of a floor.
pub(crate) async fn floor(database: &str, hash: &str, path: &str) -> anyhow::Result<()> {
    let queries = if path == "/" { home_queries() } else { list_queries() };
    let db = Db::open(database).await?;
    let floor = Floor { pool: db.read().clone(), hash: hash.to_owned(), queries };
    serve(Router::new().route(path, get(floor_page)).with_state(floor), no_event).await
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let world = World::seed().await?;
    let panel = Served::start(&["panel", &world.database]).await?;
    let mut figures = Vec::new();
    for (name, path, cookie) in [("page.client_home", "/", &world.client_cookie), ("page.sites_list_1000", "/sites", &world.admin_cookie)] {
        let floor = Served::start(&["page-floor", &world.database, &world.client_hash, path]).await?;
        let sizes = (size(panel.address, path, cookie).await?, size(floor.address, path, cookie).await?);
        println!("{name}: {} bytes, floor {} bytes", sizes.0, sizes.1);
        let (mut ours, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(load(panel.address, path, cookie).await?);
            floors.push(load(floor.address, path, cookie).await?);
        }
        figures.push((Figure::new(name, median(ours), "requests/s", Some(median(floors))), Aim::RatioAtLeast(0.5)));
    }
    report("page", &figures)
}

/// The length of a page that must be there.
async fn size(address: SocketAddr, path: &str, cookie: &str) -> anyhow::Result<usize> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--fail",
            "--noproxy",
            "*",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code} %{size_download}",
            "--cookie",
            cookie,
        ])
        .arg(format!("http://{address}{path}"))
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let size = text.strip_prefix("200 ").with_context(|| format!("{path} answered {text}"))?;
    Ok(size.parse()?)
}

/// Requests per second with keep-alive connections, by wrk.
async fn load(address: SocketAddr, path: &str, cookie: &str) -> anyhow::Result<f64> {
    let output = Command::new("wrk")
        .args(["-t1", "-c", CONNECTIONS, "-d", SECONDS, "-H", &format!("Cookie: {cookie}")])
        .arg(format!("http://{address}{path}"))
        .stdin(Stdio::null())
        .output()
        .await
        .context("wrk could not be started; .ci/bench.sh installs it")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(!text.contains("Non-2xx"), "{path} failed under load: {text}");
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")).with_context(|| format!("wrk said {text}"))?;
    Ok(rate.trim().parse()?)
}
