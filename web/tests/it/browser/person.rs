//! What a person does with a browser, and what they see.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thirtyfour::prelude::{By, DesiredCapabilities, WebDriver, WebElement};
use thirtyfour::{ChromiumLikeCapabilities as _, LoggingPrefsLogLevel};

use super::wire::{Cdp, Wire};
use super::{Scripts, World, screenshots};

/// The password the admin chooses at the first sign-in; the host tests choose the same.
const CHOSEN: &str = "seven-quiet-herons-42";
/// The longest a person waits for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a person looks again.
const GLANCE: Duration = Duration::from_millis(50);
/// The flags every browser gets: headless, as root, and quiet on the network.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
    "--window-size=1440,1000",
];

/// A person with a browser of their own.
pub(crate) struct Person {
    pub(crate) world: World,
    pub(crate) driver: WebDriver,
    chromedriver: Child,
    // Read to the end by nobody, but open, so that chromedriver can write to it.
    _stdout: BufReader<ChildStdout>,
    _profile: tempfile::TempDir,
}

/// A client and their account.
pub(crate) struct Hosted {
    /// What the client signs in with.
    pub(crate) login: String,
    /// Their one-time password.
    pub(crate) once: String,
    /// The account's Linux user.
    pub(crate) user: String,
    /// The path of its page.
    pub(crate) account: String,
    /// The domain of its site, or of one that may be made.
    pub(crate) domain: String,
}

impl Person {
    /// Starts chromedriver on a port that is free, and a browser with a new profile.
    pub(crate) async fn open(world: World, scripts: Scripts) -> Self {
        let mut chromedriver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts (Debian's chromium-driver)");
        let mut stdout = BufReader::new(chromedriver.stdout.take().expect("its output"));
        let port = port_of(&mut stdout);
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut wanted = DesiredCapabilities::chrome();
        for flag in FLAGS {
            wanted.add_arg(flag).expect("a flag");
        }
        wanted.add_arg(&format!("--user-data-dir={}", profile.path().display())).expect("a flag");
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).expect("a log level");
        if scripts == Scripts::Off {
            let blocked = json!({ "profile.managed_default_content_settings.javascript": 2 });
            wanted.add_experimental_option("prefs", blocked).expect("a preference");
        }
        let address = format!("http://127.0.0.1:{port}");
        let driver = WebDriver::builder(address, wanted).client(Wire).connect().await.expect("a browser opens");
        Self { world, driver, chromedriver, _stdout: stdout, _profile: profile }
    }

    /// Closes the browser, and takes a picture first if something went wrong.
    pub(crate) async fn close(mut self, failed: bool) {
        if failed && let Ok(png) = self.driver.screenshot_as_png().await {
            let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
            save(&screenshots().join("failed").join(format!("{name}.png")), &png);
        }
        let closed = self.driver.quit().await;
        // By its own process id, whatever became of the browser.
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
        if !failed {
            closed.expect("the browser closes");
        }
    }

    /// Signs the admin in; the first time ever, a password is chosen.
    pub(crate) async fn sign_in_as_admin(&self) {
        self.sign_in("admin", CHOSEN).await;
        if self.path().await == "/sign-in" {
            self.sign_in("admin", &self.world.once.clone()).await;
            self.choose_password(&self.world.once.clone(), CHOSEN).await;
        }
        assert_eq!(self.path().await, "/", "the admin is signed in: {}", self.main_text().await);
    }

    /// Fills the sign-in form in and sends it, and waits for the answer, whatever it is.
    pub(crate) async fn sign_in(&self, login: &str, password: &str) {
        self.go("/sign-in").await;
        self.fill("login", login).await;
        self.fill("password", password).await;
        self.press("Sign in").await;
        let answered = "location.pathname !== '/sign-in' || document.querySelector('main [role=alert], form [role=alert]')";
        self.until("an answer to the sign-in", answered).await;
    }

    /// Chooses a password of one's own.
    pub(crate) async fn choose_password(&self, old: &str, new: &str) {
        assert_eq!(self.path().await, "/password", "a one-time password leads to choosing another: {}", self.main_text().await);
        self.fill("current", old).await;
        self.fill("new", new).await;
        self.fill("repeat", new).await;
        self.press("Save and go on").await;
        self.until_path("/").await;
    }

