//! A panel that was backed up while it ran, and restored elsewhere.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use shared::operation::ResourceState;
use tempfile::TempDir;
use web::app::operator::bus_adopt;
use web::dispatch::keys::load_or_create;
use web::store::Db;

use super::support::app::TestApp;
use super::support::fleet::signed_in;
use super::whole::{Whole, start_dispatch, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_restored_from_a_backup_commands_the_worker_that_joined_before() {
    let mut whole = Whole::start().await;
    let account = whole.account("backedup").await;
    let site = whole.site(&account, "before.example.org").await;
    whole.until_state(site, ResourceState::Active).await;

    // The files of an installation whose bus is this one.
    let directory = TempDir::new().unwrap();
    let state = directory.path().join("gantry");
    for name in ["dispatch", "authority", "serve", "tls", "bus"] {
        std::fs::create_dir_all(state.join(name)).unwrap();
        std::fs::write(state.join(name).join("file"), name).unwrap();
    }
    std::fs::write(state.join("dispatch/bus-keys.json"), serde_json::to_vec(&whole.nats.keys).unwrap()).unwrap();
    std::fs::write(state.join("bus-authority.crt"), whole.nats.address().authority).unwrap();
    let row: (i64, String, String) = sqlx::query_as("PRAGMA database_list").fetch_one(whole.app.db().read()).await.unwrap();
    let backup = directory.path().join("backup");
    let run = || {
        let mut gantry = Command::new(env!("CARGO_BIN_EXE_gantry"));
        gantry.arg("backup").arg(&backup).arg("--state-dir").arg(&state).arg("--database").arg(format!("sqlite:{}", row.2));
        gantry.output().unwrap()
    };
    let made = run();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let again = run();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("exists"), "no backup replaces another");
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o700);
    for name in ["authority", "serve", "tls"] {
        assert_eq!(std::fs::read_to_string(backup.join(name).join("file")).unwrap(), name);
    }
    assert_eq!(std::fs::read_to_string(backup.join("bus-authority.crt")).unwrap(), whole.nats.address().authority);
    assert!(!backup.join("bus").exists(), "the bus is made anew");

    // Elsewhere: what is in the backup, and an empty bus that answers under the same name.
    whole.dispatch.stop().await;
    whole.nats.keys = load_or_create(&backup.join("dispatch/bus-keys.json")).unwrap();
    whole.nats.restart_empty();
    let restored = TestApp::over(Db::open(&format!("sqlite:{}", backup.join("panel/panel.db").display())).await.unwrap());
    bus_adopt(restored.db()).await.unwrap();
    let _dispatch = start_dispatch(restored.db(), &whole.nats);
    let mut admin = signed_in(&restored, "root").await;
    let answer = admin.post("/sites", &[("account", &account), ("domain", "after.example.org"), ("php", "8.2")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    until("the worker serves it", async || {
        let vhost = std::path::Path::new("/etc/nginx/sites-available/after.example.org.conf");
        whole.host.snapshot().nodes.contains_key(vhost).then_some(())
    })
    .await;
}
