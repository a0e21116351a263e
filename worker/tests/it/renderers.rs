//! Renderers: golden texts, and the law that no accepted value changes the structure of what is written.

use std::collections::BTreeSet;

use proptest::prelude::*;
use shared::jobs::{AccountLimits, Generation, PhpSettings, Presence, ProcessManager, SiteKind, SiteSpec};
use worker::roles::web::{firewall, nginx, php_fpm, sshd, systemd};

use crate::support::{KEY, site_spec};

fn vhost(spec: &SiteSpec) -> String {
    nginx::vhost(spec, Generation(7), true).unwrap()
}

#[test]
fn golden_vhosts() {
    let mut spec = site_spec("shop.example");
    spec.aliases = vec!["www.shop.example".parse().unwrap(), "*.shop.example".parse().unwrap()];
    insta::assert_snapshot!("vhost_php", vhost(&spec));
    spec.kind = SiteKind::Static;
    spec.document_root = "shop.example/public".parse().unwrap();
    insta::assert_snapshot!("vhost_static", vhost(&spec));
    spec.presence = Presence::Suspended;
    insta::assert_snapshot!("vhost_suspended", vhost(&spec));
    insta::assert_snapshot!("nginx_pool", nginx::pool(&PhpSettings::default()));
    insta::assert_snapshot!("nginx_baseline", nginx::baseline(true));
}

#[test]
fn golden_pool_units_and_keys() {
    let (user, version) = ("shop".parse().unwrap(), "8.2".parse().unwrap());
    insta::assert_snapshot!("php_pool", php_fpm::pool(&user, version, &PhpSettings::default()));
    insta::assert_snapshot!("php_socket", systemd::php_socket(version));
    insta::assert_snapshot!("php_service", systemd::php_service(version));
    let limits = AccountLimits { cpu_percent: Some(150), memory_mib: Some(512), tasks: Some(100) };
    insta::assert_snapshot!("slice", systemd::slice(&user, limits));
    insta::assert_snapshot!("sshd", sshd::baseline(&BTreeSet::new()));
    insta::assert_snapshot!("firewall", firewall::rules());
    insta::assert_snapshot!("firewall_unit", firewall::unit());
    insta::assert_snapshot!("keys", sshd::authorized_keys(&[KEY.parse().unwrap()]));
}

/// nginx's grammar: words, blocks and ends of directives; quotes and comments as nginx reads them.
fn structure(text: &str) -> Vec<String> {
    let (mut tokens, mut word, mut chars) = (Vec::new(), String::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '#' if word.is_empty() => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' | '\'' if word.is_empty() => {
                word.push('q');
                while let Some(inner) = chars.next_if(|inner| *inner != c) {
                    word.push(inner);
                }
                chars.next();
            }
            '$' if chars.peek() == Some(&'{') => word.push('$'),
            ';' | '{' | '}' => {
                if !word.is_empty() {
                    tokens.push(std::mem::take(&mut word));
                }
                tokens.push(c.to_string());
            }
            c if c.is_whitespace() => {
                if !word.is_empty() {
                    tokens.push(std::mem::take(&mut word));
                }
            }
            '\\' => {
                word.push(c);
                word.extend(chars.next());
            }
            c => word.push(c),
        }
    }
    tokens
}

fn value() -> impl Strategy<Value = String> {
    // Plausible names, and text that tries to break out.
    prop_oneof!["[a-z0-9.*-]{1,40}", "[a-z]{1,9}\\.[a-z]{2,5}", "[a-z.;{}$\"'\\\\# \n]{1,30}", "\\PC{0,40}"]
}

proptest! {
    #[test]
    fn no_accepted_name_changes_the_structure_of_a_vhost(domain in value(), alias in value(), root in value()) {
        let plain = site_spec("shop.example");
        let mut spec = plain.clone();
        if let Ok(domain) = domain.parse() { spec.domain = domain; }
        if let Ok(root) = root.parse() { spec.document_root = root; }
        let aliases: Vec<_> = alias.parse().into_iter().collect();
        spec.aliases = aliases;
        for presence in [Presence::Active, Presence::Suspended] {
            for kind in [plain.kind, SiteKind::Static] {
                let mut reference = SiteSpec { presence, kind, ..plain.clone() };
                reference.aliases = vec!["a.example".parse().unwrap(); spec.aliases.len()];
                let written = structure(&vhost(&SiteSpec { presence, kind, ..spec.clone() }));
                let expected = structure(&vhost(&reference));
                prop_assert_eq!(written.len(), expected.len());
                for (one, other) in written.iter().zip(&expected) {
                    let mark = |token: &str| matches!(token, ";" | "{" | "}");
                    prop_assert!(one == other || (!mark(one) && !mark(other)), "{} became {}", other, one);
                }
            }
        }
    }

    #[test]
    fn a_pool_file_read_back_holds_exactly_the_keys_it_should(user in value(), memory in any::<u32>(), children in any::<u32>()) {
        let user = user.parse().unwrap_or_else(|_| "shop".parse().unwrap());
        let manager = ProcessManager::Ondemand { max_children: children, idle_timeout_s: 1, max_requests: children };
        let settings = PhpSettings { memory_limit_mib: memory, process_manager: manager, max_execution_time_s: 5, ..PhpSettings::default() };
        let keys = |text: &str| -> Vec<String> {
            text.lines().map(|line| line.split(" = ").next().unwrap_or_default().to_owned()).filter(|key| !key.starts_with('[')).collect()
        };
        let version = "8.2".parse().unwrap();
        let reference = PhpSettings { process_manager: ProcessManager::Ondemand { max_children: 1, idle_timeout_s: 1, max_requests: 1 }, ..PhpSettings::default() };
        prop_assert_eq!(
            keys(&php_fpm::pool(&user, version, &settings)),
            keys(&php_fpm::pool(&"shop".parse().unwrap(), version, &reference))
        );
    }
}
