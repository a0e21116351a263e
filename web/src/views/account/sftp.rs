//! How files arrive: SFTP by password or by key.

use maud::{Markup, html};
use shared::ids::AccountId;

use crate::paths;
use crate::views::components::form_field::Field;
use crate::views::components::icon::Icon;
use crate::views::components::{button, kv, note, secret};
use crate::views::model::{Errors, FormKey};
use crate::views::preview;

/// SFTP access of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SftpModel {
    /// The host to connect to.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether a password is set.
    pub has_password: bool,
    /// A password that was just made. Shown once, in the answer to the request that made it.
    pub new_password: Option<String>,
    /// Makes a repeated request for a password the same request.
    pub password_key: FormKey,
    /// The keys.
    pub keys: Vec<KeyRow>,
    /// What was pasted as a new key, if it was refused.
    pub key: String,
    /// What was wrong: field `key`.
    pub errors: Errors,
    /// Whether the viewer may change any of it now.
    pub can_edit: bool,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Its comment, such as `me@laptop`; may be empty.
    pub comment: String,
    /// Its type, such as `ssh-ed25519`.
    pub kind: String,
    /// Its fingerprint; also what the form sends to remove it.
    pub fingerprint: String,
}

impl KeyRow {
    /// What people know it by.
    pub(super) fn name(&self) -> &str {
        if self.comment.is_empty() { &self.kind } else { &self.comment }
    }
}

/// The card.
#[must_use]
pub(super) fn card(id: AccountId, user: &str, sftp: &SftpModel) -> Markup {
    let command = format!("sftp -P {} {user}@{}", sftp.port, sftp.host);
    html! {
        section.card #sftp {
            header.card-head { h2 { "SFTP access" } p { "for uploading files" } }
            div.card-body.stack {
                @if let Some(password) = &sftp.new_password {
                    (secret::secret(password, "The new password. It is shown only now: store it before you leave this page.", "Copy the password"))
                }
                (kv::list(&[
                    ("Host", kv::mono(&sftp.host)),
                    ("Port", kv::mono(sftp.port)),
                    ("User", kv::mono(user)),
                    ("Folder", kv::mono("/htdocs")),
                    ("Password", kv::text(if sftp.has_password { "Set" } else { "None: only keys sign in" })),
                ]))
                (secret::copy(&command, "Copy the command"))
            }
            @if sftp.can_edit { div.card-foot { (password_button(id, sftp)) span.muted.small { "A random one, shown once." } } }
        }
    }
}

fn password_button(id: AccountId, sftp: &SftpModel) -> Markup {
    let label = if sftp.has_password { "Make a new password" } else { "Set a password" };
    html! {
        form.row method="post" action=(paths::account_sftp_password(id)) {
            // Another name than elsewhere: on this page a key is a public key.
            input type="hidden" name="key_once" value=(sftp.password_key.as_str()) autocomplete="off";
            button class="btn is-sm" type="submit" { (Icon::KeyRound) (label) }
            (preview_button(&paths::account_sftp_password(id), "a new password"))
        }
    }
}

/// The keys' card.
#[must_use]
pub(super) fn keys(id: AccountId, sftp: &SftpModel) -> Markup {
    html! {
        section.card #sftp-keys {
            header.card-head { h2 { "SFTP keys" } p { "sign in without a password" } }
            @if sftp.keys.is_empty() {
                div.card-body { p.muted.small { "None yet. Paste the public half of a key; its file name ends in .pub." } }
            } @else {
                ul.feed { @for key in &sftp.keys { (key_line(id, sftp, key)) } }
            }
            @if sftp.can_edit {
                form.card-foot.is-form method="post" action=(paths::account_sftp_keys(id)) {
                    (note::form_errors(&sftp.errors))
                    (Field::area("key", "Add a public key", 2).value(&sftp.key).mono().required().error(sftp.errors.get("key"))
                        .help("One line, such as: ssh-ed25519 AAAA... name@computer"))
                    div.row {
                        button class="btn is-sm" type="submit" { (Icon::Plus) "Add key" }
                        (preview_button(&paths::account_sftp_keys(id), "the key"))
                    }
                }
            }
        }
    }
}

/// The same form, as a question. The answer is this page, opened where the preview is.
fn preview_button(action: &str, about: &str) -> Markup {
    let asked = format!("{}#{}", paths::preview_of(action), preview::PREVIEW);
    html! { button class="btn is-sm" type="submit" formaction=(asked) { "Preview" (button::for_ears(about)) } }
}

fn key_line(id: AccountId, sftp: &SftpModel, key: &KeyRow) -> Markup {
    let name = key.name();
    html! {
        li {
            (Icon::KeyRound)
            span.grow { span.strong { (name) } br; small.mono { (key.fingerprint) } }
            @if sftp.can_edit { (button::small_link_about(None, "Remove", name, &paths::account_sftp_key_remove_of(id, &key.fingerprint))) }
        }
    }
}
