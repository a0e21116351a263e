//! The form for a server, new or not, and what it may hold.

use std::net::IpAddr;

use serde::Deserialize;
use shared::names::{DomainName, ServerName};
use shared::role::Role;

use super::{AppError, FieldErrors};
use crate::store::server::ServerRow;
use crate::store::server_settings::{ServerLabel, ServerPlaces, ServerSettings, TlsSource, UnknownTlsSource};

/// The form as typed. A switch sends something, or nothing at all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServerForm {
    /// Its name on the bus; of a new server only.
    pub name: String,
    /// What people call it; empty: by its name.
    pub label: String,
    /// Its FQDN.
    pub hostname: String,
    /// Where its sites answer; empty is the FQDN.
    pub address: String,
    /// Switch.
    pub role_web: String,
    /// Switch.
    pub role_db: String,
    /// Switch.
    pub role_dns: String,
    /// Switch.
    pub role_mail: String,
    /// Switch.
    pub role_backup: String,
    /// The name its mail services have; optional.
    pub mail_hostname: String,
    /// Where its worker finds the bus; empty is where the others do.
    pub bus_url: String,
    /// Where it finds the panel; empty is where people do.
    pub panel_url: String,
    /// Where phpMyAdmin answers; optional.
    pub phpmyadmin_path: String,
    /// Where Roundcube answers; optional.
    pub roundcube_path: String,
    /// Where the panel's certificate on it is to come from; empty is self-signed.
    pub panel_tls: String,
    /// Where that of its mail services is to come from; empty is self-signed.
    pub mail_tls: String,
    /// Placement stops here; empty is no limit.
    pub max_accounts: String,
    /// Switch: whether it takes accounts.
    pub active: String,
}

impl ServerForm {
    /// The form before anything was typed.
    #[must_use]
    pub fn fresh() -> Self {
        let selfsigned = TlsSource::default().as_str();
        Self {
            role_web: "on".to_owned(),
            active: "on".to_owned(),
            panel_tls: selfsigned.to_owned(),
            mail_tls: selfsigned.to_owned(),
            ..Self::default()
        }
    }

    /// The form with a server's present settings.
    #[must_use]
    pub fn of(server: &ServerRow) -> Self {
        let switch = |on: bool| if on { "on".to_owned() } else { String::new() };
        let role = |role: Role| switch(server.roles.contains(&role));
        let places = server.places.clone();
        Self {
            name: server.name.to_string(),
            label: places.label.map(|label| label.to_string()).unwrap_or_default(),
            hostname: server.hostname.clone(),
            address: server.address.clone(),
            role_web: role(Role::Web),
            role_db: role(Role::Db),
            role_dns: role(Role::Dns),
            role_mail: role(Role::Mail),
            role_backup: role(Role::Backup),
            mail_hostname: places.mail_hostname,
            bus_url: places.bus_url,
            panel_url: places.panel_url,
            phpmyadmin_path: places.phpmyadmin_path,
            roundcube_path: places.roundcube_path,
            panel_tls: places.panel_tls.as_str().to_owned(),
            mail_tls: places.mail_tls.as_str().to_owned(),
            max_accounts: server.max_accounts.map(|most| most.to_string()).unwrap_or_default(),
            active: switch(server.active),
        }
    }

    /// The roles that are switched on.
    #[must_use]
    pub fn roles(&self) -> Vec<Role> {
        let is_on = |role: &Role| {
            let switch = match role {
                Role::Web => &self.role_web,
                Role::Db => &self.role_db,
                Role::Dns => &self.role_dns,
                Role::Mail => &self.role_mail,
                Role::Backup => &self.role_backup,
            };
            !switch.is_empty()
        };
        Role::ALL.into_iter().filter(is_on).collect()
    }

    /// Name and settings of a new server.
    ///
    /// # Errors
    /// [`AppError::Invalid`].
    pub(super) fn parse_new(&self) -> Result<(ServerName, ServerSettings), AppError> {
        let mut errors = FieldErrors::new();
        let name = errors.take("name", self.name.trim().parse::<ServerName>());
        let settings = self.parse(&mut errors);
        match (name, settings) {
            (Some(name), Some(settings)) => Ok((name, settings)),
            (Some(_) | None, None) | (None, Some(_)) => Err(AppError::Invalid(errors)),
        }
    }

    /// Settings of a server that is there.
    ///
    /// # Errors
    /// [`AppError::Invalid`].
    pub(super) fn parse_settings(&self) -> Result<ServerSettings, AppError> {
        let mut errors = FieldErrors::new();
        self.parse(&mut errors).ok_or(AppError::Invalid(errors))
    }

