//! The panel on a bus of three nodes, one of which dies.

use shared::testing::NatsCluster;

use super::database;
use super::replicas::Replicas;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_the_bus_dies_while_there_is_much_to_do_and_nothing_is_lost_or_doubled() {
    let Some(url) = database().await else { return };
    let mut cluster = NatsCluster::start();
    let replicas = Replicas::start(url, cluster.address(&[0, 1, 2]), "3", &cluster.keys).await;
    let panel = replicas.sign_in();
    // The worker's own node stays: one that dies lets go of its workers' connections minutes later only (README).
    let worker = replicas.worker(0, cluster.address(&[0])).await;
    let owner = panel.client("owner");
    let account = panel.account(&owner, "shopuser");
    let mut domains = Vec::new();
    for site in 0..12 {
        if site == 4 {
            cluster.kill(1);
        }
        if site == 8 {
            cluster.restart(1);
        }
        let domain = format!("node-{site}.example.org");
        panel.site(&account, &domain, "8.2");
        domains.push(domain);
    }
    replicas.assert_nothing_is_lost_or_doubled(&worker, &domains).await;
    worker.stop().await;
}
