//! What `gantry serve` has to know. The command line fills it in.

use shared::names::DomainName;

use crate::tls::PanelCertificate;
use crate::views::join::PanelTrust;
use crate::worker_package::{WorkerOffer, WorkerPackage};

/// Settings of the web tier.
#[derive(Debug, Clone)]
pub struct Config {
    /// The panel's address as people type it, such as `https://panel.example.com:8443`. Every absolute address is made of
    /// it; no header is believed.
    pub public_url: String,
    /// The panel's host name, of which no site may be.
    pub host: String,
    /// How a host that joins knows the panel.
    pub trust: PanelTrust,
    /// The panel's certificate, for hosts that reach it by another name than people do.
    pub certificate: Option<PanelCertificate>,
    /// The worker's packages for hosts that join, and for workers that update themselves.
    pub worker_packages: Vec<WorkerPackage>,
    /// The port at which hosts answer SFTP.
    pub sftp_port: u16,
    /// The port at which browsers reach sites over HTTP, if not 80: when Gantry is tried out, sites are forwarded.
    pub site_port: Option<u16>,
}

impl Config {
    /// Settings for an address; the rest as usual.
    #[must_use]
    pub fn new(public_url: &str) -> Self {
        let public_url = public_url.trim_end_matches('/').to_owned();
        let host = host_of(&public_url);
        Self { public_url, host, trust: PanelTrust::Public, certificate: None, worker_packages: Vec::new(), sftp_port: 22, site_port: None }
    }

    /// How a host knows the panel that it reaches at this address. **The authorities are believed only where the certificate is for
    /// that name**; else its key is pinned.
    #[must_use]
    pub fn trust_at(&self, url: &str) -> PanelTrust {
        let host = host_of(url);
        match &self.certificate {
            Some(certificate) if host != self.host => certificate.trust(&host),
            Some(_) | None => self.trust.clone(),
        }
    }

    /// What servers can be updated to.
    #[must_use]
    pub fn worker_offer(&self) -> Option<WorkerOffer> {
        WorkerOffer::of(&self.worker_packages)
    }

    /// The address at which visitors open a site.
    #[must_use]
    pub fn site_url(&self, domain: &DomainName) -> String {
        match self.site_port {
            None | Some(80) => format!("http://{domain}/"),
            Some(port) => format!("http://{domain}:{port}/"),
        }
    }
}

fn host_of(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = after_scheme.split('/').next().unwrap_or_default();
    // An IPv6 address keeps its brackets' inside; a port is cut off.
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn the_host_is_the_address_without_scheme_and_port() {
        for (url, host) in
            [("https://Panel.Example.com:8443/", "panel.example.com"), ("https://localhost", "localhost"), ("https://[::1]:8443", "::1")]
        {
            assert_eq!(Config::new(url).host, host);
        }
    }

    #[test]
    fn a_site_opens_at_its_own_name_and_at_the_forwarded_port_if_there_is_one() {
        let mut config = Config::new("https://localhost:8443");
        let domain = "shop.localhost".parse().unwrap();
        assert_eq!(config.site_url(&domain), "http://shop.localhost/");
        config.site_port = Some(8080);
        assert_eq!(config.site_url(&domain), "http://shop.localhost:8080/");
    }
}
