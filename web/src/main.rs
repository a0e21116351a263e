//! `gantry`: see [`web::cli`].

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    web::cli::install_log();
    web::cli::run().await
}
