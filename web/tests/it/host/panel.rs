//! A person at the panel: plain forms and links over HTTPS, as a browser without JavaScript sends them.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scraper::{Html, Selector};

/// A signed-in admin.
pub(crate) struct Panel {
    base: String,
    /// The address of the process that is asked, if it is not that of the panel.
    process: Option<String>,
    cookies: Arc<tempfile::NamedTempFile>,
}

/// A page as it came.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) body: String,
}

/// The password the admin chooses at the first sign-in.
const CHOSEN: &str = "seven-quiet-herons-42";

impl Panel {
    /// Signs in with the one-time password in `GANTRY_E2E_PASSWORD`, and chooses a new one.
    pub(crate) fn sign_in(base: &str) -> Self {
        let once = std::env::var("GANTRY_E2E_PASSWORD").expect("GANTRY_E2E_PASSWORD holds the one-time password");
        Self::sign_in_with(base, None, &once)
    }

    /// The same person, as a balancer in front of several processes leads them to one at this address.
    pub(crate) fn at(&self, process: &str) -> Self {
        Self { base: self.base.clone(), process: Some(process.to_owned()), cookies: Arc::clone(&self.cookies) }
    }

    /// Signs in with a one-time password, and chooses a new one.
    pub(crate) fn sign_in_with(base: &str, process: Option<String>, once: &str) -> Self {
        let panel = Self { base: base.to_owned(), process, cookies: Arc::new(tempfile::NamedTempFile::new().expect("a scratch file")) };
        let page = panel.post("/sign-in", &[("login", "admin"), ("password", once)]);
        if page.status != 303 {
            assert_eq!(page.status, 422, "signing in with {once}: {}", page.body);
            // Somebody was here before, and chose it.
            let page = panel.post("/sign-in", &[("login", "admin"), ("password", CHOSEN)]);
            assert_eq!(page.status, 303, "signing in, also with {once}: {}", page.text());
            return panel;
        }
        let page = panel.get("/sites");
        assert_eq!((page.status, page.location.as_str()), (303, "/password"), "nothing is shown before a password was chosen");
        let page = panel.post("/password", &[("current", once), ("new", CHOSEN), ("repeat", CHOSEN)]);
        assert_eq!(page.status, 303, "choosing a password: {}", page.body);
        panel
    }

    pub(crate) fn get(&self, path: &str) -> Page {
        self.request(path, &[])
    }

    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut arguments = vec!["--request".to_owned(), "POST".to_owned()];
        for (name, value) in fields {
            arguments.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
        }
        if fields.is_empty() {
            arguments.extend(["--data".to_owned(), String::new()]);
        }
        self.request(path, &arguments)
    }

    /// curl as this person, for a path of the panel.
    pub(crate) fn curl(&self, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--insecure", "--globoff", "--noproxy", "*", "--http2", "--header", "Sec-Fetch-Site: same-origin"])
            .arg("--cookie")
            .arg(self.cookies.path())
            .arg(format!("{}{path}", self.base))
            .stdin(Stdio::null());
        if let Some(process) = &self.process {
            curl.args(["--connect-to", &format!("::{process}")]);
        }
        curl
    }

    fn request(&self, path: &str, arguments: &[String]) -> Page {
        let output = self
            .curl(path)
            .args(["--max-time", "30", "--write-out", "\n%{redirect_url}\n%{http_code}", "--cookie-jar"])
            .arg(self.cookies.path())
            .args(arguments)
            .output()
            .expect("curl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (rest, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        let (body, location) = rest.rsplit_once('\n').unwrap_or((rest, ""));
        Page {
            status: status.parse().unwrap_or(0),
            location: location.strip_prefix(&self.base).unwrap_or(location).to_owned(),
            body: body.to_owned(),
        }
    }

    /// Waits until the panel answers again.
    pub(crate) fn until_answers(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.get("/healthz").status != 200 {
            assert!(Instant::now() < deadline, "the panel does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Posts a form that must be accepted; where it leads.
    pub(crate) fn submit(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let page = self.post(path, fields);
        assert_eq!(page.status, 303, "{path} {fields:?} was not accepted: {}", page.text());
        page.location
    }

    /// A new client; its id.
    pub(crate) fn client(&self, login: &str) -> String {
        let page = self.post("/clients", &[("login", login), ("name", login)]);
        assert_eq!(page.status, 200, "the client's password is shown once: {}", page.text());
        self.id_of("/clients?q=", login, "/clients/")
    }

    /// A new account that is active; its id.
    pub(crate) fn account(&self, owner: &str, user: &str) -> String {
        let fields = [("owner", owner), ("user", user), ("server", "")];
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut page = self.post("/accounts", &fields);
        // A host whose worker has just been killed takes no new account until it is back.
        while page.status == 422 && page.text().contains("No server has room") && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
            page = self.post("/accounts", &fields);
        }
        assert_eq!(page.status, 303, "account {user} was not accepted: {}", page.text());
        let at = page.location;
        let id = at.trim_start_matches("/accounts/").to_owned();
        self.until_state(&format!("/accounts/{id}"), "Active");
        id
    }

    /// Asks for a site; its id.
    pub(crate) fn site(&self, account: &str, domain: &str, php: &str) -> String {
        let at = self.submit("/sites", &[("account", account), ("domain", domain), ("php", php)]);
        at.trim_start_matches("/sites/").to_owned()
    }

    /// The id in the first link that starts with `prefix` on a search for a name.
    pub(crate) fn id_of(&self, search: &str, name: &str, prefix: &str) -> String {
        let page = self.get(&format!("{search}{name}"));
        let html = Html::parse_document(&page.body);
        let links = Selector::parse("main a[href]").expect("a selector");
        html.select(&links)
            .filter_map(|link| link.value().attr("href")?.strip_prefix(prefix).map(str::to_owned))
            .find(|id| id.len() == 36)
            .unwrap_or_else(|| panic!("no {name} in {}", page.text()))
    }

    /// Waits until a page's own badge says this; panics with the page when it says Failed instead.
    pub(crate) fn until_state(&self, path: &str, state: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let page = self.get(path);
            let badge = page.badge();
            if badge == state {
                return;
            }
            assert!(badge != "Failed" || state == "Failed", "{path} failed: {}", page.text());
            assert!(Instant::now() < deadline, "{path} did not become {state} but is {badge}: {}", page.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until a page is no longer there.
    pub(crate) fn until_gone(&self, path: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.get(path).status != 404 {
            assert!(Instant::now() < deadline, "{path} is still there: {}", self.get(path).text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Page {
    /// The text of the first badge of the page's head.
    pub(crate) fn badge(&self) -> String {
        let html = Html::parse_document(&self.body);
        let badges = Selector::parse("main .page-head .badge, main .badge").expect("a selector");
        html.select(&badges).next().map(|badge| badge.text().collect::<String>().trim().to_owned()).unwrap_or_default()
    }

    /// The page's text without mark-up.
    pub(crate) fn text(&self) -> String {
        let html = Html::parse_document(&self.body);
        let main = Selector::parse("main").expect("a selector");
        let root = html.select(&main).next().unwrap_or_else(|| html.root_element());
        root.text().collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The value shown once on the page.
    pub(crate) fn secret(&self) -> String {
        let html = Html::parse_document(&self.body);
        let secret = Selector::parse("[data-secret], .secret code, .secret output, .copy code").expect("a selector");
        html.select(&secret).next().map(|secret| secret.text().collect::<String>().trim().to_owned()).unwrap_or_default()
    }
}
