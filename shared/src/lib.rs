//! Gantry's vocabulary: what the panel and the workers say to each other, and the bus they say it over.
//!
//! - [`names`]: every name, path and version that crosses a boundary, as a type that cannot hold a bad value.
//! - [`jobs`]: the desired state of one resource, wrapped in an envelope with its generation.
//! - [`events`]: what a worker reports. [`difference`]: how a host differs from what is wanted. [`live_read`]: questions to a worker.
//! - [`operation`], [`failure`]: the states a request goes through, and the ways it can end badly.
//! - [`release`]: packages that the release key vouches for.
//! - [`tls`]: certificate authorities.
//! - [`bus`]: subjects, streams, credentials, signatures. The only module that knows NATS.
//!
//! **Everything outside [`bus`] is pure**: no IO, no clock, no SQL, no HTML.
//! **Both sides parse with the same types**: a worker re-validates each field of a job because decoding is validating.

pub mod bus;
pub mod difference;
pub mod enrolment;
pub mod events;
pub mod failure;
pub mod ids;
pub mod jobs;
pub mod live_read;
pub mod names;
pub mod operation;
pub mod release;
pub mod role;
pub mod secret;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
