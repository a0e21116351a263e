//! Servers as pages show them. For admins.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use shared::ids::ServerId;
use shared::jobs::ResourceKey;
use shared::names::{PackageVersion, ServerName};
use shared::role::Role;

use super::operation::{Standing, newest, standing};
use super::{FEED, ListQuery, account, at, count};
use crate::app::Actor;
use crate::app::server::server_get;
use crate::error::PageError;
use crate::paths;
use crate::state::AppState;
use crate::store::account_list::{AccountFilter, account_rows};
use crate::store::enrolment::enrolment_open_until;
use crate::store::fleet::{fleet_list_troubled, fleet_names};
use crate::store::list::Paging;
use crate::store::now_ms;
use crate::store::operation_list::{OperationFilter, operation_list_of_resource};
use crate::store::panel::panel_bus_url;
use crate::store::placement::placement_list;
use crate::store::queue::queue_depths;
use crate::store::server::{ServerRow, server_list};
use crate::store::server_sample::{ServerSample, minute_of, server_sample_list};
use crate::views::server::{Counts, Health, History, ListModel, Load, Mark, Reach, Row, ShowModel, Span, Update};

/// What the lines of a list need besides the servers themselves.
struct Figures {
    accounts: HashMap<ServerId, i64>,
    jobs: HashMap<ServerId, (i64, i64)>,
}

async fn figures(state: &AppState) -> Result<Figures, PageError> {
    let accounts = placement_list(state.db()).await?.into_iter().map(|server| (server.id, server.accounts)).collect();
    let jobs = queue_depths(state.db()).await?.into_iter().map(|depth| (depth.server, (depth.queued, depth.begun))).collect();
    Ok(Figures { accounts, jobs })
}

async fn row(state: &AppState, server: &ServerRow, figures: &Figures) -> Result<Row, PageError> {
    let load = server.heartbeat.as_ref().filter(|_| server.online).map(|heartbeat| Load {
        load1: heartbeat.host.load1,
        cpus: heartbeat.host.cpus,
        memory_used_mib: heartbeat.host.memory_used_mib,
        memory_mib: heartbeat.host.memory_mib,
        disk_used_mib: heartbeat.host.disk_used_mib,
        disk_mib: heartbeat.host.disk_mib,
    });
    Ok(Row {
        id: server.id,
        name: server.name.clone(),
        label: server.places.label.as_ref().map(ToString::to_string),
        hostname: server.hostname.clone(),
        roles: server.roles.clone(),
        accounts: count(figures.accounts.get(&server.id).copied().unwrap_or(0)),
        max_accounts: server.max_accounts.map(count),
        version: Some(server.version.clone()).filter(|version| !version.is_empty()),
        update: state.config.worker_offer().is_some_and(|offer| offer.is_newer_than(&server.version)),
        peer: Some(server.peer.clone()).filter(|peer| !peer.is_empty()),
        reach: reach(state, server).await?,
        active: server.active,
        load,
        jobs_waiting: count(figures.jobs.get(&server.id).map_or(0, |jobs| jobs.0)),
        paused_since: server.queue_paused_ms.map(at),
        ailing: if server.online { server.ailing() } else { Vec::new() },
    })
}

/// Whether a server answers.
///
/// # Errors
/// The database fails.
pub async fn reach(state: &AppState, server: &ServerRow) -> Result<Reach, PageError> {
    if server.online {
        return Ok(Reach::Online { seen_at: at(server.last_seen_ms) });
    }
    if let Some(since) = server.shut_out_ms {
        return Ok(Reach::ShutOut { since: at(since) });
    }
    if server.last_seen_ms > 0 {
        return Ok(Reach::Offline { since: at(server.changed_ms) });
    }
    let until = enrolment_open_until(state.db(), server.id).await?;
    Ok(Reach::WaitingToEnrol { token_expires_at: at(until.unwrap_or(server.created_ms)) })
}

/// A few servers, those in trouble first.
///
/// # Errors
/// The database fails.
pub async fn troubled(state: &AppState, most: i64) -> Result<Vec<Row>, PageError> {
    let figures = figures(state).await?;
    let mut rows = Vec::new();
    for server in fleet_list_troubled(state.db(), most).await? {
        rows.push(row(state, &server, &figures).await?);
    }
    Ok(rows)
}

