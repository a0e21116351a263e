//! What an admin tells of a server, and may change.

use std::fmt;
use std::str::FromStr;

use shared::ids::ServerId;
use shared::role::Role;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{StoreError, Tx, parse, to_json};

/// What people call a server, such as `Frankfurt 1`. Its name on the bus stays what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLabel(String);

/// Characters of a label at most.
const LABEL_MOST: usize = 60;

/// The text is no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Enter at most 60 characters, in one line.")]
pub struct BadServerLabel;

impl ServerLabel {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServerLabel {
    type Err = BadServerLabel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        // Marks of direction would turn round the name that is shown beside it (Unicode TR 36).
        let turns =
            |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let good = !text.is_empty() && text.chars().count() <= LABEL_MOST && !text.chars().any(|c| c.is_control() || turns(c));
        if good { Ok(Self(text.to_owned())) } else { Err(BadServerLabel) }
    }
}

/// Where a certificate is to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsSource {
    /// Ordered from Let's Encrypt.
    LetsEncrypt,
    /// Uploaded.
    Custom,
    /// Made on the spot.
    #[default]
    SelfSigned,
}

impl TlsSource {
    /// All of them, in the order in which pages show them.
    pub const ALL: [Self; 3] = [Self::LetsEncrypt, Self::Custom, Self::SelfSigned];

    /// The spelling in the database and in forms.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LetsEncrypt => "letsencrypt",
            Self::Custom => "custom",
            Self::SelfSigned => "selfsigned",
        }
    }
}

/// The text names no source of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Choose letsencrypt, custom or selfsigned.")]
pub struct UnknownTlsSource;

impl FromStr for TlsSource {
    type Err = UnknownTlsSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|source| source.as_str() == text).ok_or(UnknownTlsSource)
    }
}

/// Names and addresses of a server that only some servers have. Empty: not told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerPlaces {
    /// What people call it, if not by its name.
    pub label: Option<ServerLabel>,
    /// The name its mail services have.
    pub mail_hostname: String,
    /// Where its worker finds the bus, if not where the others do: `tls://host:port`.
    pub bus_url: String,
    /// Where it finds the panel, if not where people do: `https://host:port`.
    pub panel_url: String,
    /// Where phpMyAdmin answers on it.
    pub phpmyadmin_path: String,
    /// Where Roundcube answers on it.
    pub roundcube_path: String,
    /// Where the certificate of the panel's name on it is to come from.
    pub panel_tls: TlsSource,
    /// Where that of its mail services is to come from.
    pub mail_tls: TlsSource,
}

impl TryFrom<&AnyRow> for ServerPlaces {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let label: String = row.try_get("label")?;
        Ok(Self {
            label: Some(label).filter(|label| !label.is_empty()).map(|label| parse("servers.label", &label)).transpose()?,
            mail_hostname: row.try_get("mail_hostname")?,
            bus_url: row.try_get("bus_url")?,
            panel_url: row.try_get("panel_url")?,
            phpmyadmin_path: row.try_get("phpmyadmin_path")?,
            roundcube_path: row.try_get("roundcube_path")?,
            panel_tls: parse("servers.panel_tls", row.try_get("panel_tls")?)?,
            mail_tls: parse("servers.mail_tls", row.try_get("mail_tls")?)?,
        })
    }
}

/// What an admin may change about a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Its FQDN.
    pub hostname: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Where its sites answer; empty: at its FQDN.
    pub address: String,
    /// What else is told.
    pub places: ServerPlaces,
    /// Placement stops here.
    pub max_accounts: Option<i64>,
    /// Whether it takes new accounts.
    pub active: bool,
}

/// Changes a server's settings. False if there is no such server.
///
/// # Errors
/// The database fails.
pub async fn server_update_in_tx(tx: &mut Tx, id: ServerId, settings: &ServerSettings) -> Result<bool, StoreError> {
    let places = &settings.places;
    let done = sqlx::query(
        "UPDATE servers SET hostname = $1, roles = $2, address = $3, mail_hostname = $4, bus_url = $5, panel_url = $6, \
         phpmyadmin_path = $7, roundcube_path = $8, max_accounts = $9, active = $10, label = $11, panel_tls = $12, mail_tls = $13 \
         WHERE id = $14",
    )
    .bind(&settings.hostname)
    .bind(to_json("servers.roles", &settings.roles)?)
    .bind(&settings.address)
    .bind(&places.mail_hostname)
    .bind(&places.bus_url)
    .bind(&places.panel_url)
    .bind(&places.phpmyadmin_path)
    .bind(&places.roundcube_path)
    .bind(settings.max_accounts)
    .bind(i32::from(settings.active))
    .bind(places.label.as_ref().map(ServerLabel::as_str).unwrap_or_default())
    .bind(places.panel_tls.as_str())
    .bind(places.mail_tls.as_str())
    .bind(id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Lets a server take new accounts, or not.
///
/// # Errors
/// The database fails.
pub async fn server_set_active_in_tx(tx: &mut Tx, id: ServerId, active: bool) -> Result<(), StoreError> {
    sqlx::query("UPDATE servers SET active = $1 WHERE id = $2").bind(i32::from(active)).bind(id.to_string()).execute(&mut **tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ServerLabel, TlsSource};

    #[test]
    fn every_source_of_certificates_reads_back_what_it_is_spelled_as() {
        for source in TlsSource::ALL {
            assert_eq!(source.as_str().parse(), Ok(source));
        }
        assert_eq!(TlsSource::ALL.map(TlsSource::as_str), ["letsencrypt", "custom", "selfsigned"]);
        assert!("LetsEncrypt".parse::<TlsSource>().is_err());
    }

    #[test]
    fn a_label_is_one_line_of_at_most_sixty_characters() {
        assert_eq!(" Frankfurt 1 ".parse::<ServerLabel>().unwrap().as_str(), "Frankfurt 1");
        assert!("ö".repeat(60).parse::<ServerLabel>().is_ok());
        for bad in ["", "  ", &"ö".repeat(61), "two\nlines", "a\u{202e}b", "a\0b"] {
            assert!(bad.parse::<ServerLabel>().is_err(), "{bad:?}");
        }
    }
}
