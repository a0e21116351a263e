//! What is to be done, as plain data.
//!
//! **A plan is made without touching the host and can be shown, compared and stored.**
//! **An empty plan means that the host is as wanted.**

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shared::jobs::Generation;
use shared::names::{CryptHash, DomainName, LinuxUser, PhpVersion};

use super::image::{DirectoryImage, FileImage, UserImage};

/// The way from the host as it is to the host as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Plan {
    /// In order. Each can be undone until all have succeeded: that is the commit point.
    pub steps: Vec<Step>,
    /// What remains after the commit point. It is only ever carried forward.
    pub finish: Vec<FinishStep>,
}

impl Plan {
    /// Whether the host is as wanted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.finish.is_empty()
    }

    /// Adds a step. Steps with the same visible name are shown as one.
    pub fn step(&mut self, name: &'static str, action: Action) {
        self.steps.push(Step { name: Cow::Borrowed(name), action });
    }

    /// Adds work for after the commit point.
    pub fn finally(&mut self, name: &'static str, action: FinishAction) {
        self.finish.push(FinishStep { name: Cow::Borrowed(name), action });
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What people see, such as `nginx test`.
    pub name: Cow<'static, str>,
    /// What is done.
    pub action: Action,
}

/// What a step does. Every action is safe to repeat; each says what its undo restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Makes a user that does not exist. Repeat: finds it made. Undo: removes it if it was absent.
    EnsureUser(UserImage),
    /// Sets the password field. Repeat: same field. Undo: the field as it was.
    SetPassword {
        /// Whose.
        user: LinuxUser,
        /// To what.
        password: Password,
    },
    /// Allows or bars signing in. Repeat: same state. Undo: the expiry date as it was.
    SetSignIn {
        /// Whose.
        user: LinuxUser,
        /// Allowed or barred.
        sign_in: SignIn,
    },
    /// Ends every process of a user. Repeat: finds none. Undo: nothing; what ran was the tenant's to start again.
    EndProcesses {
        /// Whose, by number, so that it works when the name is gone.
        uid: u32,
    },
    /// Makes a directory, or gives an existing one its owner, mode and lists; never what is in it. Repeat: no change.
    /// Undo: the directory's attributes as they were; removes it if it was absent.
    EnsureDirectory(DirectoryImage),
    /// Makes a file that is absent and leaves one that is there. Repeat: no change. Undo: removes it if it was absent.
    CreateFile(FileImage),
    /// Replaces a file in one rename. Repeat: same file. Undo: the file as it was.
    WriteFile(FileImage),
    /// Removes a file or a link. Repeat: finds it gone. Undo: the file or link as it was.
    Remove {
        /// Which.
        path: PathBuf,
    },
    /// Removes a directory that is empty; fails if it is not. Repeat: finds it gone. Undo: the directory as it was.
    RemoveDirectory {
        /// Which.
        path: PathBuf,
    },
    /// Puts a symbolic link in place in one rename. Repeat: same link. Undo: what was there before.
    Link {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// Moves a whole tree by one rename. Repeat: finds it moved. Undo: moves it back.
    MoveAside {
        /// From here.
        from: PathBuf,
        /// To there, on the same file system.
        to: PathBuf,
    },
    /// Starts a unit. Repeat: it runs. Undo: stops it if it did not run.
    StartUnit {
        /// Its full name.
        unit: String,
    },
    /// Stops a unit. Repeat: it is stopped. Undo: starts it if it ran.
    StopUnit {
        /// Its full name.
        unit: String,
    },
    /// Lets systemd read its unit files again. Repeat: harmless. Undo: the same, once the files are as they were.
    LoadUnits,
    /// Lets a service read its configuration again, or systemd a slice's limits. Repeat: harmless. Undo: the same, once the files
    /// are as they were.
    ReloadUnit {
        /// Its full name.
        unit: String,
    },
    /// Asks nginx about the configuration as the rest of the plan will leave it. Touches nothing, so there is nothing to
    /// undo.
    TestNginx,
    /// Lets nginx read its configuration again. Repeat: harmless. Undo: the same, once the files are as they were.
    ReloadNginx,
    /// Asks PHP-FPM about a pool. Touches nothing that remains.
    TestPhp {
        /// Which PHP.
        version: PhpVersion,
        /// Whose.
        user: LinuxUser,
        /// The whole configuration.
        config: String,
    },
    /// Asks nftables about rules. Touches nothing.
    TestPacketFilter {
        /// The whole file.
        rules: String,
    },
    /// Asks sshd about its configuration as it now is. Touches nothing.
    TestSshd,
    /// Notes how nginx answers for another site. Touches nothing.
    RememberNeighbour {
        /// The other site.
        domain: DomainName,
    },
    /// Fails if nginx no longer answers for the other site as it did. Touches nothing.
    CompareNeighbour {
        /// The other site.
        domain: DomainName,
    },
    /// Asks a site until it answers as expected. Touches nothing.
    Probe {
        /// The site.
        domain: DomainName,
        /// The answer that counts.
        expect: Expect,
    },
}

