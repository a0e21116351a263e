//! What handlers take out of a request. **Rejections are [`crate::error::PageError`]**, so they are pages too.

mod cookies;
mod form;
mod path;
mod peer;
mod signed_in;

pub use cookies::{Flash, Preferences, SESSION, clear_flash, nav_cookie, session_cookie, session_end_cookie, session_token, theme_cookie};
pub use form::{Form, Query};
pub use path::Path;
pub use peer::PeerAddress;
pub use signed_in::{SignedIn, ViewerSlot, wants_part};
