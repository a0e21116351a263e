//! What each client of the bus may do, and may not, against a real nats-server.

use std::time::Duration;

use async_nats::jetstream;
use futures::StreamExt;
use shared::bus::BusError;
use shared::bus::authority::{Authority, BusAddress};
use shared::bus::client::{Connection, connect};
use shared::bus::credentials::{BusKeys, Credentials, PanelUser, Revocation, WorkerAccount, new_user_key, user_key};
use shared::bus::panel::{DispatchBus, Hint, ServeBus};
use shared::bus::signing::{Purpose, sign};
use shared::bus::topology::Replicas;
use shared::bus::worker::WorkerBus;
use shared::events::{Event, EventEnvelope, Resync};
use shared::ids::{AccountId, Epoch, EventId, JobId, OperationId, QuestionId};
use shared::jobs::{AccountLimits, AccountSpec, ENVELOPE_VERSION, Generation, Job, JobEnvelope, Presence, ResourceKey, SftpAccess};
use shared::live_read::{About, Answer, Question, Says, Told};
use shared::names::{ServerName, Uid};
use shared::security::SecurityKind;
use shared::testing::{NatsServer, now_s};

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn server(name: &str) -> ServerName {
    name.parse().unwrap()
}

pub(crate) fn worker_credentials(keys: &BusKeys, name: &str) -> (Credentials, String) {
    let (seed, public_key) = new_user_key().unwrap();
    (Credentials { jwt: keys.worker_jwt(&server(name), &public_key, now_s()).unwrap(), seed }, public_key)
}

pub(crate) const fn account<'a>(server: &'a ServerName, revoked: &'a [Revocation]) -> WorkerAccount<'a> {
    WorkerAccount { server, stream: "CMD_0", revoked }
}

pub(crate) fn job(server_name: &str) -> JobEnvelope {
    let account = AccountId::new();
    JobEnvelope {
        v: ENVELOPE_VERSION,
        id: JobId::new(),
        operation: OperationId::new(),
        epoch: Epoch::new(),
        server: server(server_name),
        account,
        resource: ResourceKey::Account(account),
        generation: Generation::FIRST,
        requires: Vec::new(),
        attempt: 1,
        job: Job::Account(AccountSpec {
            user: "shop".parse().unwrap(),
            uid: Uid::try_from(200_000).unwrap(),
            presence: Presence::Active,
            sftp: SftpAccess::default(),
            limits: AccountLimits::default(),
        }),
    }
}

async fn dispatch(nats: &NatsServer) -> DispatchBus {
    let bus = DispatchBus::connect(&nats.address(), &nats.keys, Replicas::ONE, now_s()).await.unwrap();
    for name in ["web1", "web2"] {
        bus.ensure_server(&account(&server(name), &[]), now_s()).await.unwrap();
    }
    bus
}

#[tokio::test]
async fn a_job_reaches_its_server_signed_and_only_once() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let sent = job("web1");
    bus.publish_job(&sent, 0).await.unwrap();
    bus.publish_job(&sent, 0).await.unwrap();

    let (credentials, _) = worker_credentials(&nats.keys, "web1");
    let worker = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let mut commands = Box::pin(worker.commands("CMD_0").await.unwrap());
    let chunk = tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap();
    assert_eq!(chunk.len(), 1, "the same job and attempt is stored once");
    let command = chunk.into_iter().next().unwrap().unwrap();
    assert_eq!(command.open(&bus.signer_public_key()).unwrap(), sent);
    assert!(command.open(&new_user_key().unwrap().1).is_err(), "another panel's signature is refused");
    command.acknowledge().await.unwrap();

    let mut second = sent.clone();
    second.attempt = 2;
    bus.publish_job(&second, 0).await.unwrap();
    let chunk = tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap();
    assert_eq!(chunk.into_iter().next().unwrap().unwrap().open(&bus.signer_public_key()).unwrap(), second);
}

