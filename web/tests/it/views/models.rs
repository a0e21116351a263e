//! Models to render: a small fleet with one of each thing that can happen.

use jiff::Timestamp;
use jiff::ToSpan as _;
use shared::events::{StepReport, StepState};
use shared::failure::{Effect, FailureCode};
use shared::ids::{AccountId, JobId, OperationId, ServerId, SiteId, UserId};
use shared::jobs::{Generation, ResourceKind, SiteKind};
use shared::operation::{JobState, OperationState, ResourceState};
use shared::record::{JobRecord, PlannedAction, Try};
use shared::role::Role;
use web::views::layout::{Audience, Theme, Viewer};
use web::views::model::{AccountRef, Failure, PersonRef, Progress, ServerRef, Until, Waiting};
use web::views::server::{Load, Reach};
use web::views::site::Can;
use web::views::{account, client, operation, server, site};

pub(super) const LONG: &str = "a-name-so-long-that-it-has-to-wrap-or-to-be-cut-somewhere-or-the";

/// The moment at which every page is rendered.
pub(super) fn now() -> Timestamp {
    "2026-11-21T14:09:00Z".parse().unwrap()
}

pub(super) fn ago(seconds: i64) -> Timestamp {
    now() - seconds.seconds()
}

/// The n-th id, the same in every run, so that snapshots hold.
pub(super) fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u8) -> T {
    format!("01937a00-0000-7000-8000-0000000000{number:02x}").parse().unwrap()
}

pub(super) fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(super) fn viewer(audience: Audience, theme: Theme) -> Viewer {
    let name = match audience {
        Audience::Admin => "Tomas Nyberg",
        Audience::Client => "Maja Lindqvist",
    };
    Viewer {
        name: name.to_owned(),
        audience,
        theme,
        nav_mini: false,
        here: "/sites?q=a&page=2".to_owned(),
        now: now(),
        failed_operations: 2,
    }
}

pub(super) fn step(name: &str, state: StepState, ms: Option<u32>) -> StepReport {
    StepReport { name: name.to_owned(), state, ms, detail: format!("RAW-DETAIL of {name}"), shared_with: 0 }
}

pub(super) fn working_steps() -> Vec<StepReport> {
    vec![
        step("folder", StepState::Done, Some(1)),
        step("PHP pool", StepState::Done, Some(21)),
        step("vhost", StepState::Done, Some(2)),
        step("nginx test", StepState::Done, Some(16)),
        step("reload", StepState::Running, None),
        step("probe", StepState::Waiting, None),
    ]
}

pub(super) fn failed_steps() -> Vec<StepReport> {
    vec![
        step("folder", StepState::Undone, Some(1)),
        step("PHP pool", StepState::Undone, Some(21)),
        step("vhost", StepState::Undone, Some(2)),
        step("nginx test", StepState::Failed, Some(160)),
        step("reload", StepState::Waiting, None),
    ]
}

pub(super) fn done_steps() -> Vec<StepReport> {
    [("folder", 1), ("PHP pool", 21), ("vhost", 2), ("nginx test", 16), ("reload", 31), ("probe", 58)]
        .map(|(name, ms)| step(name, StepState::Done, Some(ms)))
        .to_vec()
}

pub(super) fn progress(name: &str) -> Progress {
    Progress { label: format!("Setting up {name}"), steps: working_steps() }
}

pub(super) fn failure(viewer_is_admin: bool) -> Failure {
    Failure {
        retry: Some("/operations/x/retry".to_owned()),
        operation: Some(id(90)),
        detail: viewer_is_admin.then(|| "nginx: [emerg] RAW-FAILURE in /etc/nginx/sites-enabled/x.conf:21".to_owned()),
        ..Failure::of(FailureCode::WebServerRefused, Effect::RolledBack, if viewer_is_admin { Audience::Admin } else { Audience::Client })
    }
}

pub(super) fn web1(admin: bool) -> ServerRef {
    ServerRef { id: admin.then(|| id::<ServerId>(1)), name: parse("web1") }
}

pub(super) fn lindqvist() -> AccountRef {
    AccountRef { id: id::<AccountId>(10), user: parse("lindqvist") }
}

pub(super) fn maja(admin: bool) -> PersonRef {
    PersonRef { id: admin.then(|| id::<UserId>(30)), name: "Maja Lindqvist".to_owned() }
}

