//! The bus's identities: one operator, a system account, the panel's account, and an account for each worker.
//!
//! **Streams live in the panel's account, and no worker does.** A client that publishes may name any subject for the reply,
//! and nats-server publishes there for it without asking for its rights; in an account of its own that reaches nothing but
//! what the account imports: this one server's jobs, acknowledgements, events and signals.
//!
//! A worker makes its own user key and never shows its seed; the panel signs a JWT for the public half with a *scoped*
//! signing key, whose template in the account's JWT holds the permissions, spelled with the server's name. So a stolen
//! signing key makes workers and nothing else. A worker's account needs no key that is kept: it is derived.
//!
//! Their encoding: [`super::jwt`].

use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::BusError;
use super::jwt::{Claims, encode};
use super::subjects::{self, WORKER_API};
use crate::names::ServerName;

/// The seeds of everything that signs on the panel's side. Held by dispatch alone, in a file only it can read.
#[derive(Clone, Serialize, Deserialize)]
pub struct BusKeys {
    operator: String,
    system_account: String,
    panel_account: String,
    /// What the keys of the workers' accounts are derived from.
    worker_accounts: String,
    worker_scope: String,
    job_signer: String,
    /// The unguessable part of the subject that jobs are published on.
    pub ingest_secret: String,
}

impl std::fmt::Debug for BusKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BusKeys(..)")
    }
}

/// A client's way in: its JWT and the seed that answers the server's challenge.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    /// The user JWT.
    pub jwt: String,
    /// The seed (`SU...`).
    pub seed: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Who a client of the panel's account is, and so what it may do. Workers are not here: their rights are the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanelUser {
    /// Everything in the panel's account.
    Dispatch,
    /// Waking dispatch, having it ask a worker, and hearing hints.
    Serve,
}

/// A worker's account on the bus.
#[derive(Debug, Clone, Copy)]
pub struct WorkerAccount<'a> {
    /// Whose.
    pub server: &'a ServerName,
    /// The stream that carries its jobs.
    pub stream: &'a str,
    /// Keys it had before.
    pub revoked: &'a [Revocation],
}

/// A worker revoked at a moment: JWTs issued to this key before it no longer let anyone in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The worker's public key.
    pub public_key: String,
    /// Epoch seconds.
    pub at_s: i64,
}

fn seed_of(key: &KeyPair) -> Result<String, BusError> {
    key.seed().map_err(|source| BusError::Key { what: "a new key", source })
}

fn key(what: &'static str, seed: &str) -> Result<KeyPair, BusError> {
    KeyPair::from_seed(seed).map_err(|source| BusError::Key { what, source })
}

/// A new user key: seed and public key.
///
/// # Errors
/// Never for a key made here.
pub fn new_user_key() -> Result<(String, String), BusError> {
    let key = KeyPair::new_user();
    Ok((seed_of(&key)?, key.public_key()))
}

/// The user key of a seed, for signing.
///
/// # Errors
/// The seed is not one.
pub fn user_key(seed: &str) -> Result<KeyPair, BusError> {
    key("the user's seed", seed.trim())
}

/// Whether a text is the public key of a user, as a worker sends it when it joins.
#[must_use]
pub fn is_user_public_key(text: &str) -> bool {
    text.starts_with('U') && KeyPair::from_public_key(text).is_ok()
}

/// Whether a text is a public curve key, as a worker sends it when it joins.
#[must_use]
pub fn is_seal_public_key(text: &str) -> bool {
    text.starts_with('X') && nkeys::XKey::from_public_key(text).is_ok()
}

impl BusKeys {
    /// New keys for a new installation.
    ///
    /// # Errors
    /// Never for keys made here.
    pub fn generate() -> Result<Self, BusError> {
        Ok(Self {
            operator: seed_of(&KeyPair::new_operator())?,
            system_account: seed_of(&KeyPair::new_account())?,
            panel_account: seed_of(&KeyPair::new_account())?,
            worker_accounts: data_encoding::HEXLOWER.encode(&rand::random::<[u8; 32]>()),
            worker_scope: seed_of(&KeyPair::new_account())?,
            job_signer: seed_of(&KeyPair::new_user())?,
            ingest_secret: data_encoding::HEXLOWER.encode(&rand::random::<[u8; 16]>()),
        })
    }

    /// The key that signs jobs.
    ///
    /// # Errors
    /// The stored seed is damaged.
    pub fn job_signer(&self) -> Result<KeyPair, BusError> {
        key("the job signer's seed", &self.job_signer)
    }

    /// The system account's public key.
    ///
    /// # Errors
    /// The stored seed is damaged.
    pub fn system_account(&self) -> Result<String, BusError> {
        Ok(key("the system account's seed", &self.system_account)?.public_key())
    }

    /// The panel account's public key.
    ///
    /// # Errors
    /// The stored seed is damaged.
    pub fn panel_account(&self) -> Result<String, BusError> {
        Ok(key("the panel account's seed", &self.panel_account)?.public_key())
    }

