//! Domain names.

use std::str::FromStr;

use super::{InvalidName, string_name};

/// A fully qualified host name in its one normal form: lower case, ASCII (punycode for international names), no
/// trailing dot, at least two labels, letters, digits and inner hyphens only.
///
/// So it is safe as a file name, in an nginx `server_name`, and as a NATS token is not (it has dots).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

/// The longest name DNS carries, in presentation form without the final dot (RFC 1035, 255 octets on the wire).
const MAX_NAME: usize = 253;
/// The longest label (RFC 1035).
const MAX_LABEL: usize = 63;

impl DomainName {
    /// The name as people read it: Unicode where the name is international.
    #[must_use]
    pub fn to_unicode(&self) -> String {
        let (text, result) = idna::domain_to_unicode(&self.0);
        if result.is_ok() { text } else { self.0.clone() }
    }

    /// The registrable part below the public suffix: `shop.example.co.uk` gives `example.co.uk`.
    /// `None` when the name is itself a public suffix.
    #[must_use]
    pub fn registrable(&self) -> Option<RegistrableDomain> {
        let domain = psl::domain_str(&self.0)?;
        Some(RegistrableDomain(domain.to_owned()))
    }

    /// Whether this name is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &str) -> bool {
        self.0 == other || self.0.strip_suffix(other).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl FromStr for DomainName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(InvalidName::new("Enter a domain, such as example.com."));
        }
        if text.contains("://") || text.contains('/') {
            return Err(InvalidName::new("Enter only the domain, without http:// and without a path."));
        }
        if text.contains(['@', ':']) {
            return Err(InvalidName::new("Enter only the domain, such as example.com."));
        }
        let ascii = idna::domain_to_ascii_strict(text)
            .map_err(|_| InvalidName::new("A domain has letters, digits, hyphens and dots only, such as example.com."))?;
        check_ascii(&ascii)?;
        Ok(Self(ascii))
    }
}

fn check_ascii(name: &str) -> Result<(), InvalidName> {
    if name.len() > MAX_NAME {
        return Err(InvalidName::new(format!("A domain has at most {MAX_NAME} characters.")));
    }
    if !name.contains('.') {
        return Err(InvalidName::new("A domain has at least two parts, such as example.com."));
    }
    for label in name.split('.') {
        let hostlike = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if label.is_empty() || label.len() > MAX_LABEL || !hostlike || label.starts_with('-') || label.ends_with('-') {
            return Err(InvalidName::new("A domain has letters, digits, hyphens and dots only, such as example.com."));
        }
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidName::new("An IP address cannot be a site's domain. Enter a name, such as example.com."));
    }
    Ok(())
}

string_name!(DomainName);

/// The part of a domain that one account owns in the whole fleet: the label below the public suffix.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistrableDomain(String);

impl RegistrableDomain {
    /// The name, such as `example.co.uk`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name a site answers to: a domain, or all names directly below one (`*.example.com`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteName(String);

impl SiteName {
    /// The domain without a leading `*.`.
    #[must_use]
    pub fn domain(&self) -> DomainName {
        DomainName(self.0.strip_prefix("*.").unwrap_or(&self.0).to_owned())
    }

    /// Whether this is a wildcard.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }
}

impl From<DomainName> for SiteName {
    fn from(domain: DomainName) -> Self {
        Self(domain.0)
    }
}

impl FromStr for SiteName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        match text.strip_prefix("*.") {
            Some(rest) => {
                let domain: DomainName = rest.parse()?;
                Ok(Self(format!("*.{domain}")))
            }
            None => text.parse::<DomainName>().map(Self::from),
        }
    }
}

string_name!(SiteName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DomainName, SiteName};

    fn domain(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn upper_case_a_trailing_dot_and_unicode_have_one_normal_form() {
        assert_eq!(domain(" Shop.Example.COM. ").as_str(), "shop.example.com");
        assert_eq!(domain("bücher.example").as_str(), "xn--bcher-kva.example");
        assert_eq!(domain("BÜCHER.example"), domain("xn--bcher-kva.example"));
        assert_eq!(domain("xn--bcher-kva.example").to_unicode(), "bücher.example");
    }

    #[test]
    fn refuses_what_could_change_a_configuration_file() {
        for bad in [
            "",
            ".",
            "example",
            "-a.example",
            "a-.example",
            "a..example",
            "a_b.example",
            "a b.example",
            "a.example;",
            "a.example}",
            "a.example\n",
            "\na;b.example",
            "$(id).example",
            "a.example{",
            "a\"b.example",
            "a'b.example",
            "a\\b.example",
            "192.0.2.1",
            "1.2.3",
            "http://a.example",
            "a.example/x",
            "a.example:80",
            "u@a.example",
            "*.a.example",
            "a\0b.example",
            "xn--a.example\u{200b}x y",
        ] {
            // A trailing newline is white space around the name, and trimmed; inside it is refused.
            if bad.trim() == bad {
                assert!(bad.parse::<DomainName>().is_err(), "{bad:?} was accepted");
            }
        }
        assert!(format!("{}.example", "a".repeat(64)).parse::<DomainName>().is_err());
        assert!(vec!["abcdefgh"; 32].join(".").parse::<DomainName>().is_err());
    }

    #[test]
    fn the_registrable_domain_lies_just_below_the_public_suffix() {
        assert_eq!(domain("a.b.example.co.uk").registrable().unwrap().as_str(), "example.co.uk");
        assert_eq!(domain("shop.example.com").registrable().unwrap().as_str(), "example.com");
        assert!(domain("co.uk").registrable().is_none());
        assert_eq!(domain("shop.localhost").registrable().unwrap().as_str(), "shop.localhost");
    }

    #[test]
    fn a_name_lies_within_itself_and_its_parents_only() {
        assert!(domain("a.example.com").is_within("example.com"));
        assert!(domain("example.com").is_within("example.com"));
        assert!(!domain("badexample.com").is_within("example.com"));
    }

    #[test]
    fn a_wildcard_has_one_star_at_the_front() {
        let name: SiteName = "*.Example.com".parse().unwrap();
        assert!(name.is_wildcard());
        assert_eq!(name.domain(), domain("example.com"));
        for bad in ["*", "*.com", "a.*.example.com", "**.example.com", "*example.com"] {
            assert!(bad.parse::<SiteName>().is_err(), "{bad:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_domain_parses_to_itself_and_holds_no_special_byte(text in "\\PC{0,60}") {
            if let Ok(name) = text.parse::<DomainName>() {
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'));
                prop_assert_eq!(name.as_str().parse::<DomainName>().unwrap(), name);
            }
        }
    }
}