#[tokio::test]
async fn f11_a_job_whose_confirmation_died_with_the_bus_is_published_again_and_stored_once() {
    let mut nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let sent = job("web1");
    // It was stored; as if nobody had heard of that.
    bus.publish_job(&sent, 0).await.unwrap();
    nats.restart();
    let again = async {
        // Until the connection is there again.
        while bus.publish_job(&sent, 0).await.is_err() {}
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();

    let (credentials, _) = worker_credentials(&nats.keys, "web1");
    let worker = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let mut commands = Box::pin(worker.commands("CMD_0").await.unwrap());
    let chunk = tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap();
    assert_eq!(chunk.len(), 1);
    let command = chunk.into_iter().next().unwrap().unwrap();
    assert_eq!(command.open(&bus.signer_public_key()).unwrap(), sent);
    command.acknowledge().await.unwrap();
    let mut other = job("web1");
    other.account = sent.account;
    bus.publish_job(&other, 0).await.unwrap();
    let chunk = tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap();
    assert_eq!(chunk.into_iter().next().unwrap().unwrap().open(&bus.signer_public_key()).unwrap(), other, "nothing is in between");
}

#[tokio::test]
async fn f12_a_job_that_was_delivered_and_not_acknowledged_comes_again_after_a_restart_of_the_bus() {
    // The bus waits 10 s for an acknowledgement.
    const REDELIVERY: Duration = Duration::from_secs(60);
    let mut nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let sent = job("web1");
    bus.publish_job(&sent, 0).await.unwrap();
    let (credentials, _) = worker_credentials(&nats.keys, "web1");
    let worker = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let mut commands = Box::pin(worker.commands("CMD_0").await.unwrap());
    let delivered = tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap();
    assert_eq!(delivered.len(), 1);
    drop((delivered, commands));
    nats.restart();
    let again = async {
        loop {
            let Ok(commands) = worker.commands("CMD_0").await else { continue };
            let mut commands = Box::pin(commands);
            while let Some(chunk) = commands.next().await {
                if let Some(command) = chunk.into_iter().flatten().next() {
                    return command.open(&bus.signer_public_key()).unwrap();
                }
            }
        }
    };
    assert_eq!(tokio::time::timeout(REDELIVERY, again).await.unwrap(), sent);
}

#[tokio::test]
async fn an_event_reaches_dispatch_with_its_sender() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let (credentials, public_key) = worker_credentials(&nats.keys, "web1");
    let worker = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let event = EventEnvelope {
        v: ENVELOPE_VERSION,
        id: EventId::new(),
        epoch: Epoch::new(),
        server: server("web1"),
        event: Event::Resync(Resync { ledger_lost: false, applied: Vec::new() }),
    };
    let signed = sign(Purpose::Event, &user_key(&credentials.seed).unwrap(), &event).unwrap();
    worker.publish_event(&event.id.to_string(), &signed).await.unwrap();

    let mut events = Box::pin(bus.events().await.unwrap());
    let chunk = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    let message = chunk.into_iter().next().unwrap().unwrap();
    assert_eq!(message.sender(), Some(server("web1")));
    assert_eq!(message.open(&public_key).unwrap(), event);
    assert!(message.open(&new_user_key().unwrap().1).is_err());
}

/// A raw client with a worker's credentials, and what the bus said about it.
async fn raw_worker(nats: &NatsServer, name: &str) -> async_nats::Client {
    let (credentials, _) = worker_credentials(&nats.keys, name);
    connect(&Connection { bus: &nats.address(), name, credentials: &credentials }).await.unwrap()
}

/// Whether a request is answered. A denied one is not, so a short wait is enough: allowed ones answer within milliseconds.
async fn is_answered(client: &async_nats::Client, subject: &str, payload: &'static str) -> bool {
    let request = client.request(subject.to_owned(), payload.into());
    matches!(tokio::time::timeout(Duration::from_millis(400), request).await, Ok(Ok(_)))
}

