//! Servers whose host is gone for good.

use web::app::signal::Signal;
use web::dispatch::outcomes::outcome_apply_in_tx;
use web::store::ended_server::{ended_server_list, ended_server_mark_closed};
use web::store::now_ms;
use web::store::revocation::revocation_list;
use web::store::server::{HeardOf, server_heartbeat_in_tx};

use shared::events::{Outcome, Verdict};
use shared::ids::ServerId;

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::{Town, fail_all, heartbeat, open_jobs, server};

async fn run(town: &Town, sql: &'static str) {
    let mut tx = town.app.db().write().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn count(town: &Town, sql: &'static str) -> i64 {
    let (n,): (i64,) = sqlx::query_as(sql).fetch_one(town.app.db().read()).await.unwrap();
    n
}

#[tokio::test]
async fn a_server_is_given_up_only_by_its_name_by_an_admin_and_while_it_does_not_answer() {
    let mut town = Town::new().await;
    let action = format!("/servers/{}/gone", town.server);
    let question = format!("/servers/{}/delete", town.server);
    assert!(!town.admin.get(&question).await.body.contains(&action), "it answers");
    assert_eq!(town.admin.post(&action, &[("confirm", "web1")]).await.status, 409);
    assert_eq!(town.alice.post(&action, &[("confirm", "web1")]).await.status, 403);
    assert_eq!(town.admin.post(&format!("/servers/{}/gone", ServerId::new()), &[("confirm", "web1")]).await.status, 404);

    run(&town, "UPDATE servers SET online = 0").await;
    town.site("shop.example.com").await;
    let page = town.admin.get(&question).await.body;
    assert!(page.contains(&action) && page.contains("2 accounts and 1 site are given up") && page.contains("cannot be moved"), "{page}");
    let refused = town.admin.post(&action, &[("confirm", "web2")]).await;
    assert_eq!((refused.status.as_u16(), refused.value("confirm").as_deref()), (422, Some("web2")));
    assert_eq!(town.admin.get(&town.alpha.clone()).await.status, 200, "nothing was changed");
}

#[tokio::test]
async fn what_lived_on_a_lost_host_is_given_up_at_once_and_its_names_are_free_again() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let (site, other) = (town.site("shop.example.com").await, town.site("blog.example.com").await);
        town.apply_all().await;
        // One change has failed, one lies on the bus, one waits to be sent.
        assert_eq!(town.alice.post(&format!("{other}/suspend"), &[]).await.status, 303);
        fail_all(&db).await;
        assert_eq!(town.alice.post(&format!("{site}/suspend"), &[]).await.status, 303);
        run(&town, "UPDATE jobs SET state = 'sent', released = 1 WHERE state = 'queued'").await;
        let sent = open_jobs(&db).await.remove(0);
        town.site("late.example.com").await;
        run(&town, "UPDATE servers SET online = 0").await;
        let elsewhere = server(&db, "web2", None).await;
        let key = revocation_list(&db, &"web1".parse().unwrap()).await.unwrap().len();
        town.app.signals.take();

        let done = town.admin.post(&format!("/servers/{}/gone", town.server), &[("confirm", "web1")]).await;
        assert_eq!((done.status.as_u16(), done.location()), (303, "/servers"), "{}", done.body);

        for page in [town.alpha.clone(), site.clone(), other.clone(), format!("/servers/{}", town.server)] {
            assert_eq!(town.admin.get(&page).await.status, 404, "{page}");
        }
        for page in [town.alpha.clone(), site, other] {
            assert_eq!(town.alice.get(&page).await.status, 404, "{page}");
        }
        for list in ["/sites", "/accounts", "/"] {
            let shown = town.alice.get(list).await.body;
            assert!(!shown.contains(&town.alpha) && !shown.contains("href=\"/sites/0"), "{list}: {shown}");
        }
        for table in [
            "SELECT COUNT(*) AS n FROM accounts",
            "SELECT COUNT(*) AS n FROM php_pools",
            "SELECT COUNT(*) AS n FROM site_names",
            "SELECT COUNT(*) AS n FROM domain_claims",
            "SELECT COUNT(*) AS n FROM jobs WHERE state IN ('queued', 'sent', 'working', 'blocked', 'failed')",
            "SELECT COUNT(*) AS n FROM operations WHERE state IN ('waiting', 'working', 'failed')",
        ] {
            assert_eq!(count(&town, table).await, 0, "{table}");
        }
        let told = town.app.signals.take();
        let of = |path: &str| Town::id(path).parse().unwrap();
        for account in [of(&town.alpha), of(&town.beta)] {
            assert!(told.iter().any(|signal| matches!(signal, Signal::OperationChanged { account: it, .. } if *it == account)), "{told:?}");
        }
        assert!(told.contains(&Signal::ServerChanged(town.server)) && told.contains(&Signal::EnrolmentRequested), "{told:?}");
        let audit = town.admin.get("/audit").await.body;
        assert!(audit.contains("its host is gone; accounts given up: alpha beta"), "{audit}");
        let cancelled = town.admin.get(&format!("/operations/{}", sent.operation_id)).await.body;
        assert!(cancelled.contains("Cancelled") && cancelled.contains("its server is not there any more"), "{cancelled}");

        // Who has its key is nobody: neither a heartbeat nor an outcome changes anything.
        assert_eq!(revocation_list(&db, &"web1".parse().unwrap()).await.unwrap().len(), key + 1);
        assert!(ended_server_list(&db).await.unwrap().iter().any(|ended| ended.name.as_str() == "web1" && !ended.closed));
        let mut tx = db.write().await.unwrap();
        assert_eq!(server_heartbeat_in_tx(&mut tx, town.server, &heartbeat("web1"), now_ms()).await.unwrap(), HeardOf::Nobody);
        let outcome = Outcome {
            job: sent.id,
            operation: sent.operation_id,
            resource: sent.resource,
            generation: sent.generation,
            attempt: sent.attempt,
            verdict: Verdict::Applied,
            steps: Vec::new(),
            started_ms: 0,
            finished_ms: 0,
            record: None,
        };
        assert!(outcome_apply_in_tx(&mut tx, town.server, &outcome).await.unwrap().is_none());
        tx.commit().await.unwrap();

        // What lies on the bus for it is not handed to another of its name.
        let form = [("name", "web1"), ("hostname", "new.servers.example.org"), ("role_web", "on"), ("active", "on")];
        let early = town.admin.post("/servers", &form).await;
        assert!(early.status == 422 && early.body.contains("still being removed from the bus"), "{}", early.body);
        ended_server_mark_closed(&db, &"web1".parse().unwrap()).await.unwrap();
        assert_eq!(town.admin.post("/servers", &form).await.status, 200);

        // The same people, names and domains on another server.
        let (owner,): (String,) = sqlx::query_as("SELECT id FROM users WHERE login = 'alice'").fetch_one(db.read()).await.unwrap();
        let again = town.admin.post("/accounts", &[("owner", &owner), ("user", "alpha"), ("server", &elsewhere.to_string())]).await;
        assert_eq!(again.status, 303, "{}", again.body);
        town.alpha = again.location().to_owned();
        town.site("shop.example.com").await;
        let uids: Vec<(i64,)> = sqlx::query_as("SELECT uid FROM accounts").fetch_all(db.read()).await.unwrap();
        assert_eq!(uids, [(200_002,)], "a uid is never used again");
    })
    .await;
}
