//! Signing in and out.
//!
//! **Nothing tells whether a login exists**: the answer, the work and the brakes are the same for one that does not.
//! A failed try is counted before the password is looked at, so that parallel tries do not slip past the brakes.

use std::net::IpAddr;

use serde::Deserialize;
use shared::ids::UserId;
use shared::secret::Secret;

use super::signal::Signal;
use super::unit::Unit;
use super::{Actor, App, AppError};
use crate::auth::throttle::{Counted, address_prefix, current};
use crate::auth::token::{token_hash, token_new};
use crate::store::audit::{AuditAction, NewAudit, audit_insert_in_tx};
use crate::store::ids::SessionId;
use crate::store::session::{
    NewSession, SessionRow, session_delete_in_tx, session_delete_of_user_in_tx, session_fetch_by_hash, session_insert_in_tx, session_list,
    session_touch,
};
use crate::store::throttle::{throttle_clear_in_tx, throttle_forgive_in_tx, throttle_lock_in_tx, throttle_set_in_tx};
use crate::store::user::{Login, UserRow, UserState, user_fetch_by_login};
use crate::store::{StoreError, Tx, now_ms};

/// A session ends after so long without a request (ASVS 7.3.1).
pub const IDLE_MS: i64 = 30 * 60 * 1000;
/// A session ends after so long whatever happens (ASVS 7.3.2).
pub const ABSOLUTE_MS: i64 = 12 * 60 * 60 * 1000;
/// How exactly the last use is known; a write for each request would be more truth than anybody needs.
const TOUCH_MS: i64 = 60 * 1000;

/// The form for signing in.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct SignIn {
    /// Login as typed.
    pub login: String,
    /// Password as typed.
    pub password: String,
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The socket's address; no header is believed.
    pub address: IpAddr,
    /// The browser's name for itself.
    pub user_agent: String,
}

