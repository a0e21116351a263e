//! Whose fault a refusal is.

#![cfg(feature = "testing")]

use std::path::Path;
use std::sync::Arc;

use shared::jobs::SealedCryptHash;
use shared::names::CryptHash;

use super::{Looked, named, set_aside_cause, set_aside_list};
use crate::engine::{Engine, UnsealError, Unsealer};
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
    assert_eq!(set_aside_cause(&engine, &store.pool, &said).await.unwrap(), Some(Looked::Changed));
    for _ in 0..2 {
        assert_eq!(set_aside_cause(&engine, &store.pool, &said).await.unwrap(), Some(Looked::Same));
    }
    let own = "nginx: [emerg] unknown directive \"x\" in /etc/nginx/sites-enabled/shop.example.conf:3";
    for not_of_a_file in [own, "", "no such thing"] {
        assert_eq!(set_aside_cause(&engine, &store.pool, not_of_a_file).await.unwrap(), None);
    }
    let aside = set_aside_list(&mut store.pool.acquire().await.unwrap()).await.unwrap();
    assert_eq!(aside.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), [format!("{path}.broken")]);
}