/// The servers that a list can be narrowed to: each one's name, and its word. None for clients.
///
/// # Errors
/// The database fails.
pub async fn choices(state: &AppState, actor: &Actor) -> Result<Vec<(String, String)>, PageError> {
    if !actor.is_admin() {
        return Ok(Vec::new());
    }
    Ok(fleet_names(state.db()).await?.into_iter().map(|(name, label)| (name.to_string(), word(&name, &label))).collect())
}

/// A server in a list of choices: `Frankfurt 1 (web1)`.
#[must_use]
pub fn word(name: &ServerName, label: &str) -> String {
    if label.is_empty() { name.to_string() } else { format!("{label} ({name})") }
}

/// All servers.
///
/// # Errors
/// The database fails.
async fn rows(state: &AppState) -> Result<Vec<Row>, PageError> {
    let figures = figures(state).await?;
    let mut rows = Vec::new();
    for server in server_list(state.db()).await? {
        rows.push(row(state, &server, &figures).await?);
    }
    Ok(rows)
}

/// The list. A fleet has hundreds of servers at most, so it is searched and sorted here.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, or the database fails.
pub async fn server_list_model(state: &AppState, actor: &Actor, query: &ListQuery, live: Option<String>) -> Result<ListModel, PageError> {
    actor.require_admin()?;
    let all = rows(state).await?;
    let counts = counts(&all);
    let behind = count(i64::try_from(all.iter().filter(|row| row.update).count()).unwrap_or(0));
    let needle = query.q.trim().to_lowercase();
    let mark = Mark::of(&query.mark);
    let mut found: Vec<Row> = all
        .into_iter()
        .filter(|row| mark.is_none_or(|mark| row.has(mark)))
        .filter(|row| query.state.is_empty() || query.state == group(row))
        .filter(|row| query.role.is_empty() || row.roles.iter().any(|role| role.as_str() == query.role))
        .filter(|row| row.is_called(&needle))
        .collect();
    match query.sort.as_str() {
        "hostname" => found.sort_by(|one, other| one.hostname.cmp(&other.hostname)),
        "accounts" => found.sort_by_key(|row| row.accounts),
        // As packages are compared: 0.9 is older than 0.10.
        "version" => found.sort_by_key(|row| row.version.as_ref().and_then(|version| version.parse::<PackageVersion>().ok())),
        "reach" | "state" => found.sort_by_key(group),
        "waiting" => found.sort_by_key(|row| Reverse(row.jobs_waiting)),
        "update" => found.sort_by_key(|row| !row.update),
        "active" => found.sort_by_key(|row| !row.active),
        _ => {}
    }
    if query.dir == "desc" {
        found.reverse();
    }
    let total = i64::try_from(found.len()).unwrap_or(0);
    let paging = query.paging();
    let skip = usize::try_from(paging.offset).unwrap_or(0);
    let take = usize::try_from(paging.limit).unwrap_or(0);
    Ok(ListModel {
        now: Timestamp::now(),
        listing: query.listing(paths::SERVERS, total),
        counts,
        behind,
        rows: found.into_iter().skip(skip).take(take).collect(),
        live,
        toast: None,
    })
}

const fn group(row: &Row) -> &'static str {
    match row.reach {
        Reach::Online { .. } => "online",
        Reach::Offline { .. } | Reach::ShutOut { .. } => "offline",
        Reach::WaitingToEnrol { .. } => "waiting",
    }
}

fn counts(rows: &[Row]) -> Counts {
    let of = |name: &str| rows.iter().filter(|row| group(row) == name).count() as u64;
    Counts { all: rows.len() as u64, online: of("online"), offline: of("offline"), waiting: of("waiting") }
}

