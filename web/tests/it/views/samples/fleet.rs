//! Clients and servers.

use shared::role::Role;
use web::views::layout::Viewer;
use web::views::listing::Listing;
use web::views::model::{Errors, Until, Waiting};
use web::views::server::Reach;
use web::views::{client, join, server};

use super::{Samples, live, server_list, server_show};
use crate::views::models;

impl Samples {
    pub(super) fn clients(&mut self, viewer: &Viewer) {
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

    pub(super) fn servers(&mut self, viewer: &Viewer) {
        self.add(viewer, "servers", server::list_page(viewer, &server_list()));
        let empty = server::ListModel {
            rows: vec![],
            listing: Listing::new("/servers", 50, 0),
            counts: server::Counts::default(),
            ..server_list()
        };
        self.add(viewer, "servers-empty", server::list_page(viewer, &empty));
        self.add(viewer, "server-new", server::new_page(viewer, &server::NewModel { defaults: defaults(), ..server::NewModel::default() }));
        let form = server::ServerForm {
            name: "web5".to_owned(),
            hostname: "web5".to_owned(),
            address: "x y".to_owned(),
            max_accounts: "many".to_owned(),
            active: true,
            bus_url: "nats://x".to_owned(),
            ..server::ServerForm::default()
        };
        let mut errors = Errors::one("hostname", "Not a full name: add the domain, as in web5.example.com.");
        errors.add("max_accounts", "Enter a whole number.");
        errors.add("roles", "Choose at least one role.");
        errors.add("bus_url", "Enter a host and a port, such as bus.example.com:4222.");
        let edit = server::EditModel {
            id: models::id(1),
            name: models::parse("web1"),
            title: "Frankfurt 1".to_owned(),
            defaults: defaults(),
            form: form.clone(),
            errors: errors.clone(),
        };
        self.add(viewer, "server-edit", server::edit_page(viewer, &edit));
        self.add(viewer, "server-new-refused", server::new_page(viewer, &server::NewModel { defaults: defaults(), form, errors }));
        for (row, name) in models::servers().into_iter().zip(["online", "offline", "drained", "waiting"]) {
            self.add(viewer, &format!("server-{name}"), server::show_page(viewer, &server_show(row)));
        }
        self.updates(viewer);
        for (name, accounts, online) in [("delete", 0, true), ("delete-blocked", 3, true), ("delete-gone", 3, false)] {
            let model = server::DeleteModel {
                sites: 8,
                online,
                id: models::id(1),
                name: models::parse("web1"),
                accounts,
                typed: String::new(),
                errors: Errors::default(),
            };
            self.add(viewer, &format!("server-{name}"), server::delete_page(viewer, &model));
        }
        let model =
            server::ShutOutModel { id: models::id(1), name: models::parse("web1"), typed: String::new(), errors: Errors::default() };
        for online in [true, false] {
            let model = server::RejoinModel { id: models::id(1), name: models::parse("web1"), online };
            self.add(viewer, &format!("server-rejoin-{online}"), server::rejoin_page(viewer, &model));
        }
        self.add(viewer, "server-shut-out", server::shut_out_page(viewer, &model));
        let mut out = models::servers().remove(1);
        out.reach = Reach::ShutOut { since: models::ago(409) };
        self.add(viewer, "server-out", server::show_page(viewer, &server_show(out)));
        for (name, reach) in [("waiting", models::servers()[3].reach), ("online", Reach::Online { seen_at: models::ago(1) })] {
            let model = enrol(reach);
            self.add(viewer, &format!("server-enrol-{name}"), server::enrol_page(viewer, &model));
        }
    }
}

impl Samples {
    fn updates(&mut self, viewer: &Viewer) {
        let offered = |failed| server::Update::Offered { version: "0.2.0".to_owned(), failed };
        let under_way = server::Update::UnderWay(models::progress("web1 to 0.2.0"));
        for (name, update) in [("failed", offered(Some(models::failure(true)))), ("under-way", under_way)] {
            let model = server::ShowModel { update, ..server_show(models::servers().swap_remove(0)) };
            self.add(viewer, &format!("server-update-{name}"), server::show_page(viewer, &model));
        }
        for (name, model) in rollouts() {
            self.add(viewer, &format!("updates-{name}"), server::rollout_page(viewer, &model));
        }
    }
}

/// The page of updates in each of its states.
pub(in crate::views) fn rollouts() -> Vec<(&'static str, server::RolloutModel)> {
    let row = |number: u8, name: &str, state| server::RolloutRow {
        id: models::id(number),
        name: models::parse(name),
        version: "0.1.0".to_owned(),
        operation: (!matches!(state, server::RolloutRowState::Waiting | server::RolloutRowState::LeftOut(_)))
            .then(|| models::id(90 + number)),
        state,
    };
    let rollout = |badge, unfinished, stopped, third| server::Rollout {
        version: "0.2.0".to_owned(),
        at_once: 5,
        badge,
        unfinished,
        stopped,
        asked_by: "Tomas Nyberg".to_owned(),
        asked_at: models::ago(120),
        hold: None,
        tally: server::Tally { done: 1, under_way: 1, waiting: 1, left_out: 0, failed: 1 },
        rows: vec![
            server::RolloutRow { version: "0.2.0".to_owned(), ..row(1, "web1", server::RolloutRowState::Done) },
            row(2, "web2", server::RolloutRowState::UnderWay(Some(models::progress("web2 to 0.2.0")))),
            row(3, "a-server-with-a-name-of-32-chars", third),
            row(4, "web4", server::RolloutRowState::Waiting),
        ],
    };
    let failed = || server::RolloutRowState::Failed(Some(models::failure(true)));
    let offer = server::RolloutModel {
        now: models::now(),
        offered: Some("0.2.0".to_owned()),
        behind: 3,
        offline: 1,
        rollout: None,
        at_once: "5".to_owned(),
        errors: Errors::default(),
        live: live(),
        toast: None,
    };
    let with = |rollout| server::RolloutModel { rollout: Some(rollout), ..offer.clone() };
    let running = with(rollout(server::Rollout::RUNNING, true, false, server::RolloutRowState::UnderWay(None)));
    let waiting = Waiting { now: models::now(), server: models::parse("web2"), until: Until::Return { offline_since: models::ago(720) } };
    let lost = server::Rollout {
        hold: Some(server::Hold::Away { server: models::parse("web2"), since: models::ago(720) }),
        tally: server::Tally { done: 1, under_way: 2, waiting: 1, left_out: 0, failed: 0 },
        ..rollout(server::Rollout::STOPPED, true, true, server::RolloutRowState::Held(waiting))
    };
    let ailing = server::Rollout {
        hold: Some(server::Hold::Ailing { server: models::parse("a-server-with-a-name-of-32-chars"), roles: vec![Role::Web, Role::Mail] }),
        ..rollout(server::Rollout::STOPPED, true, true, server::RolloutRowState::Ailing(vec![Role::Web, Role::Mail]))
    };
    let offline = server::RolloutRowState::LeftOut(Some(server::LeftOut::Offline { since: models::ago(720) }));
    let mut left_out = rollout(server::Rollout::DONE, false, false, offline);
    left_out.tally = server::Tally { done: 1, under_way: 0, waiting: 0, left_out: 3, failed: 0 };
    let paused = server::RolloutRowState::LeftOut(Some(server::LeftOut::Paused { since: models::ago(720) }));
    left_out.rows[1] = row(2, "web2", paused);
    left_out.rows[3] = row(4, "web4", server::RolloutRowState::LeftOut(None));
    let refused = Errors::one("at_once", "Enter a number from 1 to 50.");
    vec![
        ("under-way", running),
        ("left-out", with(left_out)),
        ("stopped", with(rollout(server::Rollout::STOPPED, true, true, failed()))),
        ("lost", with(lost)),
        ("ailing", with(ailing)),
        ("cancelled", with(rollout(server::Rollout::CANCELLED, false, false, failed()))),
        ("none", server::RolloutModel { behind: 0, ..offer.clone() }),
        ("no-package", server::RolloutModel { offered: None, behind: 0, offline: 0, ..offer.clone() }),
        ("refused", server::RolloutModel { at_once: "many".to_owned(), errors: refused, ..offer.clone() }),
        ("offered", offer),
    ]
}

const PANEL: &str = "https://panel.harbourweb.example:8443";
const TOKEN: &str = "7Qm2vX9dKfR4tYpB8sLhW3cN-7Qm2vX9dKfR4tYpB8s";

fn defaults() -> server::Defaults {
    server::Defaults { bus_url: "tls://bus.harbourweb.example:4222".to_owned(), panel_url: PANEL.to_owned() }
}

fn enrol(reach: Reach) -> server::EnrolModel {
    let trust = join::PanelTrust::Pinned {
        key: "uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s=".to_owned(),
        fingerprint: ["38:2A:D9:3E"; 8].join(":"),
    };
    server::EnrolModel {
        now: models::now(),
        id: models::id(5),
        name: models::parse("web5"),
        token_expires_at: models::now() + jiff::SignedDuration::from_mins(59),
        command: join::command(PANEL, &trust, TOKEN),
        config: join::config(PANEL, &trust, TOKEN),
        packages: vec!["gantry-worker_0.1.0_amd64.deb".to_owned()],
        reach,
        live: live(),
    }
}
