//! Servers as pages show them. For admins.

use std::collections::HashMap;

use jiff::Timestamp;
use shared::ids::ServerId;
use shared::jobs::ResourceKey;
use shared::names::ServerName;
use shared::role::Role;

use super::operation::{Standing, newest, standing};
use super::{FEED, account, at, count};
use crate::app::Actor;
use crate::app::server::server_get;
use crate::error::PageError;
use crate::state::AppState;
use crate::store::account_list::{AccountFilter, account_rows};
use crate::store::enrolment::enrolment_open_until;
use crate::store::fleet::{fleet_list_troubled, fleet_names};
use crate::store::list::Paging;
use crate::store::now_ms;
use crate::store::operation_list::{OperationFilter, operation_list_of_resource};
use crate::store::panel::panel_bus_url;
use crate::store::queue::queue_depths;
use crate::store::server::ServerRow;
use crate::store::server_outline::accounts_of_servers;
use crate::store::server_sample::{ServerSample, minute_of, server_sample_list};
use crate::views::server::{Health, History, Load, Reach, Row, ShowModel, Span, Update};

/// What the lines of a list need besides the servers themselves.
pub(super) struct Figures {
    accounts: HashMap<ServerId, i64>,
    jobs: HashMap<ServerId, (i64, i64)>,
}

impl Figures {
    /// How many accounts a server has.
    pub(super) fn accounts(&self, server: ServerId) -> u64 {
        count(self.accounts.get(&server).copied().unwrap_or(0))
    }

    /// Jobs that wait for a server.
    pub(super) fn waiting(&self, server: ServerId) -> u64 {
        count(self.jobs.get(&server).map_or(0, |jobs| jobs.0))
    }
}

pub(super) async fn figures(state: &AppState) -> Result<Figures, PageError> {
    let accounts = accounts_of_servers(state.db()).await?;
    let jobs = queue_depths(state.db()).await?.into_iter().map(|depth| (depth.server, (depth.queued, depth.begun))).collect();
    Ok(Figures { accounts, jobs })
}

pub(super) async fn row(state: &AppState, server: &ServerRow, figures: &Figures) -> Result<Row, PageError> {
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
        accounts: figures.accounts(server.id),
        max_accounts: server.max_accounts.map(count),
        version: Some(server.version.clone()).filter(|version| !version.is_empty()),
        update: state.config.worker_offer().is_some_and(|offer| offer.is_newer_than(&server.version)),
        peer: Some(server.peer.clone()).filter(|peer| !peer.is_empty()),
        reach: reach(state, server).await?,
        active: server.active,
        load,
        jobs_waiting: figures.waiting(server.id),
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
