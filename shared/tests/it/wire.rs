//! The wire format, pinned: a panel and a worker of different builds talk to each other.
//!
//! Each message is written out as it travels. It must decode, and encode to the same text again. **A test that fails here
//! means that workers in the field would not understand the panel, or the panel them**: add a field with `#[serde(default)]`
//! instead, or raise `ENVELOPE_VERSION` and keep reading the old form.

use std::collections::BTreeSet;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::enrolment::{EnrolmentReply, EnrolmentRequest};
use shared::events::{Event, EventEnvelope, Heartbeat, Outcome, Progress, Verdict};
use shared::jobs::{ENVELOPE_VERSION, Job, JobEnvelope, ResourceKey, ResourceKind};
use shared::live_read::{About, Answer, Question, Says};

/// The message reads as this type and is written as it was read.
fn pinned<T: Serialize + DeserializeOwned>(text: &str) -> T {
    let message: T = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
    assert_eq!(serde_json::to_string(&message).unwrap(), text, "the message is written in another way than it is read");
    message
}

/// The message reads the same when a newer sender has put a field of its own into every object.
fn reads_past_unknown_fields<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &str) {
    let mut newer: Value = serde_json::from_str(text).unwrap();
    add_everywhere(&mut newer);
    assert_eq!(serde_json::from_value::<T>(newer).unwrap(), serde_json::from_str::<T>(text).unwrap());
}

fn add_everywhere(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(add_everywhere);
            fields.insert("from_the_future".to_owned(), Value::Bool(true));
        }
        Value::Array(items) => items.iter_mut().for_each(add_everywhere),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A job's envelope around a resource and its state.
fn envelope(resource: &str, requires: &str, job: &str) -> String {
    format!(
        "{{\"v\":1,\"id\":\"0190a000-0000-7000-8000-000000000001\",\"operation\":\"0190a000-0000-7000-8000-000000000002\",\
         \"epoch\":\"0190a000-0000-7000-8000-000000000003\",\"server\":\"web1\",\"account\":\"0190a000-0000-7000-8000-000000000004\",\
         \"resource\":\"{resource}\",\"generation\":7,\"requires\":[{requires}],\"attempt\":2,\"job\":{job}}}"
    )
}

fn account_job() -> String {
    envelope(
        "account:0190a000-0000-7000-8000-000000000004",
        "",
        "{\"type\":\"account\",\"user\":\"shop\",\"uid\":200001,\"presence\":\"active\",\"sftp\":{\"password\":{\"sender\":\"XSENDER\",\"sealed\":\"c2VhbGVk\"},\
         \"keys\":[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\"]},\
         \"limits\":{\"cpu_percent\":150,\"memory_mib\":512,\"tasks\":null}}",
    )
}

fn pool_job(process_manager: &str) -> String {
    envelope(
        "php_pool:0190a000-0000-7000-8000-000000000005",
        "{\"resource\":\"account:0190a000-0000-7000-8000-000000000004\",\"generation\":1}",
        &format!(
            "{{\"type\":\"php_pool\",\"user\":\"shop\",\"uid\":200001,\"version\":\"8.2\",\"presence\":\"present\",\"settings\":{{\"memory_limit_mib\":256,\
             \"max_execution_time_s\":60,\"max_input_time_s\":60,\"max_input_vars\":5000,\"post_max_size_mib\":64,\
             \"upload_max_filesize_mib\":64,\"process_manager\":{process_manager}}}}}"
        ),
    )
}

fn site_job(kind: &str) -> String {
    envelope(
        "site:0190a000-0000-7000-8000-000000000006",
        "{\"resource\":\"php_pool:0190a000-0000-7000-8000-000000000005\",\"generation\":3}",
        &format!(
            "{{\"type\":\"site\",\"user\":\"shop\",\"uid\":200001,\"domain\":\"shop.example\",\"aliases\":[\"www.shop.example\",\"*.shop.example\"],\
             \"document_root\":\"shop.example/public\",\"kind\":{kind},\"presence\":\"suspended\"}}"
        ),
    )
}

fn worker_job(signature: &str) -> String {
    let sha256 = "0a".repeat(32);
    envelope(
        "worker:0190a000-0000-7000-8000-000000000008",
        "",
        &format!(
            "{{\"type\":\"worker\",\"version\":\"0.2.0\",\"packages\":[{{\"architecture\":\"amd64\",\"sha256\":\"{sha256}\",\"signature\":{signature}}}],\
             \"panel\":\"https://panel.example:8443\",\"fingerprint\":\"AB:CD\"}}"
        ),
    )
}