#[tokio::test]
async fn a_worker_is_denied_everything_that_is_not_its_own() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    bus.publish_job(&job("web2"), 0).await.unwrap();
    let client = raw_worker(&nats, "web1").await;

    assert!(is_answered(&client, "js.CONSUMER.INFO.CMD_0.web1", "").await, "its own consumer is answered");
    assert!(is_answered(&client, "evt.web1.event", "x").await, "its own event is confirmed");
    let denied = [
        ("js.CONSUMER.INFO.CMD_0.web2", ""),
        ("js.CONSUMER.MSG.NEXT.CMD_0.web2", r#"{"batch":1,"no_wait":true}"#),
        ("js.STREAM.INFO.CMD_0", ""),
        ("$JS.API.CONSUMER.INFO.CMD_0.web1", ""),
        ("$JS.API.CONSUMER.INFO.CMD_0.web2", ""),
        ("$JS.API.CONSUMER.MSG.NEXT.CMD_0.web2", r#"{"batch":1,"no_wait":true}"#),
        ("$JS.API.STREAM.INFO.CMD_0", ""),
        ("$JS.API.STREAM.NAMES", ""),
        ("$JS.API.STREAM.PURGE.CMD_0", ""),
        ("$JS.API.STREAM.DELETE.CMD_0", ""),
        ("$JS.API.STREAM.MSG.GET.CMD_0", r#"{"seq":1}"#),
        ("$JS.API.DIRECT.GET.CMD_0", r#"{"seq":1}"#),
        ("$JS.API.CONSUMER.CREATE.CMD_0.evil", "{}"),
        ("$JS.API.CONSUMER.DELETE.CMD_0.web1", ""),
        ("$JS.API.INFO", ""),
        ("$SYS.REQ.CLAIMS.UPDATE", "x"),
        ("evt.web2.event", "x"),
        ("ans.web2.x", "x"),
        ("ui.ask", "x"),
        ("in.guess.web2.x", "x"),
        ("cmd.web2.x", "x"),
    ];
    let answers = denied.map(async |(subject, payload)| (subject, is_answered(&client, subject, payload).await));
    for (subject, answered) in futures::future::join_all(answers).await {
        assert!(!answered, "{subject} was answered");
    }
}

#[tokio::test]
async fn a_worker_hears_nothing_that_is_not_its_own() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let client = raw_worker(&nats, "web1").await;
    let mut heard = Vec::new();
    for subject in [
        "req.>",
        "req.web2.question",
        "ans.>",
        "ui.ask",
        "cmd.>",
        "evt.>",
        "prog.>",
        "hb.*",
        "in.>",
        "ui.hint",
        "_INBOX.>",
        "_INBOX.web2.>",
        "$JS.EVENT.>",
        "$SYS.>",
        ">",
    ] {
        heard.push((subject, client.subscribe(subject).await.unwrap()));
    }
    client.flush().await.unwrap();
    let other = raw_worker(&nats, "web2").await;
    other.publish("hb.web2", "x".into()).await.unwrap();
    other.publish("prog.web2.x", "x".into()).await.unwrap();
    other.flush().await.unwrap();
    bus.publish_job(&job("web2"), 0).await.unwrap();
    bus.hint(&Hint::default()).await.unwrap();
    // Its own heartbeat comes back to nobody; a last own request proves that all before it was processed.
    assert!(is_answered(&client, "js.CONSUMER.INFO.CMD_0.web1", "").await);
    for (subject, subscriber) in &mut heard {
        let nothing = tokio::time::timeout(Duration::from_millis(20), subscriber.next()).await;
        assert!(!matches!(nothing, Ok(Some(_))), "{subject} was heard");
    }
}

#[tokio::test]
async fn a_forged_acknowledgement_deletes_nobody_elses_job() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    for _ in 0..5 {
        bus.publish_job(&job("web2"), 0).await.unwrap();
    }
    bus.publish_job(&job("web1"), 0).await.unwrap();
    let client = raw_worker(&nats, "web1").await;
    for sequence in 1..=6 {
        client.publish(format!("$JS.ACK.CMD_0.web1.1.{sequence}.{sequence}.1.0"), "+ACK".into()).await.unwrap();
        client.publish(format!("$JS.ACK.CMD_0.web2.1.{sequence}.{sequence}.1.0"), "+ACK".into()).await.unwrap();
    }
    client.flush().await.unwrap();

    let (credentials, _) = worker_credentials(&nats.keys, "web2");
    let worker = WorkerBus::connect(&nats.address(), &server("web2"), &credentials).await.unwrap();
    let mut commands = Box::pin(worker.commands("CMD_0").await.unwrap());
    let mut arrived = 0;
    while arrived < 5 {
        arrived += tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap().len();
    }
    assert_eq!(arrived, 5);
}

/// Reply subjects by which a worker would have the bus do what it may not do itself.
const COVETED_REPLIES: [&str; 14] = [
    "cmd.web2.evil",
    "evt.web2.event",
    "hb.web2",
    "prog.web2.x",
    "ui.hint",
    "_INBOX.web2.x",
    "_INBOX.dispatch.x",
    "$JS.API.STREAM.DELETE.EVT",
    "$JS.API.STREAM.PURGE.CMD_0",
    "$JS.API.STREAM.DELETE.CMD_0",
    "$JS.API.CONSUMER.DELETE.CMD_0.web2",
    "$JS.API.CONSUMER.MSG.NEXT.CMD_0.web2",
    "$JS.API.CONSUMER.PAUSE.CMD_0.web2",
    "$JS.API.CONSUMER.DELETE.EVT.dispatch",
];

#[tokio::test]
async fn a_reply_subject_reaches_nothing_outside_the_workers_account() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    bus.publish_job(&job("web2"), 0).await.unwrap();
    let admin = nats.keys.panel_credentials(PanelUser::Dispatch, now_s()).unwrap();
    let admin = connect(&Connection { bus: &nats.address(), name: "admin", credentials: &admin }).await.unwrap();
    let mut heard = admin.subscribe(">").await.unwrap();
    admin.flush().await.unwrap();

    let client = raw_worker(&nats, "web1").await;
    let forged_ack = (1..=3).map(|sequence| format!("$JS.ACK.CMD_0.web2.1.{sequence}.{sequence}.1.0"));
    for reply in COVETED_REPLIES.into_iter().map(str::to_owned).chain(forged_ack) {
        // The bus answers each of these to the reply subject: a confirmation, a status, a description.
        let pull = r#"{"batch":1,"no_wait":true}"#;
        client.publish_with_reply("evt.web1.event", reply.clone(), "x".into()).await.unwrap();
        client.publish_with_reply("js.CONSUMER.MSG.NEXT.CMD_0.web1", reply.clone(), pull.into()).await.unwrap();
        client.publish_with_reply("js.CONSUMER.INFO.CMD_0.web1", reply.clone(), "".into()).await.unwrap();
        client.publish_with_reply("$JS.ACK.CMD_0.web1.1.1.1.1.0", reply, "".into()).await.unwrap();
    }
    client.flush().await.unwrap();
    assert!(is_answered(&client, "js.CONSUMER.INFO.CMD_0.web1", "").await);

    let streams = jetstream::new(admin);
    assert_eq!(streams.get_stream("CMD_0").await.unwrap().info().await.unwrap().state.messages, 1, "web2's job is still there");
    for (stream, consumer) in [("CMD_0", "web1"), ("CMD_0", "web2"), ("EVT", "dispatch")] {
        let stream = streams.get_stream(stream).await.unwrap();
        assert!(stream.consumer_info(consumer).await.is_ok(), "{consumer}");
    }
    // What passed through the panel's account meanwhile came from web1 alone, and asked for nothing else.
    while let Ok(Some(message)) = tokio::time::timeout(Duration::from_millis(50), heard.next()).await {
        let subject = message.subject.as_str();
        assert!(!COVETED_REPLIES.contains(&subject), "{subject} was reached");
    }
    let (credentials, _) = worker_credentials(&nats.keys, "web2");
    let worker = WorkerBus::connect(&nats.address(), &server("web2"), &credentials).await.unwrap();
    let mut commands = Box::pin(worker.commands("CMD_0").await.unwrap());
    assert_eq!(tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn a_worker_without_an_account_is_let_in_once_it_has_one() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let (credentials, _) = worker_credentials(&nats.keys, "web3");
    assert!(WorkerBus::connect(&nats.address(), &server("web3"), &credentials).await.is_err());
    for _ in 0..2 {
        bus.ensure_server(&account(&server("web3"), &[]), now_s()).await.unwrap();
    }
    assert!(WorkerBus::connect(&nats.address(), &server("web3"), &credentials).await.is_ok());
}

#[tokio::test]
async fn serve_can_wake_dispatch_and_hear_hints_and_nothing_else() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let credentials = nats.keys.panel_credentials(PanelUser::Serve, now_s()).unwrap();
    let serve = ServeBus::connect(&nats.address(), &credentials).await.unwrap();
    let mut wakes = bus.wakes().await.unwrap();
    let mut hints = Box::pin(serve.hints().await.unwrap());
    let account = AccountId::new();
    let raw = connect(&Connection { bus: &nats.address(), name: "serve", credentials: &credentials }).await.unwrap();
    // A request of its own proves that the subscriptions above have reached the server.
    for subject in ["$JS.API.INFO", "$JS.API.STREAM.INFO.CMD_0", "in.guess.web1.x", "cmd.web1.x", "evt.web1.event", "hb.web1"] {
        assert!(!is_answered(&raw, subject, "").await, "{subject} was answered");
    }
    serve.wake().await.unwrap();
    assert!(tokio::time::timeout(PATIENCE, wakes.next()).await.unwrap().is_some());
    let hint = Hint { account: Some(account), ..Hint::default() };
    bus.hint(&hint).await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, hints.next()).await.unwrap(), Some(hint));
}

