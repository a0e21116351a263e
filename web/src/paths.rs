//! Every address of the panel: a route pattern for the router and a builder for links.
//!
//! **No other module spells a path.** A pattern and its builder stand next to each other, and a test holds them together.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use shared::ids::{AccountId, OperationId, ServerId, SiteId, UserId};
use shared::jobs::Generation;
use shared::names::PhpVersion;

/// The home page: a client's tools, or an admin's fleet.
pub const HOME: &str = "/";
/// Sign in: form and its target.
pub const SIGN_IN: &str = "/sign-in";
/// Sign out (POST).
pub const SIGN_OUT: &str = "/sign-out";
/// Change one's password: form and its target.
pub const PASSWORD: &str = "/password";
/// One's signed-in devices.
pub const SESSIONS: &str = "/sessions";
/// Sign one device out (POST, field `session`).
pub const SESSION_END: &str = "/sessions/end";
/// Sign every other device out (POST).
pub const SESSIONS_END_OTHERS: &str = "/sessions/end-others";
/// Sites: list, and the target of the form for a new one.
pub const SITES: &str = "/sites";
/// The form for a new site.
pub const SITE_NEW: &str = "/sites/new";
/// A site.
pub const SITE: &str = "/sites/{id}";
/// A site's settings: form and its target.
pub const SITE_EDIT: &str = "/sites/{id}/edit";
/// Suspend a site: question and its target.
pub const SITE_SUSPEND: &str = "/sites/{id}/suspend";
/// What suspending a site would change (POST).
pub const SITE_SUSPEND_PREVIEW: &str = "/sites/{id}/suspend/preview";
/// Bring a suspended site back: question and its target.
pub const SITE_UNSUSPEND: &str = "/sites/{id}/unsuspend";
/// What bringing a site back would change (POST).
pub const SITE_UNSUSPEND_PREVIEW: &str = "/sites/{id}/unsuspend/preview";
/// Try a site's failed change again (POST).
pub const SITE_RETRY: &str = "/sites/{id}/retry";
/// Delete a site: confirmation and its target.
pub const SITE_DELETE: &str = "/sites/{id}/delete";
/// What the deletion of a site would change (POST: the confirmation, typed or not).
pub const SITE_DELETE_PREVIEW: &str = "/sites/{id}/delete/preview";
/// What other settings of a site would change (POST: the form of its settings).
pub const SITE_PREVIEW: &str = "/sites/{id}/preview";
/// A site's configuration by generation (GET, fields `from` and `to`).
pub const SITE_HISTORY: &str = "/sites/{id}/history";
/// Bring an earlier generation of a site back: question and its target (field `generation`).
pub const SITE_ROLLBACK: &str = "/sites/{id}/rollback";
/// What bringing an earlier generation back would change (POST, field `generation`).
pub const SITE_ROLLBACK_PREVIEW: &str = "/sites/{id}/rollback/preview";
/// What a new site would change (POST: the form for a new site).
pub const SITE_NEW_PREVIEW: &str = "/sites/new/preview";
/// Accounts: list, and the target of the form for a new one.
pub const ACCOUNTS: &str = "/accounts";
/// What a new account would change (POST: the form for a new account).
pub const ACCOUNT_NEW_PREVIEW: &str = "/accounts/new/preview";
/// The form for a new account.
pub const ACCOUNT_NEW: &str = "/accounts/new";
/// An account.
pub const ACCOUNT: &str = "/accounts/{id}";
/// An account's limits: form and its target.
pub const ACCOUNT_LIMITS: &str = "/accounts/{id}/limits";
/// What other limits of an account would change (POST: the form of its limits).
pub const ACCOUNT_LIMITS_PREVIEW: &str = "/accounts/{id}/limits/preview";
/// PHP settings of an account for one version: form and its target.
pub const ACCOUNT_PHP: &str = "/accounts/{id}/php/{version}";
/// What other PHP settings would change (POST: the form of PHP settings).
pub const ACCOUNT_PHP_PREVIEW: &str = "/accounts/{id}/php/{version}/preview";
/// Set a new random SFTP password (POST).
pub const ACCOUNT_SFTP_PASSWORD: &str = "/accounts/{id}/sftp-password";
/// What a new SFTP password would change (POST).
pub const ACCOUNT_SFTP_PASSWORD_PREVIEW: &str = "/accounts/{id}/sftp-password/preview";
/// Add an SFTP key (POST, field `key`).
pub const ACCOUNT_SFTP_KEYS: &str = "/accounts/{id}/sftp-keys";
/// What adding an SFTP key would change (POST, field `key`).
pub const ACCOUNT_SFTP_KEYS_PREVIEW: &str = "/accounts/{id}/sftp-keys/preview";
/// Remove an SFTP key: question and its target (field `fingerprint`).
pub const ACCOUNT_SFTP_KEY_REMOVE: &str = "/accounts/{id}/sftp-keys/remove";
/// What removing an SFTP key would change (POST, field `fingerprint`).
pub const ACCOUNT_SFTP_KEY_REMOVE_PREVIEW: &str = "/accounts/{id}/sftp-keys/remove/preview";
/// Suspend an account: question and its target.
pub const ACCOUNT_SUSPEND: &str = "/accounts/{id}/suspend";
/// What suspending an account would change (POST).
pub const ACCOUNT_SUSPEND_PREVIEW: &str = "/accounts/{id}/suspend/preview";
/// Bring a suspended account back: question and its target.
pub const ACCOUNT_UNSUSPEND: &str = "/accounts/{id}/unsuspend";
/// What bringing an account back would change (POST).
pub const ACCOUNT_UNSUSPEND_PREVIEW: &str = "/accounts/{id}/unsuspend/preview";
/// Try an account's failed change again (POST).
pub const ACCOUNT_RETRY: &str = "/accounts/{id}/retry";
/// Delete an account: confirmation and its target.
pub const ACCOUNT_DELETE: &str = "/accounts/{id}/delete";
/// What the deletion of an account would change (POST: the confirmation, typed or not).
pub const ACCOUNT_DELETE_PREVIEW: &str = "/accounts/{id}/delete/preview";
/// Clients: list, and the target of the form for a new one.
pub const CLIENTS: &str = "/clients";
/// The form for a new client.
pub const CLIENT_NEW: &str = "/clients/new";
/// A client.
pub const CLIENT: &str = "/clients/{id}";
/// Suspend a client: question and its target.
pub const CLIENT_SUSPEND: &str = "/clients/{id}/suspend";
/// What suspending a client would change (POST).
pub const CLIENT_SUSPEND_PREVIEW: &str = "/clients/{id}/suspend/preview";
/// Let a suspended client in again: question and its target.
pub const CLIENT_UNSUSPEND: &str = "/clients/{id}/unsuspend";
/// What letting a client in again would change (POST).
pub const CLIENT_UNSUSPEND_PREVIEW: &str = "/clients/{id}/unsuspend/preview";
/// Give a client a new one-time password (POST).
pub const CLIENT_RESET_PASSWORD: &str = "/clients/{id}/reset-password";
/// Delete a client: confirmation and its target.
pub const CLIENT_DELETE: &str = "/clients/{id}/delete";
/// Operations: list.
pub const OPERATIONS: &str = "/operations";
/// An operation's record.
pub const OPERATION: &str = "/operations/{id}";
/// Try a failed operation again: question and its target.
pub const OPERATION_RETRY: &str = "/operations/{id}/retry";
/// What trying an operation again would change (POST).
pub const OPERATION_RETRY_PREVIEW: &str = "/operations/{id}/retry/preview";
/// An operation's whole record, as JSON. For admins.
pub const OPERATION_RECORD: &str = "/operations/{id}/record.json";
/// Take an operation back that was not sent: confirmation and its target.
pub const OPERATION_CANCEL: &str = "/operations/{id}/cancel";
/// Let an operation go out before others (POST).
pub const OPERATION_SOONER: &str = "/operations/{id}/sooner";
/// Let an operation go out after others (POST).
pub const OPERATION_LATER: &str = "/operations/{id}/later";
/// The audit log: everybody's for an admin, one's own otherwise.
pub const AUDIT: &str = "/audit";
/// Servers: list, and the target of the form for a new one.
pub const SERVERS: &str = "/servers";
/// The form for a new server.
pub const SERVER_NEW: &str = "/servers/new";
/// A server.
pub const SERVER: &str = "/servers/{id}";
/// A server's settings: form and its target.
pub const SERVER_EDIT: &str = "/servers/{id}/edit";
/// Make a new token for a server's worker: question and its target.
pub const SERVER_TOKEN: &str = "/servers/{id}/token";
/// Whether a server takes new accounts (POST, fields `active` and `back`).
pub const SERVER_ACTIVE: &str = "/servers/{id}/active";
/// Update a server's worker (POST).
pub const SERVER_UPDATE: &str = "/servers/{id}/update";
/// Updates of all workers: how they stand, and the target of the form that starts them.
pub const ROLLOUT: &str = "/servers/updates";
/// Begin no further worker's update (POST).
pub const ROLLOUT_CANCEL: &str = "/servers/updates/cancel";
/// Go on updating after a failure (POST).
pub const ROLLOUT_RESUME: &str = "/servers/updates/resume";
/// Shut out a server's worker: confirmation and its target.
pub const SERVER_SHUT_OUT: &str = "/servers/{id}/shut-out";
/// Delete a server: confirmation and its target.
pub const SERVER_DELETE: &str = "/servers/{id}/delete";
/// Give up a server whose host is gone, with the accounts on it (POST).
pub const SERVER_GONE: &str = "/servers/{id}/gone";
/// A server's queue.
pub const SERVER_QUEUE: &str = "/servers/{id}/queue";
/// Have nothing new sent to a server: confirmation and its target.
pub const SERVER_QUEUE_PAUSE: &str = "/servers/{id}/queue/pause";
/// Have what waits for a server sent again (POST).
pub const SERVER_QUEUE_RESUME: &str = "/servers/{id}/queue/resume";
/// What was refused as a matter of security.
pub const SECURITY: &str = "/security";
/// Say that security events have been seen (POST, field `until`).
pub const SECURITY_SEEN: &str = "/security/seen";
/// What is on servers other than it was applied.
pub const DRIFT: &str = "/drift";
/// Repair one drifted resource (POST, field `resource`).
pub const DRIFT_REPAIR: &str = "/drift/repair";
/// What is on one server other than it was applied.
pub const SERVER_DRIFT: &str = "/servers/{id}/drift";
/// Repair everything that has drifted on a server (POST, field `back`).
pub const SERVER_DRIFT_REPAIR: &str = "/servers/{id}/drift/repair";
/// Look for drift on a server now (POST, field `back`).
pub const SERVER_DRIFT_CHECK: &str = "/servers/{id}/drift/check";
/// Choose what becomes of drift on a server (POST, fields `policy` and `back`).
pub const SERVER_DRIFT_POLICY: &str = "/servers/{id}/drift/policy";
/// Search over everything one may see (GET, field `q`).
pub const SEARCH: &str = "/search";
/// Choose the theme (POST, fields `theme` and `back`).
pub const THEME: &str = "/theme";
/// Collapse or widen the sidebar (POST, fields `nav` and `back`).
pub const NAV: &str = "/nav";
/// The live stream of a page.
pub const LIVE: &str = "/live";
/// A static file, by its fingerprinted name.
pub const STATIC: &str = "/static/{file}";
/// Where a new worker trades its token for credentials.
pub const ENROL: &str = "/api/enrol";
/// The script by which a new host joins; the token is in the `Authorization` header.
pub const JOIN: &str = "/join";
/// A package of the worker, by its file name.
pub const JOIN_PACKAGE: &str = "/join/packages/{file}";
/// Whether this process serves.
pub const HEALTHZ: &str = "/healthz";

