//! Every page of the panel, rendered: what the other tests look at.

use maud::Markup;
use shared::jobs::AccountLimits;
use shared::names::PhpVersion;
use shared::operation::OperationState;
use shared::operation::ResourceState;
use shared::role::Role;
use web::views::components::toolbar::StateCounts;
use web::views::layout::Audience;
use web::views::layout::Theme;
use web::views::layout::Viewer;
use web::views::listing::Listing;
use web::views::{account, operation, server, site};

mod drift;
mod fleet;
mod hosting;
mod own;
mod steering;

use super::models;
pub(super) use drift::{drift_model, drift_server_model};
pub(super) use fleet::rollouts;
pub(super) use own::{home_admin, home_client};
pub(super) use steering::{queue, security_events};

/// A page with the name of its file in the gallery.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) audience: Option<Audience>,
    pub(super) html: Markup,
}

/// Every page, for one theme.
pub(super) fn all(theme: Theme) -> Vec<Sample> {
    let admin = models::viewer(Audience::Admin, theme);
    let client = models::viewer(Audience::Client, theme);
    let mut samples = Samples(Vec::new());
    samples.without_session(theme);
    for viewer in [&admin, &client] {
        samples.own_pages(viewer);
        samples.sites(viewer);
        samples.accounts(viewer);
        samples.operations(viewer);
        samples.audit(viewer);
        samples.drift(viewer);
    }
    samples.homes(&admin, &client);
    samples.clients(&admin);
    samples.servers(&admin);
    samples.steering(&admin);
    samples.0
}

pub(super) fn php() -> Vec<PhpVersion> {
    ["8.4", "8.3", "8.2"].map(models::parse).to_vec()
}

pub(super) fn live() -> Option<String> {
    Some("/live?page=sites".to_owned())
}

pub(super) fn listing(path: &str, total: u64) -> Listing {
    Listing { sort: "domain".to_owned(), ..Listing::new(path, 50, total) }
}

fn narrowed(path: &str) -> Listing {
    Listing { q: "nothing like it".to_owned(), ..Listing::new(path, 50, 0) }
}

pub(super) fn site_list(admin: bool) -> site::ListModel {
    site::ListModel {
        now: models::now(),
        listing: listing("/sites", 1_186),
        counts: StateCounts { all: 1_186, active: 1_180, busy: 2, failed: 1, suspended: 3 },
        rows: models::sites(admin),
        can_create: true,
        live: live(),
        toast: None,
    }
}

pub(super) fn site_show(number: usize, admin: bool) -> site::ShowModel {
    let site = models::sites(admin).swap_remove(number);
    site::ShowModel {
        now: models::now(),
        visit_url: format!("https://{}/", site.domain),
        document_root: models::parse("fjordbikes.example/public"),
        owner: admin.then(|| models::maja(true)),
        hostname: "web1.harbourweb.example".to_owned(),
        addresses: vec!["198.51.100.24".to_owned(), "2001:db8::24".to_owned()],
        sftp: Some(site::Sftp { host: "web1.harbourweb.example".to_owned(), port: 2222, user: "lindqvist".to_owned(), ready: false }),
        drift: None,
        watched_at: Some(models::ago(200)),
        operations: models::operations(admin),
        live: live(),
        toast: None,
        site,
    }
}

pub(super) fn operation_show(row: operation::Row, job: operation::JobBlock, admin: bool) -> operation::ShowModel {
    operation::ShowModel {
        now: models::now(),
        jobs: vec![job],
        asked_by: models::maja(admin),
        asked_from: admin.then(|| "192.0.2.61".to_owned()),
        account: Some(models::lindqvist()),
        placed: if admin {
            "Of 3 web servers that were online and had room, the one with the fewest accounts: it had 12 accounts."
        } else {
            ""
        }
        .to_owned(),
        finished_at: row.state.has_ended().then(|| models::ago(20)),
        unreadable: Vec::new(),
        retry: (row.state == OperationState::Failed).then(|| "/operations/x/retry".to_owned()),
        cancel: (admin && row.state == OperationState::Waiting).then(|| "/operations/x/cancel".to_owned()),
        queue: (admin && !row.state.has_ended()).then(|| "/servers/x/queue".to_owned()),
        record: admin.then(|| "/operations/x/record.json".to_owned()),
        show_detail: admin,
        live: live(),
        row,
    }
}

