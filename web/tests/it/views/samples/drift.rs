//! Drift, previews and history.

use shared::difference::Difference;
use shared::jobs::Generation;
use web::views::account::KeyRemoveModel;
use web::views::drift::{self, Brake, DriftModel, DriftRow, Drifted, ServerDrift, SetAsideRow};
use web::views::drift_server::{self, DriftServerModel};
use web::views::layout::{Audience, Viewer};
use web::views::listing::Listing;
use web::views::model::FormKey;
use web::views::operation::RetryModel;
use web::views::preview::{Part, PreviewModel};
use web::views::site::{self, Compared, GenerationRow, HistoryModel};
use web::views::suspend::{self, SuspendModel, Way, Whom};

use super::{Samples, account_show, live, narrowed, site_show};
use crate::views::models;

fn differences() -> Vec<Difference> {
    vec![
        Difference::Fact { text: "The folder /home/lindqvist has the mode 0777, and should have 0750.".to_owned() },
        Difference::File {
            path: "/etc/nginx/sites-available/fjordbikes.example.conf".to_owned(),
            diff: "@@ -4,7 +4,6 @@\n     listen [::]:80;\n     server_name fjordbikes.example;\n     server_tokens off;\n-    autoindex on;\n     \
                   access_log /home/lindqvist/logs/access.log gantry;\n"
                .to_owned(),
        },
    ]
}

pub(in crate::views) fn drifted(admin: bool) -> Drifted {
    Drifted {
        now: models::now(),
        since: models::ago(3 * 3600),
        differences: if admin { differences() } else { vec![] },
        repair: admin.then(|| "site:01937a00-0000-7000-8000-000000000029".to_owned()),
        comes_back: false,
        key: FormKey::new("k"),
    }
}

fn row(title: &str, note: Drifted) -> DriftRow {
    DriftRow {
        resource: "site:01937a00-0000-7000-8000-000000000029".to_owned(),
        title: title.to_owned(),
        path: Some("/sites/01937a00-0000-7000-8000-000000000029".to_owned()),
        account: models::lindqvist(),
        note,
    }
}

fn server(drifted: Vec<DriftRow>) -> ServerDrift {
    ServerDrift {
        server: models::web1(true),
        id: models::id(1),
        looked: Some((models::ago(140), 1_186)),
        repairs: false,
        brake: None,
        total: drifted.len() as u64,
        drifted,
        set_aside: vec![],
    }
}

pub(in crate::views) fn drift_model() -> DriftModel {
    let again = Drifted { comes_back: true, repair: None, ..drifted(true) };
    let broken = SetAsideRow {
        path: "/etc/nginx/gantry.d/site/fjordbikes.example/headers.conf.broken".to_owned(),
        said: "[emerg] unknown directive \"ad_header\" in /etc/nginx/gantry.d/site/fjordbikes.example/headers.conf:1".to_owned(),
        at: models::ago(600),
    };
    let rewritten = SetAsideRow {
        path: "/etc/nginx/conf.d/gantry.conf".to_owned(),
        said: "@@ -3,1 +3,1 @@\n-server_names_hash_bucket_size 64;\n+server_names_hash_bucket_size 512;".to_owned(),
        at: models::ago(600),
    };
    let braked = ServerDrift {
        brake: Some(Brake { drifted: 120, resources: 1_186 }),
        repairs: true,
        total: 120,
        set_aside: vec![broken, rewritten],
        ..server(vec![row("Site fjordbikes.example", drifted(true)), row(&format!("Site {}", models::LONG), again)])
    };
    let servers = vec![server(vec![]), braked, ServerDrift { looked: None, ..server(vec![]) }];
    let listing = Listing { per_page: 10, ..Listing::new("/drift", 10, 23) };
    DriftModel { now: models::now(), servers, with_something: 1, listing, live: live(), toast: None }
}

/// The second page of the server that has much.
pub(in crate::views) fn drift_server_model() -> DriftServerModel {
    let listing = Listing { page: 2, ..Listing::new("/servers/x/drift", 50, 120) };
    DriftServerModel { now: models::now(), server: drift_model().servers.swap_remove(1), listing, live: live(), toast: None }
}

pub(super) fn preview(admin: bool) -> PreviewModel {
    let part = |title: &str, differences| Part { title: title.to_owned(), differences, refused: None, detail: None };
    let refused = Part {
        refused: Some("PHP did not accept these settings.".to_owned()),
        detail: admin.then(|| "RAW-DETAIL: a setting is out of range".to_owned()),
        ..part("PHP 8.4 of lindqvist", vec![])
    };
    PreviewModel {
        server: models::parse("web1"),
        parts: Some(vec![part("Site fjordbikes.example", differences()), refused, part("quiet", vec![])]),
        left_out: 3,
    }
}

pub(super) fn nobody_answers() -> PreviewModel {
    PreviewModel { server: models::parse("web2"), parts: None, left_out: 0 }
}

