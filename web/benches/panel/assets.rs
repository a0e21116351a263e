//! What a browser loads that was never here: a page and every file it names, as compressed as it comes.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, header};
use tower::ServiceExt as _;

use crate::figure::{Aim, Figure, report};
use crate::world::{World, panel};

/// 100 KiB: a second on a slow mobile connection.
const AIM: f64 = 102_400.0;

pub(crate) async fn run() -> anyhow::Result<()> {
    let world = World::seed().await?;
    let (router, _, _) = panel(&world.database).await?;
    let sign_in = whole_page(&router, "/sign-in", "").await?;
    let home = whole_page(&router, "/", &world.client_cookie).await?;
    let figure = |name, bytes| Figure::new(name, bytes, "bytes", None);
    report(
        "assets",
        &[
            (figure("assets.sign_in_bytes", sign_in), Aim::AtMost(AIM)),
            (figure("assets.client_home_bytes", home), Aim::AtMost(AIM)),
            // Whichever page somebody comes to first.
            (figure("assets.first_page_bytes", sign_in.max(home)), Aim::AtMost(AIM)),
        ],
    )
}

/// Bytes of bodies: the page, and each file it names once.
async fn whole_page(router: &Router, path: &str, cookie: &str) -> anyhow::Result<f64> {
    let plain = body(router, path, cookie, "identity").await?;
    let mut files: Vec<String> =
        ["src=\"", "href=\""].iter().flat_map(|attribute| named(&String::from_utf8_lossy(&plain), attribute)).collect();
    files.sort();
    files.dedup();
    let mut sum = body(router, path, cookie, "br").await?.len();
    println!("{path}: {sum} bytes, {} plain", plain.len());
    for file in files {
        let bytes = body(router, &file, cookie, "br").await?.len();
        println!("  {file}: {bytes} bytes");
        sum += bytes;
    }
    Ok(f64::from(u32::try_from(sum)?))
}

/// Addresses of static files in an attribute, with what follows `#` cut off.
fn named(html: &str, attribute: &str) -> Vec<String> {
    let values = html.split(attribute).skip(1).filter_map(|rest| rest.split(['"', '#']).next());
    values.filter(|value| value.starts_with("/static/") || value.starts_with("/assets/")).map(str::to_owned).collect()
}

async fn body(router: &Router, path: &str, cookie: &str, encoding: &str) -> anyhow::Result<Vec<u8>> {
    let request = Request::get(path)
        .header(header::COOKIE, cookie)
        .header(header::ACCEPT_ENCODING, encoding)
        .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))))
        .body(Body::empty())?;
    let response = router.clone().oneshot(request).await?;
    anyhow::ensure!(response.status() == StatusCode::OK, "{path} answered {}", response.status());
    Ok(to_bytes(response.into_body(), usize::MAX).await?.to_vec())
}