/// Builders that put an id into a pattern with one `{id}`.
macro_rules! with_id {
    ($($(#[$doc:meta])* $name:ident($id:ty) => $pattern:expr;)+) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name(id: $id) -> String {
                $pattern.replace("{id}", &id.to_string())
            }
        )+
    };
}

with_id! {
    /// [`SITE`] of one site.
    site(SiteId) => SITE;
    /// [`SITE_EDIT`] of one site.
    site_edit(SiteId) => SITE_EDIT;
    /// [`SITE_SUSPEND`] of one site.
    site_suspend(SiteId) => SITE_SUSPEND;
    /// [`SITE_UNSUSPEND`] of one site.
    site_unsuspend(SiteId) => SITE_UNSUSPEND;
    /// [`SITE_RETRY`] of one site.
    site_retry(SiteId) => SITE_RETRY;
    /// [`SITE_DELETE`] of one site.
    site_delete(SiteId) => SITE_DELETE;
    /// [`SITE_PREVIEW`] of one site.
    site_preview(SiteId) => SITE_PREVIEW;
    /// [`SITE_HISTORY`] of one site.
    site_history(SiteId) => SITE_HISTORY;
    /// [`SITE_ROLLBACK`] of one site.
    site_rollback(SiteId) => SITE_ROLLBACK;
    /// [`ACCOUNT`] of one account.
    account(AccountId) => ACCOUNT;
    /// [`ACCOUNT_LIMITS`] of one account.
    account_limits(AccountId) => ACCOUNT_LIMITS;
    /// [`ACCOUNT_SFTP_PASSWORD`] of one account.
    account_sftp_password(AccountId) => ACCOUNT_SFTP_PASSWORD;
    /// [`ACCOUNT_SFTP_KEYS`] of one account.
    account_sftp_keys(AccountId) => ACCOUNT_SFTP_KEYS;
    /// [`ACCOUNT_SFTP_KEY_REMOVE`] of one account.
    account_sftp_key_remove(AccountId) => ACCOUNT_SFTP_KEY_REMOVE;
    /// [`ACCOUNT_SUSPEND`] of one account.
    account_suspend(AccountId) => ACCOUNT_SUSPEND;
    /// [`ACCOUNT_UNSUSPEND`] of one account.
    account_unsuspend(AccountId) => ACCOUNT_UNSUSPEND;
    /// [`ACCOUNT_RETRY`] of one account.
    account_retry(AccountId) => ACCOUNT_RETRY;
    /// [`ACCOUNT_DELETE`] of one account.
    account_delete(AccountId) => ACCOUNT_DELETE;
    /// [`CLIENT`] of one client.
    client(UserId) => CLIENT;
    /// [`CLIENT_SUSPEND`] of one client.
    client_suspend(UserId) => CLIENT_SUSPEND;
    /// [`CLIENT_UNSUSPEND`] of one client.
    client_unsuspend(UserId) => CLIENT_UNSUSPEND;
    /// [`CLIENT_RESET_PASSWORD`] of one client.
    client_reset_password(UserId) => CLIENT_RESET_PASSWORD;
    /// [`CLIENT_DELETE`] of one client.
    client_delete(UserId) => CLIENT_DELETE;
    /// [`OPERATION`] of one operation.
    operation(OperationId) => OPERATION;
    /// [`OPERATION_RETRY`] of one operation.
    operation_retry(OperationId) => OPERATION_RETRY;
    /// [`OPERATION_RECORD`] of one operation.
    operation_record(OperationId) => OPERATION_RECORD;
    /// [`OPERATION_CANCEL`] of one operation.
    operation_cancel(OperationId) => OPERATION_CANCEL;
    /// [`OPERATION_SOONER`] of one operation.
    operation_sooner(OperationId) => OPERATION_SOONER;
    /// [`OPERATION_LATER`] of one operation.
    operation_later(OperationId) => OPERATION_LATER;
    /// [`SERVER_QUEUE`] of one server.
    server_queue(ServerId) => SERVER_QUEUE;
    /// [`SERVER_QUEUE_PAUSE`] of one server.
    server_queue_pause(ServerId) => SERVER_QUEUE_PAUSE;
    /// [`SERVER_QUEUE_RESUME`] of one server.
    server_queue_resume(ServerId) => SERVER_QUEUE_RESUME;
    /// [`SERVER`] of one server.
    server(ServerId) => SERVER;
    /// [`SERVER_EDIT`] of one server.
    server_edit(ServerId) => SERVER_EDIT;
    /// [`SERVER_SHUT_OUT`] of one server.
    server_shut_out(ServerId) => SERVER_SHUT_OUT;
    /// [`SERVER_DELETE`] of one server.
    server_delete(ServerId) => SERVER_DELETE;
    /// [`SERVER_GONE`] of one server.
    server_gone(ServerId) => SERVER_GONE;
    /// [`SERVER_ACTIVE`] of one server.
    server_active(ServerId) => SERVER_ACTIVE;
    /// [`SERVER_UPDATE`] of one server.
    server_update(ServerId) => SERVER_UPDATE;
    /// [`SERVER_TOKEN`] of one server.
    server_token(ServerId) => SERVER_TOKEN;
    /// [`SERVER_DRIFT`] of one server.
    server_drift(ServerId) => SERVER_DRIFT;
    /// [`SERVER_DRIFT_REPAIR`] of one server.
    server_drift_repair(ServerId) => SERVER_DRIFT_REPAIR;
    /// [`SERVER_DRIFT_CHECK`] of one server.
    server_drift_check(ServerId) => SERVER_DRIFT_CHECK;
    /// [`SERVER_DRIFT_POLICY`] of one server.
    server_drift_policy(ServerId) => SERVER_DRIFT_POLICY;
}

