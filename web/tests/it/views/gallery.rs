//! Writes every page to a folder with the static files beside it, to be looked at in a browser.

use std::fs;
use std::path::Path;

use web::views::assets;
use web::views::layout::Theme;

use super::samples;

#[test]
fn the_gallery_is_written_where_the_environment_says() {
    let Some(folder) = std::env::var_os("GANTRY_GALLERY") else { return };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder.join("static")).unwrap();
    for asset in assets::ALL {
        fs::write(folder.join("static").join(asset.file_name()), asset.bytes).unwrap();
    }
    for theme in [Theme::Light, Theme::Dark] {
        for sample in samples::all(theme) {
            fs::write(folder.join(format!("{}.{}.html", sample.name, theme.as_str())), sample.html.into_string()).unwrap();
        }
    }
}
