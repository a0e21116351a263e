//! Admins' own nginx configuration: taken up by itself, set aside when nginx refuses it.

use tempfile::TempDir;
use worker::includes::{Looked, look, set_aside_list};
use worker::store::Store;
use worker::system::fake::Trouble;

use crate::support::{Lab, account, pool, site};

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
    let mut aside = set_aside(&store).await;
    assert_eq!(aside.remove(0).0, "/etc/nginx/gantry.d/account/shop/bad.conf.broken");
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
    assert_eq!(set_aside(&store).await.len(), 2);
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

#[tokio::test]
async fn what_an_include_says_of_everybodys_requests_is_not_said_of_the_probe() {
    let (lab, store, _directory) = lab().await;
    lab.applied(&[pool(1, |_| ()), site(31, "php.example", 1, |_| ())]).await;
    lab.host.put("/etc/nginx/gantry.d/site/php.example", worker::system::fake::Node::directory());
    lab.host.put_file("/etc/nginx/gantry.d/server/moved.conf", "return 503;\n");
    lab.host.put_file("/etc/nginx/gantry.d/site/php.example/closed.conf", "deny all;\n");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
    lab.applied(&[
        pool(2, |spec| spec.settings.memory_limit_mib = 300),
        site(31, "php.example", 2, |spec| spec.aliases = vec!["www.php.example".parse().unwrap()]),
        site(32, "new.example", 1, |_| ()),
    ])
    .await;
}

#[tokio::test]
async fn a_file_with_which_a_site_no_longer_answers_is_set_aside_with_what_it_answers() {
    let (lab, store, _directory) = lab().await;
    lab.applied(&[site(31, "other.example", 1, |spec| spec.kind = shared::jobs::SiteKind::Static)]).await;
    let good = ["/etc/nginx/gantry.d/account/shop/a.conf", "/etc/nginx/gantry.d/server/z.conf"];
    good.iter().for_each(|path| lab.host.put_file(path, "add_header X-Shop yes;\n"));
    lab.host.put_file(OF_SITE, "limit_rate 1;\n");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    let said = "with it shop.example does not answer as it should: HTTP/1.1 200 OK: a byte a second";
    assert_eq!(set_aside(&store).await, [(format!("{OF_SITE}.broken"), said.to_owned())]);
    let files = || lab.host.snapshot().nodes.into_keys().filter(|path| path.starts_with("/etc/nginx/gantry.d")).collect::<Vec<_>>();
    assert!(good.iter().all(|path| files().contains(&std::path::PathBuf::from(path))), "{:?}", files());
    assert!(lab.host.snapshot().serving.iter().all(|vhost| vhost.instead.is_none()));
    // What did not answer before for another reason is not these files' fault.
    lab.host.take("/etc/nginx/sites-enabled/other.example.conf");
    lab.host.put_file(good[0], "add_header X-Shop no;\n");
    let before = files();
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
    assert_eq!(files(), before);
    let reloads = lab.host.reloads();
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
    assert_eq!(lab.host.reloads(), reloads, "it has been taken up");
}

#[tokio::test]
async fn two_files_that_each_keep_a_site_from_answering_are_both_set_aside() {
    let (lab, store, _directory) = lab().await;
    let both = ["/etc/nginx/gantry.d/server/slow.conf", OF_SITE];
    both.iter().for_each(|path| lab.host.put_file(path, "limit_rate 1;\n"));
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    let aside: Vec<String> = set_aside(&store).await.into_iter().map(|(path, _)| path).collect();
    assert_eq!(aside, both.map(|path| format!("{path}.broken")));
    assert!(lab.host.snapshot().serving.iter().all(|vhost| vhost.instead.is_none()));
}

#[tokio::test]
async fn a_file_for_which_nginx_refuses_to_read_its_configuration_is_set_aside() {
    let (lab, store, _directory) = lab().await;
    let good = "/etc/nginx/gantry.d/account/shop/good.conf";
    lab.host.put_file(good, "add_header X-Shop yes;\n");
    lab.host.put_file(OF_SITE, "listen 22;\n");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    let said = "[emerg] bind() to 0.0.0.0:22 failed (98: Address already in use)";
    assert_eq!(set_aside(&store).await, [(format!("{OF_SITE}.broken"), said.to_owned())]);
    assert!(lab.host.snapshot().nodes.contains_key(std::path::Path::new(good)));
    let reloads = lab.host.reloads();
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
    assert_eq!(lab.host.reloads(), reloads, "what is left was taken up");
    // One that is refused for something else has none of them set aside.
    lab.host.refuse_reloads();
    lab.host.put_file(good, "add_header X-Shop no;\n");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
    assert_eq!(set_aside(&store).await.len(), 1);
    assert!(lab.host.snapshot().nodes.contains_key(std::path::Path::new(good)));
}

