//! The thread of a database, and the queue of its jobs.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{Durability, Error};

/// Maximum number of waiting jobs.
const QUEUE: usize = 1_024;
/// Maximum number of jobs in one commit.
const BATCH: usize = 64;

/// A job on the thread. It first runs in a savepoint, and is answered after the commit.
trait Job: Send {
    fn durability(&self) -> Durability;
    fn run(&mut self, transaction: &mut Transaction<'_>);
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Work<T, F> {
    durability: Durability,
    job: Option<F>,
    result: Option<Result<T, Error>>,
    answer: SyncSender<Result<T, Error>>,
}

pub(crate) struct Writer {
    jobs: Option<SyncSender<Box<dyn Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(connection: Connection) -> Result<Self, Error> {
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = Builder::new()
            .name("aims-sqlite".to_owned())
            .spawn(move || serve(connection, &queue))
            .map_err(|_no_thread| Error::Closed)?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) fn run<T, F>(&self, durability: Durability, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        let work: Box<dyn Job> = Box::new(Work {
            durability,
            job: Some(job),
            result: None,
            answer,
        });
        let jobs = self.jobs.as_ref().ok_or(Error::Closed)?;
        jobs.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => Error::Busy { limit: QUEUE },
            TrySendError::Disconnected(_) => Error::Closed,
        })?;
        answered.recv().map_err(|_ended| Error::Closed)?
    }
}

impl Drop for Writer {
    /// Ends the thread after the jobs that wait.
    fn drop(&mut self) {
        self.jobs = None;
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // A job that panicked has ended the thread; its caller got an error.
            let _ = thread.join();
        }
    }
}

fn serve(mut connection: Connection, queue: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        batch.extend(queue.try_iter().take(BATCH - 1));
        let committed = carry_out(&mut connection, &mut batch);
        for job in batch {
            job.answer(committed.clone());
        }
    }
}

/// Runs the jobs in one transaction and commits it, as durably as the most demanding job asks.
fn carry_out(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> Result<(), Error> {
    let full = batch.iter().any(|job| job.durability() == Durability::Full);
    let synchronous = if full { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    let mut transaction = Transaction::new(connection, TransactionBehavior::Immediate)?;
    for job in batch {
        job.run(&mut transaction);
    }
    Ok(transaction.commit()?)
}

impl<T, F> Job for Work<T, F>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, transaction: &mut Transaction<'_>) {
        let Some(job) = self.job.take() else {
            return;
        };
        self.result = Some(within(transaction, job));
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Closed),
            (Err(error), _) => Err(error),
        };
        // The caller may have given up.
        let _ = self.answer.send(result);
    }
}

/// Runs a job in a savepoint, so that an error undoes this job alone.
fn within<T>(
    transaction: &mut Transaction<'_>,
    job: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> Result<T, Error> {
    transaction.execute_batch("SAVEPOINT job")?;
    match job(transaction) {
        Ok(value) => {
            transaction.execute_batch("RELEASE job")?;
            Ok(value)
        }
        Err(error) => {
            transaction.execute_batch("ROLLBACK TO job; RELEASE job")?;
            Err(error.into())
        }
    }
}