    /// Signs out by the menu's form.
    pub(crate) async fn sign_out(&self) {
        self.element("button[popovertarget=person]").await.click().await.expect("the menu opens");
        self.press("Sign out").await;
        self.until_path("/sign-in").await;
    }

    /// Opens a page of the panel, or any address.
    pub(crate) async fn go(&self, to: &str) {
        let url = if to.starts_with('/') { format!("{}{to}", self.world.panel) } else { to.to_owned() };
        self.driver.goto(&url).await.unwrap_or_else(|error| panic!("{url} does not open: {error}"));
    }

    /// A site's address as visitors type it.
    pub(crate) fn site_url(&self, domain: &str) -> String {
        let port = self.world.sites.rsplit(':').next().unwrap_or("80");
        format!("http://{domain}:{port}/")
    }

    /// The path of the page one is on, without its query.
    pub(crate) async fn path(&self) -> String {
        self.driver.current_url().await.expect("an address").path().to_owned()
    }

    /// The first element that matches.
    pub(crate) async fn element(&self, css: &str) -> WebElement {
        match self.driver.find(By::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!("no {css} on {}: {error}\n{}", self.path().await, self.main_text().await),
        }
    }

    /// Types into a field, in place of what was there.
    pub(crate) async fn fill(&self, field: &str, text: &str) {
        let element = self.element(&format!("[name={field}]:not([type=hidden])")).await;
        element.clear().await.expect("a field is cleared");
        element.send_keys(text).await.unwrap_or_else(|error| panic!("{field} cannot be filled in: {error}"));
    }

    /// Chooses one of several. Where there are many, they are found by typing.
    pub(crate) async fn choose(&self, field: &str, words: &str) {
        if self.driver.find(By::Css(format!("input[name={field}][list]"))).await.is_ok() {
            return self.fill(field, words).await;
        }
        let radios = format!("//label[.//input[@name='{field}']][contains(normalize-space(), '{words}')]");
        let option = format!("//select[@name='{field}']/option[contains(normalize-space(), '{words}')]");
        let found = self.driver.find(By::XPath(format!("{radios} | {option}"))).await;
        let element = found.unwrap_or_else(|error| panic!("{field} has no choice {words}: {error}"));
        element.click().await.expect("a choice is made");
    }

