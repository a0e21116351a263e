//! What admins watch: the overview, security events, the audit log as it grows.

use shared::bus::panel::Hint;
use shared::events::{Heartbeat, RoleHealth};
use shared::ids::{JobId, UserId};
use shared::jobs::WorkerSpec;
use shared::role::Role;
use shared::security::SecurityKind;
use web::app::signal::Signal;
use web::store::now_ms;
use web::store::rollout::{NewRollout, rollout_insert_in_tx};
use web::store::security_event::{NewSecurityEvent, security_event_insert_in_tx};
use web::store::server::server_heartbeat_in_tx;

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, heartbeat};

async fn run(town: &Town, sql: &'static str) {
    let mut tx = town.app.db().write().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// 999 more servers beside the first, none of which has its id.
const FLEET: &str = "INSERT INTO servers (id, name, hostname, roles, stream, online, last_seen_ms, created_ms) \
             WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1998) \
             SELECT SUBSTR(v.id, 1, 31) || CASE WHEN SUBSTR(v.id, 32, 1) = '0' THEN '1' ELSE '0' END || n.i, 'node' || n.i, 'node' || n.i || '.example.org', v.roles, v.stream, \
             CASE WHEN n.i = 1500 THEN 0 ELSE 1 END, 1, 0 FROM servers v, n";

#[tokio::test]
async fn a_thousand_servers_are_counted_and_those_in_trouble_come_first() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        run(&town, FLEET).await;
        let mut sick = heartbeat("web1");
        sick.roles[0].healthy = false;
        let mut tx = db.write().await.unwrap();
        server_heartbeat_in_tx(&mut tx, town.server, &sick, now_ms()).await.unwrap();
        tx.commit().await.unwrap();
        let page = town.admin.get("/").await.body;
        assert_eq!(page.matches("<tbody id=\"server-").count(), 12, "no more than can be looked at");
        let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is not in {page}"));
        assert!(place(">node1500</a>") < place(">web1</a>") && place(">web1</a>") < place(">node1000</a>"));
        assert!(page.contains("of 1,000") && page.contains("1 offline") && page.contains("1 not healthy") && page.contains("All 1,000"));
    })
    .await;
}

fn health(roles: &[(Role, bool)]) -> Heartbeat {
    let health = |(role, healthy): &(Role, bool)| RoleHealth { role: *role, healthy: *healthy, summary: "\"role\":\"db\"".to_owned() };
    Heartbeat { roles: roles.iter().map(health).collect(), ..heartbeat("web1") }
}

