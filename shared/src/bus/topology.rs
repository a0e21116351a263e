//! Streams and consumers.

/// The stream that carries the jobs of the first 500 servers.
pub const FIRST_COMMAND_STREAM: &str = "CMD_0";
