//! The panel as several processes over PostgreSQL, each started as an operator starts it, and killed as a power cut kills it.

mod bus_cluster;
mod cluster_files;
mod process;
mod races;
mod replicas;
mod transfer;

use crate::support::db::postgres_url;

/// A fresh PostgreSQL database, or `None` with the reason printed.
async fn database() -> Option<String> {
    let url = postgres_url().await;
    if url.is_none() {
        println!("skipped: PostgreSQL tests: TEST_PG_URL is not set; run them with `make test`");
    }
    url
}