    /// Presses a button, or follows a link, by its words.
    pub(crate) async fn press(&self, words: &str) {
        let path = format!("//*[self::button or self::a or self::summary][normalize-space()='{words}']");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.driver.find_all(By::XPath(path.as_str())).await.unwrap_or_default();
            for element in found {
                // What is hidden, or still moves, is not pressed.
                if element.is_displayed().await.unwrap_or(false) && element.click().await.is_ok() {
                    return;
                }
            }
            assert!(Instant::now() < deadline, "no {words} on {}: {}", self.path().await, self.main_text().await);
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// What an expression of the page's own says.
    pub(crate) async fn ask(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        let answer = self.driver.execute(script, Vec::new()).await;
        answer.unwrap_or_else(|error| panic!("{expression} on the page: {error}")).json().clone()
    }

    /// The text of `<main>` as one reads it.
    pub(crate) async fn main_text(&self) -> String {
        let text = self.driver.execute("return (document.querySelector('main') ?? document.body).innerText", Vec::new()).await;
        text.map_or_else(|error| error.to_string(), |text| text.json().as_str().unwrap_or_default().to_owned())
    }

    /// The word on the badge beside the page's title.
    pub(crate) async fn badge(&self) -> String {
        self.ask("document.querySelector('main .page-head .badge')?.textContent.trim() ?? ''").await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression on the page is true. A page that is being loaded says nothing yet.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        let script = format!("return Boolean({expression});");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.driver.execute(script.as_str(), Vec::new()).await;
            if answer.is_ok_and(|answer| answer.json() == &Value::Bool(true)) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: not on {}: {}", self.path().await, self.main_text().await);
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until the badge beside the title says this.
    pub(crate) async fn until_badge(&self, word: &str) {
        let says = format!("document.querySelector('main .page-head .badge')?.textContent.trim() === '{word}'");
        self.until(&format!("the badge says {word}"), &says).await;
    }

    /// Waits until one is on a page.
    pub(crate) async fn until_path(&self, path: &str) {
        self.until(&format!("the page {path}"), &format!("location.pathname === '{path}' && document.readyState === 'complete'")).await;
    }

    /// Loads a site until its page holds a text.
    pub(crate) async fn until_site_says(&self, domain: &str, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.go(&self.site_url(domain)).await;
            let body = self.driver.source().await.expect("a page");
            if body.contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "{domain} does not say {text:?} but: {body}");
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// A command of the browser's own protocol.
    pub(crate) async fn cdp(&self, command: &'static str, params: Value) {
        self.driver.cmd(Cdp(command, params)).await.unwrap_or_else(|error| panic!("{command}: {error}"));
    }

    /// What the browser complained about since it was last asked: refused by policy, thrown by scripts, not found. The
    /// status of a page itself is no complaint.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.expect("the browser's log");
        let worth = |entry: &thirtyfour::BrowserLogEntry| !matches!(entry.level.as_str(), "DEBUG" | "INFO");
        log.into_iter()
            .filter(worth)
            .map(|entry| entry.message)
            // The pages of sites are their own business.
            .filter(|message| !message.starts_with("http://"))
            .filter(|message| !message.contains("the server responded with a status of 4") || message.contains("/static/"))
            .collect()
    }

    /// A new client; their one-time password.
    pub(crate) async fn create_client(&self, login: &str) -> String {
        self.go("/clients").await;
        self.press("Create a client").await;
        self.fill("name", &format!("Client {login}")).await;
        self.fill("login", login).await;
        self.press("Create client").await;
        self.until("the one-time password", "document.querySelector('main .secret code')").await;
        self.element("main .secret code").await.text().await.expect("a password")
    }

    /// A new account of a client, active; its page is open.
    pub(crate) async fn create_account(&self, login: &str, user: &str) {
        self.go("/accounts/new").await;
        self.fill("user", user).await;
        self.choose("owner", login).await;
        self.press("Create account").await;
        self.until("the account's page", "/^\\/accounts\\/[0-9a-f-]{36}$/.test(location.pathname)").await;
        self.until_badge("Active").await;
    }

    /// Fills the form for a new site in and sends it; the site's page is open, and the work is under way.
    pub(crate) async fn create_site(&self, user: &str, domain: &str) {
        self.go("/sites/new").await;
        self.fill("domain", domain).await;
        if self.driver.find(By::Css("[name=account]:not([type=hidden])")).await.is_ok() {
            self.choose("account", user).await;
        }
        self.press("Create site").await;
        self.until("the site's page", "/^\\/sites\\/[0-9a-f-]{36}$/.test(location.pathname)").await;
    }

    /// A new client with an account, active; the account's page is open.
    pub(crate) async fn hosted(&self, kind: &str) -> Hosted {
        let (login, user) = (fresh(kind), fresh("acc"));
        let once = self.create_client(&login).await;
        self.create_account(&login, &user).await;
        Hosted { domain: format!("{user}.localhost"), account: self.path().await, login, once, user }
    }

    /// The same with a site, active; the site's page is open.
    pub(crate) async fn hosted_with_site(&self, kind: &str) -> Hosted {
        let hosted = self.hosted(kind).await;
        self.create_site(&hosted.user, &hosted.domain).await;
        self.until_badge("Active").await;
        hosted
    }

    /// Deletes the site whose page is open, by typing its name.
    pub(crate) async fn delete_site(&self, domain: &str) {
        let path = self.path().await;
        self.go(&format!("{}/delete", path.trim_end_matches("/delete"))).await;
        self.fill("confirm", domain).await;
        self.press("Delete site").await;
        self.until_path("/sites").await;
    }
}

/// A name that no other test uses, on an installation that may have seen this test before.
pub(crate) fn fresh(kind: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    format!("{kind}{}{}", seconds % 10_000_000, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Writes a picture.
pub(crate) fn save(path: &Path, png: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder for pictures");
    std::fs::write(path, png).expect("a picture is written");
}

/// The port chromedriver says it listens on.
fn port_of(stdout: &mut BufReader<ChildStdout>) -> u16 {
    let mut line = String::new();
    while stdout.read_line(&mut line).expect("chromedriver speaks") > 0 {
        if let Some(port) =
            line.trim_end().strip_suffix('.').and_then(|line| line.rsplit_once("on port ")).and_then(|(_, port)| port.parse().ok())
        {
            return port;
        }
        line.clear();
    }
    panic!("chromedriver did not say its port");
}