/// Signs somebody in. Returns the token of the new session.
///
/// # Errors
/// [`AppError::TooManyRequests`], or [`AppError::Invalid`] without a field: the login or the password is wrong.
pub async fn sign_in(app: &App, peer: &Peer, form: SignIn) -> Result<Secret<String>, AppError> {
    let login = form.login.parse::<Login>().ok();
    let brakes = Brakes::new(login.as_ref(), peer.address);
    brakes.take(app).await?;
    let user = match &login {
        Some(login) => user_fetch_by_login(&app.db, login).await?,
        None => None,
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let matches = app.hasher.verify(Secret::new(form.password), hash).await?;
    let Some(user) = user.filter(|_| matches) else {
        refuse(app, peer, login.as_ref()).await?;
        return Err(AppError::invalid("", "The user name or the password is wrong."));
    };
    if user.state == UserState::Suspended {
        return Err(AppError::invalid("", "This sign-in is suspended. Ask your hosting company."));
    }
    let token = token_new();
    let mut tx = app.db.write().await?;
    brakes.forgive_in_tx(&mut tx).await?;
    session_open_in_tx(&mut tx, &user, peer, &token).await?;
    audit(&mut tx, Some(user.id), (&user.name, user.login.as_str()), AuditAction::SessionBegin, peer).await?;
    tx.commit().await.map_err(StoreError::from)?;
    app.signals.send(Signal::Audited);
    Ok(token)
}

/// Records a session of a person.
pub(super) async fn session_open_in_tx(tx: &mut Tx, user: &UserRow, peer: &Peer, token: &Secret<String>) -> Result<(), AppError> {
    let new = NewSession {
        id: SessionId::new(),
        token_hash: token_hash(token.expose()),
        user: user.id,
        expires_ms: now_ms() + ABSOLUTE_MS,
        address: peer.address.to_canonical().to_string(),
        user_agent: peer.user_agent.chars().filter(|c| !c.is_control()).take(200).collect(),
    };
    Ok(session_insert_in_tx(tx, &new).await?)
}

async fn refuse(app: &App, peer: &Peer, login: Option<&Login>) -> Result<(), AppError> {
    let mut tx = app.db.write().await?;
    let typed = login.map_or("", Login::as_str);
    audit(&mut tx, None, (typed, typed), AuditAction::SessionRefused, peer).await?;
    tx.commit().await.map_err(StoreError::from)?;
    app.signals.send(Signal::Audited);
    Ok(())
}

async fn audit(tx: &mut Tx, user: Option<UserId>, (name, login): (&str, &str), action: AuditAction, peer: &Peer) -> Result<(), StoreError> {
    let address = peer.address.to_canonical().to_string();
    audit_insert_in_tx(tx, &NewAudit { user, user_name: name, action, subject: login, address: &address, detail: "" }).await
}

/// The counts that a try goes against.
pub(super) struct Brakes([(Counted, String); 3]);

impl Brakes {
    /// In the order of keys, in which they are locked. A text that cannot be a login counts for nobody's.
    pub(super) fn new(login: Option<&Login>, address: IpAddr) -> Self {
        Self([
            (Counted::Address, format!("address:{}", address_prefix(address))),
            (Counted::All, "all".to_owned()),
            (Counted::Login, format!("login:{}", login.map_or("", Login::as_str))),
        ])
    }

    /// Counts a try as failed, or refuses it.
    pub(super) async fn take(&self, app: &App) -> Result<(), AppError> {
        let mut tx = app.db.write().await?;
        let now = now_ms();
        let mut counts = Vec::new();
        let mut wait = 0;
        for (counted, key) in &self.0 {
            let failures = throttle_lock_in_tx(&mut tx, key).await?;
            wait = wait.max(counted.wait_s(failures, now));
            counts.push((key, current(failures, now)));
        }
        if wait > 0 {
            return Err(AppError::TooManyRequests { retry_after_s: u64::try_from(wait).unwrap_or(1) });
        }
        for (key, count) in counts {
            throttle_set_in_tx(&mut tx, key, count + 1).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// The try was good: the login starts afresh, the others get this one back.
    pub(super) async fn forgive_in_tx(&self, tx: &mut Tx) -> Result<(), AppError> {
        for (counted, key) in &self.0 {
            match counted {
                Counted::Login => throttle_clear_in_tx(tx, key).await?,
                Counted::Address | Counted::All => throttle_forgive_in_tx(tx, key).await?,
            }
        }
        Ok(())
    }
}

/// Who holds a token, if its session is alive and its person may sign in.
///
/// # Errors
/// The database fails.
pub async fn session_actor(app: &App, token: &str) -> Result<Option<Actor>, AppError> {
    let now = now_ms();
    let Some(session) = session_fetch_by_hash(&app.db, &token_hash(token)).await? else { return Ok(None) };
    if session.state == UserState::Suspended || session.expires_ms <= now || session.last_seen_ms + IDLE_MS <= now {
        return Ok(None);
    }
    if session.last_seen_ms + TOUCH_MS <= now {
        session_touch(&app.db, &session.id).await?;
    }
    Ok(Some(Actor {
        user: session.user,
        login: session.login,
        name: session.name,
        role: session.role,
        session: session.id,
        address: session.address,
        must_change_password: session.must_change_password,
    }))
}

/// Whether a token's session still stands. Unlike [`session_actor`] this is no use of it: an open stream keeps nobody
/// signed in.
///
/// # Errors
/// The database fails.
pub async fn session_stands(app: &App, token: &str) -> Result<bool, AppError> {
    let now = now_ms();
    let session = session_fetch_by_hash(&app.db, &token_hash(token)).await?;
    Ok(session
        .is_some_and(|session| session.state == UserState::Active && session.expires_ms > now && session.last_seen_ms + IDLE_MS > now))
}

/// The person's sessions, the newest used first.
///
/// # Errors
/// The database fails.
pub async fn sessions(app: &App, actor: &Actor) -> Result<Vec<SessionRow>, AppError> {
    let now = now_ms();
    let sessions = session_list(&app.db, actor.user).await?;
    Ok(sessions.into_iter().filter(|session| session.last_seen_ms + IDLE_MS > now).collect())
}

/// Ends the session the request came with.
///
/// # Errors
/// The database fails.
pub async fn sign_out(app: &App, actor: &Actor) -> Result<(), AppError> {
    session_end(app, actor, &actor.session).await
}

/// Ends one session of the person.
///
/// # Errors
/// [`AppError::NotFound`] if it is not theirs.
pub async fn session_end(app: &App, actor: &Actor, id: &SessionId) -> Result<(), AppError> {
    let mut unit = Unit::begin(app, actor).await?;
    if !session_delete_in_tx(&mut unit.tx, actor.user, id).await? {
        return Err(AppError::NotFound);
    }
    unit.audit(AuditAction::SessionEnd, actor.login.as_str(), "").await?;
    unit.signal(Signal::SessionsEnded(actor.user));
    unit.commit().await
}

/// Ends every session of the person but this one. Returns how many.
///
/// # Errors
/// The database fails.
pub async fn sessions_end_others(app: &App, actor: &Actor) -> Result<u64, AppError> {
    let mut unit = Unit::begin(app, actor).await?;
    let ended = session_delete_of_user_in_tx(&mut unit.tx, actor.user, Some(&actor.session)).await?;
    unit.audit(AuditAction::SessionEndOthers, actor.login.as_str(), "").await?;
    unit.signal(Signal::SessionsEnded(actor.user));
    unit.commit().await?;
    Ok(ended)
}
