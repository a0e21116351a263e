//! Judges what daemons and sites say.
//!
//! **nginx is asked whether a vhost serves, PHP only where PHP must be proved.** Which generation of a site is live is nginx's
//! to say, without PHP: that is what a neighbour is compared by, and all that a change which does not concern PHP has to
//! show. A tenant who keeps all his PHP busy therefore stands in nobody's way, not even his own.
//!
//! **Where PHP must be proved** (a site becomes active or changes to another pool, a pool changes) **silence counts as proof
//! if the pool is at work**: the question was taken, nothing came back in time, and the master has children under the
//! account's uid. A free child would have answered, so each is busy, with a request that began before the change or came in
//! between; a master that reloads waits for them in the same way. An answer that PHP failed (502) is no silence.

use shared::names::DomainName;

use super::error::StepError;
use super::image::{FileImage, is_below};
use super::plan::{Action, Expect, Step};
use crate::system::{Check, NAME_IGNORED, NGINX_TREE, NginxTest, ProbeAnswer, StagedChange};

/// What steps will change below nginx's directory: the candidate is tested with all of it.
pub(crate) fn nginx_changes<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<StagedChange> {
    let ours = |path: &std::path::Path| is_below(path, NGINX_TREE);
    steps
        .filter_map(|step| match &step.action {
            Action::WriteFile(file) if ours(&file.path) => Some(StagedChange::Write(file.clone())),
            Action::Link { path, target } if ours(path) => Some(StagedChange::Link { path: path.clone(), target: target.clone() }),
            Action::Remove { path } if ours(path) => Some(StagedChange::Remove { path: path.clone() }),
            Action::WriteFile(_) | Action::Link { .. } | Action::Remove { .. } => None,
            Action::EnsureUser(_)
            | Action::SetPassword { .. }
            | Action::SetSignIn { .. }
            | Action::EndProcesses { .. }
            | Action::EnsureDirectory(_)
            | Action::CreateFile(_)
            | Action::RemoveDirectory { .. }
            | Action::MoveAside { .. }
            | Action::StartUnit { .. }
            | Action::StopUnit { .. }
            | Action::LoadUnits
            | Action::ReloadUnit { .. }
            | Action::TestNginx
            | Action::ReloadNginx
            | Action::TestPhp { .. }
            | Action::TestPacketFilter { .. }
            | Action::TestSshd
            | Action::RememberNeighbour { .. }
            | Action::CompareNeighbour { .. }
            | Action::Probe { .. } => None,
        })
        .collect()
}

/// Whether the candidate may go live.
///
/// A refusal is the host's fault if the live tree is refused too. A name that nginx would ignore fails the job, since the
/// first file wins silently; other new warnings (hash sizes, deprecations) are noted and do no harm.
pub(crate) fn nginx(test: &NginxTest) -> Result<(), StepError> {
    let live = test.live.as_ref();
    if !test.candidate.accepted {
        return Err(match live {
            Some(live) if !live.accepted => StepError::HostConfigBroken(plain(&live.output)),
            Some(_) | None => StepError::NginxRefused(test.candidate.output.trim().to_owned()),
        });
    }
    let conflicts = |text: &str| text.lines().filter_map(conflict).map(str::to_owned).collect::<Vec<_>>();
    let known = live.map(|live| conflicts(&live.output)).unwrap_or_default();
    match conflicts(&test.candidate.output).into_iter().find(|name| !known.contains(name)) {
        Some(new) => Err(StepError::NameTaken(new)),
        None => Ok(()),
    }
}

/// Which of the jobs `asked` a refusal of nginx's names, by the rests of their plans: the vhost that it says, or the name that another
/// site has. nginx says the first that it finds, and looks at thousands of files for it, so this saves most of the halving.
pub(crate) fn named(refusal: &StepError, asked: &[usize], rests: &[&[Step]]) -> Option<usize> {
    let is_meant = |change: &StagedChange| match (refusal, change) {
        // nginx reads it by its link.
        (StepError::NginxRefused(said), StagedChange::Write(FileImage { path, .. }) | StagedChange::Link { path, .. }) => {
            path.file_name().is_some_and(|name| said.contains(&format!("/sites-enabled/{}:", name.display())))
        }
        (StepError::NameTaken(said), StagedChange::Write(file)) => {
            let text = String::from_utf8_lossy(&file.content.0);
            said.split('"').nth(1).is_some_and(|name| text.split([' ', '\n', ';']).any(|word| word == name))
        }
        _ => false,
    };
    asked.iter().copied().find(|index| nginx_changes(rests[*index].iter()).iter().any(is_meant))
}