    /// The operator's JWT.
    ///
    /// # Errors
    /// A stored seed is damaged.
    pub fn operator_jwt(&self, now_s: i64) -> Result<String, BusError> {
        let operator = key("the operator's seed", &self.operator)?;
        let nats = json!({"type": "operator", "version": 2, "system_account": self.system_account()?});
        encode(&operator, &operator.public_key(), "gantry", now_s, nats)
    }

    /// The system account's JWT.
    ///
    /// # Errors
    /// A stored seed is damaged.
    pub fn system_account_jwt(&self, now_s: i64) -> Result<String, BusError> {
        let nats = json!({"type": "account", "version": 2, "limits": limits(&json!({})), "default_permissions": {}});
        encode(&key("the operator's seed", &self.operator)?, &self.system_account()?, "SYS", now_s, nats)
    }

    /// The public key of a worker's account.
    ///
    /// # Errors
    /// Never for a name.
    pub fn worker_account(&self, server: &ServerName) -> Result<String, BusError> {
        let mut hash = Sha256::new();
        hash.update(self.worker_accounts.as_bytes());
        hash.update(b"/");
        hash.update(server.as_str().as_bytes());
        let key = KeyPair::new_from_raw(KeyPairType::Account, hash.finalize().into())
            .map_err(|source| BusError::Key { what: "a worker's account key", source })?;
        Ok(key.public_key())
    }