impl Action {
    /// Whether it may take long because something of the tenant's has to come first, such as the first answer of his PHP or
    /// the end of his last request. It touches nothing that another job's test looks at.
    ///
    /// A socket that is stopped takes the service that requires it with it, and ends after it.
    pub(crate) fn waits_for_tenant(&self) -> bool {
        match self {
            Self::Probe { .. } => true,
            Self::StopUnit { unit } => unit.ends_with(".service") || unit.ends_with(".socket"),
            Self::EnsureUser(_)
            | Self::SetPassword { .. }
            | Self::SetSignIn { .. }
            | Self::EndProcesses { .. }
            | Self::EnsureDirectory(_)
            | Self::CreateFile(_)
            | Self::WriteFile(_)
            | Self::Remove { .. }
            | Self::RemoveDirectory { .. }
            | Self::Link { .. }
            | Self::MoveAside { .. }
            | Self::StartUnit { .. }
            | Self::LoadUnits
            | Self::ReloadUnit { .. }
            | Self::TestNginx
            | Self::ReloadNginx
            | Self::TestPhp { .. }
            | Self::TestPacketFilter { .. }
            | Self::TestSshd
            | Self::RememberNeighbour { .. }
            | Self::CompareNeighbour { .. } => false,
        }
    }

    /// Whether the host is another one afterwards: tests, reloads and probes change nothing.
    pub(crate) const fn changes(&self) -> bool {
        match self {
            Self::EnsureUser(_)
            | Self::SetPassword { .. }
            | Self::SetSignIn { .. }
            | Self::EndProcesses { .. }
            | Self::EnsureDirectory(_)
            | Self::CreateFile(_)
            | Self::WriteFile(_)
            | Self::Remove { .. }
            | Self::RemoveDirectory { .. }
            | Self::Link { .. }
            | Self::MoveAside { .. }
            | Self::StartUnit { .. }
            | Self::StopUnit { .. } => true,
            Self::LoadUnits
            | Self::ReloadUnit { .. }
            | Self::TestNginx
            | Self::ReloadNginx
            | Self::TestPhp { .. }
            | Self::TestPacketFilter { .. }
            | Self::TestSshd
            | Self::RememberNeighbour { .. }
            | Self::CompareNeighbour { .. }
            | Self::Probe { .. } => false,
        }
    }

    /// The file it writes.
    pub(crate) const fn file(&self) -> Option<&FileImage> {
        match self {
            Self::CreateFile(image) | Self::WriteFile(image) => Some(image),
            Self::EnsureUser(_)
            | Self::SetPassword { .. }
            | Self::SetSignIn { .. }
            | Self::EndProcesses { .. }
            | Self::EnsureDirectory(_)
            | Self::Remove { .. }
            | Self::RemoveDirectory { .. }
            | Self::Link { .. }
            | Self::MoveAside { .. }
            | Self::StartUnit { .. }
            | Self::StopUnit { .. }
            | Self::LoadUnits
            | Self::ReloadUnit { .. }
            | Self::TestNginx
            | Self::ReloadNginx
            | Self::TestPhp { .. }
            | Self::TestPacketFilter { .. }
            | Self::TestSshd
            | Self::RememberNeighbour { .. }
            | Self::CompareNeighbour { .. }
            | Self::Probe { .. } => None,
        }
    }
}

/// The answer that proves a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// nginx serves this generation of the site.
    Serving {
        /// The site's generation.
        generation: Generation,
    },
    /// nginx serves this generation, and PHP answers for it, or is at work for others.
    Php {
        /// The site's generation.
        generation: Generation,
        /// The account's uid: PHP runs under it.
        uid: u32,
        /// The unit whose main process is the pool's master.
        service: String,
    },
    /// nginx no longer knows the site. Another one's wildcard may answer for its name.
    Gone,
}

/// A password field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// No password opens it.
    Locked,
    /// This one does.
    Hash(CryptHash),
}

impl Password {
    /// The field of a user without a password, as systemd-sysusers writes it.
    pub const LOCKED: &'static str = "!*";

    /// The field of the shadow file. A secret.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::Locked => Self::LOCKED,
            Self::Hash(hash) => hash.expose(),
        }
    }
}

impl Serialize for Password {
    /// Says which kind it is, and nothing of a hash.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Locked => "locked",
            Self::Hash(_) => "hash",
        })
    }
}

/// Whether a user may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    /// Yes.
    Allowed,
    /// No, by an expiry date in the past.
    Barred,
}

impl SignIn {
    /// The expiry day (days since 1970). Day 1, since day 0 is read as "never" by some programs (shadow(5)).
    #[must_use]
    pub const fn expiry_day(self) -> Option<i64> {
        match self {
            Self::Allowed => None,
            Self::Barred => Some(1),
        }
    }
}

/// A step after the commit point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishStep {
    /// What people see.
    pub name: Cow<'static, str>,
    /// What is done.
    pub action: FinishAction,
}

/// What is done after the commit point. Safe to repeat, never undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishAction {
    /// Ends every process of a user.
    EndProcesses {
        /// Whose.
        uid: u32,
    },
    /// Removes a user and its group. The number is compared, so that a later user of the name is safe.
    RemoveUser {
        /// Which.
        user: LinuxUser,
        /// Its number.
        uid: u32,
    },
}
