//! Signing in, one's own pages, homes, errors.

use jiff::Timestamp;
use web::views::components::badge::Tone;
use web::views::components::toast::Toast;
use web::views::components::usage::Usage;
use web::views::error::ErrorKind;
use web::views::error::ErrorModel;
use web::views::layout::Theme;
use web::views::layout::Viewer;
use web::views::listing::Listing;
use web::views::model::Errors;
use web::views::{audit, error, home_admin, home_client, password, search, sessions, sign_in};

use super::{Sample, Samples, live, php};
use crate::views::models;

impl Samples {
    pub(super) fn without_session(&mut self, theme: Theme) {
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
            sentence: None,
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

    pub(super) fn own_pages(&mut self, viewer: &Viewer) {
        let mut errors = Errors::one("current", "That is not your current password.");
        errors.add("repeat", "The two do not agree.");
        self.add(
            viewer,
            "password",
            password::page(viewer, &password::Password { login: "maja".to_owned(), forced: false, least: 12, errors }),
        );
        let forced = password::Password { login: "maja".to_owned(), forced: true, least: 12, errors: Errors::default() };
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
            let sentence = (name == "409").then(|| "This queue is paused already.".to_owned());
            let model = ErrorModel { kind, sentence, reference, at: models::now(), again: Some("/sites".to_owned()) };
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

    pub(super) fn audit(&mut self, viewer: &Viewer) {
        let line = |action: &str, object: &str, seconds: i64| audit::Row {
            id: format!("{seconds:032x}"),
            at: models::ago(seconds),
            who: "01937a00-0000-7000-8000-00000000001e".to_owned(),
            name: "Maja Lindqvist".to_owned(),
            action: action.to_owned(),
            refused: false,
            object: object.to_owned(),
            address: Some("192.0.2.61".to_owned()),
            detail: if action == "Change server" {
                "Hostname web1.old.example to web1.example; Active yes to no".to_owned()
            } else {
                String::new()
            },
            operation: None,
        };
        let model = audit::ListModel {
            now: models::now(),
            listing: Listing { extra: vec![("object".to_owned(), "fjordbikes.example".to_owned())], ..Listing::new("/audit", 50, 1_402) },
            rows: vec![
                audit::Row { operation: Some(models::id(90)), ..line("Create site", "fjordbikes.example", 3) },
                audit::Row {
                    address: Some("2001:db8:4a:11:9d2c:4ff:fe3a:81b2".to_owned()),
                    ..line("Sign in", "maja@lindqvist.example", 64)
                },
                audit::Row { refused: true, name: models::LONG.to_owned(), ..line("Sign-in refused", models::LONG, 409) },
                audit::Row { name: "command line".to_owned(), address: None, ..line("Reset password", "maja@lindqvist.example", 90_000) },
                audit::Row {
                    detail: "Hostname web1.old.example to web1.example; Active yes to no".to_owned(),
                    ..line("Change server", "web1", 80_000)
                },
                audit::Row { name: String::new(), object: String::new(), ..line("Sign-in refused", "", 90_001) },
            ],
            who: String::new(),
            actions: vec![("site.create".to_owned(), "Create site".to_owned())],
            live: live(),
        };
        self.add(viewer, "audit", audit::list_page(viewer, &model));
        let narrowed = audit::ListModel { listing: super::narrowed("/audit"), rows: vec![], ..model.clone() };
        self.add(viewer, "audit-none", audit::list_page(viewer, &narrowed));
        let bare = audit::ListModel { listing: Listing::new("/audit", 50, 0), rows: vec![], ..model };
        self.add(viewer, "audit-empty", audit::list_page(viewer, &bare));
    }

    pub(super) fn homes(&mut self, admin: &Viewer, client: &Viewer) {
        let home = home_client();
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
        let home = home_admin();
        self.add(admin, "home", home_admin::page(admin, &home));
        let bare = home_admin::HomeAdmin {
            figures: home_admin::Figures::default(),
            oldest_waiting: None,
            stuck_since: None,
            by_minute: vec![0; 60],
            security: None,
            queues: vec![],
            queues_all: 0,
            failures: vec![],
            servers: vec![],
            operations: vec![],
            ..home
        };
        self.add(admin, "home-empty", home_admin::page(admin, &bare));
        let mini = Viewer { nav_mini: true, ..admin.clone() };
        self.add(admin, "home-mini", home_admin::page(&mini, &bare));
    }
}

pub(in crate::views) fn home_client() -> home_client::HomeClient {
    home_client::HomeClient {
        now: models::now(),
        sites: 8,
        failed_sites: 1,
        accounts: vec![home_client::AccountCard {
            account: models::accounts(false).swap_remove(2),
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
    }
}

fn home_queue(number: u8, name: &str, offline_since: Option<Timestamp>, paused_since: Option<Timestamp>) -> home_admin::Queue {
    home_admin::Queue {
        id: models::id(number),
        name: models::parse(name),
        queued: 6,
        begun: u64::from(number),
        oldest: models::ago(500),
        paused_since,
        offline_since,
    }
}

pub(in crate::views) fn home_admin() -> home_admin::HomeAdmin {
    let figures = home_admin::Figures {
        servers_online: 2,
        servers: 3,
        servers_waiting: 1,
        servers_unhealthy: 1,
        servers_paused: 1,
        sites: 1_186,
        sites_failed: 1,
        accounts: 1_102,
        clients: 640,
        operations_working: 2,
        operations_waiting: 6,
        operations_failed: 2,
    };
    let failed = models::operations(true).swap_remove(2);
    home_admin::HomeAdmin {
        now: models::now(),
        figures,
        oldest_waiting: Some(models::ago(409)),
        stuck_since: Some(models::ago(409)),
        by_minute: (0..60).map(|minute| minute * 7 % 23).collect(),
        security: Some((3, models::ago(900))),
        queues: vec![
            home_queue(2, "web2", Some(models::ago(409)), None),
            home_queue(3, "web3", None, Some(models::ago(1_200))),
            home_queue(1, "web1", None, None),
        ],
        queues_all: 11,
        failures: vec![failed.clone(), failed],
        servers: models::servers(),
        operations: models::operations(true),
        live: live(),
        toast: None,
    }
}