#[tokio::test]
async fn an_answer_to_serve_goes_where_serve_hears_and_nowhere_else() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let admin = nats.keys.panel_credentials(PanelUser::Dispatch, now_s()).unwrap();
    let admin = connect(&Connection { bus: &nats.address(), name: "admin", credentials: &admin }).await.unwrap();
    let mut asks = bus.asks().await.unwrap();
    let credentials = nats.keys.panel_credentials(PanelUser::Serve, now_s()).unwrap();
    let serve = connect(&Connection { bus: &nats.address(), name: "serve", credentials: &credentials }).await.unwrap();
    let mut heard = admin.subscribe(">").await.unwrap();
    admin.flush().await.unwrap();
    // Dispatch's own requests prove that its subscription has reached the server.
    bus.ensure_streams().await.unwrap();
    for reply in ["evt.web1.event", "req.web1.question", "$JS.API.STREAM.PURGE.CMD_0", "_INBOX.dispatch.x", "_INBOX.serve.last"] {
        serve.publish_with_reply("ui.ask", reply, "{}".into()).await.unwrap();
        let ask = tokio::time::timeout(PATIENCE, asks.next()).await.unwrap().unwrap();
        ask.tell(&Told::Silent).await.unwrap();
    }
    let answer = serde_json::to_vec(&Told::Silent).unwrap();
    let first = async {
        loop {
            let message = heard.next().await.unwrap();
            if message.payload == answer {
                return message.subject.to_string();
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, first).await.unwrap(), "_INBOX.serve.last");
}

