//! Of all panels that hold a copy of one database, the bus serves one: the others do not lead.
//!
//! The lease tells dispatch processes of *one* database apart. A database that was copied, or restored from a backup, has a lease
//! of its own, and the same keys, epoch and bus. So whoever leads also replaces the bus's incarnation every few seconds, each time
//! by one that its database has noted before.
//!
//! **Who leads knows what the bus holds**: its database names it as what it saw or as what it was about to store. A copy knows
//! one that has been replaced since, and stands back: it sends nothing, takes no event, and says so to its admins and to the panel
//! that leads. `gantry bus adopt` makes the bus serve it all the same, and then the other stands back, within seconds.
//! **An empty bus is taken**, and so is one whose store was put back: it holds an incarnation that this database has replaced
//! already. A panel that has stood back takes neither until an operator says so.
//!
//! Between a copy that is started and the next replacement, at most three seconds later, the two cannot be told apart: the first
//! that replaces it goes on and the other stands back. A copy usually cannot lead that early, because it holds a copy of the lease,
//! too.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use shared::bus::BusError;
use shared::bus::incarnation::{Incarnation, Replaced};
use shared::bus::panel::{DispatchBus, Hint};
use shared::security::SecurityKind;
use tokio::time::Instant;

use super::{Dispatch, DispatchError, chain};
use crate::store::incarnation::{Ours, incarnation_note, incarnation_ours, incarnation_stand_back_in_tx, lineage_number};
use crate::store::security_event::{NewSecurityEvent, security_event_insert_in_tx};
use crate::store::{Db, StoreError};

/// Whom the bus serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    /// This panel.
    Us,
    /// Another one.
    Another,
}

/// How often it is replaced, and looked at by a panel that stands back.
pub(super) const PAUSE: Duration = Duration::from_secs(3);
/// A panel that stands back says so again after so long.
const REMINDER: Duration = Duration::from_mins(10);
/// Another dispatch process of the same database, which has just taken the lease, may be quicker now and then.
const TRIES: u32 = 5;

/// What follows from what database and bus hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// This is to be noted, and stored by the bus.
    Store { known: Option<Incarnation>, next: Incarnation },
    /// The bus serves another panel.
    Another,
}

/// Decides. `passed` is how far this database went in the lineage of what the bus holds, if it is one of before.
fn decide(ours: &Ours, held: Option<Option<Incarnation>>, passed: Option<u64>) -> Next {
    let begin = |known| Next::Store { known, next: Incarnation::first() };
    let refuse = |known| if ours.adopts { begin(known) } else { Next::Another };
    let Some(held) = held else {
        return match ours.next {
            _ if ours.stood_back => refuse(ours.known),
            // It was begun for an empty bus before, and may arrive yet.
            Some(next) if next.number == 1 => Next::Store { known: ours.known, next },
            Some(_) | None => begin(ours.known),
        };
    };
    // Whatever it is, it is not ours.
    let Some(held) = held else { return refuse(ours.known) };
    if ours.next == Some(held) {
        return Next::Store { known: Some(held), next: held.after() };
    }
    if ours.known == Some(held) {
        // What was begun may arrive yet, or has to be sent again.
        return Next::Store { known: Some(held), next: ours.next.unwrap_or_else(|| held.after()) };
    }
    let current = ours.known.filter(|known| known.lineage == held.lineage).is_some_and(|known| held.number < known.number);
    if !ours.stood_back && (current || passed.is_some_and(|passed| held.number <= passed)) {
        return begin(Some(held));
    }
    refuse(Some(held))
}

/// Replaces the bus's incarnation, if it is this panel's.
///
/// # Errors
/// The database fails, or the bus does not answer: then nothing is known, and nothing was lost.
pub(super) async fn advance(db: &Db, bus: &DispatchBus) -> Result<Serves, DispatchError> {
    for _ in 0..TRIES {
        let ours = incarnation_ours(db).await?;
        let held = bus.incarnation().await?;
        let passed = match held.and_then(|held| held.incarnation) {
            Some(held) => lineage_number(db, held.lineage).await?,
            None => None,
        };
        let Next::Store { known, next } = decide(&ours, held.map(|held| held.incarnation), passed) else { return Ok(Serves::Another) };
        let is_noted = ours.known == known && ours.next == Some(next) && !ours.stood_back && !ours.adopts;
        if !is_noted && !incarnation_note(db, &ours, known, next).await? {
            continue;
        }
        if bus.replace_incarnation(held, next).await? == Replaced::Yes {
            return Ok(Serves::Us);
        }
    }
    Ok(Serves::Another)
}

/// Replaces it again and again. Ends when the bus serves another panel.
pub(super) async fn keep(dispatch: Arc<Dispatch>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        match advance(&dispatch.db, &dispatch.bus).await {
            Ok(Serves::Us) => {}
            Ok(Serves::Another) => return tracing::error!("the bus serves another panel now"),
            // Without the bus nothing is sent, and without the database the lease is lost.
            Err(error) => tracing::debug!(error = %chain(&error), "whether the bus still serves this panel is not known"),
        }
    }
}