/// [`ACCOUNT_PHP`] of one account and version.
#[must_use]
pub fn account_php(id: AccountId, version: PhpVersion) -> String {
    ACCOUNT_PHP.replace("{id}", &id.to_string()).replace("{version}", &version.to_string())
}

/// Where it is asked what a form would change, given where the form posts to: [`SITE_SUSPEND_PREVIEW`] and its like.
#[must_use]
pub fn preview_of(action: &str) -> String {
    format!("{action}/preview")
}

/// [`SITE_ROLLBACK`] to one generation.
#[must_use]
pub fn site_rollback_to(id: SiteId, generation: Generation) -> String {
    with_query(&site_rollback(id), [("generation", generation.to_string())])
}

/// [`ACCOUNT_SFTP_KEY_REMOVE`] of one key.
#[must_use]
pub fn account_sftp_key_remove_of(id: AccountId, fingerprint: &str) -> String {
    with_query(&account_sftp_key_remove(id), [("fingerprint", fingerprint)])
}

/// [`STATIC`] of one fingerprinted file name.
#[must_use]
pub fn static_file(file: &str) -> String {
    STATIC.replace("{file}", file)
}

/// [`JOIN_PACKAGE`] of one file name.
#[must_use]
pub fn join_package(file: &str) -> String {
    JOIN_PACKAGE.replace("{file}", file)
}