#[tokio::test]
async fn a_revoked_worker_is_cut_off_and_the_others_stay() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let (credentials, public_key) = worker_credentials(&nats.keys, "web1");
    let worker = connect(&Connection { bus: &nats.address(), name: "web1", credentials: &credentials }).await.unwrap();
    let other = raw_worker(&nats, "web2").await;
    let mut gone = Box::pin(bus.disconnects().await.unwrap());
    let revoked = [Revocation { public_key: public_key.clone(), at_s: now_s() + 1 }];
    bus.ensure_server(&account(&server("web1"), &revoked), now_s()).await.unwrap();

    assert_eq!(tokio::time::timeout(PATIENCE, gone.next()).await.unwrap().map(|gone| gone.public_key), Some(public_key.clone()));
    let mut refusals = Box::pin(bus.refusals().await.unwrap());
    assert!(connect(&Connection { bus: &nats.address(), name: "web1", credentials: &credentials }).await.is_err());
    let told = tokio::time::timeout(PATIENCE, refusals.next()).await.unwrap().unwrap();
    assert_eq!((told.kind, told.name.as_str(), told.public_key), (SecurityKind::RefusedCredentials, "web1", Some(public_key)));
    assert!(is_answered(&other, "js.CONSUMER.INFO.CMD_0.web2", "").await);
    drop(worker);
}

#[tokio::test]
async fn a_stranger_is_refused() {
    let nats = NatsServer::start();
    let _bus = dispatch(&nats).await;
    let strangers = BusKeys::generate().unwrap();
    let (credentials, _) = worker_credentials(&strangers, "web1");
    assert!(WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.is_err());
    assert!(async_nats::connect(nats.address().url).await.is_err());
}

#[tokio::test]
async fn acknowledged_jobs_survive_the_kill_of_the_bus() {
    let mut nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let sent = job("web1");
    bus.publish_job(&sent, 0).await.unwrap();
    nats.restart();

    let (credentials, _) = worker_credentials(&nats.keys, "web1");
    let worker = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let mut commands = Box::pin(worker.commands("CMD_0").await.unwrap());
    let chunk = tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap();
    assert_eq!(chunk.into_iter().next().unwrap().unwrap().open(&bus.signer_public_key()).unwrap(), sent);
}

