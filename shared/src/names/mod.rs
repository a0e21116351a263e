//! Names, paths and versions. Each is a type with a private field whose only way in is `FromStr`; decoding from
//! JSON goes the same way, so a value of one of these types is valid wherever it came from.
//!
//! The messages of [`InvalidName`] are shown to people, beside the field they typed into.

mod domain_name;
mod home_path;
mod linux_user;
mod package;
mod password_hash;
mod php_version;
mod server_name;
mod ssh_key;

pub use domain_name::{DomainName, RegistrableDomain, SiteName};
pub use home_path::DocumentRoot;
pub use linux_user::{LinuxUser, Uid};
pub use package::{Architecture, PackageVersion};
pub use password_hash::CryptHash;
pub use php_version::PhpVersion;
pub use server_name::ServerName;
pub use ssh_key::SshPublicKey;

/// Why a name was refused, in words for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidName {
    message: String,
}

impl InvalidName {
    /// A refusal with its reason. The reason is a sentence a client understands.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Gives a validated string type its `Display`, `AsRef<str>`, `TryFrom<String>` and serde, all through `FromStr`.
macro_rules! string_name {
    ($name:ident) => {
        impl $name {
            /// The text in its one normal form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::names::InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use string_name;
