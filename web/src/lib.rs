pub mod paths;
pub mod views;