#[tokio::test]
async fn a_file_that_is_away_when_the_worker_is_cut_off_is_put_back() {
    let (lab, store, _directory) = lab().await;
    let good = "/etc/nginx/gantry.d/account/shop/good.conf";
    lab.host.put_file(good, "add_header X-Shop yes;\n");
    lab.host.put_file(OF_SITE, "limit_rate 1;\n");
    // The first reload takes the files up; the second finds the good one away.
    lab.host.trouble_of("signal nginx", 1, 1, Trouble::CutBefore);
    look(&lab.engine, &store.pool).await.unwrap();
    lab.host.heal();
    let there = |path: &str| lab.host.snapshot().nodes.contains_key(std::path::Path::new(path));
    assert!(!there(good), "it was cut off elsewhere");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    assert!(there(good) && !there(OF_SITE) && there(&format!("{OF_SITE}.broken")));
}

#[tokio::test]
async fn a_large_file_is_read_like_any_other_and_keeps_none_from_being_tested() {
    let (lab, store, _directory) = lab().await;
    let large = "/etc/nginx/gantry.d/server/addresses.conf";
    let addresses = "deny 192.0.2.1;\n".repeat(128 * 1024);
    lab.host.put_file(large, &addresses);
    for _ in 0..2 {
        assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
        assert_eq!(lab.host.reloads(), 1);
    }
    lab.host.put_file(large, &format!("{addresses}deny 192.0.2.2;\n"));
    look(&lab.engine, &store.pool).await.unwrap();
    assert_eq!(lab.host.reloads(), 2);
    lab.host.put_file(OF_SITE, "BROKEN\n");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    assert_eq!(set_aside(&store).await[0].0, format!("{OF_SITE}.broken"));
}

#[tokio::test]
async fn a_link_is_judged_by_what_it_leads_to() {
    let (lab, store, _directory) = lab().await;
    let shared = "/etc/nginx/shared-by-all";
    lab.host.put_file(shared, "add_header X-Shop yes;\n");
    lab.host.put(OF_SITE, worker::system::fake::Node::Link { target: shared.into() });
    look(&lab.engine, &store.pool).await.unwrap();
    lab.host.put_file(shared, "add_header X-Shop no;\n");
    for _ in 0..2 {
        assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
        assert_eq!(lab.host.reloads(), 2, "what was edited is read once");
    }
    lab.host.put_file(shared, "BROKEN\n");
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    assert_eq!(set_aside(&store).await[0].0, format!("{OF_SITE}.broken"));
    assert!(lab.host.snapshot().nodes.contains_key(std::path::Path::new(shared)));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_set_aside_and_the_others_are_taken_up() {
    let (lab, store, _directory) = lab().await;
    let good = "/etc/nginx/gantry.d/account/shop/good.conf";
    lab.host.put_file(good, "add_header X-Shop yes;\n");
    lab.host.put(OF_SITE, worker::system::fake::Node::Link { target: "/etc/nginx/nothing".into() });
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Changed);
    let aside = set_aside(&store).await;
    assert!(aside.len() == 1 && aside[0].0 == format!("{OF_SITE}.broken") && aside[0].1.contains("No such file"), "{aside:?}");
    assert!(lab.host.snapshot().nodes.contains_key(std::path::Path::new(good)));
    assert_eq!(lab.host.reloads(), 1);
}

#[tokio::test]
async fn a_file_that_was_set_aside_when_the_worker_was_cut_off_is_told_all_the_same() {
    let (lab, store, _directory) = lab().await;
    lab.host.put_file(OF_SITE, "BROKEN\n");
    lab.host.trouble_of(OF_SITE, 0, 1, Trouble::CutAfter);
    look(&lab.engine, &store.pool).await.unwrap();
    lab.host.heal();
    assert_eq!(set_aside(&store).await, []);
    for looked in [Looked::Changed, Looked::Same] {
        assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), looked);
        let aside = set_aside(&store).await;
        assert!(aside.len() == 1 && aside[0].0 == format!("{OF_SITE}.broken") && aside[0].1.contains("not known"), "{aside:?}");
    }
    // What is known of one is not forgotten for it, and neither are other names taken for one of these.
    for name in ["a.conf.broken.x", "a.broken", "a.conf.brokenly"] {
        lab.host.put_file(&format!("/etc/nginx/gantry.d/server/{name}"), "");
    }
    lab.host.put_file("/etc/nginx/gantry.d/account/shop/bad.conf", "BROKEN\n");
    look(&lab.engine, &store.pool).await.unwrap();
    assert_eq!(look(&lab.engine, &store.pool).await.unwrap(), Looked::Same);
    let aside = set_aside(&store).await;
    assert!(aside.len() == 2 && aside[0].1.contains("unknown directive"), "{aside:?}");
}