/// One job of each kind, and each variant within.
fn jobs() -> Vec<String> {
    vec![
        account_job(),
        pool_job("{\"pm\":\"ondemand\",\"max_children\":10,\"idle_timeout_s\":20,\"max_requests\":1000}"),
        pool_job("{\"pm\":\"static\",\"max_children\":10,\"max_requests\":0}"),
        pool_job("{\"pm\":\"dynamic\",\"max_children\":10,\"start_servers\":2,\"min_spare\":1,\"max_spare\":3,\"max_requests\":0}"),
        site_job("{\"type\":\"static\"}"),
        site_job("{\"type\":\"php\",\"version\":\"8.2\"}"),
        worker_job(&format!("\"{}==\"", "A".repeat(86))),
        worker_job("null"),
    ]
}

/// An event's envelope.
fn event(event: &str) -> String {
    format!(
        "{{\"v\":1,\"id\":\"0190a000-0000-7000-8000-000000000007\",\"epoch\":\"0190a000-0000-7000-8000-000000000003\",\
         \"server\":\"web1\",\"event\":{event}}}"
    )
}

fn outcome(verdict: &str) -> String {
    event(&format!(
        "{{\"type\":\"outcome\",\"job\":\"0190a000-0000-7000-8000-000000000001\",\"operation\":\"0190a000-0000-7000-8000-000000000002\",\
         \"resource\":\"site:0190a000-0000-7000-8000-000000000006\",\"generation\":7,\"attempt\":2,\"verdict\":{verdict},\
         \"steps\":[{STEPS}],\"started_ms\":1790000000000,\"finished_ms\":1790000000420}}"
    ))
}

/// A step in each state.
const STEPS: &str = "{\"name\":\"files\",\"state\":\"undone\",\"ms\":12},{\"name\":\"nginx test\",\"state\":\"failed\",\"ms\":31,\"detail\":\"nginx: [emerg]\"},\
    {\"name\":\"reload\",\"state\":\"waiting\"},{\"name\":\"probe\",\"state\":\"running\"},{\"name\":\"user\",\"state\":\"done\",\"ms\":0}";

const APPLIED: &str = "{\"verdict\":\"applied\"}";
const SUPERSEDED: &str = "{\"verdict\":\"superseded\"}";
const FAILED: &str =
    "{\"verdict\":\"failed\",\"code\":\"web_server_refused\",\"effect\":\"rolled_back\",\"detail\":\"nginx: [emerg] unknown directive\"}";

const RESYNC: &str = "{\"type\":\"resync\",\"ledger_lost\":true,\"applied\":[[\"account:0190a000-0000-7000-8000-000000000004\",3]]}";

const OUTDATED: &str = "{\"type\":\"outdated\",\"job\":\"0190a000-0000-7000-8000-000000000001\",\"attempt\":2,\"version\":9}";

fn progress() -> String {
    format!(
        "{{\"server\":\"web1\",\"job\":\"0190a000-0000-7000-8000-000000000001\",\"operation\":\"0190a000-0000-7000-8000-000000000002\",\
         \"attempt\":2,\"sequence\":4,\"steps\":[{STEPS}]}}"
    )
}

const HEARTBEAT: &str = "{\"server\":\"web1\",\"at_ms\":1790000000000,\"boot\":\"b00t\",\"version\":\"0.1.0\",\
    \"roles\":[{\"role\":\"web\",\"healthy\":true,\"summary\":\"nginx 1.22.1\"}],\"php_versions\":[\"8.2\",\"8.4\"],\
    \"host\":{\"os\":\"Debian GNU/Linux 12 (bookworm)\",\"kernel\":\"6.1.0-31-amd64\",\"cpus\":2,\"load1\":0.25,\"memory_mib\":2048,\
    \"memory_used_mib\":512,\"disk_mib\":20480,\"disk_used_mib\":1024,\"uptime_s\":3600},\
    \"jobs_waiting\":1,\"events_waiting\":2,\"ledger_resources\":30}";

#[test]
fn jobs_of_every_kind_keep_their_form() {
    let mut kinds = Vec::new();
    for text in jobs() {
        let envelope: JobEnvelope = pinned(&text);
        assert_eq!(envelope.v, ENVELOPE_VERSION);
        assert_eq!(envelope.resource.kind(), envelope.job.kind());
        // A new kind breaks the build here, and then needs a line in `jobs`.
        kinds.push(match envelope.job {
            Job::Account(_) => ResourceKind::Account,
            Job::PhpPool(_) => ResourceKind::PhpPool,
            Job::Site(_) => ResourceKind::Site,
            Job::Worker(_) => ResourceKind::Worker,
        });
    }
    for kind in [ResourceKind::Account, ResourceKind::PhpPool, ResourceKind::Site, ResourceKind::Worker] {
        assert!(kinds.contains(&kind), "{kind} is not pinned");
    }
}

