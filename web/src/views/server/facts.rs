//! What is known of a server, as facts.

use maud::html;

use super::ShowModel;
use crate::views::components::stat::{count, size_mib};
use crate::views::components::{kv, reference, time};
use crate::views::fragment::Fragment;

const FACTS: &str = "server-facts";

/// The card.
pub(super) fn facts(model: &ShowModel) -> Fragment {
    let server = &model.server;
    let mut facts = vec![("Name", kv::mono(server.name.as_str())), ("Hostname", kv::text(&server.hostname))];
    for (label, value) in model.places.iter().filter(|(_, value)| !value.is_empty()) {
        facts.push((label, kv::mono(value)));
    }
    if let Some(version) = &server.version {
        facts.push(("Agent version", html! { (version) @if server.update { small { " update available" } } }));
    }
    if let Some(peer) = &server.peer {
        facts.push(("Agent address", kv::mono(peer)));
    }
    if !model.os.is_empty() {
        facts.push(("System", kv::text(&model.os)));
        facts.push(("Kernel", kv::mono(&model.kernel)));
    }
    // As it was when it last answered: what it has in use is said only while it does.
    if model.cpus > 0 {
        facts.push(("Cores", html! { (count(model.cpus.into())) }));
    }
    for (label, size) in [("Memory", model.memory_mib), ("Disk", model.disk_mib)].into_iter().filter(|(_, size)| *size > 0) {
        facts.push((label, kv::text(size_mib(size))));
    }
    facts.push(("Active", kv::text(if server.active { "Yes, takes new accounts" } else { "No, takes no new accounts" })));
    facts.push(("Added", time::date(model.created_at)));
    facts.push(("Audit log", reference::audit(server.name.as_str())));
    Fragment::new(FACTS, html! { div #(FACTS) { (kv::card("Details", &facts)) } })
}
