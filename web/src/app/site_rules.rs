//! Which names a site may have.

use std::collections::BTreeMap;

use shared::ids::AccountId;
use shared::jobs::SiteKind;
use shared::names::{DomainName, InvalidName, PhpVersion, SiteName};

use super::{Actor, App, AppError, FieldErrors};
use crate::store::Tx;
use crate::store::account::{AccountRow, account_user_in_tx};
use crate::store::list::Visible;
use crate::store::server_outline::server_outlines;
use crate::store::site_name::{Claim, NamesError, domain_claim_in_tx};

/// More names than this make a vhost nobody reads; nginx's hash sizes are set for it.
const MOST_ALIASES: usize = 100;

/// Further names as typed: separated by lines, commas or spaces, each once.
pub(super) fn parse_aliases(text: &str, domain: Option<&DomainName>, errors: &mut FieldErrors) -> Vec<SiteName> {
    let mut names: Vec<SiteName> = Vec::new();
    for part in text.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|part| !part.is_empty()) {
        match part.parse::<SiteName>() {
            Ok(name) if domain.is_some_and(|domain| domain.as_str() == name.as_str()) || names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(error) => {
                let shown: String = part.chars().take(80).collect();
                errors.add("aliases", format!("{shown}: {error}"));
                return names;
            }
        }
    }
    if names.len() > MOST_ALIASES {
        errors.add("aliases", format!("Use at most {MOST_ALIASES} further names."));
    }
    names
}

/// Refuses names that belong to the panel or to servers, and names that belong to everybody.
pub(super) async fn check_reserved(app: &App, actor: &Actor, domain: Option<&DomainName>, aliases: &[SiteName]) -> Result<(), AppError> {
    let mut reserved: Vec<String> =
        server_outlines(&app.db).await?.into_iter().map(|server| server.hostname.to_ascii_lowercase()).collect();
    reserved.push(app.panel_host.to_ascii_lowercase());
    let mut errors = FieldErrors::new();
    let primary = domain.map(|domain| ("domain", SiteName::from(domain.clone())));
    for (field, name) in primary.into_iter().chain(aliases.iter().map(|alias| ("aliases", alias.clone()))) {
        if reserved.iter().any(|host| collides(&name.domain(), host)) {
            errors.add(field, format!("{name} is the panel's or a server's own name. Choose another."));
        } else if name.domain().registrable().is_none() && (name.is_wildcard() || !actor.is_admin()) {
            errors.add(field, format!("{name} is open to everybody to register names below it. Enter a domain of your own."));
        }
    }
    errors.check()
}

/// A site may be neither a reserved host nor above nor below it: names share cookies along that line. Below a host of one
/// label, such as `localhost`, names are independent.
fn collides(name: &DomainName, host: &str) -> bool {
    if !host.contains('.') {
        return name.as_str() == host;
    }
    let above = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    above || name.is_within(host)
}

/// Claims the registrable domain of each name for an account.
pub(super) async fn claim_all(tx: &mut Tx, account: &AccountRow, domain: &DomainName, aliases: &[SiteName]) -> Result<(), AppError> {
    // In the order of names, so that two requests for the same domains wait for each other instead of locking up.
    let mut wanted: BTreeMap<String, &'static str> = BTreeMap::new();
    let primary = ("domain", domain.clone());
    for (field, name) in std::iter::once(primary).chain(aliases.iter().map(|alias| ("aliases", alias.domain()))) {
        let own = name.registrable().map_or_else(|| name.as_str().to_owned(), |registrable| registrable.as_str().to_owned());
        wanted.entry(own).or_insert(field);
    }
    for (own, field) in wanted {
        if let Claim::Theirs(other) = domain_claim_in_tx(tx, &own, account.id).await? {
            return Err(AppError::invalid(field, taken_sentence(tx, account, &own, other).await?));
        }
    }
    Ok(())
}

/// Tells owners about their own accounts, and nobody about those of others.
async fn taken_sentence(tx: &mut Tx, account: &AccountRow, domain: &str, other: AccountId) -> Result<String, AppError> {
    let own = account_user_in_tx(tx, Visible::Of(account.owner_id), other).await?;
    Ok(match own {
        Some(user) => format!("{domain} belongs to the account {user}. Choose that account."),
        None => format!("{domain} belongs to somebody else on this panel. If it is yours, contact support."),
    })
}

/// A name another site has, as a field's sentence.
pub(super) fn names_error(error: NamesError, domain: &DomainName) -> AppError {
    match error {
        NamesError::Taken(name) => {
            let field = if name.as_str() == domain.as_str() { "domain" } else { "aliases" };
            AppError::invalid(field, format!("Another site already answers to {name}."))
        }
        NamesError::Store(error) => error.into(),
    }
}

/// `static` or nothing for files only, otherwise one of the versions the account's server reports.
pub(super) fn parse_kind(account: &AccountRow, text: &str, kept: Option<PhpVersion>) -> Result<SiteKind, AppError> {
    if text.is_empty() || text == "static" {
        return Ok(SiteKind::Static);
    }
    let version: PhpVersion = text.parse().map_err(|error: InvalidName| AppError::invalid("php", error.to_string()))?;
    if account.server_php.contains(&version) || kept == Some(version) {
        Ok(SiteKind::Php { version })
    } else {
        Err(AppError::invalid("php", format!("PHP {version} is not installed on {}. Choose another version.", account.server_name)))
    }
}

#[cfg(test)]
mod tests {
    use super::collides;

    #[test]
    fn a_site_is_neither_a_reserved_host_nor_above_nor_below_it() {
        for name in ["panel.example.com", "example.com", "x.panel.example.com"] {
            assert!(collides(&name.parse().unwrap(), "panel.example.com"), "{name}");
        }
        for name in ["shop.example.com", "xpanel.example.com", "example.org"] {
            assert!(!collides(&name.parse().unwrap(), "panel.example.com"), "{name}");
        }
        assert!(!collides(&"shop.localhost".parse().unwrap(), "localhost"));
    }
}