    /// `None` if something was refused.
    fn parse(&self, errors: &mut FieldErrors) -> Option<ServerSettings> {
        let before = errors.iter().count();
        let hostname = errors.take("hostname", self.hostname.parse::<DomainName>());
        let address = self.address.trim();
        if !address.is_empty() && !is_host(address) {
            errors.add("address", "Enter an IP address or a host name.");
        }
        let roles = self.roles();
        if roles.is_empty() {
            errors.add("roles", "Choose at least one role.");
        }
        let mail_hostname = match self.mail_hostname.trim() {
            "" => String::new(),
            name => errors.take("mail_hostname", name.parse::<DomainName>()).map(String::from).unwrap_or_default(),
        };
        let label = match self.label.trim() {
            "" => None,
            label => errors.take("label", label.parse::<ServerLabel>()),
        };
        let places = ServerPlaces {
            label,
            mail_hostname,
            bus_url: errors.take("bus_url", bus_url(self.bus_url.trim())).unwrap_or_default(),
            panel_url: errors.take("panel_url", panel_url(self.panel_url.trim())).unwrap_or_default(),
            phpmyadmin_path: errors.take("phpmyadmin_path", path(self.phpmyadmin_path.trim())).unwrap_or_default(),
            roundcube_path: errors.take("roundcube_path", path(self.roundcube_path.trim())).unwrap_or_default(),
            panel_tls: errors.take("panel_tls", tls(&self.panel_tls)).unwrap_or_default(),
            mail_tls: errors.take("mail_tls", tls(&self.mail_tls)).unwrap_or_default(),
        };
        let max_accounts = match self.max_accounts.trim() {
            "" | "0" => None,
            text => errors.take("max_accounts", text.parse::<u32>().map_err(|_| "Enter a whole number, or nothing for no limit.")),
        };
        let hostname: String = hostname?.into();
        if errors.iter().count() > before {
            return None;
        }
        // Kept empty where it says nothing of its own, so that it follows the hostname.
        let address = if address == hostname { String::new() } else { address.to_owned() };
        let (max_accounts, active) = (max_accounts.map(i64::from), !self.active.is_empty());
        Some(ServerSettings { hostname, roles, address, places, max_accounts, active })
    }
}

fn tls(text: &str) -> Result<TlsSource, UnknownTlsSource> {
    if text.is_empty() { Ok(TlsSource::default()) } else { text.parse() }
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || text.parse::<DomainName>().is_ok()
}

/// `host`, `host:port` or `[address]:port`.
fn is_authority(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<std::net::Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    (host == "localhost" || is_host(host)) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The bus's port, if none is said.
const BUS_PORT: u16 = 4222;

fn bus_url(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let authority = text.strip_prefix("tls://").unwrap_or(text);
    if !is_authority(authority) {
        return Err("Enter a host and a port, such as bus.example.com:4222.");
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
    Ok(if has_port { format!("tls://{authority}") } else { format!("tls://{authority}:{BUS_PORT}") })
}

fn panel_url(text: &str) -> Result<String, &'static str> {
    let url = text.trim_end_matches('/');
    let plain = url.is_empty() || url.strip_prefix("https://").is_some_and(is_authority);
    if plain { Ok(url.to_owned()) } else { Err("Enter an address such as https://panel.example.com:8443.") }
}

fn path(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    let good = text.starts_with('/') && text.len() <= 100 && text.bytes().all(plain) && !text.contains("..") && !text.contains("//");
    if text.is_empty() || good { Ok(text.to_owned()) } else { Err("Enter a path such as /phpmyadmin.") }
}

#[cfg(test)]
mod tests {
    use super::{bus_url, panel_url, path};

    #[test]
    fn addresses_of_bus_and_panel_are_completed_or_refused() {
        for (typed, kept) in [
            ("", Some("")),
            ("bus.example.com", Some("tls://bus.example.com:4222")),
            ("tls://192.0.2.7:4333", Some("tls://192.0.2.7:4333")),
            ("[2001:db8::7]", Some("tls://[2001:db8::7]:4222")),
            ("[2001:db8::7]:4333", Some("tls://[2001:db8::7]:4333")),
            ("bus.example.com:0", None),
            ("bus.example.com:99999", None),
            ("nats://bus.example.com", None),
            ("a b", None),
            ("bus.example.com/x", None),
        ] {
            assert_eq!(bus_url(typed).ok().as_deref(), kept, "{typed}");
        }
        for (typed, good) in
            [("", true), ("https://panel.example.com:8443/", true), ("http://panel.example.com", false), ("https://", false)]
        {
            assert_eq!(panel_url(typed).is_ok(), good, "{typed}");
        }
        for (typed, good) in [("", true), ("/phpmyadmin", true), ("phpmyadmin", false), ("/../etc", false), ("/a b", false), ("//x", false)]
        {
            assert_eq!(path(typed).is_ok(), good, "{typed}");
        }
    }
}
