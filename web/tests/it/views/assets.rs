//! The static files.

use std::io::Write as _;

use web::views::assets::{self, Asset};
use web::views::components::icon::Icon;
use web::views::layout::{Audience, Theme};

use super::{models, samples};

fn text(asset: Asset) -> &'static str {
    std::str::from_utf8(asset.bytes).unwrap()
}

#[test]
fn a_file_is_found_by_its_fingerprinted_name_only() {
    for asset in assets::ALL {
        assert_eq!(Asset::by_file_name(&asset.file_name()).unwrap().bytes, asset.bytes);
        assert!(asset.url().starts_with("/static/") && asset.url().ends_with(&asset.file_name()));
    }
    assert!(Asset::by_file_name("app.css").is_none());
    assert!(Asset::by_file_name("../Cargo.toml").is_none());
}

#[test]
fn the_sprite_has_every_icon_in_use_and_no_other() {
    let sprite = text(assets::ICONS);
    for icon in Icon::ALL {
        assert!(sprite.contains(&format!("<symbol id=\"{}\"", icon.id())), "{icon:?}");
    }
    assert_eq!(sprite.matches("<symbol ").count(), Icon::ALL.len());
}

#[test]
fn scripts_of_ours_use_no_eval_and_write_no_markup() {
    let script = text(assets::JS);
    for forbidden in ["eval(", "new Function", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"] {
        assert!(!script.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn vendored_files_are_the_ones_listed() {
    use sha2::Digest as _;
    let list = include_str!("../../../../static/vendor/VENDOR.md");
    for asset in [assets::HTMX, assets::HTMX_SSE] {
        let hash = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(asset.bytes));
        assert!(list.contains(&hash), "{} is not as listed", asset.file_name());
    }
}

#[test]
fn the_first_page_is_small_over_the_wire() {
    let packed = |bytes: &[u8]| {
        let mut out = Vec::new();
        brotli::CompressorWriter::new(&mut out, 4096, 9, 22).write_all(bytes).unwrap();
        out.len()
    };
    let viewer = models::viewer(Audience::Admin, Theme::System);
    let page = web::views::site::list_page(&viewer, &samples::site_list(true)).into_string();
    let total: usize = assets::ALL.iter().map(|asset| packed(asset.bytes)).sum::<usize>() + packed(page.as_bytes());
    assert!(total < 100 * 1024, "{total} bytes");
}
