//! What is done for each job, to be read.

use std::collections::BTreeSet;

use shared::jobs::{PoolPresence, Presence};
use worker::engine::facts::View;
use worker::ledger::Rows;
use worker::registry;
use worker::roles::web;
use worker::system::fake::FakeSystem;

use crate::support::{KEY, Lab, account, hash, pool, site};

/// A plan as text, without the long texts of files.
async fn shown(lab: &Lab, job: &shared::jobs::JobEnvelope) -> String {
    brief(&registry::plan(&lab.engine, job).await.unwrap())
}

fn brief(plan: &worker::engine::plan::Plan) -> String {
    let mut value = serde_json::to_value(plan).unwrap();
    shorten(&mut value);
    // Whether an object keeps its order depends on what else is built.
    value.sort_all_objects();
    serde_json::to_string_pretty(&value).unwrap()
}

fn shorten(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.remove("content");
            fields.remove("config");
            fields.values_mut().for_each(shorten);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(shorten),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::String(_) => {}
    }
}

#[tokio::test]
async fn plans_of_an_account() {
    let lab = Lab::new().await;
    insta::assert_snapshot!("account_create", shown(&lab, &account(1, |_| ())).await);
    lab.applied(&[account(1, |_| ()), pool(1, |_| ()), site(30, "shop.example", 1, |_| ())]).await;
    let change = account(2, |spec| {
        spec.sftp.password = Some(hash());
        spec.sftp.keys = vec![KEY.parse().unwrap()];
        spec.limits.tasks = Some(50);
    });
    insta::assert_snapshot!("account_change", shown(&lab, &change).await);
    insta::assert_snapshot!("account_suspend", shown(&lab, &account(2, |spec| spec.presence = Presence::Suspended)).await);
    insta::assert_snapshot!("account_delete", shown(&lab, &account(2, |spec| spec.presence = Presence::Deleted)).await);
}

#[tokio::test]
async fn plans_of_a_pool() {
    let lab = Lab::new().await;
    lab.applied(&[account(1, |_| ())]).await;
    insta::assert_snapshot!("pool_create", shown(&lab, &pool(1, |_| ())).await);
    lab.applied(&[pool(1, |_| ()), site(30, "shop.example", 1, |_| ())]).await;
    lab.host.start("gantry-php8.2@shop.service");
    insta::assert_snapshot!("pool_change", shown(&lab, &pool(2, |spec| spec.settings.memory_limit_mib = 64)).await);
    insta::assert_snapshot!("pool_suspend", shown(&lab, &pool(2, |spec| spec.presence = PoolPresence::Suspended)).await);
}

#[tokio::test]
async fn plans_of_a_site() {
    let lab = Lab::new().await;
    lab.applied(&[account(1, |_| ()), pool(1, |_| ()), site(31, "first.example", 1, |_| ())]).await;
    let create = site(30, "shop.example", 1, |spec| spec.document_root = "shop.example/public".parse().unwrap());
    insta::assert_snapshot!("site_create", shown(&lab, &create).await);
    lab.applied(&[site(30, "shop.example", 1, |_| ())]).await;
    insta::assert_snapshot!("site_suspend", shown(&lab, &site(30, "shop.example", 2, |spec| spec.presence = Presence::Suspended)).await);
    insta::assert_snapshot!("site_delete", shown(&lab, &site(30, "shop.example", 2, |spec| spec.presence = Presence::Deleted)).await);
}

#[test]
fn plan_of_a_host() {
    let (host, rows) = (FakeSystem::new(), Rows::default());
    insta::assert_snapshot!("host", brief(&web::host::plan(View::new(&host, &rows, BTreeSet::new()).facts()).unwrap()));
}

#[tokio::test]
async fn a_plan_shows_nothing_of_a_password() {
    let lab = Lab::new().await;
    let job = account(1, |spec| spec.sftp.password = Some(hash()));
    let plan = registry::plan(&lab.engine, &job).await.unwrap();
    assert!(!format!("{plan:?}{}", serde_json::to_string(&plan).unwrap()).contains("saltsalt"));
}
