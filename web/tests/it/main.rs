mod browser;
mod views;