/// One server's page.
///
/// # Errors
/// [`crate::app::AppError::Forbidden`] for clients, [`crate::app::AppError::NotFound`], or the database fails.
pub async fn server_show_model(
    state: &AppState,
    actor: &Actor,
    id: ServerId,
    span: Span,
    live: Option<String>,
) -> Result<ShowModel, PageError> {
    let server = server_get(&state.app, actor, id).await?;
    let figures = figures(state).await?;
    let operations = OperationFilter { server: Some(server.name.clone()), ..OperationFilter::default() };
    let accounts = AccountFilter { server: Some(server.name.clone()), ..AccountFilter::default() };
    let accounts = account_rows(state.db(), actor.visible(), &accounts, Paging::page(1, FEED)).await?;
    let host = server.heartbeat.as_ref().map(|heartbeat| heartbeat.host.clone()).unwrap_or_default();
    Ok(ShowModel {
        now: Timestamp::now(),
        server: row(state, &server, &figures).await?,
        health: health(&server),
        php_versions: server.php_versions.clone(),
        os: host.os,
        kernel: host.kernel,
        cpus: host.cpus,
        memory_mib: host.memory_mib,
        disk_mib: host.disk_mib,
        uptime_s: server.online.then_some(host.uptime_s),
        places: vec![
            ("Address", server.site_address().to_owned()),
            ("Mail hostname", server.places.mail_hostname.clone()),
            ("Bus address", of_or_default(&server.places.bus_url, &panel_bus_url(state.db()).await?)),
            ("Panel URL", of_or_default(&server.places.panel_url, &state.config.public_url)),
            ("phpMyAdmin path", server.places.phpmyadmin_path.clone()),
            ("Roundcube path", server.places.roundcube_path.clone()),
            ("Panel TLS", server.places.panel_tls.as_str().to_owned()),
            ("Mail TLS", server.places.mail_tls.as_str().to_owned()),
        ],
        jobs_working: count(figures.jobs.get(&id).map_or(0, |jobs| jobs.1)),
        created_at: at(server.created_ms),
        history: history(state, id, span).await?,
        accounts: account::rows(state, actor, &accounts).await?,
        update: update_model(state, actor, &server).await?,
        operations: newest(state, actor, operations, FEED).await?,
        live,
        toast: None,
    })
}

/// What was told of a server, or what is true of it then, marked as such.
fn of_or_default(told: &str, default: &str) -> String {
    match (told, default) {
        ("", "") => String::new(),
        ("", default) => format!("{default} (the panel\u{2019}s own)"),
        (told, _) => told.to_owned(),
    }
}

/// Each of its roles as the newest heartbeat has it; nothing before the first. What a host says of roles that the server does not
/// have is nobody's concern.
fn health(server: &ServerRow) -> Vec<(Role, Health)> {
    let Some(heartbeat) = &server.heartbeat else { return Vec::new() };
    let of = |role: Role| match heartbeat.roles.iter().find(|health| health.role == role) {
        Some(health) if health.healthy => Health::Well(health.summary.clone()),
        Some(health) => Health::Ill(health.summary.clone()),
        None => Health::Missing,
    };
    server.roles.iter().map(|role| (*role, of(*role))).collect()
}

/// How a server fared: the mean of what was heard in each step, nothing where nothing was.
async fn history(state: &AppState, id: ServerId, span: Span) -> Result<History, PageError> {
    let (step, steps) = span.steps();
    let newest = minute_of(now_ms()) / step;
    let first = newest + 1 - i64::try_from(steps).unwrap_or(0);
    let mut found: Vec<Vec<ServerSample>> = vec![vec![]; steps];
    for sample in server_sample_list(state.db(), id, first * step).await? {
        if let Some(group) = usize::try_from(sample.minute / step - first).ok().and_then(|at| found.get_mut(at)) {
            group.push(sample);
        }
    }
    let mean = |of: fn(&ServerSample) -> i64, scale: f64| found.iter().map(|group| mean(group, of).map(|mean| mean / scale)).collect();
    Ok(History {
        span,
        from: at(first * step * 60_000),
        load: mean(|sample| sample.load_centi, 100.0),
        memory_mib: mean(|sample| sample.memory_used_mib, 1.0),
        disk_mib: mean(|sample| sample.disk_used_mib, 1.0),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a point of a drawing")]
fn mean(group: &[ServerSample], of: fn(&ServerSample) -> i64) -> Option<f64> {
    (!group.is_empty()).then(|| group.iter().map(of).sum::<i64>() as f64 / group.len() as f64)
}

/// What there is to say of updates of its worker.
async fn update_model(state: &AppState, actor: &Actor, server: &ServerRow) -> Result<Update, PageError> {
    let offer = state.config.worker_offer().filter(|offer| offer.is_newer_than(&server.version));
    let newest = operation_list_of_resource(state.db(), actor.visible(), ResourceKey::Worker(server.id), 1).await?;
    let standing = match newest.first() {
        Some(newest) => standing(state, actor, newest).await?,
        None => Standing::default(),
    };
    Ok(match (standing, offer) {
        (Standing { progress: Some(progress), .. }, _) => Update::UnderWay(progress),
        (Standing { waiting: Some(waiting), .. }, _) => Update::Waiting(waiting),
        // What failed is of interest for as long as it is not mended.
        (Standing { failure, .. }, Some(offer)) => Update::Offered { version: offer.version.to_string(), failed: failure },
        (Standing { .. }, None) => Update::None,
    })
}
