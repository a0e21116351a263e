//! As much of nginx as plans need: which names are served, by what, and what is wrong with a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Node, Snapshot};
use crate::system::{Check, ProbeAnswer, Question, StagedChange, SystemError};

/// A vhost as loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vhost {
    /// Its names.
    pub names: Vec<String>,
    /// Whose its probe says it is.
    pub site: Option<String>,
    /// Its probe's generation.
    pub generation: i64,
    /// Its pool's socket, if the probe asks PHP.
    pub socket: Option<String>,
    /// What its probe answers instead, because of an admin's include.
    pub instead: Option<String>,
    /// What PHP's does.
    pub instead_of_php: Option<String>,
}

type Nodes = BTreeMap<PathBuf, Node>;

/// The tree with changes applied.
pub(super) fn staged(nodes: &Nodes, changes: &[StagedChange]) -> Nodes {
    let mut nodes = nodes.clone();
    for change in changes {
        match change {
            StagedChange::Write(file) => {
                nodes.insert(file.path.clone(), Node::File { owner: file.owner, mode: file.mode, content: file.content.0.clone() });
            }
            StagedChange::Link { path, target } => {
                nodes.insert(path.clone(), Node::Link { target: target.clone() });
            }
            StagedChange::Remove { path } => {
                nodes.remove(path);
            }
        }
    }
    nodes
}

/// nginx's test of a tree.
pub(super) fn test(nodes: &Nodes) -> Check {
    let mut output = String::new();
    let (mut seen, mut typo) = (BTreeSet::new(), false);
    for (path, text) in configurations(nodes) {
        let Some(text) = text else {
            return Check { accepted: false, output: format!("nginx: [emerg] open() \"{}\" failed", path.display()) };
        };
        if text.contains("BROKEN") {
            return Check { accepted: false, output: format!("nginx: [emerg] unknown directive \"BROKEN\" in {}:1", path.display()) };
        }
        for name in names(&text) {
            if name != "_" && !seen.insert(name.clone()) {
                output.push_str(&format!("nginx: [warn] conflicting server name \"{name}\" on 0.0.0.0:80, ignored\n"));
            }
        }
        for included in words(&text, "include /").into_iter().flatten() {
            if let Some(directory) = included.strip_suffix("/*.conf") {
                let directory = Path::new("/").join(directory);
                typo |= first_with("$typo", nodes, &directory).is_some();
                if let Some(nothing) = leads_nowhere(nodes, &directory) {
                    let said = format!("open() \"{}\" failed (2: No such file or directory)", nothing.display());
                    return Check { accepted: false, output: format!("nginx: [emerg] {said} in {}:1", path.display()) };
                }
                if let Some(broken) = first_with("BROKEN", nodes, &directory) {
                    let output = format!("nginx: [emerg] unknown directive \"BROKEN\" in {}:1", broken.display());
                    return Check { accepted: false, output };
                }
                continue;
            }
            if !nodes.contains_key(&Path::new("/").join(&included)) {
                return Check { accepted: false, output: format!("nginx: [emerg] open() \"/{included}\" failed (2: No such file)") };
            }
        }
        for log in words(&text, "error_log ").into_iter().flatten() {
            let directory = Path::new(&log).parent().unwrap_or(Path::new("/")).to_owned();
            if !nodes.contains_key(&directory) {
                return Check { accepted: false, output: format!("nginx: [emerg] open() \"{log}\" failed (2: No such file)") };
            }
        }
    }
    if typo {
        // Variables are looked for when everything has been read: nginx does not say where one is used.
        return Check { accepted: false, output: "nginx: [emerg] unknown \"typo\" variable".to_owned() };
    }
    Check { accepted: true, output }
}