    /// The panel account's JWT. It owns the streams, and exports what workers' accounts may import.
    ///
    /// # Errors
    /// A stored seed is damaged.
    pub fn panel_account_jwt(&self, now_s: i64) -> Result<String, BusError> {
        let jetstream = json!({"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1, "max_ack_pending": -1});
        let nats = json!({
            "type": "account", "version": 2, "limits": limits(&jetstream), "default_permissions": {}, "exports": exports(),
        });
        encode(&key("the operator's seed", &self.operator)?, &self.panel_account()?, "PANEL", now_s, nats)
    }

    /// The JWT of a worker's account: what it imports of the panel's, the worker's rights, and the keys that no longer let
    /// anyone in.
    ///
    /// # Errors
    /// A stored seed is damaged.
    pub fn worker_account_jwt(&self, worker: &WorkerAccount<'_>, now_s: i64) -> Result<String, BusError> {
        let scope = key("the worker scope's seed", &self.worker_scope)?.public_key();
        let nats = json!({
            // One connection: a second worker with the same identity is refused. After a silent cut the bus lets go of the
            // first one within 30 s.
            "type": "account", "version": 2, "limits": limits(&json!({"conn": 1})), "default_permissions": {},
            "imports": imports(worker, &self.panel_account()?),
            "signing_keys": [{"kind": "user_scope", "key": scope, "role": "worker", "template": worker_template()}],
            "revocations": revocations(worker),
        });
        encode(&key("the operator's seed", &self.operator)?, &self.worker_account(worker.server)?, worker.server.as_str(), now_s, nats)
    }

    /// The JWT of the account of a server that was deleted: nobody gets in, and it imports nothing.
    ///
    /// # Errors
    /// A stored seed is damaged.
    pub fn ended_account_jwt(&self, worker: &WorkerAccount<'_>, now_s: i64) -> Result<String, BusError> {
        let nats = json!({
            "type": "account", "version": 2, "limits": limits(&json!({"conn": 0})), "default_permissions": {},
            "revocations": revocations(worker),
        });
        encode(&key("the operator's seed", &self.operator)?, &self.worker_account(worker.server)?, worker.server.as_str(), now_s, nats)
    }

    /// The JWT of a worker that has this public key. It holds the name alone: the permissions are the template's.
    ///
    /// # Errors
    /// A stored seed is damaged.
    pub fn worker_jwt(&self, server: &ServerName, public_key: &str, now_s: i64) -> Result<String, BusError> {
        let nats = json!({"type": "user", "version": 2, "issuer_account": self.worker_account(server)?});
        encode(&key("the worker scope's seed", &self.worker_scope)?, public_key, server.as_str(), now_s, nats)
    }

    /// New credentials for one of the panel's own programs.
    ///
    /// # Errors
    /// A stored seed is damaged.
    pub fn panel_credentials(&self, user: PanelUser, now_s: i64) -> Result<Credentials, BusError> {
        let (seed, public_key) = new_user_key()?;
        let (name, nats) = rights(user);
        let jwt = encode(&key("the panel account's seed", &self.panel_account)?, &public_key, name, now_s, nats)?;
        Ok(Credentials { jwt, seed })
    }

    /// Whether these credentials are what [`Self::panel_credentials`] would give today, but for their key.
    #[must_use]
    pub fn gives(&self, user: PanelUser, credentials: &Credentials) -> bool {
        let claims = Claims::of(&credentials.jwt);
        claims.is_some_and(|claims| claims.nats == rights(user).1 && self.panel_account().is_ok_and(|account| account == claims.issuer))
    }

    /// New credentials in the system account, for presence and for pushing account JWTs.
    ///
    /// # Errors
    /// A stored seed is damaged.
    pub fn system_credentials(&self, now_s: i64) -> Result<Credentials, BusError> {
        let (seed, public_key) = new_user_key()?;
        let nats = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        let jwt = encode(&key("the system account's seed", &self.system_account)?, &public_key, "dispatch", now_s, nats)?;
        Ok(Credentials { jwt, seed })
    }
}

/// The name of one of the panel's own programs, and what it may do.
fn rights(user: PanelUser) -> (&'static str, Value) {
    let (name, publish, subscribe) = match user {
        PanelUser::Dispatch => ("dispatch", json!([">"]), json!([">"])),
        PanelUser::Serve => {
            let publish = json!([subjects::WAKE, subjects::HINT, subjects::ASK]);
            ("serve", publish, json!([subjects::HINT, format!("{}>", subjects::SERVE_INBOX)]))
        }
    };
    let nats = json!({
        "type": "user", "version": 2, "pub": {"allow": publish}, "sub": {"allow": subscribe}, "subs": -1, "data": -1, "payload": -1,
    });
    (name, nats)
}

/// What a worker may do within its account, by its name. Proved against a real server, each right and each denial, in
/// `tests/it/bus.rs`.
fn worker_template() -> Value {
    json!({
        "pub": {"allow": [
            "js.CONSUMER.MSG.NEXT.*.{{name()}}",
            "js.CONSUMER.INFO.*.{{name()}}",
            "$JS.ACK.*.{{name()}}.>",
            "$JS.ACK._.*.*.{{name()}}.>",
            "evt.{{name()}}.>",
            "prog.{{name()}}.>",
            "hb.{{name()}}",
            "ans.{{name()}}.*",
        ]},
        "sub": {"allow": ["_INBOX.{{name()}}.>", "req.{{name()}}.>"]},
        "subs": 100,
        "data": -1,
        // 1 MiB: the server's own limit for a message.
        "payload": 1_048_576,
    })
}

/// What the panel's account offers. Only accounts that the operator's key signed exist, and these are the workers'.
fn exports() -> Value {
    let service = |name: &str, subject: &str, response: &str| {
        json!({
            "name": name, "subject": subject, "type": "service", "response_type": response,
            // A pull waits 30 s for its first job.
            "response_threshold": 60_000_000_000_i64,
        })
    };
    json!([
        service("pull", "$JS.API.CONSUMER.MSG.NEXT.*.*", "Stream"),
        service("consumer", "$JS.API.CONSUMER.INFO.*.*", "Singleton"),
        service("acknowledge", "$JS.ACK.>", "Singleton"),
        service("events", "evt.*.>", "Singleton"),
        service("progress", "prog.*.>", "Singleton"),
        service("heartbeats", "hb.*", "Singleton"),
        service("answers", "ans.*.*", "Singleton"),
        {"name": "requests", "subject": "req.*.>", "type": "stream"},
    ])
}

/// What a worker's account takes of it: its own share of each. What is asked of JetStream has a prefix of ours here, since
/// `$JS.API` itself is answered in every account, with "not enabled" where there are no streams.
fn imports(worker: &WorkerAccount<'_>, panel: &str) -> Value {
    let WorkerAccount { server, stream, .. } = worker;
    let import = |name: &str, kind: &str, subject: String| json!({"name": name, "subject": subject, "account": panel, "type": kind});
    let api = |name: &str, request: &str| {
        let mut import = import(name, "service", format!("$JS.API.CONSUMER.{request}.{stream}.{server}"));
        import["local_subject"] = json!(format!("{WORKER_API}.CONSUMER.{request}.{stream}.{server}"));
        import
    };
    json!([
        api("pull", "MSG.NEXT"),
        api("consumer", "INFO"),
        import("acknowledge", "service", format!("$JS.ACK.{stream}.{server}.>")),
        // The second form of acknowledgements, which servers may be told to use: domain, account, stream, consumer.
        import("acknowledge2", "service", format!("$JS.ACK._.*.{stream}.{server}.>")),
        import("events", "service", format!("evt.{server}.>")),
        import("progress", "service", format!("prog.{server}.>")),
        import("heartbeats", "service", format!("hb.{server}")),
        import("answers", "service", format!("ans.{server}.*")),
        import("requests", "stream", format!("req.{server}.>")),
    ])
}

/// Keys that no longer let anyone in, as JWTs name them.
fn revocations(worker: &WorkerAccount<'_>) -> Value {
    worker.revoked.iter().map(|revoked| (revoked.public_key.clone(), json!(revoked.at_s))).collect()
}

/// No limits but those of the server, and JetStream's if given.
fn limits(jetstream: &Value) -> Value {
    let mut all = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
    });
    if let (Some(all), Some(jetstream)) = (all.as_object_mut(), jetstream.as_object()) {
        all.extend(jetstream.clone());
    }
    all
}
