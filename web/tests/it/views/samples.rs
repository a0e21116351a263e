//! Every page of the panel, rendered: what the other tests look at.

use maud::Markup;
use shared::jobs::{AccountLimits, PhpSettings, ProcessManager};
use shared::names::PhpVersion;
use shared::operation::{JobState, OperationState, ResourceState};
use web::views::components::badge::Tone;
use web::views::components::choice::Choice;
use web::views::components::toast::Toast;
use web::views::components::usage::Usage;
use web::views::error::{ErrorKind, ErrorModel};
use web::views::layout::{Audience, Theme, Viewer};
use web::views::listing::Listing;
use web::views::model::Errors;
use web::views::server::Reach;
use web::views::{account, client, error, home_admin, home_client, operation, password, search, server, sessions, sign_in, site};

use super::models;

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
    }
    samples.homes(&admin, &client);
    samples.clients(&admin);
    samples.servers(&admin);
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
        counts: site::Counts { all: 1_186, active: 1_180, busy: 2, failed: 1, suspended: 3 },
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
        finished_at: row.state.has_ended().then(|| models::ago(20)),
        retry: (row.state == OperationState::Failed).then(|| "/operations/x/retry".to_owned()),
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

    fn without_session(&mut self, theme: Theme) {
        let form = sign_in::SignIn {
            theme,
            panel: "panel.harbourweb.example".to_owned(),
            back: "/sites".to_owned(),
            ..sign_in::SignIn::default()
        };
        let refused = sign_in::SignIn {
            login: "maja@lindqvist.example".to_owned(),
            errors: Errors::one("", "That name and password do not match. Three tries left before a one-minute pause."),
            ..form.clone()
        };
        let left = sign_in::SignIn { notice: Some("You have been signed out.".to_owned()), ..form.clone() };
        let broken = ErrorModel {
            kind: ErrorKind::Unavailable,
            reference: Some("01JD7QAX3M".to_owned()),
            at: models::now(),
            again: Some("/".to_owned()),
        };
        let pages = [
            ("sign-in", sign_in::page(&form)),
            ("sign-in-refused", sign_in::page(&refused)),
            ("sign-in-left", sign_in::page(&left)),
            ("sign-out", sign_in::sign_out_page(theme)),
            ("error-solo", error::solo_page(theme, &broken)),
        ];
        for (name, html) in pages {
            self.0.push(Sample { name: name.to_owned(), audience: None, html });
        }
    }

    fn own_pages(&mut self, viewer: &Viewer) {
        let mut errors = Errors::one("current", "That is not your current password.");
        errors.add("repeat", "The two do not agree.");
        self.add(viewer, "password", password::page(viewer, &password::Password { forced: false, least: 12, errors }));
        let forced = password::Password { forced: true, least: 12, errors: Errors::default() };
        self.add(viewer, "password-forced", password::page(viewer, &forced));
        let session = |handle: &str, device: &str, is_this| sessions::Session {
            handle: handle.to_owned(),
            device: device.to_owned(),
            address: "192.0.2.61".to_owned(),
            signed_in_at: models::ago(86_400),
            seen_at: models::ago(3),
            is_this,
        };
        let toast = Some(Toast { tone: Tone::Ok, title: "Safari on iOS is signed out.".to_owned(), text: None });
        let rows = vec![session("1", "Firefox on Linux", true), session("2", "Safari on iOS", false)];
        self.add(viewer, "sessions", sessions::page(viewer, &sessions::Sessions { rows, toast }));
        for (name, kind) in [
            ("400", ErrorKind::BadRequest),
            ("403", ErrorKind::Forbidden),
            ("404", ErrorKind::NotFound),
            ("409", ErrorKind::Conflict),
            ("429", ErrorKind::TooMany { seconds: 60 }),
            ("500", ErrorKind::Internal),
            ("503", ErrorKind::Unavailable),
        ] {
            let reference = (kind == ErrorKind::Internal).then(|| "01JD7QAX3M".to_owned());
            let model = ErrorModel { kind, reference, at: models::now(), again: Some("/sites".to_owned()) };
            self.add(viewer, &format!("error-{name}"), error::page(viewer, &model));
        }
        self.search(viewer);
    }

    fn search(&mut self, viewer: &Viewer) {
        let hit =
            |kind, label: &str, note: &str| search::Hit { kind, label: label.to_owned(), note: note.to_owned(), href: "/sites".to_owned() };
        let hits = vec![
            hit(search::HitKind::Site, "fjordbikes.example", "lindqvist on web1"),
            hit(search::HitKind::Account, "lindqvist", "8 sites on web1"),
            hit(search::HitKind::Page, "Create a site", "action"),
        ];
        self.add(viewer, "search", search::page(viewer, &search::Search { q: "fjord".to_owned(), hits }));
        self.add(viewer, "search-nothing", search::page(viewer, &search::Search { q: models::LONG.to_owned(), hits: vec![] }));
        self.add(viewer, "search-empty", search::page(viewer, &search::Search::default()));
    }

    fn sites(&mut self, viewer: &Viewer) {
        let admin = viewer.audience == Audience::Admin;
        self.add(viewer, "sites", site::list_page(viewer, &site_list(admin)));
        let empty = |can_create, listing| site::ListModel {
            listing,
            counts: site::Counts::default(),
            rows: vec![],
            can_create,
            ..site_list(admin)
        };
        self.add(viewer, "sites-empty", site::list_page(viewer, &empty(true, Listing::new("/sites", 50, 0))));
        self.add(viewer, "sites-empty-no-account", site::list_page(viewer, &empty(false, Listing::new("/sites", 50, 0))));
        self.add(viewer, "sites-nothing", site::list_page(viewer, &empty(true, narrowed("/sites"))));
        for (number, name) in
            [(0, "active"), (1, "provisioning"), (2, "failed"), (3, "international"), (4, "waiting"), (5, "suspended"), (7, "long")]
        {
            let mut model = site_show(number, admin);
            if name == "failed" {
                model.site.failure = Some(models::failure(admin));
            }
            self.add(viewer, &format!("site-{name}"), site::show_page(viewer, &model));
        }
        self.site_forms(viewer);
    }

    fn site_forms(&mut self, viewer: &Viewer) {
        let account = Choice::new(models::lindqvist().id.to_string(), "lindqvist").note("web1");
        let other = Choice::new("2", "quietpress").note("web2");
        let form = site::SiteForm { php: "8.4".to_owned(), ..site::SiteForm::default() };
        let new = site::NewModel { form, errors: Errors::default(), accounts: vec![account.clone()], php_versions: php() };
        self.add(viewer, "site-new", site::new_page(viewer, &new));
        self.add(viewer, "site-new-no-account", site::new_page(viewer, &site::NewModel::default()));
        let mut errors = Errors::one("domain", "Enter only the domain, without http:// and without a path.");
        errors.add("aliases", "A domain has letters, digits, hyphens and dots only, such as example.com.");
        let form = site::SiteForm { domain: "http://x/<b>".to_owned(), aliases: "a b".to_owned(), ..new.form.clone() };
        let refused = site::NewModel { form, errors: errors.clone(), accounts: vec![account, other], php_versions: php() };
        self.add(viewer, "site-new-refused", site::new_page(viewer, &refused));
        let edit = site::EditModel {
            id: models::id(41),
            domain: models::parse("fjordbikes.example"),
            form: refused.form,
            errors,
            php_versions: php(),
        };
        self.add(viewer, "site-edit", site::edit_page(viewer, &edit));
        let delete = site::DeleteModel {
            id: models::id(44),
            domain: models::parse("müller-garten.example"),
            folder: "htdocs/xn--mller-garten-thb.example".to_owned(),
            typed: "fjord".to_owned(),
            errors: Errors::one("confirm", "That is not the domain of this site."),
        };
        self.add(viewer, "site-delete", site::delete_page(viewer, &delete));
    }

    fn accounts(&mut self, viewer: &Viewer) {
        let admin = viewer.audience == Audience::Admin;
        let list = account::ListModel {
            now: models::now(),
            listing: listing("/accounts", 4),
            counts: account::Counts { all: 4, active: 1, busy: 1, failed: 1, suspended: 1 },
            rows: models::accounts(admin),
            can_create: admin,
            live: live(),
            toast: None,
        };
        self.add(viewer, "accounts", account::list_page(viewer, &list));
        let empty =
            account::ListModel { rows: vec![], listing: Listing::new("/accounts", 50, 0), counts: account::Counts::default(), ..list };
        self.add(viewer, "accounts-empty", account::list_page(viewer, &empty));
        for (row, name) in models::accounts(admin).into_iter().zip(["active", "provisioning", "failed", "suspended"]) {
            let mut model = account_show(row, admin);
            if name == "active" {
                model.sftp.new_password = Some("mild-otter-7Qm2vX9d".to_owned());
            }
            if name == "provisioning" {
                model.sites.clear();
                model.pools.clear();
                model.operations.clear();
                model.sftp = account::SftpModel {
                    can_edit: true,
                    errors: Errors::one("key", "Paste one public key."),
                    ..account::SftpModel::default()
                };
            }
            self.add(viewer, &format!("account-{name}"), account::show_page(viewer, &model));
        }
        self.account_forms(viewer);
    }

    fn account_forms(&mut self, viewer: &Viewer) {
        let choice = |value: &str, label: &str, note: &str| Choice::new(value, label).note(note);
        let mut errors = Errors::one("user", "The name www belongs to the system. Choose another.");
        errors.add("memory_mib", "Enter a whole number.");
        let form = account::AccountForm { user: "www".to_owned(), ..account::AccountForm::default() };
        let new = account::NewModel {
            form,
            errors: errors.clone(),
            owners: vec![Choice::new("1", "Maja Lindqvist"), Choice::new("2", models::LONG)],
            servers: vec![choice("1", "web1", "412 of 500 accounts"), choice("3", "web3", "offline")],
            php_versions: php(),
        };
        self.add(viewer, "account-new", account::new_page(viewer, &new));
        self.add(viewer, "account-new-no-client", account::new_page(viewer, &account::NewModel { owners: vec![], ..new.clone() }));
        self.add(viewer, "account-new-no-server", account::new_page(viewer, &account::NewModel::default()));
        let limits = AccountLimits { cpu_percent: Some(200), memory_mib: None, tasks: Some(200) };
        let model = account::LimitsModel { id: models::id(10), user: models::parse("lindqvist"), form: limits.into(), errors };
        self.add(viewer, "account-limits", account::limits_page(viewer, &model));
        for (name, process_manager) in [
            ("ondemand", ProcessManager::Ondemand { max_children: 10, idle_timeout_s: 20, max_requests: 1000 }),
            ("static", ProcessManager::Static { max_children: 4, max_requests: 0 }),
            ("dynamic", ProcessManager::Dynamic { max_children: 8, start_servers: 2, min_spare: 1, max_spare: 3, max_requests: 500 }),
        ] {
            let settings = PhpSettings { process_manager, ..PhpSettings::default() };
            let model = account::PhpModel {
                id: models::id(10),
                user: models::parse("lindqvist"),
                version: models::parse("8.3"),
                sites: vec![models::parse("fjordbikes.example"), models::parse("bücher.example")],
                form: (&settings).into(),
                errors: Errors::one("post_max_size_mib", "Must be 64 or more, because uploads may be 64 MB."),
                failure: (name == "static").then(|| models::failure(false)),
            };
            self.add(viewer, &format!("account-php-{name}"), account::php_page(viewer, &model));
        }
        let delete = account::DeleteModel {
            id: models::id(10),
            user: models::parse("lindqvist"),
            sites: 8,
            typed: String::new(),
            errors: Errors::default(),
        };
        self.add(viewer, "account-delete", account::delete_page(viewer, &delete));
    }

    fn operations(&mut self, viewer: &Viewer) {
        let admin = viewer.audience == Audience::Admin;
        let list = operation::ListModel {
            now: models::now(),
            listing: Listing { extra: vec![("server".to_owned(), "web1".to_owned())], ..Listing::new("/operations", 50, 120) },
            counts: operation::Counts { all: 120, waiting: 1, working: 1, failed: 2, succeeded: 116 },
            rows: models::operations(admin),
            servers: if admin { vec!["web1".to_owned(), "web2".to_owned()] } else { vec![] },
            live: live(),
        };
        self.add(viewer, "operations", operation::list_page(viewer, &list));
        let empty = operation::ListModel {
            rows: vec![],
            listing: Listing::new("/operations", 50, 0),
            counts: operation::Counts::default(),
            ..list
        };
        self.add(viewer, "operations-empty", operation::list_page(viewer, &empty));
        let rows = models::operations(admin);
        let cases = [
            ("working", rows[0].clone(), models::job(JobState::Working, models::working_steps())),
            ("waiting", rows[1].clone(), models::job(JobState::Queued, vec![])),
            (
                "failed",
                operation::Row { failure: Some(models::failure(admin)), ..rows[2].clone() },
                models::job(JobState::Failed, models::failed_steps()),
            ),
            ("succeeded", rows[3].clone(), models::job(JobState::Done, models::done_steps())),
        ];
        for (name, row, job) in cases {
            self.add(viewer, &format!("operation-{name}"), operation::show_page(viewer, &operation_show(row, job, admin)));
        }
    }

    fn homes(&mut self, admin: &Viewer, client: &Viewer) {
        let home = home_client::HomeClient {
            now: models::now(),
            sites: 8,
            failed_sites: 1,
            accounts: vec![home_client::AccountCard {
                account: models::lindqvist(),
                hostname: "web1.harbourweb.example".to_owned(),
                php_versions: php(),
            }],
            busy: models::sites(false).into_iter().skip(1).take(2).collect(),
            usage: vec![
                Usage { label: "Disk".to_owned(), used: 184, limit: Some(250), text: Some("18.4 of 25 GB".to_owned()) },
                Usage { label: "Sites".to_owned(), used: 8, limit: Some(10), text: None },
                Usage { label: "Processes".to_owned(), used: 24, limit: None, text: None },
            ],
            operations: models::operations(false),
            can_create_site: true,
            live: live(),
            toast: None,
        };
        self.add(client, "home", home_client::page(client, &home));
        let bare = home_client::HomeClient {
            accounts: vec![],
            busy: vec![],
            usage: vec![],
            operations: vec![],
            sites: 0,
            can_create_site: false,
            ..home
        };
        self.add(client, "home-empty", home_client::page(client, &bare));
        let figures = home_admin::Figures {
            servers_online: 2,
            servers: 3,
            servers_waiting: 1,
            sites: 1_186,
            sites_failed: 1,
            accounts: 1_102,
            clients: 640,
            operations_working: 2,
            operations_waiting: 6,
            operations_failed: 2,
        };
        let failed = models::operations(true).swap_remove(2);
        let home = home_admin::HomeAdmin {
            now: models::now(),
            figures,
            oldest_waiting: Some(models::ago(409)),
            failures: vec![failed.clone(), failed],
            servers: models::servers(),
            operations: models::operations(true),
            live: live(),
            toast: None,
        };
        self.add(admin, "home", home_admin::page(admin, &home));
        let bare = home_admin::HomeAdmin {
            figures: home_admin::Figures::default(),
            oldest_waiting: None,
            failures: vec![],
            servers: vec![],
            operations: vec![],
            ..home
        };
        self.add(admin, "home-empty", home_admin::page(admin, &bare));
        let mini = Viewer { nav_mini: true, ..admin.clone() };
        self.add(admin, "home-mini", home_admin::page(&mini, &bare));
    }

    fn clients(&mut self, viewer: &Viewer) {
        let list = client::ListModel {
            now: models::now(),
            listing: Listing { sort: "name".to_owned(), descending: true, ..Listing::new("/clients", 50, 3) },
            counts: client::Counts { all: 3, active: 2, suspended: 1 },
            rows: models::clients(),
            live: live(),
            toast: None,
        };
        self.add(viewer, "clients", client::list_page(viewer, &list));
        let empty = client::ListModel { rows: vec![], listing: Listing::new("/clients", 50, 0), counts: client::Counts::default(), ..list };
        self.add(viewer, "clients-empty", client::list_page(viewer, &empty));
        let form = client::ClientForm { name: models::LONG.to_owned(), login: "maja".to_owned(), role: "admin".to_owned() };
        self.add(viewer, "client-new", client::new_page(viewer, &client::NewModel::default()));
        let refused = client::NewModel { form, errors: Errors::one("login", "Somebody signs in as maja already.") };
        self.add(viewer, "client-new-refused", client::new_page(viewer, &refused));
        for (row, name) in models::clients().into_iter().zip(["active", "suspended", "admin"]) {
            let model = client::ShowModel {
                now: models::now(),
                created_at: models::ago(900 * 86_400),
                new_password: (name == "active").then(|| client::OneTimePassword("mild-otter-7Qm2vX9d".to_owned())),
                accounts: if name == "active" { models::accounts(true) } else { vec![] },
                can_create_account: name == "active",
                operations: models::operations(true),
                toast: None,
                client: row,
            };
            self.add(viewer, &format!("client-{name}"), client::show_page(viewer, &model));
        }
        for (name, accounts) in [("blocked", 2), ("delete", 0)] {
            let model = client::DeleteModel {
                id: models::id(30),
                name: "Maja Lindqvist".to_owned(),
                login: "maja@lindqvist.example".to_owned(),
                accounts,
                typed: String::new(),
                errors: Errors::default(),
            };
            self.add(viewer, &format!("client-{name}"), client::delete_page(viewer, &model));
        }
    }

    fn servers(&mut self, viewer: &Viewer) {
        self.add(viewer, "servers", server::list_page(viewer, &server_list()));
        let empty = server::ListModel {
            rows: vec![],
            listing: Listing::new("/servers", 50, 0),
            counts: server::Counts::default(),
            ..server_list()
        };
        self.add(viewer, "servers-empty", server::list_page(viewer, &empty));
        self.add(viewer, "server-new", server::new_page(viewer, &server::NewModel::default()));
        let form =
            server::ServerForm { name: "web5".to_owned(), hostname: "web5".to_owned(), max_accounts: "many".to_owned(), active: true };
        let mut errors = Errors::one("hostname", "Not a full name: add the domain, as in web5.example.com.");
        errors.add("max_accounts", "Enter a whole number.");
        self.add(viewer, "server-new-refused", server::new_page(viewer, &server::NewModel { form, errors }));
        for (row, name) in models::servers().into_iter().zip(["online", "offline", "drained", "waiting"]) {
            self.add(viewer, &format!("server-{name}"), server::show_page(viewer, &server_show(row)));
        }
        for (name, reach) in [("waiting", models::servers()[3].reach), ("online", Reach::Online { seen_at: models::ago(1) })] {
            let model = enrol(reach);
            self.add(viewer, &format!("server-enrol-{name}"), server::enrol_page(viewer, &model));
        }
    }
}

