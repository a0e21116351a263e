//! Figures of the panel beside their floor: `cargo bench -p web --bench panel -- page|sse|assets|fleet`.
//!
//! **A figure is measured in the same run, on the same machine, by the same client as its floor**, which is a bare server made
//! of the same parts (axum, maud, sqlx) that does nothing but the work nobody could leave out; each in a process of its own. Quote the ratio, not the value:
//! how fast a machine is, and who else works on it, goes into both.
//!
//! - `page.client_home`, `page.sites_list_1000`: requests per second over loopback, plain HTTP, not compressed.
//! - `sse.bytes_per_viewer_N`, `sse.reach_N`: the memory of one more open page, and how long a change takes to reach all of N.
//! - `fleet.*`: processor, memory, jobs, pages and live rows of a panel with 1,000 servers.
//! - `assets.first_page_bytes`: what a browser that was never here loads.

mod assets;
mod figure;
mod fleet;
mod page;
mod served;
mod sse;
mod viewers;
mod workers;
mod world;

fn main() -> anyhow::Result<()> {
    // Cargo passes `--bench`; what is left is ours.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments[..] {
            ["page"] => page::run().await,
            ["sse"] => sse::run().await,
            ["assets"] => assets::run().await,
            ["fleet"] => fleet::run().await,
            ["panel", database] => sse::panel_process(database).await,
            ["sse-floor"] => sse::floor_process().await,
            ["page-floor", database, hash, path] => page::floor(database, hash, path).await,
            ["workers", crew] => workers::run(crew).await,
            ["viewers", address, path, cookie, count] => viewers::run(address, path, cookie, count.parse()?).await,
            _ => anyhow::bail!("choose a part: page, sse, assets or fleet"),
        }
    })
}