pub(super) const EVERYTHING: Can = Can { edit: true, suspend: true, unsuspend: false, delete: true };

pub(super) fn site(number: u8, domain: &str, state: ResourceState, admin: bool) -> site::Row {
    site::Row {
        id: id::<SiteId>(number),
        domain: parse(domain),
        aliases: vec![],
        kind: SiteKind::Php { version: parse("8.3") },
        state,
        account: lindqvist(),
        server: web1(admin),
        created_at: ago(3 * 86_400),
        waiting: None,
        progress: None,
        failure: None,
        drifted: false,
        can: EVERYTHING,
    }
}

/// One site of each kind and state.
pub(super) fn sites(admin: bool) -> Vec<site::Row> {
    let offline = Waiting { now: now(), server: parse("web2"), until: Until::Return { offline_since: ago(409) } };
    vec![
        site::Row {
            aliases: vec![parse("www.fjordbikes.example"), parse("*.fjordbikes.example")],
            ..site(41, "fjordbikes.example", ResourceState::Active, admin)
        },
        site::Row {
            progress: Some(progress("shop.fjordbikes.example")),
            created_at: ago(1),
            ..site(42, "shop.fjordbikes.example", ResourceState::Provisioning, admin)
        },
        site::Row { failure: Some(failure(false)), ..site(43, "lindqvist.example", ResourceState::Failed, admin) },
        site::Row { kind: SiteKind::Static, ..site(44, "müller-garten.example", ResourceState::Active, admin) },
        site::Row { waiting: Some(offline), ..site(45, "quietpress.example", ResourceState::Updating, admin) },
        site::Row {
            can: Can { unsuspend: true, delete: true, ..Can::default() },
            ..site(46, "oldharbour.example", ResourceState::Suspended, admin)
        },
        site::Row { can: Can::default(), ..site(47, "gone.example", ResourceState::Deleting, admin) },
        site(48, &format!("{}.{}.{}.example", &LONG[..63], &LONG[..63], &LONG[..50]), ResourceState::Active, admin),
    ]
}

pub(super) fn account(number: u8, user: &str, state: ResourceState, admin: bool) -> account::Row {
    account::Row {
        id: id::<AccountId>(number),
        user: parse(user),
        state,
        owner: maja(admin),
        server: web1(admin),
        sites: 8,
        created_at: ago(40 * 86_400),
        waiting: None,
        progress: None,
        failure: None,
        drifted: false,
        can: EVERYTHING,
    }
}

pub(super) fn accounts(admin: bool) -> Vec<account::Row> {
    vec![
        account(10, "lindqvist", ResourceState::Active, admin),
        account::Row { progress: Some(progress("quietpress")), sites: 0, ..account(11, "quietpress", ResourceState::Provisioning, admin) },
        account::Row { failure: Some(failure(false)), ..account(12, "tidewater", ResourceState::Failed, admin) },
        account(13, &"a".repeat(31), ResourceState::Suspended, admin),
    ]
}

pub(super) fn operation(number: u8, action: &str, name: &str, state: OperationState, admin: bool) -> operation::Row {
    operation::Row {
        id: id::<OperationId>(number),
        action: action.to_owned(),
        name: name.to_owned(),
        subject: operation::Subject::Site(id(41)),
        state,
        asked_by: "Maja Lindqvist".to_owned(),
        asked_at: ago(i64::from(number) * 7),
        took_ms: state.has_ended().then_some(184),
        server: Some(web1(admin)),
        waiting: None,
        progress: None,
        failure: None,
    }
}

pub(super) fn operations(admin: bool) -> Vec<operation::Row> {
    let waiting = Waiting { now: now(), server: parse("web2"), until: Until::Return { offline_since: ago(409) } };
    vec![
        operation::Row {
            progress: Some(progress("shop.fjordbikes.example")),
            ..operation(90, "Create site", "shop.fjordbikes.example", OperationState::Working, admin)
        },
        operation::Row { waiting: Some(waiting), ..operation(91, "Change site", "quietpress.example", OperationState::Waiting, admin) },
        operation::Row {
            failure: Some(failure(false)),
            took_ms: Some(94),
            ..operation(92, "Change site", "lindqvist.example", OperationState::Failed, admin)
        },
        operation(93, "Change PHP settings", "lindqvist, PHP 8.3", OperationState::Succeeded, admin),
        operation(94, "Suspend account", "oldharbour", OperationState::Superseded, admin),
        operation(95, "Create account", &"a".repeat(31), OperationState::Succeeded, admin),
    ]
}

