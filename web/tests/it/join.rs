//! How a host joins: the script it fetches, the package it installs, and what it is told when it may not.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use axum::http::Method;
use shared::role::Role;
use shared::tls::authorities;
use web::config::Config;
use web::tls::TlsFiles;
use web::views::join::{PanelTrust, command};
use web::worker_package::WorkerPackage;

use crate::support::app::{Answer, Browser, TestApp};
use crate::support::fleet::Town;

const PACKAGE: &[u8] = b"a package";

fn sum() -> String {
    "5ac4".repeat(16)
}

/// A panel that pins its own certificate and has a package for `amd64`.
struct Panel {
    town: Town,
    host: Browser,
    token: String,
    _packages: tempfile::TempDir,
}

impl Panel {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gantry-worker_9_amd64.deb");
        std::fs::write(&path, PACKAGE).unwrap();
        let mut config = Config::new("https://panel.example.org:8443");
        config.trust = PanelTrust::Pinned { key: "a2V5".to_owned(), fingerprint: "AB:CD".to_owned() };
        let file = "gantry-worker_9_amd64.deb".to_owned();
        let (version, architecture, sha256) = ("9".parse().unwrap(), "amd64".parse().unwrap(), sum().parse().unwrap());
        config.worker_packages = vec![WorkerPackage { file, path, version, architecture, sha256, signature: None }];
        let mut town = Town::over(TestApp::with(config).await).await;
        let form = [("name", "web2"), ("hostname", "web2.servers.example.org"), ("role_web", "on"), ("active", "on")];
        let answer = town.admin.post("/servers", &form).await;
        let (_, after) = answer.body.split_once("Authorization: Bearer ").expect("the command is on the page");
        let token = after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        Self { host: town.app.browser(), town, token, _packages: directory }
    }

    async fn fetch(&mut self, token: Option<&str>) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        self.host.send(Method::GET, "/join", None, &headers).await
    }
}

#[tokio::test]
async fn a_host_that_reaches_the_panel_by_a_name_that_its_public_certificate_is_not_for_pins_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let files = TlsFiles::within(directory.path());
    files.ensure(&["panel.example.org".to_owned()]).unwrap();
    let mut config = Config::new("https://panel.example.org:8443");
    let certificate = files.panel_certificate(authorities(&std::fs::read(&files.certificate).unwrap())).unwrap();
    config.trust = certificate.trust("panel.example.org");
    config.certificate = Some(certificate);
    let mut town = Town::over(TestApp::with(config).await).await;
    for (panel, pinned) in [("", false), ("https://inside.example.org:8443", true)] {
        let name = if pinned { "web3" } else { "web2" };
        let form = [("name", name), ("hostname", "w.servers.example.org"), ("role_web", "on"), ("active", "on"), ("panel_url", panel)];
        let shown = town.admin.post("/servers", &form).await.body;
        let (_, after) = shown.split_once("Authorization: Bearer ").expect("the command is on the page");
        let token: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        let bearer = format!("Bearer {token}");
        let script = town.app.browser().send(Method::GET, "/join", None, &[("authorization", &bearer)]).await.body;
        for text in [&shown, &script] {
            assert_eq!(text.contains("--pinnedpubkey"), pinned, "{panel:?}: {text}");
        }
        assert_eq!(script.contains(&files.fingerprint().unwrap()), pinned, "{script}");
    }
}

/// What a shell makes of a text.
fn shell(arguments: &[&str], text: &str) -> Output {
    let mut child =
        Command::new("/bin/sh").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test]
