//! Sites, accounts and operations.

use shared::jobs::AccountLimits;
use shared::jobs::PhpSettings;
use shared::jobs::ProcessManager;
use shared::operation::JobState;
use shared::record::JobRecord;
use web::views::components::choice::Choice;
use web::views::components::toolbar::StateCounts;
use web::views::layout::Audience;
use web::views::layout::Viewer;
use web::views::listing::Listing;
use web::views::model::{Errors, FormKey};
use web::views::{account, operation, site};

use super::drift::{nobody_answers, preview};
use super::{Samples, account_show, listing, live, narrowed, operation_show, php, site_list, site_show};
use crate::views::models;

impl Samples {
    pub(super) fn sites(&mut self, viewer: &Viewer) {
        let admin = viewer.audience == Audience::Admin;
        self.add(viewer, "sites", site::list_page(viewer, &site_list(admin)));
        let empty =
            |can_create, listing| site::ListModel { listing, counts: StateCounts::default(), rows: vec![], can_create, ..site_list(admin) };
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
        let admin = viewer.audience == Audience::Admin;
        let account = Choice::new(models::lindqvist().id.to_string(), "lindqvist").note("web1");
        let other = Choice::new("2", "quietpress").note("web2");
        let form = site::SiteForm { php: "8.4".to_owned(), ..site::SiteForm::default() };
        let new = site::NewModel {
            form,
            key: FormKey::new("k"),
            errors: Errors::default(),
            accounts: vec![account.clone()],
            php_versions: php(),
            preview: None,
        };
        self.add(viewer, "site-new", site::new_page(viewer, &new));
        self.add(viewer, "site-new-no-account", site::new_page(viewer, &site::NewModel::default()));
        let mut errors = Errors::one("domain", "Enter only the domain, without http:// and without a path.");
        errors.add("aliases", "A domain has letters, digits, hyphens and dots only, such as example.com.");
        let form = site::SiteForm { domain: "http://x/<b>".to_owned(), aliases: "a b".to_owned(), ..new.form.clone() };
        let refused = site::NewModel {
            form,
            key: FormKey::new("k"),
            errors: errors.clone(),
            accounts: vec![account, other],
            php_versions: php(),
            preview: None,
        };
        self.add(viewer, "site-new-refused", site::new_page(viewer, &refused));
        let edit = site::EditModel {
            id: models::id(41),
            domain: models::parse("fjordbikes.example"),
            form: refused.form,
            key: FormKey::new("k"),
            errors,
            php_versions: php(),
            preview: None,
        };
        self.add(viewer, "site-edit", site::edit_page(viewer, &edit));
        let shown = site::EditModel { errors: Errors::default(), preview: Some(preview(admin)), ..edit.clone() };
        self.add(viewer, "site-edit-preview", site::edit_page(viewer, &shown));
        let silent = site::EditModel { errors: Errors::default(), preview: Some(nobody_answers()), ..edit };
        self.add(viewer, "site-edit-preview-offline", site::edit_page(viewer, &silent));
        let delete = site::DeleteModel {
            id: models::id(44),
            domain: models::parse("müller-garten.example"),
            folder: "htdocs/xn--mller-garten-dlb.example".to_owned(),
            key: FormKey::new("k"),
            typed: "fjord".to_owned(),
            errors: Errors::one("confirm", "That is not the domain of this site."),
            preview: Some(preview(viewer.audience == Audience::Admin)),
        };
        self.add(viewer, "site-delete", site::delete_page(viewer, &delete));
    }

    pub(super) fn accounts(&mut self, viewer: &Viewer) {
        let admin = viewer.audience == Audience::Admin;
        let list = account::ListModel {
            now: models::now(),
            listing: listing("/accounts", 4),
            counts: StateCounts { all: 4, active: 1, busy: 1, failed: 1, suspended: 1 },
            rows: models::accounts(admin),
            servers: if admin { super::server_choices() } else { vec![] },
            can_create: admin,
            live: live(),
            toast: None,
        };
        self.add(viewer, "accounts", account::list_page(viewer, &list));
        let empty = account::ListModel { rows: vec![], listing: Listing::new("/accounts", 50, 0), counts: StateCounts::default(), ..list };
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
            key: FormKey::new("k"),
            errors: errors.clone(),
            owners: vec![Choice::new("1", "Maja Lindqvist"), Choice::new("2", models::LONG)],
            servers: vec![choice("1", "web1", "412 of 500 accounts"), choice("3", "web3", "offline")],
            php_versions: php(),
            preview: None,
        };
        self.add(viewer, "account-new", account::new_page(viewer, &new));
        self.add(viewer, "account-new-no-client", account::new_page(viewer, &account::NewModel { owners: vec![], ..new.clone() }));
        self.add(viewer, "account-new-no-server", account::new_page(viewer, &account::NewModel::default()));
        let limits = AccountLimits { cpu_percent: Some(200), memory_mib: None, tasks: Some(200) };
        let model =
            account::LimitsModel { id: models::id(10), user: models::parse("lindqvist"), form: limits.into(), errors, preview: None };
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
                key: FormKey::new("k"),
                errors: Errors::one("post_max_size_mib", "Must be 64 or more, because uploads may be 64 MB."),
                failure: (name == "static").then(|| models::failure(false)),
                preview: None,
            };
            self.add(viewer, &format!("account-php-{name}"), account::php_page(viewer, &model));
        }
        let delete = account::DeleteModel {
            id: models::id(10),
            user: models::parse("lindqvist"),
            sites: 8,
            key: FormKey::new("k"),
            typed: String::new(),
            errors: Errors::default(),
            preview: None,
        };
        self.add(viewer, "account-delete", account::delete_page(viewer, &delete));
    }

    pub(super) fn operations(&mut self, viewer: &Viewer) {
        let admin = viewer.audience == Audience::Admin;
        let list = operation::ListModel {
            now: models::now(),
            listing: Listing { extra: vec![("server".to_owned(), "web1".to_owned())], ..Listing::new("/operations", 50, 120) },
            counts: operation::Counts { all: 120, waiting: 1, working: 1, failed: 2, succeeded: 116 },
            rows: models::operations(admin),
            servers: if admin { super::server_choices() } else { vec![] },
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
        self.record(viewer);
    }

    fn record(&mut self, viewer: &Viewer) {
        let admin = viewer.audience == Audience::Admin;
        let row = models::operations(admin).swap_remove(3);
        let earlier = operation::Attempt {
            number: 1,
            state: JobState::Failed,
            steps: models::done_steps(),
            detail: "RAW-EARLIER".to_owned(),
            took_ms: Some(61),
            record: Some(JobRecord { batch_size: 7, begun: 1, tries: Vec::new(), ..models::record() }),
        };
        let mut job = models::job(JobState::Done, models::done_steps());
        if admin {
            (job.record, job.attempts, job.detail) = (Some(models::record()), vec![earlier], "RAW-SAID".to_owned());
        }
        let mut model = operation_show(row, job, admin);
        let error = if admin { "jobs.job: missing field `type`".to_owned() } else { String::new() };
        model.unreadable = vec![operation::Unreadable { id: "x".to_owned(), state: "queued".to_owned(), error }];
        self.add(viewer, "operation-record", operation::show_page(viewer, &model));
    }
}