/// What nginx said, line by line, without the time and the process: the same fault reads the same at every look.
pub(crate) fn plain(output: &str) -> String {
    let plain = |line: &str| {
        let Some((level, text)) = line.find(" [").and_then(|start| line[start + 1..].split_once(' ')) else { return line.to_owned() };
        let process = text.split_once(": ").filter(|(process, _)| process.bytes().all(|byte| byte.is_ascii_digit() || byte == b'#'));
        format!("{level} {}", process.map_or(text, |(_, text)| text))
    };
    output.trim().lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// The part of a warning that says which name is ignored, without the time and process before it.
fn conflict(line: &str) -> Option<&str> {
    line.find(NAME_IGNORED).map(|start| line[start..].trim())
}

/// A refusal becomes the error that fits the daemon.
pub(crate) fn accepted(check: Check, refused: fn(String) -> StepError) -> Result<(), StepError> {
    if check.accepted { Ok(()) } else { Err(refused(check.output.trim().to_owned())) }
}

/// Whether nginx's answer for a name is the one that counts. Another site's wildcard may answer for a name that has no vhost.
pub(crate) fn nginx_meets(domain: &DomainName, answer: &ProbeAnswer, expect: &Expect) -> bool {
    match (answer, expect) {
        // Its vhost has just been written, and says whose it is.
        (ProbeAnswer::Serving { site, generation, uid: _ }, Expect::Serving { generation: wanted }) => {
            site.as_ref() == Some(domain) && *generation == wanted.0
        }
        // Its vhost may be one that an older worker has written.
        (ProbeAnswer::Serving { site, generation, uid: _ }, Expect::Php { generation: wanted, uid: _, service: _ }) => {
            site.as_ref().is_none_or(|site| site == domain) && *generation == wanted.0
        }
        (ProbeAnswer::Serving { site, generation: _, uid: _ }, Expect::Gone) => site.as_ref().is_some_and(|site| site != domain),
        (ProbeAnswer::Unknown, Expect::Gone) => true,
        // On a host whose default server is not ours, anything that is not the site itself is good enough.
        (ProbeAnswer::Other(text), Expect::Gone) => text.starts_with("HTTP/"),
        (ProbeAnswer::Silent, Expect::Gone)
        | (ProbeAnswer::Unknown | ProbeAnswer::Silent | ProbeAnswer::Other(_), Expect::Serving { .. } | Expect::Php { .. }) => false,
    }
}

#[cfg(test)]
mod tests {
    use shared::failure::FailureCode;
    use shared::jobs::Generation;

    use super::{nginx, nginx_meets, plain};
    use crate::engine::plan::Expect;
    use crate::system::{Check, NginxTest, ProbeAnswer};

    /// A vhost of before this was said is there until its site is next applied.
    #[test]
    fn a_vhost_that_does_not_say_whose_it_is_proves_a_pool_and_neither_a_new_site_nor_one_that_is_gone() {
        let (domain, generation, service) = ("shop.example".parse().unwrap(), Generation(3), String::new());
        let meets = |site: Option<&str>, expect: &Expect| {
            let site = site.map(|site| site.parse().unwrap());
            nginx_meets(&domain, &ProbeAnswer::Serving { site, generation: 3, uid: None }, expect)
        };
        let (own, other) = (Some("shop.example"), Some("example.com"));
        let answers = |expect| [own, other, None].map(|site| meets(site, &expect));
        assert_eq!(answers(Expect::Serving { generation }), [true, false, false]);
        assert_eq!(answers(Expect::Php { generation, uid: 1, service }), [true, false, true]);
        assert_eq!(answers(Expect::Gone), [false, true, false]);
    }

    #[test]
    fn a_fault_reads_the_same_at_every_look() {
        let looks = [
            "nginx: [emerg] unknown directive \"x\" in /etc/nginx/a.conf:1\nnginx: configuration file /etc/nginx/nginx.conf test failed",
            "2026/11/21 15:16:57 [emerg] 9540#9540: unknown directive \"x\" in /etc/nginx/a.conf:1\n\
             nginx: configuration file /etc/nginx/nginx.conf test failed\n",
        ];
        for look in looks {
            let expected =
                "[emerg] unknown directive \"x\" in /etc/nginx/a.conf:1\nnginx: configuration file /etc/nginx/nginx.conf test failed";
            assert_eq!(plain(look), expected);
        }
        assert_eq!(plain("2026/11/21 15:16:57 [emerg] 1#1: host not found: x"), "[emerg] host not found: x");
    }

    fn check(accepted: bool, output: &str) -> Check {
        Check { accepted, output: output.to_owned() }
    }

    fn code(candidate: Check, live: Option<Check>) -> Option<FailureCode> {
        nginx(&NginxTest { candidate, live }).err().map(|error| error.code())
    }

    #[test]
    fn a_refused_candidate_is_the_hosts_fault_only_if_the_live_tree_is_refused_too() {
        let bad = || check(false, "nginx: [emerg] unknown directive \"x\" in /etc/nginx/conf.d/a.conf:3");
        assert_eq!(code(bad(), Some(bad())), Some(FailureCode::HostConfigBroken));
        assert_eq!(code(bad(), Some(check(true, "ok"))), Some(FailureCode::WebServerRefused));
    }

    #[test]
    fn a_name_nginx_would_ignore_fails_the_job_unless_it_was_ignored_before() {
        let warned =
            |pid: u32| check(true, &format!("nginx: [warn] {pid}#0: conflicting server name \"a.example\" on 0.0.0.0:80, ignored"));
        assert_eq!(code(warned(1), Some(check(true, "ok"))), Some(FailureCode::NameTaken));
        assert_eq!(code(warned(1), Some(warned(2))), None);
    }

    #[test]
    fn another_warning_does_not_fail_the_job() {
        assert_eq!(code(check(true, "nginx: [warn] could not build optimal server_names_hash"), Some(check(true, "ok"))), None);
    }
}