/// A panel that may not lead, and when it said so last.
#[derive(Debug, Default)]
pub(super) struct Aside {
    told: Option<Instant>,
}

impl Aside {
    /// Notes that this panel, which calls itself `name`, stands back, and says so now and then: to its own admins, to the panel
    /// that leads, and in the log.
    pub(super) async fn tell(&mut self, db: &Db, bus: &DispatchBus, name: &str) -> Result<(), StoreError> {
        if self.told.is_some_and(|told| told.elapsed() < REMINDER) {
            return Ok(());
        }
        let detail = "the bus serves another panel, which holds a copy of this one's database: this one sends nothing and hears nothing";
        let new = NewSecurityEvent { server_name: "", kind: SecurityKind::SecondPanel, detail, times: 1 };
        let mut tx = db.write().await?;
        incarnation_stand_back_in_tx(&mut tx).await?;
        // A line of its own: that of the minute may say that another one stood back.
        security_event_insert_in_tx(&mut tx, &new).await?;
        tx.commit().await?;
        tracing::error!("dispatch does not lead: {detail}. If this is the panel to keep: gantry bus adopt");
        self.told = Some(Instant::now());
        let told: Result<(), BusError> = async {
            bus.tell_of_second_panel(name).await?;
            bus.hint(&Hint { security: true, ..Hint::default() }).await
        }
        .await;
        if let Err(error) = told {
            tracing::debug!(error = %chain(&error), "the other panel was not told");
        }
        Ok(())
    }
}

/// Hears of panels that stand back.
pub(super) async fn listen(dispatch: Arc<Dispatch>) {
    match dispatch.bus.second_panels().await {
        Ok(names) => {
            let mut names = Box::pin(names);
            while let Some(name) = names.next().await {
                let detail = format!("a panel with a copy of this one's database, called {name:?}, wants to lead and may not");
                dispatch.refused(SecurityKind::SecondPanel, "", &detail).await;
            }
        }
        Err(error) => tracing::error!(error = %chain(&error), "second panels cannot be heard of"),
    }
}

#[cfg(test)]
mod tests {
    use shared::bus::incarnation::Incarnation;

    use super::{Next, Ours, decide};

    fn panel(known: Incarnation, next: Incarnation) -> Ours {
        Ours { known: Some(known), next: Some(next), ..Ours::default() }
    }

    /// What would be stored.
    fn stored(next: Next) -> Incarnation {
        match next {
            Next::Store { next, .. } => next,
            Next::Another => panic!("it stands back"),
        }
    }

    #[test]
    fn a_panel_goes_on_from_what_it_saw_and_from_what_it_was_about_to_store() {
        let (one, two) = {
            let one = Incarnation::first();
            (one, one.after())
        };
        assert_eq!(decide(&panel(one, two), Some(Some(one)), None), Next::Store { known: Some(one), next: two }, "it has not arrived");
        assert_eq!(stored(decide(&panel(one, two), Some(Some(two)), None)).number, 3);
        let three = two.after();
        assert_eq!(decide(&panel(one, two), Some(Some(three)), None), Next::Another, "a copy was left behind");
        assert_eq!(decide(&panel(one, two), Some(Some(one.after())), None), Next::Another, "another has replaced the same one");
        assert_eq!(decide(&Ours::default(), Some(Some(one)), None), Next::Another, "a copy from before there were incarnations");
        assert_eq!(decide(&panel(one, two), Some(None), None), Next::Another, "nobody can read it");
    }

    #[test]
    fn a_bus_that_is_empty_or_was_put_back_is_taken_in_a_new_lineage() {
        let old = Incarnation::first();
        let (seen, next) = {
            let seen = old.after().after();
            (seen, seen.after())
        };
        let ours = panel(seen, next);
        let empty = stored(decide(&ours, None, None));
        assert!(empty.number == 1 && empty.lineage != seen.lineage);
        assert_eq!(stored(decide(&panel(seen, empty), None, None)), empty, "the same, until it has arrived");
        let back = stored(decide(&ours, Some(Some(old)), None));
        assert!(back.number == 1 && back.lineage != seen.lineage);
        let older = Incarnation::first();
        assert_eq!(stored(decide(&ours, Some(Some(older)), Some(1))).number, 1, "of a lineage of before");
        assert_eq!(decide(&ours, Some(Some(older.after())), Some(1)), Next::Another, "that has gone on without this panel");
    }

    #[test]
    fn a_panel_that_stood_back_leads_again_by_an_operators_word_alone() {
        let old = Incarnation::first();
        let seen = old.after();
        let aside = Ours { stood_back: true, ..panel(seen, seen.after()) };
        let others = Incarnation::first();
        for held in [None, Some(Some(old)), Some(Some(others)), Some(None)] {
            assert_eq!(decide(&aside, held, None), Next::Another, "{held:?}");
            assert_eq!(stored(decide(&Ours { adopts: true, ..aside.clone() }, held, None)).number, 1, "{held:?}");
        }
        assert_eq!(stored(decide(&aside, Some(Some(seen)), None)).number, 3, "the bus never served another");
    }
}
