//! What a thing on the host looks like: the words that planning, undoing and the host layer share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use shared::names::LinuxUser;

/// Who owns a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

impl Owner {
    /// root and its group.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    /// A tenant's own: its user, and its group of the same number.
    #[must_use]
    pub const fn tenant(id: u32) -> Self {
        Self { uid: id, gid: id }
    }

    /// root's, readable by a tenant's group.
    #[must_use]
    pub const fn root_for(id: u32) -> Self {
        Self { uid: 0, gid: id }
    }
}

/// A file's bytes. Written as text where it is text, so that plans can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredContent", into = "StoredContent")]
pub struct Content(pub Vec<u8>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredContent {
    Text(String),
    Binary { base64: String },
}

impl From<StoredContent> for Content {
    fn from(stored: StoredContent) -> Self {
        match stored {
            StoredContent::Text(text) => Self(text.into_bytes()),
            StoredContent::Binary { base64 } => Self(BASE64.decode(base64.as_bytes()).unwrap_or_default()),
        }
    }
}

impl From<Content> for StoredContent {
    fn from(content: Content) -> Self {
        String::from_utf8(content.0).map_or_else(|bytes| Self::Binary { base64: BASE64.encode(bytes.as_bytes()) }, Self::Text)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// A file as it should be, or as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileImage {
    /// Where. Every directory above it is free of links.
    pub path: PathBuf,
    /// Whose.
    pub owner: Owner,
    /// Permission bits, such as `0o640`.
    pub mode: u32,
    /// What it holds.
    pub content: Content,
}

/// A directory as it should be, or as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryImage {
    /// Where. Every directory above it exists and is free of links.
    pub path: PathBuf,
    /// Whose.
    pub owner: Owner,
    /// Permission bits, such as `0o750`.
    pub mode: u32,
    /// Rights beyond the permission bits.
    #[serde(default, skip_serializing_if = "Acl::is_plain")]
    pub acl: Acl,
}

/// POSIX access control lists of a directory, in the kernel's own encoding (hexadecimal). Compared and restored as
/// they are; [`Acl::for_web_server`] is the only one that Gantry makes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Acl {
    /// `system.posix_acl_access`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<String>,
    /// `system.posix_acl_default`: what new files inside inherit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// What the web server may do in a tenant's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebRights {
    /// Pass through, without seeing what is in it.
    Enter,
    /// List and read, also everything made in it later.
    Read,
}

impl Acl {
    /// Whether there is nothing beyond the permission bits.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.access.is_none() && self.default.is_none()
    }

    /// Whether whoever is named in other lists may do at least as much with these.
    #[must_use]
    pub fn lets_in_all_of(&self, other: &Self) -> bool {
        let here = given(self.access.as_deref());
        given(other.access.as_deref()).iter().all(|(user, rights)| here.get(user).is_some_and(|given| given & rights == *rights))
    }

    /// The lists of a directory with mode `0750` into which the web server's user may look as `rights` say.
    #[must_use]
    pub fn for_web_server(rights: WebRights, web_uid: u32) -> Self {
        match rights {
            WebRights::Enter => Self { access: Some(encode(web_uid, EXECUTE)), default: None },
            WebRights::Read => {
                let list = encode(web_uid, READ | EXECUTE);
                Self { access: Some(list.clone()), default: Some(list) }
            }
        }
    }
}

const READ: u16 = 4;
const EXECUTE: u16 = 1;
/// Tags of entries: a user by number, and the most that such entries give.
const USER: u16 = 0x02;
const MASK: u16 = 0x10;

/// What a list gives to users by number.
fn given(list: Option<&str>) -> BTreeMap<u32, u16> {
    let bytes = list.and_then(|list| HEXLOWER.decode(list.as_bytes()).ok()).unwrap_or_default();
    let (entries, _) = bytes.get(4..).unwrap_or_default().as_chunks::<8>();
    let entries: Vec<(u16, u16, u32)> = entries
        .iter()
        .map(|[t0, t1, r0, r1, id @ ..]| (u16::from_le_bytes([*t0, *t1]), u16::from_le_bytes([*r0, *r1]), u32::from_le_bytes(*id)))
        .collect();
    let mask = entries.iter().find(|(tag, ..)| *tag == MASK).map_or(u16::MAX, |(_, rights, _)| *rights);
    entries.into_iter().filter(|(tag, ..)| *tag == USER).map(|(_, rights, id)| (id, rights & mask)).collect()
}

/// `user::rwx, user:<web>:rights, group::r-x, mask::r-x, other::---` as `linux/posix_acl_xattr.h` lays it out: version
/// 2, then tag, rights and id of each entry, little-endian, sorted by tag.
fn encode(web_uid: u32, rights: u16) -> String {
    const NO_ID: u32 = u32::MAX;
    let entries =
        [(0x01_u16, 7_u16, NO_ID), (USER, rights, web_uid), (0x04, READ | EXECUTE, NO_ID), (MASK, READ | EXECUTE, NO_ID), (0x20, 0, NO_ID)];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(rights.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    HEXLOWER.encode(&bytes)
}

/// What lies at a path. Links are never followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Absent,
    /// A regular file with one name.
    File {
        /// Whose.
        owner: Owner,
        /// Permission bits.
        mode: u32,
        /// Its size in bytes.
        len: u64,
    },
    /// A directory.
    Directory {
        /// Whose.
        owner: Owner,
        /// Permission bits.
        mode: u32,
        /// Rights beyond them.
        acl: Acl,
    },
    /// A symbolic link.
    Link {
        /// Where it points, as it is written.
        target: PathBuf,
    },
    /// A pipe, a socket, a device, or a file with several names: nothing that Gantry makes.
    Other {
        /// In words.
        found: &'static str,
    },
}

impl Entry {
    /// In words, for messages.
    #[must_use]
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::File { .. } => "a file",
            Self::Directory { .. } => "a directory",
            Self::Link { .. } => "a link",
            Self::Other { found } => found,
        }
    }
}

/// A Linux user to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserImage {
    /// Its name, and that of its group.
    pub name: LinuxUser,
    /// Its number, and that of its group.
    pub uid: u32,
    /// The comment field, by which Gantry knows its own users.
    pub comment: String,
    /// `$HOME`.
    pub home: PathBuf,
    /// The login shell.
    pub shell: PathBuf,
    /// A further group.
    pub member_of: String,
}

/// A Linux user as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Its number.
    pub uid: u32,
    /// The number of its primary group.
    pub gid: u32,
    /// The name of its primary group.
    pub group: String,
    /// The comment field.
    pub comment: String,
    /// Names of its further groups.
    pub groups: Vec<String>,
    /// The password field of the shadow file.
    pub password: String,
    /// The day since 1970 on which it expires.
    pub expires: Option<i64>,
}

/// What systemd knows of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitState {
    /// Running, or listening.
    Active,
    /// Stopped, failed or unknown.
    Inactive,
}

/// A path below another, as text.
#[must_use]
pub fn is_below(path: &Path, directory: &str) -> bool {
    path.starts_with(directory)
}