impl Samples {
    /// Those that ask before a change that can be undone.
    fn questions(&mut self, viewer: &Viewer) {
        let admin = viewer.audience == Audience::Admin;
        let site = Whom::Site { id: models::id(41), domain: models::parse("müller-garten.example") };
        let account = Whom::Account { id: models::id(10), user: models::parse("lindqvist"), sites: 8 };
        let client = Whom::Client { id: models::id(30), name: "Maja Lindqvist".to_owned(), accounts: 2, sites: 9 };
        let whom = if admin { vec![("site", site), ("account", account), ("client", client)] } else { vec![("site", site)] };
        for (name, whom) in whom {
            let key = (name != "client").then(|| FormKey::new("k"));
            let asked = SuspendModel { whom: whom.clone(), way: Way::Off, key, preview: None };
            self.add(viewer, &format!("{name}-suspend"), suspend::page(viewer, &asked));
            let preview = Some(vec![preview(admin), nobody_answers()]);
            let back = SuspendModel { way: Way::Back, preview, ..asked };
            self.add(viewer, &format!("{name}-unsuspend"), suspend::page(viewer, &back));
        }
        let key = web::views::account::KeyRow {
            comment: models::LONG.to_owned(),
            kind: "ssh-ed25519".to_owned(),
            fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BrrQXVUpKZIDTMczCvj3tD2s".to_owned(),
        };
        let remove = KeyRemoveModel { id: models::id(10), user: models::parse("lindqvist"), key, preview: Some(nobody_answers()) };
        self.add(viewer, "account-key-remove", web::views::account::key_remove_page(viewer, &remove));
        let mut model = account_show(models::accounts(admin).swap_remove(0), admin);
        model.preview = Some(preview(admin));
        self.add(viewer, "account-preview", web::views::account::show_page(viewer, &model));
        let title = "Create site fjordbikes.example".to_owned();
        let retry = RetryModel { id: models::id(92), title, preview: Some(preview(admin)) };
        self.add(viewer, "operation-retry", web::views::operation::retry_page(viewer, &retry));
    }

    fn drift_server(&mut self, viewer: &Viewer) {
        let model = drift_server_model();
        self.add(viewer, "server-drift", drift_server::page(viewer, &model));
        let left = ServerDrift { total: 50, ..server(vec![]) };
        let listing = Listing { total: 50, ..model.listing.clone() };
        self.add(
            viewer,
            "server-drift-left",
            drift_server::page(viewer, &DriftServerModel { server: left.clone(), listing, ..model.clone() }),
        );
        let unlike = DriftServerModel { server: left, listing: narrowed("/servers/x/drift"), ..model.clone() };
        self.add(viewer, "server-drift-none", drift_server::page(viewer, &unlike));
        let calm = DriftServerModel { server: server(vec![]), listing: Listing::new("/servers/x/drift", 50, 0), ..model };
        self.add(viewer, "server-drift-empty", drift_server::page(viewer, &calm));
        let new = DriftServerModel { server: ServerDrift { looked: None, ..server(vec![]) }, ..calm };
        self.add(viewer, "server-drift-new", drift_server::page(viewer, &new));
    }

    pub(super) fn drift(&mut self, viewer: &Viewer) {
        let admin = viewer.audience == Audience::Admin;
        let mut model = site_show(0, admin);
        (model.site.drifted, model.drift) = (true, Some(drifted(admin)));
        self.add(viewer, "site-drifted", site::show_page(viewer, &model));
        let mut model = account_show(models::accounts(admin).swap_remove(0), admin);
        (model.account.drifted, model.drift) = (true, Some(drifted(admin)));
        self.add(viewer, "account-drifted", web::views::account::show_page(viewer, &model));
        let generation = |number, action: &str, current| GenerationRow {
            generation: Generation(number),
            action: action.to_owned(),
            asked_by: "Maja Lindqvist".to_owned(),
            operation: models::id(90),
            at: models::ago(3600 * (9 - number)),
            current,
            back: !current,
        };
        let diff = "@@ -4,3 +4,3 @@\n     listen [::]:80;\n-    server_name fjordbikes.example;\n+    server_name fjordbikes.example www.fjordbikes.example;\n";
        let model = HistoryModel {
            now: models::now(),
            id: models::id(41),
            domain: models::parse("fjordbikes.example"),
            generations: vec![generation(3, "Change site", true), generation(2, "Repair site", false), generation(1, "Create site", false)],
            compared: Some(Compared {
                from: Generation(2),
                to: Generation(3),
                path: "/etc/nginx/sites-available/fjordbikes.example.conf".to_owned(),
                diff: diff.to_owned(),
            }),
            refused: None,
        };
        self.add(viewer, "site-history", site::history_page(viewer, &model));
        let refused = Some("These settings are not possible any more. PHP 7.4 is not on this server.".to_owned());
        self.add(viewer, "site-history-refused", site::history_page(viewer, &HistoryModel { refused, ..model.clone() }));
        let rollback = site::RollbackModel {
            now: models::now(),
            id: models::id(41),
            domain: models::parse("fjordbikes.example"),
            generation: Generation(2),
            at: models::ago(86_400),
            path: "/etc/nginx/sites-available/fjordbikes.example.conf".to_owned(),
            diff: Some(diff.to_owned()),
            key: FormKey::new("k"),
            refused: None,
            preview: Some(preview(admin)),
        };
        self.add(viewer, "site-rollback", site::rollback_page(viewer, &rollback));
        let refused = Some("These settings are not possible any more. PHP 7.4 is not on this server.".to_owned());
        let rollback = site::RollbackModel { refused, preview: None, diff: Some(String::new()), ..rollback };
        self.add(viewer, "site-rollback-refused", site::rollback_page(viewer, &rollback));
        self.questions(viewer);
        let empty = HistoryModel { generations: vec![], compared: None, ..model };
        self.add(viewer, "site-history-empty", site::history_page(viewer, &empty));
        if admin {
            self.add(viewer, "drift", drift::page(viewer, &drift_model()));
            let nothing = DriftModel { servers: vec![], listing: Listing::new("/drift", 10, 0), ..drift_model() };
            self.add(viewer, "drift-empty", drift::page(viewer, &nothing));
            self.drift_server(viewer);
        }
    }
}
