//! Making hosting accounts.

use serde::Deserialize;
use shared::ids::{AccountId, ServerId, SiteId, UserId};
use shared::jobs::{AccountLimits, Generation, ResourceKey};
use shared::names::{DomainName, InvalidName, LinuxUser, PhpVersion};
use shared::role::Role;

use super::desired::account_job;
use super::preview::{Preview, preview_of};
use super::site::{Wanted, site_create_in};
use super::site_rules::{check_reserved, parse_kind};
use super::unit::{Asked, Open, Place, Unit, finish, once, settle};
use super::{Actor, App, AppError, FieldErrors, Requested};
use crate::store::account::{NewAccount, account_insert_in_tx, account_lock_in_tx};
use crate::store::list::Visible;
use crate::store::operation::{OperationKind, operation_placed_in_tx};
use crate::store::panel::uid_take_in_tx;
use crate::store::placement::{Candidate, placement_list_in_tx, placement_lock_in_tx};
use crate::store::user::{Login, UserRole, UserState, user_fetch_by_login, user_lock_in_tx};

/// The form for a new account, as typed.
#[derive(Debug, Clone, Default, Hash, Deserialize)]
#[serde(default)]
pub struct AccountCreate {
    /// What the owner signs in with, or their id.
    pub owner: String,
    /// The Linux user.
    pub user: String,
    /// The server's id; empty leaves the choice to the panel.
    pub server: String,
    /// The domain of a first site; empty is none.
    pub domain: String,
    /// The first site's PHP version, or `static` or nothing.
    pub php: String,
    /// Limits of the slice.
    #[serde(flatten)]
    pub limits: LimitsForm,
    /// The form's key.
    pub key: Option<String>,
}

/// Limits as typed; empty is no limit.
#[derive(Debug, Clone, Default, Hash, Deserialize)]
#[serde(default)]
pub struct LimitsForm {
    /// CPU in percent of one core.
    pub cpu_percent: String,
    /// Memory in MiB.
    pub memory_mib: String,
    /// Processes and threads.
    pub tasks: String,
}

/// Asks for a new account. It has no way in yet: the password or a key is set on its page.
///
/// # Errors
/// [`AppError::Forbidden`] for clients; [`AppError::Invalid`] on `owner`, `user`, `server`, `domain`, `php`, `cpu_percent`, `memory_mib` or
/// `tasks`.
pub async fn account_create(app: &App, actor: &Actor, form: &AccountCreate) -> Result<Requested, AppError> {
    actor.require_admin()?;
    settle(app, actor, once(form.key.as_deref(), form).as_deref(), finish(create_open(app, actor, form).await).await).await
}

/// Who is meant by what a form says: a login, or an id.
async fn client_named(app: &App, text: &str) -> Result<Option<UserId>, AppError> {
    if let Ok(id) = text.trim().parse() {
        return Ok(Some(id));
    }
    let Ok(login) = text.parse::<Login>() else { return Ok(None) };
    Ok(user_fetch_by_login(&app.db, &login).await?.map(|user| user.id))
}

/// What a new account would change on the server that it would get.
///
/// # Errors
/// As [`account_create`].
pub async fn account_create_preview(app: &App, actor: &Actor, form: &AccountCreate) -> Result<Preview, AppError> {
    actor.require_admin()?;
    let form = AccountCreate { key: None, ..form.clone() };
    preview_of(app, create_open(app, actor, &form).await).await
}

/// The request, not committed.
async fn create_open<'a>(app: &'a App, actor: &'a Actor, form: &AccountCreate) -> Result<(Unit<'a>, Open), AppError> {
    let mut errors = FieldErrors::new();
    let owner =
        errors.take("owner", client_named(app, &form.owner).await?.ok_or("No client signs in with this name. Choose one of the list."));
    let user = errors.take("user", form.user.trim().parse::<LinuxUser>());
    let limits = form.limits.parse(&mut errors);
    let server = match form.server.trim() {
        "" | "auto" => None,
        text => errors.take("server", text.parse::<ServerId>().map_err(|_| "Choose a server.")),
    };
    let domain = match form.domain.trim() {
        "" => None,
        text => errors.take("domain", text.parse::<DomainName>()),
    };
    errors.check()?;
    let (Some(owner), Some(user)) = (owner, user) else { return Err(AppError::Invalid(errors)) };
    check_reserved(app, actor, domain.as_ref(), &[]).await?;

    let mut unit = Unit::begin(app, actor).await?;
    let owner = user_lock_in_tx(&mut unit.tx, owner).await?.filter(|owner| owner.role == UserRole::Client);
    let owner = owner.ok_or_else(|| AppError::invalid("owner", "Choose a client."))?;
    if owner.state == UserState::Suspended {
        return Err(AppError::invalid("owner", "This client is suspended."));
    }
    // Without a site, any PHP will do.
    let php = domain.as_ref().and_then(|_| form.php.parse::<PhpVersion>().ok());
    let (server, why) = place(&mut unit, server, php).await?;
    let id = AccountId::new();
    let place = Place { account: id, owner: owner.id, server: server.id };
    let key = once(form.key.as_deref(), form);
    let asked =
        Asked { kind: OperationKind::AccountCreate, resource: ResourceKey::Account(id), subject: user.as_str(), key: key.as_deref() };
    let mut open = unit.operation(place, asked).await?;
    operation_placed_in_tx(&mut unit.tx, open.id, &why).await?;
    let uid = uid_take_in_tx(&mut unit.tx).await?;
    let new = NewAccount {
        id,
        owner: owner.id,
        linux_user: user.clone(),
        uid,
        server: server.id,
        sftp_password: None,
        limits,
        operation: open.id,
    };
    account_insert_in_tx(&mut unit.tx, &new).await.map_err(|error| {
        if error.is_duplicate_of("accounts", "linux_user") {
            AppError::invalid("user", format!("The user {user} exists already. Choose another name."))
        } else {
            error.into()
        }
    })?;
    let row = account_lock_in_tx(&mut unit.tx, Visible::All, id).await?.ok_or(AppError::NotFound)?;
    unit.job(&mut open, &account_job(&row, Vec::new(), Generation::FIRST, Vec::new())?).await?;
    if let Some(domain) = domain {
        let root = domain.as_str().parse().map_err(|error: InvalidName| AppError::invalid("domain", error.to_string()))?;
        let kind = parse_kind(&row, &form.php, None)?;
        let wanted = Wanted { id: SiteId::new(), domain, aliases: Vec::new(), root, kind };
        site_create_in(&mut unit, &mut open, &row, wanted).await?;
    }
    Ok((unit, open))
}

