//! Admins' own nginx configuration: taken up by itself, set aside when nginx refuses it.

use tempfile::TempDir;
use worker::includes::{Looked, look, set_aside_list};
use worker::store::Store;

use crate::support::{Lab, account, site};

const OF_SITE: &str = "/etc/nginx/gantry.d/site/shop.example/extra.conf";

async fn lab() -> (Lab, Store, TempDir) {
    let lab = Lab::new().await;
    lab.applied(&[account(1, |_| ()), site(30, "shop.example", 1, |spec| spec.kind = shared::jobs::SiteKind::Static)]).await;
    for directory in ["/etc/nginx/gantry.d/site/shop.example", "/etc/nginx/gantry.d/account/shop"] {
        let node = worker::system::fake::Node::Directory {
            owner: worker::engine::image::Owner::ROOT,
            mode: 0o700,
            acl: worker::engine::image::Acl::default(),
        };
        lab.host.put(directory, node);
    }
    lab.host.heal();
    let directory = TempDir::new().unwrap();
    let store = Store::open(&directory.path().join("worker.db")).await.unwrap();
    (lab, store, directory)
}

async fn set_aside(store: &Store) -> Vec<(String, String)> {
    let files = set_aside_list(&mut store.pool.acquire().await.unwrap()).await.unwrap();
    files.into_iter().map(|file| (file.path, file.said)).collect()
}

#[tokio::test]
async fn without_a_changed_file_nothing_is_run_and_with_one_nginx_reads_it_once() {
    let (lab, store, _directory) = lab().await;
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
    assert_eq!((lab.host.tests(), lab.host.reloads()), (0, 0));
    lab.host.put_file(OF_SITE, "add_header X-Shop yes;\n");
    for _ in 0..2 {
        assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
        assert_eq!((lab.host.tests(), lab.host.reloads()), (1, 1));
    }
    lab.host.take(OF_SITE);
    look(&lab.engine, &store.pool).await.unwrap();
    assert_eq!((lab.host.tests(), lab.host.reloads()), (2, 2), "one that is gone is a change too");
}

#[tokio::test]
async fn a_broken_file_is_set_aside_with_nginxs_words_and_the_others_are_taken_up() {
    let (lab, store, _directory) = lab().await;
    lab.host.put_file(OF_SITE, "BROKEN\n");
    lab.host.put_file("/etc/nginx/gantry.d/account/shop/good.conf", "add_header X-Shop yes;\n");
    lab.host.put_file("/etc/nginx/gantry.d/account/shop/bad.conf", "BROKEN\n");
    lab.host.put_file("/etc/nginx/gantry.d/account/shop/bad.conf.broken", "an older one\n");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    let aside = set_aside(&store).await;
    assert_eq!(aside.len(), 2, "{aside:?}");
    assert_eq!(aside[0].0, "/etc/nginx/gantry.d/account/shop/bad.conf.broken.2");
    assert_eq!(aside[1].0, format!("{OF_SITE}.broken"));
    assert!(aside[1].1.contains(&format!("unknown directive \"BROKEN\" in {OF_SITE}:1")), "{aside:?}");
    let nodes = lab.host.snapshot().nodes;
    assert!(!nodes.contains_key(std::path::Path::new(OF_SITE)) && nodes.contains_key(std::path::Path::new(&aside[1].0)));
    assert_eq!(lab.host.reloads(), 1);
    // Somebody takes it away: it is no more reported.
    lab.host.take(&aside[1].0);
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    assert_eq!(set_aside(&store).await.len(), 1);
}

#[tokio::test]
async fn a_configuration_that_is_broken_elsewhere_is_left_alone_and_looked_at_again() {
    let (lab, store, _directory) = lab().await;
    lab.host.put_file("/etc/nginx/conf.d/hand.conf", "BROKEN\n");
    lab.host.put_file(OF_SITE, "add_header X-Shop yes;\n");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
    assert_eq!((set_aside(&store).await.len(), lab.host.reloads()), (0, 0));
    lab.host.take("/etc/nginx/conf.d/hand.conf");
    look(&lab.engine, &store.pool).await.unwrap();
    assert_eq!(lab.host.reloads(), 1);
}

#[tokio::test]
async fn a_file_saved_while_nginx_reads_the_others_is_read_at_the_next_look() {
    let (lab, store, _directory) = lab().await;
    lab.host.put_file(OF_SITE, "add_header X-Shop yes;\n");
    lab.host.put_file_at_reload(OF_SITE, "add_header X-Shop no;\n");
    look(&lab.engine, &store.pool).await.unwrap();
    assert_eq!(lab.host.reloads(), 1);
    look(&lab.engine, &store.pool).await.unwrap();
    assert_eq!(lab.host.reloads(), 2);
    look(&lab.engine, &store.pool).await.unwrap();
    assert_eq!(lab.host.reloads(), 2);
}

#[tokio::test]
async fn a_file_that_nginx_refuses_without_naming_it_is_found_among_those_that_have_changed() {
    let (lab, store, _directory) = lab().await;
    let (read, good) = ("/etc/nginx/gantry.d/account/shop/a-read.conf", "/etc/nginx/gantry.d/account/shop/b-good.conf");
    lab.host.put_file(read, "add_header X-Shop yes;\n");
    look(&lab.engine, &store.pool).await.unwrap();
    lab.host.put_file(good, "add_header X-Good yes;\n");
    lab.host.put_file(OF_SITE, "return 200 $typo;\n");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    let aside = set_aside(&store).await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(aside[0], (format!("{OF_SITE}.broken"), "[emerg] unknown \"typo\" variable".to_owned()));
    let nodes = lab.host.snapshot().nodes;
    assert!([read, good].iter().all(|path| nodes.contains_key(std::path::Path::new(path))));
    assert_eq!(lab.host.reloads(), 2, "the good one was taken up");
}
