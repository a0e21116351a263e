//! What goes on beside the jobs, and what happens if a part of it stops.
//!
//! **No task ends while the worker runs.** One that does has a fault that nobody foresaw, and a worker without it would look
//! alive and not be: deaf, dumb or unprepared. So the job under way is finished, and the worker ends with an error; systemd
//! starts it again, whole, and it goes on where it was. From the moment a task has ended, nothing tells systemd's watchdog any
//! more that the worker lives, so one that cannot even finish is killed.

use std::collections::HashMap;
use std::future::{Future, pending};

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// A task has ended, though none should.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task `{name}` has {how}")]
pub struct TaskEnded {
    name: &'static str,
    how: &'static str,
}

/// The tasks of a running worker. They end with it.
#[derive(Default)]
pub(crate) struct Tasks {
    set: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts one. The name is for the log.
    pub(crate) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Works until `work` ends, which it does soon after `stop` is cancelled.
    ///
    /// # Errors
    /// A task has ended; then `stop` is cancelled, and `work` has ended too.
    pub(crate) async fn beside(mut self, work: impl Future<Output = ()>, stop: &CancellationToken) -> Result<(), TaskEnded> {
        tokio::pin!(work);
        let ended = tokio::select! {
            () = &mut work => return Ok(()),
            ended = self.first_end() => ended,
        };
        tracing::error!(error = %ended, "a part of the worker has stopped; the worker ends, to be started again");
        drop(self);
        stop.cancel();
        work.await;
        Err(ended)
    }

    async fn first_end(&mut self) -> TaskEnded {
        let (id, how) = match self.set.join_next_with_id().await {
            Some(Ok((id, ()))) => (id, "ended"),
            Some(Err(error)) if error.is_panic() => (error.id(), "panicked"),
            Some(Err(error)) => (error.id(), "been cancelled"),
            None => pending().await,
        };
        TaskEnded { name: self.names.get(&id).copied().unwrap_or("unnamed"), how }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio_util::sync::CancellationToken;

    use super::{TaskEnded, Tasks};

    /// The error, and whether the work was finished before it.
    async fn ended(task: impl Future<Output = ()> + Send + 'static) -> (Result<(), TaskEnded>, bool) {
        let (mut tasks, stop, mut finished) = (Tasks::default(), CancellationToken::new(), false);
        tasks.spawn("steady", pending());
        tasks.spawn("faulty", task);
        let work = async {
            stop.cancelled().await;
            finished = true;
        };
        let result = tasks.beside(work, &stop).await;
        (result, finished)
    }

    #[tokio::test]
    async fn a_task_that_ends_or_panics_ends_the_worker_once_its_job_is_finished() {
        assert_eq!(ended(async {}).await, (Err(TaskEnded { name: "faulty", how: "ended" }), true));
        assert_eq!(ended(async { panic!("a fault") }).await, (Err(TaskEnded { name: "faulty", how: "panicked" }), true));
    }

    #[tokio::test]
    async fn a_worker_that_is_told_to_stop_ends_without_an_error() {
        let (mut tasks, stop) = (Tasks::default(), CancellationToken::new());
        tasks.spawn("steady", pending());
        stop.cancel();
        assert_eq!(tasks.beside(stop.cancelled(), &stop).await, Ok(()));
    }
}