#[tokio::test]
async fn only_the_roles_that_a_server_has_are_counted_shown_and_found_as_not_healthy() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let page = format!("/servers/{}", town.server);
        let web_ill = [(Role::Web, false), (Role::Db, true)];
        for (roles, said, ill) in [
            (r#"["db"]"#, web_ill.as_slice(), ""),
            (r#"["web","db"]"#, &web_ill, "web not working"),
            (r#"["web","db"]"#, &[(Role::Web, false), (Role::Db, false)], "web, db not working"),
            (r#"["web"]"#, &[(Role::Web, true), (Role::Mail, false)], ""),
            (r#"["web","mail"]"#, &[(Role::Web, true), (Role::Mail, false)], "mail not working"),
            // Without nginx a host says nothing of the web.
            (r#"["web"]"#, &[(Role::Db, true)], "web not working"),
            (r#"["db"]"#, &[(Role::Db, true)], ""),
            (r#"["web","mail"]"#, &[(Role::Web, true)], ""),
        ] {
            let mut tx = db.write().await.unwrap();
            sqlx::query("UPDATE servers SET roles = $1").bind(roles).execute(&mut *tx).await.unwrap();
            server_heartbeat_in_tx(&mut tx, town.server, &health(said), now_ms()).await.unwrap();
            tx.commit().await.unwrap();
            let home = town.admin.get("/").await.body;
            assert_eq!(home.contains("1 not healthy</a>"), !ill.is_empty(), "{roles} {said:?}");
            assert!(home.contains(ill), "{roles} {said:?}: {home}");
            assert!(ill.is_empty() || home.contains("href=\"/servers?mark=unhealthy\""), "{home}");
            let found = town.admin.get("/servers?mark=unhealthy").await.body;
            assert_eq!(found.contains(">web1</a>"), !ill.is_empty(), "{roles} {said:?}");
            let shown = town.admin.get(&page).await.body;
            for role in Role::ALL {
                let has = roles.contains(role.as_str());
                assert!(has || !(shown.contains(&format!("<b>{role}</b>")) || shown.contains(&format!("<b>{role},"))), "{role} of {roles}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn servers_in_any_condition_are_found_among_many_and_sorted_by_version_as_packages_are() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        run(&town, FLEET).await;
        run(&town, "UPDATE servers SET queue_paused_ms = 5 WHERE name = 'node1700'").await;
        run(&town, "UPDATE servers SET active = 0 WHERE name = 'node1800'").await;
        for (query, node) in [("mark=paused", "node1700"), ("mark=drained", "node1800"), ("mark=drained&q=NODE18", "node1800")] {
            let found = town.admin.get(&format!("/servers?{query}")).await.body;
            assert!(found.contains(&format!(">{node}</a>")) && found.matches("<tbody id=\"server-").count() == 1, "{query}: {found}");
        }
        assert!(town.admin.get("/").await.body.contains("href=\"/servers?mark=paused\""));
        assert!(town.admin.get("/servers?mark=unhealthy").await.body.contains("No servers match"));
        run(&town, "UPDATE servers SET version = '0.9' WHERE name = 'node1700'").await;
        run(&town, "UPDATE servers SET version = '0.10' WHERE name = 'node1800'").await;
        run(&town, "UPDATE servers SET version = '0.2' WHERE name = 'web1'").await;
        let found = town.admin.get("/servers?sort=version&dir=desc").await.body;
        let place = |node: &str| found.find(&format!(">{node}</a>")).unwrap_or_else(|| panic!("{node} is not in {found}"));
        assert!(place("node1800") < place("node1700") && place("node1700") < place("web1"));
        // The search over everything shows a few.
        assert_eq!(town.admin.get("/search?q=node1").await.body.matches("href=\"/servers/").count(), 10);
    })
    .await;
}

#[tokio::test]
async fn a_thousand_servers_are_sorted_by_any_column_and_paged() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        town.site("shop.example.com").await;
        run(&town, FLEET).await;
        run(&town, "UPDATE servers SET hostname = 'zz.example.org' WHERE name = 'node1300'").await;
        run(&town, "UPDATE servers SET hostname = 'aa.example.org', active = 0 WHERE name = 'node1700'").await;
        for (query, first) in [
            ("sort=hostname", "node1700"),
            ("sort=hostname&dir=desc", "node1300"),
            ("sort=accounts&dir=desc", "web1"),
            ("sort=active", "node1000"),
            ("sort=active&dir=desc", "node1700"),
            ("sort=active&role=dns", ""),
            ("sort=reach", "node1500"),
            ("sort=reach&state=online", "node1000"),
            ("state=offline", "node1500"),
            ("sort=nothing&page=2", "node1050"),
            ("sort=nothing&dir=desc", "web1"),
            ("page=20", "node1950"),
            ("page=21", ""),
        ] {
            let found = town.admin.get(&format!("/servers?{query}")).await.body;
            let row = found.split_once("<tbody id=\"server-").map_or("", |(_, rows)| rows.split("</tbody>").next().unwrap());
            assert!(if first.is_empty() { row.is_empty() } else { row.contains(&format!(">{first}</a>")) }, "{query}: {row}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_rollout_of_a_thousand_servers_shows_a_hundred_and_counts_all() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        run(&town, FLEET).await;
        let servers: Vec<(String,)> = sqlx::query_as("SELECT id FROM servers ORDER BY name").fetch_all(db.read()).await.unwrap();
        let spec = WorkerSpec {
            version: "9.0".parse().unwrap(),
            packages: Vec::new(),
            panel: "https://panel.example.org".to_owned(),
            fingerprint: String::new(),
        };
        let servers: Vec<_> = servers.iter().map(|(id,)| (id.parse().unwrap(), spec.clone())).collect();
        let new = NewRollout { version: &spec.version, at_once: 5, asked_by: UserId::new(), asked_by_name: "root", servers: &servers };
        let mut tx = db.write().await.unwrap();
        rollout_insert_in_tx(&mut tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        // The last one has it already.
        run(&town, "UPDATE servers SET version = '9.0' WHERE name = 'web1'").await;
        let page = town.admin.get("/servers/updates").await.body;
        assert!(page.contains("1 of 1,000 servers are done, 0 under way, 0 failed, 998 to come, 1 left out."), "{page}");
        assert!(page.matches("<tbody>").count() == 100 && page.contains("100 are shown") && !page.contains(">web1</a>"), "{page}");
    })
    .await;
}

#[tokio::test]
async fn the_overview_shows_how_deep_and_old_each_queue_is_and_how_much_gets_done() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        assert!(town.admin.get("/").await.body.contains("Nothing waits for any server."));
        town.site("shop.example.com").await;
        run(&town, "UPDATE servers SET online = 0").await;
        run(&town, "UPDATE operations SET finished_ms = finished_ms - 60000 WHERE finished_ms IS NOT NULL").await;
        let page = town.admin.get("/").await.body;
        let queues = page.split_once("id=\"home-queues\"").unwrap().1;
        assert!(queues.contains(&format!("/servers/{}/queue", town.server)) && queues.contains("offline since"), "{page}");
        assert!(page.contains("Operations per minute, last hour: 0 at last, 2 at most"), "{page}");
        assert!(!page.contains("/servers?sort=waiting"), "all of them are here");

        // Of many queues some are shown; the list of servers has them all, the deepest first.
        run(&town, FLEET).await;
        run(&town, "UPDATE servers SET online = 1").await;
        let mut tx = db.write().await.unwrap();
        for at in 0..10 {
            let copy = sqlx::query(
                "INSERT INTO jobs (id, operation_id, server_id, account_id, position, resource, generation, requires, job, state, created_ms) \
                 SELECT $1, operation_id, (SELECT id FROM servers WHERE name = $2), account_id, 900, resource, generation, requires, job, \
                 'queued', created_ms FROM jobs WHERE id = (SELECT MIN(id) FROM jobs)",
            );
            copy.bind(JobId::new().to_string()).bind(format!("node10{at}0")).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert!(town.admin.get("/").await.body.contains("/servers?sort=waiting"));
        let found = town.admin.get("/servers?sort=waiting").await.body;
        let first = found.split_once("<tbody id=\"server-").unwrap().1.split("</tbody>").next().unwrap();
        assert!(first.contains(" waiting"), "{first}");
    })
    .await;
}

#[tokio::test]
async fn security_events_are_listed_filtered_and_marked_as_seen() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        assert_eq!(town.alice.get("/security").await.status, 403);
        for (kind, server) in
            [(SecurityKind::ForgedJob, "web1"), (SecurityKind::SecondConnection, "web2"), (SecurityKind::ForgedJob, "web2")]
        {
            let mut tx = db.write().await.unwrap();
            let new = NewSecurityEvent { server_name: server, kind, detail: "<b>not signed</b>", times: 3 };
            security_event_insert_in_tx(&mut tx, &new).await.unwrap();
            tx.commit().await.unwrap();
        }
        assert!(town.admin.get("/").await.body.contains("3 security events"));
        let count = |page: &str| page.matches("<tbody id=\"security-").count();
        for (query, expected) in [
            ("", 3),
            ("?kind=forged_job", 2),
            ("?server=web2", 2),
            ("?kind=forged_job&server=web2", 1),
            ("?q=web1", 1),
            ("?state=unseen", 3),
        ] {
            assert_eq!(count(&town.admin.get(&format!("/security{query}")).await.body), expected, "{query}");
        }
        let page = town.admin.get("/security").await;
        assert!(!page.body.contains("<b>not signed"), "what was sent is shown as text");
        let until = page.value("until").expect("the button says until where");
        let mut tx = db.write().await.unwrap();
        let later = NewSecurityEvent { server_name: "web1", kind: SecurityKind::ForgedEvent, detail: "", times: 1 };
        security_event_insert_in_tx(&mut tx, &later).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(town.alice.post("/security/seen", &[("until", &until)]).await.status, 403);
        assert_eq!(town.admin.post("/security/seen", &[("until", &until)]).await.status, 303);
        let left = town.admin.get("/security?state=unseen").await.body;
        assert!(count(&left) == 1 && left.contains("Forged message dropped"), "what came after the page was shown was not seen: {left}");
        assert!(town.admin.get("/audit").await.body.contains("Security events seen"));
    })
    .await;
}

#[tokio::test]
async fn the_audit_log_grows_while_one_looks_at_it() {
    let mut town = Town::new().await;
    let mut stream = town.admin.watch("/audit").await;
    let (_, first) = stream.next().await.unwrap();
    assert!(first.contains("audit-list") && !first.contains("shop.example.com"), "{first}");
    town.app.signals.take();
    town.site("shop.example.com").await;
    assert!(town.app.signals.take().contains(&Signal::Audited));
    town.app.hub.hint(Hint { audit: true, ..Hint::default() });
    let (_, news) = stream.next().await.unwrap();
    assert!(news.contains("shop.example.com"), "{news}");
}

#[tokio::test]
async fn a_servers_queue_moves_while_one_looks_at_it() {
    let mut town = Town::new().await;
    let page = format!("/servers/{}/queue", town.server);
    let mut stream = town.admin.watch(&page).await;
    let (_, first) = stream.next().await.unwrap();
    assert!(first.contains("Nothing waits"), "{first}");
    town.site("shop.example.com").await;
    town.app.hub.hint(Hint { server: Some(town.server), ..Hint::default() });
    let (_, news) = stream.next().await.unwrap();
    assert!(news.contains("shop.example.com") && news.contains("/cancel"), "{news}");
    assert_eq!(town.bob.watch(&page).await.next().await, Some(("gone".to_owned(), "gone".to_owned())));
}