#[tokio::test]
async fn a_server_that_the_authority_does_not_vouch_for_is_not_the_bus() {
    let (nats, other) = (NatsServer::start(), NatsServer::start());
    let _bus = dispatch(&nats).await;
    let (credentials, _) = worker_credentials(&nats.keys, "web1");
    let misled = BusAddress { url: nats.address().url, authority: other.address().authority };
    assert!(matches!(WorkerBus::connect(&misled, &server("web1"), &credentials).await, Err(BusError::Connect { .. })));
    let nobody = BusAddress { authority: String::new(), ..nats.address() };
    assert!(matches!(WorkerBus::connect(&nobody, &server("web1"), &credentials).await, Err(BusError::Authority(_))));
    let elsewhere = BusAddress { url: nats.address().url.replace("127.0.0.1", "localhost"), ..nats.address() };
    assert!(WorkerBus::connect(&elsewhere, &server("web1"), &credentials).await.is_ok(), "whatever address it is reached at");
}

/// Says as little as a plain client would, and hears what it is told.
#[tokio::test]
async fn nobody_talks_to_the_bus_in_the_clear() {
    let nats = NatsServer::start();
    let url = nats.address().url;
    let mut plain = tokio::net::TcpStream::connect(url.trim_start_matches("tls://")).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"CONNECT {}\r\nPING\r\n").await.unwrap();
    let mut heard = String::new();
    // The server says what it is, and hangs up on whoever does not begin with TLS.
    let _ = tokio::time::timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_string(&mut plain, &mut heard)).await.unwrap();
    assert!(heard.starts_with("INFO ") && heard.contains("\"tls_required\":true") && !heard.contains("PONG"), "{heard}");
}

#[tokio::test]
async fn a_certificate_is_renewed_and_an_authority_replaced_while_the_bus_runs() {
    let mut nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let (credentials, _) = worker_credentials(&nats.keys, "web1");
    let worker = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let before = nats.address();
    assert_eq!(nats.renew(None), before);
    let (other, _) = worker_credentials(&nats.keys, "web2");
    assert!(WorkerBus::connect(&before, &server("web2"), &other).await.is_ok(), "who trusts the authority connects as before");

    let after = nats.renew(Some(Authority::generate(u64::try_from(now_s()).unwrap()).unwrap()));
    let connected = async || WorkerBus::connect(&after, &server("web2"), &other).await.is_ok();
    // The server is told by a signal, and takes it up when it gets to it.
    tokio::time::timeout(PATIENCE, async { while !connected().await {} }).await.unwrap();
    assert!(WorkerBus::connect(&before, &server("web2"), &other).await.is_err());
    let both = BusAddress { authority: format!("{}{}", before.authority, after.authority), ..after };
    assert!(WorkerBus::connect(&both, &server("web2"), &other).await.is_ok(), "one who was given both connects to either");
    assert!(worker.is_connected(), "connections that stand are left alone");
    drop(bus);
}

#[tokio::test]
async fn f25_a_second_worker_with_one_identity_is_refused_and_the_first_stays() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let (credentials, public_key) = worker_credentials(&nats.keys, "web1");
    let mut refusals = Box::pin(bus.refusals().await.unwrap());
    let first = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let second = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await;
    assert!(matches!(second, Err(BusError::IdentityInUse)), "{:?}", second.err());
    assert!(first.is_connected());
    let told = tokio::time::timeout(PATIENCE, refusals.next()).await.unwrap().unwrap();
    assert_eq!((told.kind, told.name.as_str(), told.host.as_str()), (SecurityKind::SecondConnection, "web1", "127.0.0.1"));
    assert_eq!(told.public_key, Some(public_key));
    first.close().await;
    let connected = async || WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.is_ok();
    tokio::time::timeout(PATIENCE, async { while !connected().await {} }).await.unwrap();
}