/// The first file that nginx reads in a directory and that holds a text.
fn first_with<'a>(text: &str, nodes: &'a Nodes, directory: &Path) -> Option<&'a Path> {
    let included = nodes.iter().filter(|(path, _)| path.parent() == Some(directory) && is_conf(path));
    let holds = |path: &Path| self::text(nodes, path).is_some_and(|content| String::from_utf8_lossy(content).contains(text));
    included.into_iter().map(|(path, _)| path.as_path()).find(|path| holds(path))
}

/// The first link to nothing that nginx reads in a directory.
fn leads_nowhere<'a>(nodes: &'a Nodes, directory: &Path) -> Option<&'a Path> {
    let mut links =
        nodes.iter().filter(|(path, node)| path.parent() == Some(directory) && is_conf(path) && matches!(node, Node::Link { .. }));
    links.find(|(path, _)| text(nodes, path).is_none()).map(|(path, _)| path.as_path())
}

/// What a reload makes of a tree.
pub(super) fn load(nodes: &Nodes) -> Vec<Vhost> {
    configurations(nodes).into_iter().filter_map(|(_, text)| vhost(&text?, nodes)).collect()
}

/// Takes a tree up, as far as nginx does.
pub(super) fn reload(host: &mut Snapshot) -> Result<(), SystemError> {
    if let Some(said) = unbindable(&host.nodes) {
        return Err(SystemError::ReloadRefused { said });
    }
    if test(&host.nodes).accepted {
        host.serving = load(&host.nodes);
    }
    Ok(())
}

/// Why the running nginx would refuse a tree that its test accepts: a port that somebody else has.
fn unbindable(nodes: &Nodes) -> Option<String> {
    let texts = configurations(nodes).into_iter().filter_map(|(_, text)| text);
    let taken = texts.flat_map(|text| included(&text, nodes)).any(|text| text.contains("listen 22;"));
    taken.then(|| "[emerg] bind() to 0.0.0.0:22 failed (98: Address already in use)".to_owned())
}

/// The files that a vhost includes by pattern.
fn included(text: &str, nodes: &Nodes) -> Vec<String> {
    let directories = words(text, "include /").into_iter().flatten().filter_map(|path| path.strip_suffix("/*.conf").map(str::to_owned));
    directories
        .flat_map(|directory| {
            let directory = Path::new("/").join(directory);
            let files = nodes.iter().filter(|(path, _)| path.parent() == Some(&directory) && is_conf(path));
            files.filter_map(|(path, _)| self::text(nodes, path)).collect::<Vec<_>>()
        })
        .map(|content| String::from_utf8_lossy(content).into_owned())
        .collect()
}

fn is_conf(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "conf")
}

fn vhost(text: &str, nodes: &Nodes) -> Option<Vhost> {
    let includes = included(text, nodes);
    let says = |directive: &str| includes.iter().any(|include| include.contains(directive));
    let answers = |status: &str| Some(format!("HTTP/1.1 {status}"));
    let instead = match () {
        // No vhost guards its probe against this one.
        () if says("limit_rate 1;") => answers("200 OK: a byte a second"),
        () if says("return 503;") && !text.contains("if ($gantry_asked)") => answers("503 Service Temporarily Unavailable"),
        () => None,
    };
    let shut = says("deny all;") && !text.contains("allow 127.0.0.1;");
    let instead_of_php = instead.clone().or_else(|| answers("403 Forbidden").filter(|_| shut));
    let number = |marker: &str| -> Option<i64> {
        let digits: String = text.split(marker).nth(1)?.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let php = number("GANTRY_GENERATION ");
    let socket = php.and_then(|_| text.split("unix:").nth(1)?.split(';').next().map(str::to_owned));
    let site = text.split("\"site\":\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    Some(Vhost { names: names(text), site, generation: number("\"generation\":")?, socket, instead, instead_of_php })
}

fn names(text: &str) -> Vec<String> {
    words(text, "server_name ").into_iter().flatten().collect()
}

/// The words of each line that begins with a directive.
fn words(text: &str, directive: &str) -> Vec<Vec<String>> {
    let lines = text.split(['\n', '{']).filter_map(|line| line.trim().strip_prefix(directive));
    lines.map(|rest| rest.split(';').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect()).collect()
}