/// The server asked for, or the least loaded that takes accounts, has the role, is connected and has room and the PHP that is
/// wanted, and why it is that one. Locked, so that two requests do not both take the last room.
async fn place(unit: &mut Unit<'_>, asked: Option<ServerId>, php: Option<PhpVersion>) -> Result<(Candidate, String), AppError> {
    if let Some(id) = asked {
        let server = placement_lock_in_tx(&mut unit.tx, id).await?.ok_or_else(|| AppError::invalid("server", "Choose a server."))?;
        return match refusal(&server) {
            Some(sentence) => Err(AppError::invalid("server", sentence)),
            None => {
                let why = format!("Chosen by hand. It had {} then.", accounts_of(&server));
                Ok((server, why))
            }
        };
    }
    let takes = |server: &Candidate| refusal(server).is_none() && server.online;
    let mut candidates: Vec<Candidate> = placement_list_in_tx(&mut unit.tx).await?.into_iter().filter(takes).collect();
    let had_room = !candidates.is_empty();
    candidates.retain(|server| php.is_none_or(|version| server.php_versions.contains(&version)));
    let room = php.map_or_else(|| "room".to_owned(), |version| format!("room and PHP {version}"));
    for candidate in &candidates {
        if let Some(server) = placement_lock_in_tx(&mut unit.tx, candidate.id).await?.filter(takes) {
            let why = match candidates.len() {
                1 => format!("The only web server that was online and had {room}. It had {} then.", accounts_of(&server)),
                many => format!(
                    "Of {many} web servers that were online and had {room}, the one with the fewest accounts: it had {}.",
                    accounts_of(&server)
                ),
            };
            return Ok((server, why));
        }
    }
    if let Some(version) = php.filter(|_| had_room) {
        let sentence = format!("No server that takes accounts now has PHP {version}. Choose another version.");
        return Err(AppError::invalid("php", sentence));
    }
    Err(AppError::invalid("server", "No server has room right now. Add a server, or bring one back online."))
}

fn accounts_of(server: &Candidate) -> String {
    let counted = match server.accounts {
        1 => "1 account".to_owned(),
        many => format!("{many} accounts"),
    };
    server.max_accounts.map_or_else(|| counted.clone(), |most| format!("{counted} of at most {most}"))
}

/// Why a server takes no account. One that is merely offline takes it: the work waits for its return.
fn refusal(server: &Candidate) -> Option<String> {
    if !server.roles.contains(&Role::Web) {
        Some(format!("{} does not serve websites.", server.name))
    } else if !server.active {
        Some(format!("{} takes no new accounts.", server.name))
    } else if !server.enrolled {
        Some(format!("{} has no worker that has joined.", server.name))
    } else if !server.has_room() {
        Some(format!("{} is full.", server.name))
    } else {
        None
    }
}

impl LimitsForm {
    /// The limits, with a sentence for each field that is none.
    pub(super) fn parse(&self, errors: &mut FieldErrors) -> AccountLimits {
        AccountLimits {
            cpu_percent: limit(errors, "cpu_percent", &self.cpu_percent, 5, 6400),
            memory_mib: limit(errors, "memory_mib", &self.memory_mib, 64, 1_048_576),
            tasks: limit(errors, "tasks", &self.tasks, 16, 100_000),
        }
    }
}

fn limit(errors: &mut FieldErrors, field: &'static str, text: &str, least: u32, most: u32) -> Option<u32> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    match text.parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => Some(number),
        Ok(_) | Err(_) => {
            errors.add(field, format!("Enter a number from {least} to {most}, or nothing for no limit."));
            None
        }
    }
}

/// A Linux user's name made of a domain: its first label without what a user's name may not have.
#[must_use]
pub fn linux_user_suggest(domain: &DomainName) -> Option<LinuxUser> {
    let own = domain.registrable().map_or_else(|| domain.as_str().to_owned(), |own| own.as_str().to_owned());
    let label = own.split('.').next().unwrap_or_default().to_owned();
    let plain: String = label.trim_start_matches("xn--").chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    let plain = plain.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
    [plain.clone(), format!("{plain}web"), format!("web{plain}")].into_iter().find_map(|name| name.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::linux_user_suggest;

    #[test]
    fn a_user_is_suggested_from_the_domain() {
        for (domain, user) in [("shop.example.com", "example"), ("my-site.co.uk", "mysite"), ("www.test.org", "testweb")] {
            let suggested = linux_user_suggest(&domain.parse().unwrap()).unwrap();
            assert_eq!(suggested.as_str(), user);
        }
    }
}
