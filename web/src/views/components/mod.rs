//! The parts pages are made of, one per file. Slots are `Markup`, variants are enums.

pub mod badge;
pub mod button;
pub mod chart;
pub mod choice;
pub mod confirm;
pub mod difference;
pub mod empty_state;
pub mod form_field;
pub mod icon;
pub mod kv;
pub mod menu;
pub mod note;
pub mod pager;
pub mod progress;
pub mod reference;
pub mod secret;
pub mod stat;
pub mod table;
pub mod tile_grid;
pub mod time;
pub mod toast;
pub mod toolbar;
pub mod usage;
