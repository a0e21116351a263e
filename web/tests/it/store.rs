//! The store on every database there is.

use shared::names::{DomainName, SiteName};
use web::store::account_list::{AccountFilter, account_counts, account_list};
use web::store::list::{Direction, Paging, StateGroup, Visible};
use web::store::operation_list::{OperationFilter, operation_counts, operation_list};
use web::store::session::{session_delete_expired, session_list};
use web::store::site::{SiteFilter, SiteSort, site_counts, site_list};
use web::store::site_name::{NamesError, site_names_replace_in_tx};
use web::store::throttle::{throttle_lock_in_tx, throttle_set_in_tx};
use web::store::user::{ClientFilter, ClientSort, Login, NewUser, UserRole, client_list, user_fetch_by_login, user_insert_in_tx};

use crate::support::app::TestApp;
use crate::support::db::on_each;
use crate::support::fleet::Town;

#[tokio::test]
async fn lists_search_filter_sort_and_page_within_what_the_viewer_may_see() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        for domain in ["a.example.com", "b.example.com", "c_.example.com"] {
            let account = Town::id(&town.alpha).to_owned();
            town.alice.post("/sites", &[("account", &account), ("domain", domain), ("php", "8.2")]).await;
        }
        let alice = user_fetch_by_login(&db, &"alice".parse::<Login>().unwrap()).await.unwrap().unwrap().id;
        let bob = user_fetch_by_login(&db, &"bob".parse::<Login>().unwrap()).await.unwrap().unwrap().id;
        let all = Paging::page(1, 50);
        let sites = site_list(&db, Visible::Of(alice), &SiteFilter::default(), all).await.unwrap();
        let domains: Vec<&str> = sites.rows.iter().map(|site| site.domain.as_str()).collect();
        assert_eq!((domains, sites.total), (vec!["a.example.com", "b.example.com"], 2));
        assert_eq!(site_list(&db, Visible::Of(bob), &SiteFilter::default(), all).await.unwrap().total, 0);
        let filter = SiteFilter { search: "B.EXAMPLE".to_owned(), state: Some(StateGroup::Busy), ..SiteFilter::default() };
        assert_eq!(site_list(&db, Visible::All, &filter, all).await.unwrap().total, 1);
        let percent = SiteFilter { search: "%".to_owned(), ..SiteFilter::default() };
        assert_eq!(site_list(&db, Visible::All, &percent, all).await.unwrap().total, 0, "a wildcard of the searcher's is text");
        let downwards = SiteFilter { sort: SiteSort::Domain, direction: Direction::Descending, ..SiteFilter::default() };
        let second = site_list(&db, Visible::All, &downwards, Paging { limit: 1, offset: 1 }).await.unwrap();
        assert_eq!((second.rows[0].domain.as_str(), second.total), ("a.example.com", 2));
        assert_eq!(site_counts(&db, Visible::Of(alice)).await.unwrap().busy, 2);
        assert_eq!(account_counts(&db, Visible::All).await.unwrap().active, 2);
        assert_eq!(
            account_list(&db, Visible::All, &AccountFilter { search: "alice".to_owned(), ..AccountFilter::default() }, all)
                .await
                .unwrap()
                .total,
            1
        );
        let operations =
            OperationFilter { search: "example.com".to_owned(), server: Some("web1".parse().unwrap()), ..OperationFilter::default() };
        assert_eq!(operation_list(&db, Visible::All, &operations, all).await.unwrap().total, 2);
        assert!(operation_counts(&db, Visible::Of(bob)).await.unwrap().iter().map(|(_, n)| n).sum::<i64>() == 1);
        let people = ClientFilter { sort: ClientSort::Accounts, direction: Direction::Descending, ..ClientFilter::default() };
        let people = client_list(&db, &people, all).await.unwrap();
        assert_eq!((people.total, people.rows[0].accounts, people.rows[2].accounts), (3, 1, 0));
        assert_eq!(session_list(&db, alice).await.unwrap().len(), 1);
        assert_eq!(session_delete_expired(&db, i64::MAX).await.unwrap(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_duplicate_is_known_by_its_table_and_column() {
    on_each(async |db| {
        let new = || NewUser {
            id: shared::ids::UserId::new(),
            login: "alice".parse().unwrap(),
            name: "Alice".to_owned(),
            role: UserRole::Client,
            password_hash: shared::secret::Secret::new("x".to_owned()),
        };
        let mut tx = db.write().await.unwrap();
        user_insert_in_tx(&mut tx, &new()).await.unwrap();
        let error = user_insert_in_tx(&mut tx, &new()).await.unwrap_err();
        assert!(error.is_duplicate_of("users", "login"), "{error:?}");
        assert!(!error.is_duplicate_of("users", "name") && !error.is_duplicate_of("accounts", "login"));
    })
    .await;
}

#[tokio::test]
async fn a_name_that_another_site_has_is_named() {
    on_each(async |db| {
        let mut town = Town::over(TestApp::over(db.clone())).await;
        let one = town.site("one.example.com").await;
        town.site("two.example.com").await;
        let domain: DomainName = "one.example.com".parse().unwrap();
        let taken: SiteName = "two.example.com".parse().unwrap();
        let mut tx = db.write().await.unwrap();
        let error =
            site_names_replace_in_tx(&mut tx, Town::id(&one).parse().unwrap(), &domain, std::slice::from_ref(&taken)).await.unwrap_err();
        assert!(matches!(error, NamesError::Taken(name) if name == taken));
    })
    .await;
}

#[tokio::test]
async fn failures_are_counted_per_key() {
    on_each(async |db| {
        let mut tx = db.write().await.unwrap();
        assert_eq!(throttle_lock_in_tx(&mut tx, "login:a").await.unwrap().count, 0);
        throttle_set_in_tx(&mut tx, "login:a", 3).await.unwrap();
        assert_eq!(throttle_lock_in_tx(&mut tx, "login:a").await.unwrap().count, 3);
        assert_eq!(throttle_lock_in_tx(&mut tx, "login:b").await.unwrap().count, 0);
        tx.commit().await.unwrap();
    })
    .await;
}
