//! Live pages: one stream per page, over which changed parts arrive as they change.
//!
//! A hint says *what* changed, never how. Whoever watches reads it again with the viewer's own rights and renders it with
//! the same functions as a reload would. Many viewers of the same page with the same rights share one rendering.
//!
//! - [`hub`]: hints in, renderings out.
//! - [`diff`]: what of a rendering a viewer does not have yet.
//! - [`view`]: which pages are live, and how each is read.
//! - [`stream`], [`route`]: the answer to a browser.
//!
//! **A slow browser costs nothing**: there is only ever the newest rendering, and whoever is late skips to it.
//! **On every connection the stream first brings the page to the truth**, so nothing is missed between two connections.

pub mod diff;
pub mod hub;
pub mod route;
pub mod stream;
pub mod view;