pub(super) fn account_show(row: account::Row, admin: bool) -> account::ShowModel {
    let key = |comment: &str| account::KeyRow {
        comment: comment.to_owned(),
        kind: "ssh-ed25519".to_owned(),
        fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s".to_owned(),
    };
    account::ShowModel {
        now: models::now(),
        uid: admin.then_some(200_004),
        hostname: "web1.harbourweb.example".to_owned(),
        sftp: account::SftpModel {
            host: "web1.harbourweb.example".to_owned(),
            port: 2222,
            has_password: true,
            keys: vec![key("maja@laptop"), key("")],
            can_edit: true,
            ..account::SftpModel::default()
        },
        pools: vec![
            account::PoolRow { version: models::parse("8.4"), state: ResourceState::Provisioning, sites: 1 },
            account::PoolRow { version: models::parse("8.3"), state: ResourceState::Active, sites: 7 },
        ],
        limits: AccountLimits { cpu_percent: Some(200), memory_mib: Some(1024), tasks: None },
        usage: vec![],
        sites: models::sites(admin).into_iter().take(3).collect(),
        can_create_site: true,
        preview: None,
        drift: None,
        operations: models::operations(admin),
        live: live(),
        toast: None,
        account: row,
    }
}

pub(super) fn server_list() -> server::ListModel {
    server::ListModel {
        now: models::now(),
        listing: Listing { sort: "name".to_owned(), ..Listing::new("/servers", 50, 4) },
        counts: server::Counts { all: 4, online: 2, offline: 1, waiting: 1 },
        behind: 2,
        rows: models::servers(),
        live: live(),
        toast: None,
    }
}

struct Samples(Vec<Sample>);

impl Samples {
    fn add(&mut self, viewer: &Viewer, name: &str, html: Markup) {
        let prefix = match viewer.audience {
            Audience::Admin => "admin",
            Audience::Client => "client",
        };
        self.0.push(Sample { name: format!("{prefix}-{name}"), audience: Some(viewer.audience), html });
    }
}

/// An hour with a gap, as if the worker had been away for five minutes.
fn history() -> server::History {
    let wave = |at: u32| f64::from(at % 7) / 10.0 + f64::from(at) / 60.0;
    let line = |of: &dyn Fn(u32) -> f64| (0..61).map(|at| (!(30..35).contains(&at)).then(|| of(at))).collect();
    server::History {
        span: server::Span::Hour,
        from: models::ago(3600),
        load: line(&wave),
        memory_mib: line(&|at| 2800.0 + 40.0 * wave(at)),
        disk_mib: line(&|at| 71_000.0 + f64::from(at)),
    }
}

pub(super) fn server_show(row: server::Row) -> server::ShowModel {
    let online = row.load.is_some();
    let heard = !matches!(row.reach, server::Reach::WaitingToEnrol { .. });
    server::ShowModel {
        now: models::now(),
        health: if online {
            vec![
                (Role::Web, server::Health::Well("nginx 1.22.1, PHP-FPM 8.2 to 8.4".to_owned())),
                (Role::Db, server::Health::Ill("mariadb is not running".to_owned())),
                (Role::Mail, server::Health::Missing),
            ]
        } else {
            vec![]
        },
        php_versions: if online { php() } else { vec![] },
        os: if online { "Debian GNU/Linux 12 (bookworm)".to_owned() } else { String::new() },
        kernel: "6.1.0-31-amd64".to_owned(),
        cpus: if heard { 4 } else { 0 },
        memory_mib: if heard { 7963 } else { 0 },
        disk_mib: if heard { 157_000 } else { 0 },
        uptime_s: online.then_some(41 * 86_400),
        places: vec![
            ("Address", "198.51.100.24".to_owned()),
            ("Mail hostname", "mail.harbourweb.example".to_owned()),
            ("Bus address", String::new()),
        ],
        history: if online { history() } else { server::History::default() },
        jobs_working: u64::from(online),
        update: if online { server::Update::Offered { version: "0.2.0".to_owned(), failed: None } } else { server::Update::None },
        created_at: models::ago(400 * 86_400),
        accounts: if online { models::accounts(true) } else { vec![] },
        operations: models::operations(true),
        live: live(),
        toast: None,
        server: row,
    }
}

/// The servers that a list can be narrowed to.
fn server_choices() -> Vec<(String, String)> {
    [("web1", "web1"), ("web2", "web2")].map(|(name, label)| (name.to_owned(), label.to_owned())).to_vec()
}