#[test]
fn outcomes_with_every_verdict_resync_and_outdated_keep_their_form() {
    for (text, expected) in [(APPLIED, "applied"), (SUPERSEDED, "superseded"), (FAILED, "failed")] {
        let envelope: EventEnvelope = pinned(&outcome(text));
        let Event::Outcome(Outcome { verdict, steps, .. }) = envelope.event else { panic!("{text} is no outcome") };
        let spelled = match verdict {
            Verdict::Applied => "applied",
            Verdict::Superseded => "superseded",
            Verdict::Failed { .. } => "failed",
        };
        assert_eq!((spelled, steps.len()), (expected, 5));
    }
    let envelope: EventEnvelope = pinned(&event(RESYNC));
    assert!(matches!(envelope.event, Event::Resync(resync) if matches!(resync.applied[..], [(ResourceKey::Account(_), _)])));
    let envelope: EventEnvelope = pinned(&event(OUTDATED));
    assert!(matches!(envelope.event, Event::Outdated(outdated) if (outdated.attempt, outdated.version) == (2, 9)));
}

const DRIFT: &str = "{\"type\":\"drift\",\"afresh\":true,\"findings\":[{\"resource\":\"site:0190a000-0000-7000-8000-000000000006\",\
    \"generation\":7,\"since_ms\":1790000000000,\"differences\":[{\"type\":\"file\",\"path\":\"/etc/nginx/a.conf\",\"diff\":\"@@ -1 +1 @@\\n-a\\n+b\\n\"},\
    {\"type\":\"fact\",\"text\":\"The link is missing.\"}]}],\
    \"set_aside\":[{\"path\":\"/etc/nginx/gantry.d/server/a.conf.broken\",\"said\":\"[emerg]\",\"at_ms\":1790000000000}]}";
const NO_DRIFT: &str = "{\"type\":\"drift\",\"findings\":[]}";
const CONFIGURED: &str = "{\"type\":\"configured\",\"sites\":[{\"resource\":\"site:0190a000-0000-7000-8000-000000000006\",\"generation\":7,\
    \"path\":\"/etc/nginx/sites-available/shop.example.conf\",\"text\":\"server {}\"}]}";

#[test]
fn drift_and_configurations_keep_their_form() {
    let envelope: EventEnvelope = pinned(&event(DRIFT));
    assert!(matches!(envelope.event, Event::Drift(report) if report.afresh && report.findings[0].differences.len() == 2));
    let envelope: EventEnvelope = pinned(&event(NO_DRIFT));
    assert!(matches!(envelope.event, Event::Drift(report) if !report.afresh && report.set_aside.is_none()));
    let envelope: EventEnvelope = pinned(&event(CONFIGURED));
    assert!(matches!(envelope.event, Event::Configured(configured) if configured.sites.len() == 1));
}

const QUESTION: &str = "{\"id\":\"0190a000-0000-7000-8000-000000000008\",\"epoch\":\"0190a000-0000-7000-8000-000000000003\",\"server\":\"web1\",\
    \"about\":{\"type\":\"drift\"}}";
const ANSWER: &str = "{\"question\":\"0190a000-0000-7000-8000-000000000008\",\"server\":\"web1\",\"says\":{\"type\":\"plans\",\"plans\":[{\
    \"resource\":\"site:0190a000-0000-7000-8000-000000000006\",\"differences\":[],\"refused\":{\"code\":\"name_taken\",\"detail\":\"by another\"}}]}}";

#[test]
fn questions_and_answers_keep_their_form() {
    assert_eq!(pinned::<Question>(QUESTION).about, About::Drift);
    let plan = QUESTION.replace(
        "{\"type\":\"drift\"}",
        "{\"type\":\"plan\",\"proposals\":[{\"resource\":\"site:0190a000-0000-7000-8000-000000000006\",\"generation\":8,\"job\":JOB}]}",
    );
    let job = site_job("{\"type\":\"static\"}");
    let (_, job) = job.split_once("\"job\":").unwrap();
    let plan = plan.replace("JOB", job.strip_suffix('}').unwrap());
    assert!(matches!(pinned::<Question>(&plan).about, About::Plan { proposals } if proposals.len() == 1));
    assert!(matches!(pinned::<Answer>(ANSWER).says, Says::Plans { plans } if plans[0].refused.is_some()));
    for says in ["{\"type\":\"noted\"}", "{\"type\":\"unable\"}"] {
        pinned::<Answer>(&format!("{{\"question\":\"0190a000-0000-7000-8000-000000000008\",\"server\":\"web1\",\"says\":{says}}}"));
    }
}