fn enrol(reach: Reach) -> server::EnrolModel {
    server::EnrolModel {
        now: models::now(),
        id: models::id(5),
        name: models::parse("web5"),
        token: "gnt_enrol_7Qm2vX9dKfR4tYpB8sLhW3cN".to_owned(),
        token_expires_at: models::now() + jiff::SignedDuration::from_mins(59),
        command: "gantry-worker enroll \\\n  --panel https://panel.harbourweb.example \\\n  --pin sha256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s \\\n  --token gnt_enrol_7Qm2vX9dKfR4tYpB8sLhW3cN".to_owned(),
        reach,
        live: live(),
    }
}

pub(super) fn server_show(row: server::Row) -> server::ShowModel {
    let online = row.load.is_some();
    let health = |role, healthy, summary: &str| shared::events::RoleHealth { role, healthy, summary: summary.to_owned() };
    server::ShowModel {
        now: models::now(),
        health: if online {
            vec![
                health(shared::role::Role::Web, true, "nginx 1.22.1, PHP-FPM 8.2 to 8.4"),
                health(shared::role::Role::Db, false, "mariadb is not running"),
            ]
        } else {
            vec![]
        },
        php_versions: if online { php() } else { vec![] },
        os: if online { "Debian GNU/Linux 12 (bookworm)".to_owned() } else { String::new() },
        kernel: "6.1.0-31-amd64".to_owned(),
        uptime_s: online.then_some(41 * 86_400),
        address: online.then(|| "198.51.100.24".to_owned()),
        jobs_working: u64::from(online),
        created_at: models::ago(400 * 86_400),
        accounts: if online { models::accounts(true) } else { vec![] },
        operations: models::operations(true),
        live: live(),
        toast: None,
        server: row,
    }
}
