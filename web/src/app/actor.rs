//! Who asks.

use shared::ids::UserId;

use super::AppError;
use crate::store::ids::SessionId;
use crate::store::list::Visible;
use crate::store::user::{Login, UserRole};

/// A person who is signed in, as each use case wants to know them.
#[derive(Debug, Clone)]
pub struct Actor {
    /// Who.
    pub user: UserId,
    /// What they sign in with.
    pub login: Login,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: UserRole,
    /// Through which session.
    pub session: SessionId,
    /// The socket's address.
    pub address: String,
    /// Whether a password has to be chosen before anything else.
    pub must_change_password: bool,
}

impl Actor {
    /// Gantry itself, where it does something that nobody asked for.
    #[must_use]
    pub fn gantry() -> Self {
        Self {
            user: UserId::GANTRY,
            login: Login::of_gantry(),
            name: "Gantry".to_owned(),
            role: UserRole::Admin,
            session: SessionId::new(),
            address: String::new(),
            must_change_password: false,
        }
    }

    /// Whose resources they see.
    #[must_use]
    pub const fn visible(&self) -> Visible {
        match self.role {
            UserRole::Admin => Visible::All,
            UserRole::Client => Visible::Of(self.user),
        }
    }

    /// Whether they run the fleet.
    #[must_use]
    pub const fn is_admin(&self) -> bool {
        match self.role {
            UserRole::Admin => true,
            UserRole::Client => false,
        }
    }

    /// Refuses everybody but admins.
    ///
    /// # Errors
    /// [`AppError::Forbidden`] for clients.
    pub const fn require_admin(&self) -> Result<(), AppError> {
        match self.role {
            UserRole::Admin => Ok(()),
            UserRole::Client => Err(AppError::Forbidden),
        }
    }
}
