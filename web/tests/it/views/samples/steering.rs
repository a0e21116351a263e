//! Queues and security events.

use web::views::layout::Viewer;
use web::views::listing::Listing;
use web::views::model::AccountRef;
use web::views::queue::{self, Line, QueueModel, Standing, Urgency};
use web::views::security;
use web::views::server::Reach;

use super::{Samples, live};
use crate::views::models;

fn line(number: u8, standing: Standing) -> Line {
    Line {
        id: models::id(number),
        action: "Create site".to_owned(),
        name: "fjordbikes.example".to_owned(),
        account: Some(AccountRef { id: models::id(40), user: models::parse("lindqvist") }),
        asked_by: "Maja Lindqvist".to_owned(),
        asked_at: models::ago(64),
        sent_at: (standing != Standing::Waits).then(|| models::ago(60)),
        standing,
        urgency: Urgency::Normal,
        why: "Its account has 16 jobs on the server already, its share.".to_owned(),
        can_cancel: standing == Standing::Waits,
    }
}

pub(in crate::views) fn queue() -> QueueModel {
    QueueModel {
        now: models::now(),
        id: models::id(2),
        name: models::parse("web2"),
        reach: Reach::Offline { since: models::ago(409) },
        paused_since: Some(models::ago(1_200)),
        queued: 1_402,
        begun: 256,
        oldest: Some(models::ago(409)),
        listing: Listing::new("/servers/x/queue", 50, 120),
        rows: vec![
            line(101, Standing::Working),
            line(102, Standing::Blocked),
            line(103, Standing::Sent),
            Line { urgency: Urgency::High, ..line(104, Standing::Waits) },
            Line { urgency: Urgency::Low, account: None, name: models::LONG.to_owned(), ..line(105, Standing::Waits) },
        ],
        live: live(),
        toast: None,
    }
}

pub(in crate::views) fn security_events() -> security::ListModel {
    let row = |number: u8, seen| security::Row {
        id: format!("{number:032x}"),
        at: models::ago(i64::from(number) * 60),
        server: if seen { String::new() } else { "web2".to_owned() },
        what: "Second connection refused".to_owned(),
        advice: shared::security::SecurityKind::SecondConnection.advice(),
        detail: format!("from 192.0.2.61 {}", models::LONG),
        times: 1_402,
        seen,
    };
    security::ListModel {
        now: models::now(),
        listing: Listing::new("/security", 50, 120),
        all: 120,
        unseen: 3,
        newest: Some("0".repeat(32)),
        kinds: vec![("forged_job".to_owned(), "Forged job refused".to_owned())],
        rows: vec![row(1, false), row(2, true)],
        live: live(),
    }
}

impl Samples {
    pub(super) fn steering(&mut self, viewer: &Viewer) {
        let model = queue();
        self.add(viewer, "queue", queue::queue_page(viewer, &model));
        let calm = QueueModel {
            paused_since: None,
            reach: Reach::Online { seen_at: models::ago(2) },
            queued: 0,
            begun: 0,
            oldest: None,
            rows: vec![],
            listing: Listing::new("/servers/x/queue", 50, 0),
            ..model
        };
        self.add(viewer, "queue-empty", queue::queue_page(viewer, &calm));
        self.add(viewer, "queue-pause", queue::pause_page(viewer, models::id(2), &models::parse("web2")));
        let cancel = queue::CancelModel { id: models::id(104), title: "Create site fjordbikes.example".to_owned() };
        self.add(viewer, "operation-cancel", queue::cancel_page(viewer, &cancel));
        let model = security_events();
        self.add(viewer, "security", security::list_page(viewer, &model));
        let none = security::ListModel { rows: vec![], listing: super::narrowed("/security"), ..model.clone() };
        self.add(viewer, "security-none", security::list_page(viewer, &none));
        let bare =
            security::ListModel { rows: vec![], listing: Listing::new("/security", 50, 0), all: 0, unseen: 0, newest: None, ..model };
        self.add(viewer, "security-empty", security::list_page(viewer, &bare));
    }
}