/// [`SITE_NEW`] with the account chosen already.
#[must_use]
pub fn site_new_in(account: AccountId) -> String {
    with_query(SITE_NEW, [("account", account.to_string())])
}

/// [`ACCOUNT_NEW`] with the owner chosen already.
#[must_use]
pub fn account_new_for(owner: UserId) -> String {
    with_query(ACCOUNT_NEW, [("owner", owner.to_string())])
}

/// [`AUDIT`] of what was done to one thing, by its name.
#[must_use]
pub fn audit_of(object: &str) -> String {
    with_query(AUDIT, [("object", object)])
}

/// [`AUDIT`] of what one person did.
#[must_use]
pub fn audit_by(user: UserId) -> String {
    with_query(AUDIT, [("who", user.to_string())])
}

/// What a query keeps as it is: RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A path with a query string. Pairs with an empty value are left out, so that the usual case has the short address.
#[must_use]
pub fn with_query<K: AsRef<str>, V: AsRef<str>>(path: &str, pairs: impl IntoIterator<Item = (K, V)>) -> String {
    let mut url = path.to_owned();
    let mut separator = if path.contains('?') { '&' } else { '?' };
    for (key, value) in pairs {
        if value.as_ref().is_empty() {
            continue;
        }
        // Writing to a String cannot fail.
        let _ = write!(url, "{separator}{}={}", utf8_percent_encode(key.as_ref(), QUERY), utf8_percent_encode(value.as_ref(), QUERY));
        separator = '&';
    }
    url
}