#[test]
fn progress_and_heartbeats_keep_their_form() {
    assert_eq!(pinned::<Progress>(&progress()).sequence, 4);
    assert_eq!(pinned::<Heartbeat>(HEARTBEAT).php_versions.len(), 2);
    let look = "\"ledger_resources\":30,\"look\":{\"at_ms\":1790000000000,\"resources\":30,\"drifted\":1}";
    assert!(pinned::<Heartbeat>(&HEARTBEAT.replace("\"ledger_resources\":30", look)).look.is_some());
}

#[test]
fn joining_keeps_its_form() {
    let reply = "{\"server\":\"web1\",\"epoch\":\"0190a000-0000-7000-8000-000000000003\",\"jwt\":\"eyJ\",\"panel_key\":\"UPANEL\",\
                 \"stream\":\"CMD_0\",\"bus\":{\"url\":\"tls://panel.example:4222\",\"authority\":\"PEM\"}}";
    assert_eq!(pinned::<EnrolmentReply>(reply).stream, "CMD_0");
    let request = "{\"token\":\"t\",\"public_key\":\"UWORKER\",\"seal_key\":\"XWORKER\"}";
    assert_eq!(pinned::<EnrolmentRequest>(request).public_key, "UWORKER");
    reads_past_unknown_fields::<EnrolmentReply>(reply);
}

#[test]
fn a_message_of_a_newer_sender_reads_the_same() {
    for text in jobs() {
        reads_past_unknown_fields::<JobEnvelope>(&text);
    }
    let drift = [event(DRIFT), event(NO_DRIFT), event(CONFIGURED)];
    for text in [outcome(APPLIED), outcome(SUPERSEDED), outcome(FAILED), event(RESYNC), event(OUTDATED)].into_iter().chain(drift) {
        reads_past_unknown_fields::<EventEnvelope>(&text);
    }
    reads_past_unknown_fields::<Progress>(&progress());
    reads_past_unknown_fields::<Heartbeat>(HEARTBEAT);
    reads_past_unknown_fields::<Question>(QUESTION);
    reads_past_unknown_fields::<Answer>(ANSWER);
}

/// A line of a release's sample.
#[derive(Deserialize)]
struct Sampled {
    is: String,
    message: Value,
}

/// What release 0.1.0 wrote, as it wrote it. The file is never changed: for one release after a change of form, panel and workers
/// still understand it. At the next release, its sample takes the place of this one.
#[test]
fn what_the_last_release_wrote_is_still_read() {
    let mut kinds = BTreeSet::new();
    for line in include_str!("wire/0.1.0.jsonl").lines() {
        let Sampled { is, message } = serde_json::from_str(line).unwrap();
        let read = match is.as_str() {
            "job" => serde_json::from_value::<JobEnvelope>(message).map(drop),
            "event" => serde_json::from_value::<EventEnvelope>(message).map(drop),
            "progress" => serde_json::from_value::<Progress>(message).map(drop),
            "heartbeat" => serde_json::from_value::<Heartbeat>(message).map(drop),
            "enrolment_request" => serde_json::from_value::<EnrolmentRequest>(message).map(drop),
            "enrolment_reply" => serde_json::from_value::<EnrolmentReply>(message).map(drop),
            other => panic!("{other} is no kind of message"),
        };
        assert!(read.is_ok(), "{read:?} in {line}");
        kinds.insert(is);
    }
    assert_eq!(kinds.len(), 6, "every kind of message is in the sample: {kinds:?}");
}

#[test]
fn a_job_with_a_bad_name_does_not_decode() {
    let good = site_job("{\"type\":\"static\"}");
    for (from, to) in [
        ("\"shop.example\"", "\"../etc/passwd\""),
        ("\"shop.example/public\"", "\"/etc\""),
        ("\"user\":\"shop\"", "\"user\":\"root;id\""),
        ("\"user\":\"shop\"", "\"user\":\"root\""),
        ("200001", "0"),
        ("\"suspended\"", "\"gone\""),
        ("\"site:0190a000", "\"zone:0190a000"),
    ] {
        assert!(good.contains(from), "{from} is not in the message");
        assert!(serde_json::from_str::<JobEnvelope>(&good.replace(from, to)).is_err(), "{to} was taken");
    }
}
