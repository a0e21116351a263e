//! The panel's router over a fresh database, driven like a browser drives it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::{Router, body};
use futures::StreamExt as _;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use scraper::{Html, Selector};
use shared::secret::Secret;
use tower::ServiceExt as _;
use web::app::preview::Workers;
use web::app::signal::{Signal, Signals};
use web::cli::asking::BusWorkers;
use web::config::Config;
use web::live::hub::Hub;
use web::state::AppState;
use web::store::Db;

use super::db::{TestDb, sqlite};

/// The panel.
pub(crate) struct TestApp {
    pub(crate) state: AppState,
    pub(crate) router: Router,
    pub(crate) signals: Arc<Heard>,
    pub(crate) hub: Hub,
    /// Asks no worker until it is connected.
    pub(crate) workers: Arc<BusWorkers>,
    _db: Option<TestDb>,
}

/// Signals that were sent.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<Signal>>);

impl Heard {
    pub(crate) fn take(&self) -> Vec<Signal> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Signals for Heard {
    fn send(&self, signal: Signal) {
        self.0.lock().unwrap().push(signal);
    }
}

impl TestApp {
    /// Over a fresh SQLite file.
    pub(crate) async fn start() -> Self {
        let db = sqlite().await;
        let mut app = Self::over(db.db.clone());
        app._db = Some(db);
        app
    }

    /// Over a fresh SQLite file, with settings of its own.
    pub(crate) async fn with(config: Config) -> Self {
        let db = sqlite().await;
        let mut app = Self::new(db.db.clone(), config);
        app._db = Some(db);
        app
    }

    /// Over a database.
    pub(crate) fn over(db: Db) -> Self {
        Self::new(db, Config::new("https://panel.example.org:8443"))
    }

    /// Over a database, with somebody who answers questions about servers.
    pub(crate) fn answered_by(db: Db, workers: Arc<dyn Workers>) -> Self {
        let mut app = Self::over(db);
        app.state = app.state.asking(workers);
        app.router = web::router::router(app.state.clone(), web::live::route::router(app.hub.clone()));
        app
    }

    fn new(db: Db, config: Config) -> Self {
        let signals = Arc::new(Heard::default());
        let workers = Arc::new(BusWorkers::default());
        let state = AppState::new(db, config, signals.clone()).unwrap().asking(workers.clone());
        let hub = Hub::default();
        let router = web::router::router(state.clone(), web::live::route::router(hub.clone()));
        Self { state, router, signals, hub, workers, _db: None }
    }

    pub(crate) fn db(&self) -> &Db {
        self.state.db()
    }

    /// A browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookies: BTreeMap::new(), address: "192.0.2.10:40000".parse().unwrap() }
    }
}

/// A browser: it keeps cookies and says where a form comes from.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) address: SocketAddr,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn html(&self) -> Html {
        Html::parse_document(&self.body)
    }

    /// The value of a field.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let html = self.html();
        let selector = Selector::parse(&format!("input[name='{name}'], textarea[name='{name}']")).unwrap();
        let element = html.select(&selector).next()?;
        Some(match element.value().name() {
            "textarea" => element.text().collect(),
            _ => element.value().attr("value").unwrap_or_default().to_owned(),
        })
    }
}

impl Browser {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None, &[("sec-fetch-site", "same-origin")]).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, Some(fields), &[("sec-fetch-site", "same-origin")]).await
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, fields: Option<&[(&str, &str)]>, headers: &[(&str, &str)]) -> Answer {
        let request = self.request(method, path, fields, headers);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        let bytes = body::to_bytes(body, 8 << 20).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// Opens the live stream of a page. What arrives is read with [`Stream::next`].
    pub(crate) async fn watch(&self, page: &str) -> Stream {
        let path = web::paths::with_query("/live", [("page", page)]);
        let headers = [("sec-fetch-site", "same-origin"), ("accept", "text/event-stream")];
        let response = self.router.clone().oneshot(self.request(Method::GET, &path, None, &headers)).await.unwrap();
        Stream { status: response.status(), body: response.into_body().into_data_stream(), rest: String::new() }
    }

    fn request(&self, method: Method, path: &str, fields: Option<&[(&str, &str)]>, headers: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "panel.example.org:8443");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        let body = match fields {
            Some(fields) => {
                request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
                Body::from(fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&"))
            }
            None => Body::empty(),
        };
        request.extension(ConnectInfo(self.address)).body(body).unwrap()
    }

    fn keep(&mut self, cookie: &str) {
        let (name, rest) = cookie.split_once('=').unwrap();
        let value = rest.split(';').next().unwrap_or_default();
        if value.is_empty() || cookie.contains("Max-Age=0") {
            self.cookies.remove(name);
        } else {
            assert!(
                name.starts_with("__Host-") && cookie.contains("Secure") && cookie.contains("HttpOnly") && cookie.contains("Path=/"),
                "{cookie}"
            );
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Signs in; the answer is the redirect.
    pub(crate) async fn sign_in(&mut self, login: &str, password: &str) -> Answer {
        self.post("/sign-in", &[("login", login), ("password", password)]).await
    }
}

/// A live stream.
pub(crate) struct Stream {
    pub(crate) status: StatusCode,
    body: BodyDataStream,
    rest: String,
}

/// A stream that says nothing for so long has nothing to say.
const SILENCE: Duration = Duration::from_secs(5);

impl Stream {
    /// The next event as `name` and `data`; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let of = |field: &str| {
                    event.lines().filter_map(|line| line.strip_prefix(field)).map(str::trim_start).collect::<Vec<_>>().join("\n")
                };
                let found = (of("event:"), of("data:"));
                self.rest = rest.to_owned();
                return Some(found);
            }
            let bytes = tokio::time::timeout(SILENCE, self.body.next()).await.expect("the stream says something")?.unwrap();
            self.rest.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
}

/// A password nobody guesses.
pub(crate) const PASSWORD: &str = "tuesday marmalade ocean";

/// That password's hash, made once for all tests.
pub(crate) async fn password_hash(state: &AppState) -> Secret<String> {
    static HASH: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let hash = HASH.get_or_init(|| async { state.app.hasher.hash(Secret::new(PASSWORD.to_owned())).await.unwrap().expose().clone() }).await;
    Secret::new(hash.clone())
}
