//! Whose fault a refusal is.

#![cfg(feature = "testing")]

use std::path::Path;
use std::sync::Arc;

use shared::events::Verdict;
use shared::failure::FailureCode;
use shared::jobs::SealedCryptHash;
use shared::names::CryptHash;

use super::blame::named;
use super::{Looked, look, set_aside_cause, set_aside_list};
use crate::engine::{Engine, UnsealError, Unsealer};
use crate::executor::tests::{Scene, tenants};
use crate::store::Store;
use crate::system::fake::{FakeSystem, Node};

#[test]
fn only_an_include_file_is_blamed_by_its_name() {
    let said = |place: &str| format!("[emerg] unknown directive \"x\" in {place}");
    let own = "/etc/nginx/gantry.d/site/shop.example/a.conf";
    assert_eq!(named(&said(&format!("{own}:3"))).as_deref(), Some(Path::new(own)));
    for other in [
        "/etc/nginx/sites-enabled/shop.example.conf:3",
        "/etc/nginx/gantry.d/../nginx.conf:3",
        "/etc/nginx/gantry.d/server/a.txt:3",
        "/etc/nginx/gantry.d/server/a.conf",
    ] {
        assert_eq!(named(&said(other)), None, "{other}");
    }
    assert_eq!(named("nginx: configuration file test failed"), None);
}

struct NoSeal;

impl Unsealer for NoSeal {
    fn unseal(&self, _: &SealedCryptHash) -> Result<CryptHash, UnsealError> {
        Err(UnsealError("nothing is sealed here".to_owned()))
    }
}

#[tokio::test]
async fn of_several_jobs_refused_for_one_file_none_is_to_blame() {
    let directory = tempfile::TempDir::new().unwrap();
    let store = Store::open(&directory.path().join("worker.db")).await.unwrap();
    let host = Arc::new(FakeSystem::new());
    let engine = Engine::open(&store, host.clone(), Arc::new(NoSeal)).await.unwrap();
    let path = "/etc/nginx/gantry.d/account/shop/a.conf";
    host.put("/etc/nginx/gantry.d/account/shop", Node::directory());
    host.put_file(path, "BROKEN\n");
    let said =
        format!("nginx: [emerg] unknown directive \"BROKEN\" in {path}:1\nnginx: configuration file /etc/nginx/nginx.conf test failed");
    // Each of them was refused by the same test, and each says the same.
    assert_eq!(set_aside_cause(&engine, &store.pool, &said, None).await.unwrap(), Some(Looked::Changed));
    for _ in 0..2 {
        assert_eq!(set_aside_cause(&engine, &store.pool, &said, None).await.unwrap(), Some(Looked::Same));
    }
    let own = "nginx: [emerg] unknown directive \"x\" in /etc/nginx/sites-enabled/shop.example.conf:3";
    for not_of_a_file in [own, "", "no such thing"] {
        assert_eq!(set_aside_cause(&engine, &store.pool, not_of_a_file, None).await.unwrap(), None);
    }
    let aside = set_aside_list(&mut store.pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!(aside.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), [format!("{path}.broken")]);
}

#[tokio::test]
async fn a_good_file_is_not_blamed_for_a_job_that_another_file_or_itself_has_refused() {
    let (scene, [tenant]) = (Scene::new().await, tenants());
    let directory = format!("/etc/nginx/gantry.d/account/{}", tenant.user());
    scene.host.put(&directory, Node::directory());
    let [good, bad] = ["a", "z"].map(|name| format!("{directory}/{name}.conf"));
    scene.host.put_file(&good, "add_header X-Shop yes;\n");
    scene.host.put_file(&bad, "return 200 $typo;\n");
    let there = |path: &str| scene.host.snapshot().nodes.contains_key(Path::new(path));
    let pool = &scene.worker.store.pool;
    scene
        .work(async || {
            let past = [tenant.account(), tenant.pool()];
            scene.hand_over(&past).await;
            scene.applied(&past).await;
            // Nobody's vhost reads the files yet, and nginx has accepted the tree.
            look(&scene.worker.engine, pool).await.unwrap();
            assert!(there(&good) && there(&bad));
            let site = tenant.site(0);
            scene.hand_over(std::slice::from_ref(&site)).await;
            scene.applied(&[site]).await;
        })
        .await;
    assert!(there(&good) && !there(&bad) && there(&format!("{bad}.broken")));
    // A job's own fault, which names no file: neither of those that were there before it nor of those that came since.
    let second = format!("{directory}/b.conf");
    scene.host.put_file(&second, "add_header X-Shop no;\n");
    let said = "nginx: [emerg] unknown \"typo\" variable";
    assert_eq!(set_aside_cause(&scene.worker.engine, pool, said, Some(&tenant.site(1))).await.unwrap(), None);
    assert!(there(&good) && there(&second));
}

#[tokio::test]
async fn a_job_whose_reload_nginx_refused_for_an_include_is_tried_again_without_it() {
    let (scene, [tenant]) = (Scene::new().await, tenants());
    let path = "/etc/nginx/gantry.d/server/ports.conf";
    scene
        .work(async || {
            let past = [tenant.account(), tenant.pool(), tenant.site(0)];
            scene.hand_over(&past).await;
            scene.applied(&past).await;
            scene.host.put_file(path, "listen 22;\n");
            let site = tenant.site(1);
            scene.hand_over(std::slice::from_ref(&site)).await;
            scene.applied(&[site]).await;
        })
        .await;
    let aside = set_aside_list(&mut scene.worker.store.pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!(aside.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), [format!("{path}.broken")]);
}

#[tokio::test]
async fn a_site_that_fails_its_probe_says_which_includes_it_has() {
    let (scene, [tenant]) = (Scene::new().await, tenants());
    // Nobody's vhost reads it but that of the very site that it keeps from answering.
    let directory = format!("/etc/nginx/gantry.d/site/{}", tenant.domain(0));
    let path = format!("{directory}/slow.conf");
    scene.host.put(&directory, Node::directory());
    scene.host.put_file(&path, "limit_rate 1;\n");
    let site = tenant.site(0);
    scene
        .work(async || {
            let past = [tenant.account(), tenant.pool()];
            scene.hand_over(&past).await;
            scene.applied(&past).await;
            scene.hand_over(std::slice::from_ref(&site)).await;
            let Verdict::Failed { code, detail, .. } = scene.outcome(&site).await.verdict else { panic!("it has no fault") };
            assert_eq!(code, FailureCode::ProbeFailed);
            assert!(detail.ends_with(&format!("\nnginx also reads for it, and may say otherwise: {path}")), "{detail}");
        })
        .await;
}
