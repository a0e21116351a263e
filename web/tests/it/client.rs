//! Clients, as admins manage them.

use crate::support::app::PASSWORD;
use crate::support::fleet::{Town, open_jobs};

async fn id_of(town: &Town, login: &str) -> String {
    let (id,): (String,) =
        sqlx::query_as("SELECT id FROM users WHERE login = $1").bind(login).fetch_one(town.app.db().read()).await.unwrap();
    id
}

#[tokio::test]
async fn a_new_client_gets_a_password_shown_once_which_has_to_be_changed() {
    let mut town = Town::new().await;
    let made = town.admin.post("/clients", &[("name", "Carol"), ("login", "Carol@Example.com")]).await;
    assert_eq!(made.status, 200);
    let password =
        made.body.split(['<', '>', '"', ' ']).find(|word| word.len() == 23 && word.matches('-').count() == 3).unwrap().to_owned();
    let id = id_of(&town, "carol@example.com").await;
    assert!(!town.admin.get(&format!("/clients/{id}")).await.body.contains(&password));
    let mut carol = town.app.browser();
    assert_eq!(carol.sign_in("carol@example.com", &password).await.status, 303);
    assert_eq!(carol.get("/").await.location(), "/password");
    let taken = town.admin.post("/clients", &[("name", "Other"), ("login", "carol@example.com")]).await;
    assert_eq!((taken.status.as_u16(), taken.value("name").as_deref()), (422, Some("Other")));
}

#[tokio::test]
async fn suspending_a_client_ends_their_sessions_and_switches_their_accounts_off() {
    let mut town = Town::new().await;
    let id = id_of(&town, "alice").await;
    assert_eq!(town.admin.post(&format!("/clients/{id}/suspend"), &[]).await.status, 303);
    assert_eq!(town.alice.get("/").await.location(), "/sign-in?next=%2F");
    assert_eq!(town.app.browser().sign_in("alice", PASSWORD).await.status, 422);
    assert_eq!(open_jobs(town.app.db()).await.len(), 1);
    town.apply_all().await;
    assert_eq!(town.admin.post(&format!("{}/unsuspend", town.alpha), &[]).await.status, 409, "the client comes back first");
    assert_eq!(town.admin.post(&format!("/clients/{id}/unsuspend"), &[]).await.status, 303);
    assert_eq!(town.app.browser().sign_in("alice", PASSWORD).await.status, 303);
}

#[tokio::test]
async fn a_client_who_owns_an_account_is_not_deleted_and_an_admin_never() {
    let mut town = Town::new().await;
    let (alice, root) = (id_of(&town, "alice").await, id_of(&town, "root").await);
    assert_eq!(town.admin.post(&format!("/clients/{alice}/delete"), &[("confirm", "alice")]).await.status, 409);
    assert_eq!(town.admin.post(&format!("/clients/{root}/delete"), &[("confirm", "root")]).await.status, 404);
    town.admin.post(&format!("{}/delete", town.alpha), &[("confirm", "alpha")]).await;
    town.apply_all().await;
    assert_eq!(town.admin.post(&format!("/clients/{alice}/delete"), &[("confirm", "alice")]).await.status, 303);
    assert_eq!(town.app.browser().sign_in("alice", PASSWORD).await.status, 422);
}

#[tokio::test]
async fn a_new_one_time_password_signs_the_client_out_everywhere() {
    let mut town = Town::new().await;
    let id = id_of(&town, "alice").await;
    assert_eq!(town.admin.post(&format!("/clients/{id}/reset-password"), &[]).await.status, 200);
    assert_eq!(town.alice.get("/").await.status, 303);
    assert_eq!(town.app.browser().sign_in("alice", PASSWORD).await.status, 422);
}
