//! The drift of one server, all of it.

use shared::events::DriftFinding;
use shared::ids::{ServerId, SiteId};
use shared::jobs::ResourceKey;
use web::store::Db;
use web::store::drift::drift_list_of_server;
use web::store::list::Paging;

use crate::drift::{FILE, SINCE, finding, found, looked, town};
use crate::support::db::on_each;
use crate::support::fleet::{Town, server};

/// What of a server's drift a search finds on a page of two, and how much it finds in all.
async fn listed(db: &Db, server: ServerId, search: &str, page: i64) -> (Vec<ResourceKey>, i64) {
    let found = drift_list_of_server(db, server, search, Paging::page(page, 2)).await.unwrap();
    (found.rows.iter().map(|row| row.resource).collect(), found.total)
}

fn account(path: &str) -> ResourceKey {
    ResourceKey::Account(Town::id(path).parse().unwrap())
}

/// Drift of so many of alice's, all found before anything else.
async fn many(town: &Town, how_many: usize) {
    let mut tx = town.app.db().write().await.unwrap();
    for _ in 0..how_many {
        sqlx::query(
            "INSERT INTO drifts (resource, server_id, account_id, generation, differences, since_ms) VALUES ($1, $2, $3, 1, '[]', 1)",
        )
        .bind(ResourceKey::Site(SiteId::new()).to_string())
        .bind(town.server.to_string())
        .bind(Town::id(&town.alpha))
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_has_drifted_longest_comes_first_in_pages_and_is_found_by_linux_user_and_by_domain() {
    on_each(async |db| {
        let (town, _, site) = town(db.clone()).await;
        let (alpha, beta) = (account(&town.alpha), account(&town.beta));
        let at = |resource, after| DriftFinding { since_ms: SINCE + after, ..finding(resource, 1, true) };
        found(&db, town.server, vec![at(site, 1), at(beta, 3), at(alpha, 2)]).await;
        let all = async |search, page| listed(&db, town.server, search, page).await;
        assert_eq!(all("", 1).await, (vec![site, alpha], 3));
        assert_eq!(all("", 2).await, (vec![beta], 3));
        assert_eq!(all("", 3).await, (vec![], 3), "beyond the last page");
        assert_eq!(all(" ALPHA ", 1).await, (vec![site, alpha], 2), "an account and its site");
        assert_eq!(all("Shop.Example", 1).await, (vec![site], 1));
        assert_eq!(all("bet", 1).await, (vec![beta], 1));
        assert_eq!(all("%", 1).await, (vec![], 0), "a wildcard stands for itself");

        found(&db, town.server, vec![at(site, 9), at(beta, 2)]).await;
        let mut same = [alpha, beta];
        same.sort_by_key(ToString::to_string);
        assert_eq!(all("", 1).await, (same.to_vec(), 3), "of what was found at once, the order is always the same");
        assert_eq!(all("", 2).await, (vec![site], 3));
        let other = server(&db, "web2", None).await;
        assert_eq!(listed(&db, other, "", 1).await, (vec![], 0));
    })
    .await;
}

#[tokio::test]
async fn all_that_has_drifted_on_a_server_is_seen_on_a_page_of_its_own() {
    on_each(async |db| {
        let (mut town, _, site) = town(db.clone()).await;
        let own = format!("/servers/{}/drift", town.server);
        assert!(town.admin.get(&own).await.body.contains("Not compared yet"));
        looked(&db, town.server, SINCE, 0).await;
        assert!(town.admin.get(&own).await.body.contains("Nothing has drifted"));
        many(&town, 50).await;
        assert!(!town.admin.get("/drift").await.body.contains(&format!("href=\"{own}\"")), "the page of all servers shows them all");
        found(&db, town.server, vec![finding(site, 1, true)]).await;
        let fleet = town.admin.get("/drift").await.body;
        assert!(fleet.contains("The first 50 of 51 are shown.") && !fleet.contains(FILE), "{fleet}");
        assert!(fleet.contains(&format!("<a href=\"{own}\">See all")), "{fleet}");

        let first = town.admin.get(&own).await.body;
        assert!(first.contains("1 to 50 of 51") && !first.contains(FILE), "{first}");
        for part in ["Check now", "Confirm: repair all 51", "Repair it by itself", "<a href=\"/drift\">Drift</a>"] {
            assert!(first.contains(part), "{part}: {first}");
        }
        let second = town.admin.get(&format!("{own}?page=2")).await.body;
        assert!(second.contains("51 to 51 of 51") && second.contains(FILE), "{second}");
        let searched = town.admin.get(&format!("{own}?q=shop.example")).await.body;
        assert!(searched.contains(FILE) && !searched.contains(" of 51<"), "{searched}");
        let unlike = town.admin.get(&format!("{own}?q=nothing-like-it")).await.body;
        assert!(unlike.contains("No drifted resources match") && !unlike.contains("Nothing has drifted"), "{unlike}");
        assert!(town.admin.get(&format!("{own}?page=3")).await.body.contains("Nothing is left on this page"));

        assert_eq!(town.alice.get(&own).await.status, 403);
        assert_eq!(town.admin.get(&format!("/servers/{}/drift", ServerId::new())).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn the_buttons_of_a_page_of_drift_lead_back_to_it_and_nowhere_else() {
    on_each(async |db| {
        let (mut town, ..) = town(db.clone()).await;
        many(&town, 51).await;
        let own = format!("/servers/{}/drift", town.server);
        let here = format!("{own}?q=alpha&page=2");
        let page = town.admin.get(&here).await;
        assert_eq!(page.value("back").as_deref(), Some(here.as_str()));
        assert_eq!(town.admin.get("/drift").await.value("back").as_deref(), Some("/drift"));
        for (button, field) in [("check", ("", "")), ("policy", ("policy", "repair")), ("repair", ("", ""))] {
            for (back, expected) in [(here.as_str(), here.as_str()), ("", "/drift"), ("//evil.example/", "/")] {
                let answer = town.admin.post(&format!("{own}/{button}"), &[field, ("back", back)]).await;
                assert_eq!((answer.status.as_u16(), answer.location()), (303, expected), "{button} from {back:?}");
            }
        }
    })
    .await;
}
