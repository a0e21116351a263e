//! What happens to every request, one concern per file. The order is in [`crate::router`].

pub mod csrf;
pub mod error_page;
pub mod request_log;
pub mod security_headers;