/// The files nginx would read, in its order; `None` for a link to nothing.
fn configurations(nodes: &Nodes) -> Vec<(PathBuf, Option<String>)> {
    let mut files = Vec::new();
    for directory in ["/etc/nginx/conf.d", "/etc/nginx/sites-enabled"] {
        for (path, node) in nodes.iter().filter(|(path, _)| path.parent() == Some(Path::new(directory))) {
            if matches!(node, Node::Directory { .. } | Node::Pipe) {
                continue;
            }
            files.push((path.clone(), text(nodes, path).map(|bytes| String::from_utf8_lossy(bytes).into_owned())));
        }
    }
    files
}

/// What a file holds, or that to which a link leads.
pub(super) fn text<'a>(nodes: &'a Nodes, path: &Path) -> Option<&'a Vec<u8>> {
    let node = match nodes.get(path)? {
        Node::Link { target } => nodes.get(&resolve(path, target))?,
        node @ (Node::File { .. } | Node::Directory { .. } | Node::Pipe) => node,
    };
    if let Node::File { content, .. } = node { Some(content) } else { None }
}

fn resolve(link: &Path, target: &Path) -> PathBuf {
    match target.strip_prefix("..") {
        Ok(rest) => link.parent().and_then(Path::parent).unwrap_or(Path::new("/")).join(rest),
        Err(_) => target.to_owned(),
    }
}

/// What the running nginx answers.
pub(super) fn probe(host: &Snapshot, silent: &BTreeSet<String>, domain: &str, question: Question) -> ProbeAnswer {
    if !host.active.contains("nginx.service") {
        return ProbeAnswer::Other("no answer: connection refused".to_owned());
    }
    let Some(vhost) = answering(&host.serving, domain) else { return ProbeAnswer::Unknown };
    let instead = if question == Question::Vhost { &vhost.instead } else { &vhost.instead_of_php };
    if let Some(other) = instead {
        return ProbeAnswer::Other(other.clone());
    }
    if question == Question::Vhost {
        let site = vhost.site.as_ref().and_then(|site| site.parse().ok());
        return ProbeAnswer::Serving { site, generation: vhost.generation, uid: None };
    }
    let Some(socket) = &vhost.socket else { return ProbeAnswer::Other("HTTP/1.1 404 Not Found".to_owned()) };
    if silent.iter().any(|pool| socket.ends_with(&format!("/{pool}.sock"))) {
        return ProbeAnswer::Silent;
    }
    match pool_uid(host, socket) {
        Some(uid) => ProbeAnswer::Serving { site: None, generation: vhost.generation, uid: Some(uid) },
        None => ProbeAnswer::Other("HTTP/1.1 502 Bad Gateway".to_owned()),
    }
}

/// The vhost that has a name itself, or by its longest wildcard, as nginx chooses.
fn answering<'a>(serving: &'a [Vhost], domain: &str) -> Option<&'a Vhost> {
    let with = |wanted: &str| serving.iter().find(|vhost| vhost.names.iter().any(|name| name == wanted));
    let above = domain.match_indices('.').map(|(dot, _)| format!("*{}", &domain[dot..]));
    std::iter::once(domain.to_owned()).chain(above).find_map(|name| with(&name))
}

/// Under whom the pool of a socket would answer: it listens, has a configuration, and its user exists.
fn pool_uid(host: &Snapshot, socket: &str) -> Option<u32> {
    let name = socket.rsplit('/').next()?.strip_suffix(".sock")?;
    let (user, version) = name.rsplit_once('-')?;
    let listening = host.active.contains(&format!("gantry-php{version}@{user}.socket"));
    let configured = host.nodes.contains_key(Path::new(&format!("/etc/gantry-worker/php/{name}.conf")));
    if listening && configured { host.users.get(user).map(|record| record.uid) } else { None }
}