pub(super) fn job(state: JobState, steps: Vec<StepReport>) -> operation::JobBlock {
    operation::JobBlock {
        id: id::<JobId>(70),
        title: "Site lindqvist.example".to_owned(),
        kind: ResourceKind::Site,
        state,
        server: "web1".to_owned(),
        generation: Generation(17),
        attempt: 2,
        steps,
        took_ms: Some(92),
        record: None,
        attempts: Vec::new(),
        detail: String::new(),
    }
}

/// What a worker kept of a job.
pub(super) fn record() -> JobRecord {
    let action =
        |step: &str, action: &str, diff: &str| PlannedAction { step: step.to_owned(), action: action.to_owned(), diff: diff.to_owned() };
    JobRecord {
        batch: Some(id(71)),
        batch_size: 12,
        begun: 2,
        plan: vec![
            action("nginx test", "test nginx's configuration as it will be", ""),
            action(
                "Site",
                "write /etc/nginx/sites-available/lindqvist.example.conf",
                "@@ -3,5 +3,5 @@\n     listen 80;\n-    server_name lindqvist.example;\n+    server_name lindqvist.example www.lindqvist.example;\n",
            ),
            action("Reload", "reload nginx", ""),
        ],
        tries: vec![Try {
            code: FailureCode::ServiceDown,
            detail: "nginx refused its new configuration and serves as before".to_owned(),
            steps: vec![step("nginx test", StepState::Undone, Some(31)), step("Reload", StepState::Failed, Some(212))],
            took_ms: 260,
        }],
    }
}

pub(super) fn server(number: u8, name: &str, reach: Reach) -> server::Row {
    let online = matches!(reach, Reach::Online { .. });
    let load = Load { load1: 0.62, cpus: 4, memory_used_mib: 2_212, memory_mib: 7_951, disk_used_mib: 41_000, disk_mib: 102_400 };
    server::Row {
        id: id::<ServerId>(number),
        name: parse(name),
        label: None,
        ailing: vec![],
        hostname: format!("{name}.harbourweb.example"),
        roles: vec![Role::Web],
        accounts: 412,
        max_accounts: Some(500),
        version: Some("0.1.0".to_owned()),
        update: number == 2,
        peer: (number < 3).then(|| "198.51.100.24".to_owned()),
        reach,
        active: true,
        load: online.then_some(load),
        jobs_waiting: if online { 0 } else { 6 },
        paused_since: (number == 3).then(|| ago(1_200)),
    }
}

pub(super) fn servers() -> Vec<server::Row> {
    let waiting = Reach::WaitingToEnrol { token_expires_at: now() + 2_520.seconds() };
    vec![
        server(1, "web1", Reach::Online { seen_at: ago(2) }),
        server::Row { label: Some("Frankfurt 2".to_owned()), ..server(2, "web2", Reach::Offline { since: ago(409) }) },
        server::Row { ailing: vec![Role::Web], accounts: 490, active: false, ..server(3, "web3", Reach::Online { seen_at: ago(4) }) },
        server::Row { accounts: 0, max_accounts: None, version: None, ..server(4, "a-server-with-a-name-of-32-chars", waiting) },
    ]
}

pub(super) fn client(number: u8, name: &str) -> client::Row {
    client::Row {
        id: id::<UserId>(number),
        name: name.to_owned(),
        login: "maja@lindqvist.example".to_owned(),
        audience: Audience::Client,
        suspended: false,
        accounts: 1,
        sites: 8,
        seen_at: Some(ago(7_200)),
        can: client::Can { suspend: true, unsuspend: false, reset_password: true, delete: true },
    }
}

pub(super) fn clients() -> Vec<client::Row> {
    vec![
        client(30, "Maja Lindqvist"),
        client::Row { suspended: true, seen_at: None, accounts: 0, sites: 0, ..client(31, &format!("{LONG} {LONG}")) },
        client::Row { audience: Audience::Admin, ..client(32, "Tomas Nyberg") },
    ]
}