#[tokio::test]
async fn an_ended_server_is_cut_off_and_leaves_nothing_and_its_name_can_be_used_again() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    bus.publish_job(&job("web1"), 0).await.unwrap();
    bus.publish_job(&job("web2"), 0).await.unwrap();
    let (credentials, public_key) = worker_credentials(&nats.keys, "web1");
    let _worker = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let mut gone = Box::pin(bus.disconnects().await.unwrap());
    let revoked = [Revocation { public_key: public_key.clone(), at_s: now_s() + 1 }];
    for _ in 0..2 {
        bus.end_server(&account(&server("web1"), &revoked), now_s()).await.unwrap();
    }
    assert_eq!(tokio::time::timeout(PATIENCE, gone.next()).await.unwrap().map(|gone| gone.public_key), Some(public_key));
    let admin = nats.keys.panel_credentials(PanelUser::Dispatch, now_s()).unwrap();
    let admin = connect(&Connection { bus: &nats.address(), name: "admin", credentials: &admin }).await.unwrap();
    let mut stream = jetstream::new(admin).get_stream("CMD_0").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.messages, 1, "what waits for web2 still waits");
    assert!(stream.consumer_info("web1").await.is_err() && stream.consumer_info("web2").await.is_ok());
    let (unknown, _) = worker_credentials(&nats.keys, "web1");
    assert!(WorkerBus::connect(&nats.address(), &server("web1"), &unknown).await.is_err(), "not even with a new key");

    bus.ensure_server(&account(&server("web1"), &revoked), now_s()).await.unwrap();
    assert!(WorkerBus::connect(&nats.address(), &server("web1"), &unknown).await.is_ok());
    assert!(WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.is_err(), "the old key stays revoked");
}

#[tokio::test]
async fn a_question_reaches_its_worker_alone_and_only_its_own_answer_counts() {
    let nats = NatsServer::start();
    let bus = dispatch(&nats).await;
    let (credentials, public_key) = worker_credentials(&nats.keys, "web1");
    let worker = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let (other, other_key) = worker_credentials(&nats.keys, "web2");
    let other = WorkerBus::connect(&nats.address(), &server("web2"), &other).await.unwrap();
    let (mut questions, mut others) = (worker.questions().await.unwrap(), other.questions().await.unwrap());
    // An answer to something else on each connection: the bus knows of the subscriptions before it.
    drop(worker.commands("CMD_0").await.unwrap());
    drop(other.commands("CMD_0").await.unwrap());
    let question = Question { id: QuestionId::new(), epoch: Epoch::new(), server: server("web1"), about: About::Drift };
    let panel_key = bus.signer_public_key();
    let answering = async {
        let heard = tokio::time::timeout(PATIENCE, questions.next()).await.unwrap().unwrap();
        assert!(heard.open(&new_user_key().unwrap().1).is_err(), "another panel's question is refused");
        let heard = heard.open(&panel_key).unwrap();
        let answer = |server: ServerName, says| Answer { question: heard.id, server, says };
        worker.answer(&answer(server("web2"), Says::Unable)).await.unwrap();
        worker.answer(&answer(server("web1"), Says::Noted)).await.unwrap();
    };
    let (says, ()) = tokio::join!(bus.ask(&question, &public_key), answering);
    assert_eq!(says.unwrap(), Some(Says::Noted));
    // What the other hears first is what it is asked itself.
    let own = Question { id: QuestionId::new(), server: server("web2"), ..question };
    let answering = async {
        let heard = tokio::time::timeout(PATIENCE, others.next()).await.unwrap().unwrap().open(&panel_key).unwrap();
        other.answer(&Answer { question: heard.id, server: server("web2"), says: Says::Noted }).await.unwrap();
        heard
    };
    let (says, heard) = tokio::join!(bus.ask(&own, &other_key), answering);
    assert_eq!((says.unwrap(), heard), (Some(Says::Noted), own));
}

#[tokio::test]
async fn the_bus_is_reached_by_ipv6() {
    let nats = NatsServer::start_ipv6();
    assert!(nats.address().url.starts_with("tls://[::1]:"));
    let bus = dispatch(&nats).await;
    let sent = job("web1");
    bus.publish_job(&sent, 0).await.unwrap();
    let (credentials, public_key) = worker_credentials(&nats.keys, "web1");
    let mut come = Box::pin(bus.connects().await.unwrap());
    let worker = WorkerBus::connect(&nats.address(), &server("web1"), &credentials).await.unwrap();
    let came = tokio::time::timeout(PATIENCE, come.next()).await.unwrap().unwrap();
    assert_eq!((came.public_key, came.host.as_str()), (public_key, "::1"));
    let mut commands = Box::pin(worker.commands("CMD_0").await.unwrap());
    let chunk = tokio::time::timeout(PATIENCE, commands.next()).await.unwrap().unwrap();
    assert_eq!(chunk.into_iter().next().unwrap().unwrap().open(&bus.signer_public_key()).unwrap(), sent);
}