async fn the_script_of_a_token_joins_its_server_and_pins_the_panel_and_the_package() {
    let mut panel = Panel::start().await;
    let token = panel.token.clone();
    let answer = panel.fetch(Some(&token)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    for part in [
        "\nserver='web2'\n",
        "\npanel='https://panel.example.org:8443'\n",
        "\nfingerprint='AB:CD'\n",
        &format!("\ntoken='{token}'\n"),
        "--insecure --pinnedpubkey 'sha256//a2V5' --output",
        &format!("'amd64') file='gantry-worker_9_amd64.deb' checksum='{}' ;;", sum()),
        "for name in nginx php-fpm ",
    ] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    assert!(!answer.body.replace("\"$@\"", "").contains('@'), "every value is put in: {}", answer.body);
    let checked = shell(&["-n"], &answer.body);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(panel.fetch(Some(&token)).await.body.lines().count(), answer.body.lines().count(), "fetching uses nothing up");
}

#[tokio::test]
async fn a_script_that_arrives_in_part_does_nothing() {
    let mut panel = Panel::start().await;
    let token = panel.token.clone();
    let script = panel.fetch(Some(&token)).await.body;
    let (part, last) = script.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(last, "main");
    let run = shell(&[], part);
    assert!(run.status.success() && run.stdout.is_empty() && run.stderr.is_empty());
}

#[tokio::test]
async fn a_host_that_joins_again_keeps_what_its_admin_has_set_beside_what_it_joins_with() {
    let mut panel = Panel::start().await;
    let token = panel.token.clone();
    let script = panel.fetch(Some(&token)).await.body;
    let (functions, _) = script.trim_end().rsplit_once('\n').unwrap();
    let ours = format!("GANTRY_PANEL=https://panel.example.org:8443\nGANTRY_TOKEN={token}\nGANTRY_FINGERPRINT=AB:CD\n");
    for (before, after) in [
        (None, ours.clone()),
        (
            Some(
                "# Mine.\nGANTRY_DRIFT_SECONDS=900\n GANTRY_TOKEN = \"old\"\n#GANTRY_PANEL=\nGANTRY_TOKEN=older\nGANTRY_FINGERPRINT=\nRUST_LOG=a=b",
            ),
            format!(
                "# Mine.\nGANTRY_DRIFT_SECONDS=900\nGANTRY_TOKEN={token}\n#GANTRY_PANEL=\nGANTRY_FINGERPRINT=AB:CD\nRUST_LOG=a=b\n\
                 GANTRY_PANEL=https://panel.example.org:8443\n"
            ),
        ),
    ] {
        let etc = tempfile::tempdir().unwrap();
        let config = etc.path().join("config.env");
        if let Some(before) = before {
            std::fs::write(&config, before).unwrap();
        }
        let functions = functions.replace("/etc/gantry-worker", etc.path().to_str().unwrap());
        for _ in 0..2 {
            let run = shell(&[], &format!("{functions}\nconfigure\n"));
            assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");
            assert_eq!(std::fs::read_to_string(&config).unwrap(), after);
            assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600, "it holds a token");
        }
        assert_eq!(std::fs::read_dir(etc.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}

#[tokio::test]
async fn whoever_may_not_join_is_told_why_by_the_shell_that_runs_the_answer() {
    let mut panel = Panel::start().await;
    let token = panel.token.clone();
    let ended = async |panel: &mut Panel, set: &'static str| {
        let mut tx = panel.town.app.db().write().await.unwrap();
        sqlx::query(set).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    let mut answers = vec![(panel.fetch(None).await, 401, "the command is not whole")];
    answers.push((panel.fetch(Some("$(reboot)")).await, 401, "the command is not whole"));
    answers.push((panel.fetch(Some("unknown")).await, 403, "does not know this token"));
    ended(&mut panel, "UPDATE enrolments SET expires_ms = 1").await;
    answers.push((panel.fetch(Some(&token)).await, 403, "this token has ended"));
    ended(&mut panel, "UPDATE enrolments SET requested_ms = 1, reply = '{}'").await;
    ended(&mut panel, "UPDATE servers SET last_seen_ms = 2").await;
    answers.push((panel.fetch(Some(&token)).await, 403, "this token has been used"));
    for (answer, status, sentence) in answers {
        assert_eq!(answer.status, status, "{sentence}");
        let run = shell(&[], &answer.body);
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.code() == Some(1) && said.starts_with("gantry: ") && said.contains(sentence), "{said}");
    }
}

#[tokio::test]
async fn the_package_is_served_as_it_is_and_nothing_beside_it() {
    let mut panel = Panel::start().await;
    let answer = panel.host.get("/join/packages/gantry-worker_9_amd64.deb").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_bytes()), (200, PACKAGE));
    for other in ["gantry-worker_9_arm64.deb", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd"] {
        assert_eq!(panel.host.get(&format!("/join/packages/{other}")).await.status, 404, "{other}");
    }
}

#[tokio::test]
async fn a_panel_whose_certificate_everybody_trusts_is_not_pinned() {
    let mut panel = Panel::start().await;
    let public = command("https://panel.example.org", &PanelTrust::Public, "T");
    assert_eq!(public, "curl -sS --proto '=https' -H 'Authorization: Bearer T' \\\n  'https://panel.example.org/join' | sh");
    let token = panel.token.clone();
    let app = TestApp::over(panel.town.app.db().clone());
    panel.host = app.browser();
    let answer = panel.fetch(Some(&token)).await;
    assert!(answer.body.contains("\nfingerprint=''\n") && answer.body.contains("--proto =https --output"), "{}", answer.body);
}

#[tokio::test]
async fn the_roles_of_a_server_decide_what_its_host_installs() {
    let mut panel = Panel::start().await;
    let token = panel.token.clone();
    let mut tx = panel.town.app.db().write().await.unwrap();
    sqlx::query("UPDATE servers SET roles = $1 WHERE name = 'web2'")
        .bind(serde_json::to_string(&[Role::Db, Role::Backup]).unwrap())
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let script = panel.fetch(Some(&token)).await.body;
    assert!(script.contains("for name in mariadb-server restic; do"), "{script}");
    assert!(script.contains("postfix/main_mailer_type select Internet Site"), "a mail server's packages ask nothing: {script}");
}
