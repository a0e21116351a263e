//! The architecture as tests: who may know whom, and what must not be written at all.
//!
//! The whole source tree is read as text. A path counts once it is resolved: `use crate::{app, store}` in `web/src/views` is
//! `web::app` and `web::store`. Comments, strings and unit tests at the end of a file do not count. **Each failure says what to
//! do instead**; a rule that turns out wrong is changed here, in the same change as the code that breaks it.

mod faults;
mod layers;
mod source;
mod writing;
