//! A bus of three nodes, one of which dies.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures::StreamExt;
use shared::bus::BusError;
use shared::bus::authority::BusAddress;
use shared::bus::client::{Connection, connect};
use shared::bus::credentials::{BusKeys, PanelUser};
use shared::bus::panel::DispatchBus;
use shared::bus::topology::Replicas;
use shared::bus::worker::WorkerBus;
use shared::testing::{NatsCluster, now_s};

use super::bus::{account, job, server, worker_credentials};

/// A cluster chooses its leaders in seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until the cluster has chosen its leaders.
async fn until_it_works<T>(mut attempt: impl AsyncFnMut() -> Result<T, BusError>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The node that leads a stream.
async fn leader(bus: &BusAddress, keys: &BusKeys, stream: &str) -> usize {
    let credentials = keys.panel_credentials(PanelUser::Dispatch, now_s()).unwrap();
    let admin = jetstream::new(connect(&Connection { bus, name: "admin", credentials: &credentials }).await.unwrap());
    let info = admin.get_stream(stream).await.unwrap().info().await.unwrap().clone();
    assert_eq!(info.config.num_replicas, 3);
    let cluster = info.cluster.unwrap();
    assert_eq!(cluster.replicas.len(), 2, "the two that follow");
    NatsCluster::number(&cluster.leader.unwrap()).unwrap()
}

#[tokio::test]
async fn a_node_that_dies_takes_no_job_that_the_bus_had_confirmed() {
    let mut cluster = NatsCluster::start();
    let all = cluster.address(&[0, 1, 2]);
    let (keys, web1) = (cluster.keys.clone(), server("web1"));
    let bus = until_it_works(|| DispatchBus::connect(&all, &keys, Replicas::THREE, now_s())).await;
    until_it_works(async || bus.ensure_server(&account(&web1, &[]), now_s()).await).await;
    let lost = leader(&all, &keys, "CMD_0").await;
    let left: Vec<usize> = (0..3).filter(|node| *node != lost).collect();

    let mut sent = BTreeSet::new();
    for number in 0..40 {
        if number == 20 {
            cluster.kill(lost);
        }
        let job = job("web1");
        // What is not confirmed is sent again, as dispatch does; the bus keeps it once.
        until_it_works(|| bus.publish_job(&job, 0)).await;
        sent.insert(job.id);
    }
    let (credentials, _) = worker_credentials(&keys, "web1");
    let worker = until_it_works(async || WorkerBus::connect(&cluster.address(&left), &web1, &credentials).await).await;
    let mut commands = Box::pin(until_it_works(|| worker.commands("CMD_0")).await);
    let mut arrived = Vec::new();
    while arrived.len() < sent.len() {
        for command in tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap() {
            let command = command.unwrap();
            arrived.push(command.open(&bus.signer_public_key()).unwrap().id);
            command.acknowledge().await.unwrap();
        }
    }
    assert_eq!(arrived.iter().copied().collect::<BTreeSet<_>>(), sent);

    // The node returns with what it had, and the bus can spare another one.
    cluster.restart(lost);
    let other = left[0];
    let deadline = Instant::now() + PATIENCE;
    while !is_whole(&cluster.address(&left), &keys).await {
        assert!(Instant::now() < deadline, "the node that was away does not catch up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cluster.kill(other);
    let job = job("web1");
    until_it_works(|| bus.publish_job(&job, 0)).await;
}

/// Whether every node has all of the stream of jobs.
async fn is_whole(bus: &BusAddress, keys: &BusKeys) -> bool {
    let credentials = keys.panel_credentials(PanelUser::Dispatch, now_s()).unwrap();
    let Ok(client) = connect(&Connection { bus, name: "admin", credentials: &credentials }).await else { return false };
    let Ok(mut stream) = jetstream::new(client).get_stream("CMD_0").await else { return false };
    let Ok(info) = stream.info().await else { return false };
    info.cluster
        .as_ref()
        .is_some_and(|cluster| cluster.replicas.len() == 2 && cluster.replicas.iter().all(|node| node.current && !node.offline))
}
