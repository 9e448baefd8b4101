//! A session moves to another transport. spec: nnrp-session 4.6

use bytes::Bytes;
use nnrp_wire::TransportId;
use nnrp_wire::session::{MigrateMisuse, PathId};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::MigrateError;
use super::event::Migrated;
use super::session::Session;
use crate::driver::{PathTasks, later};
use crate::link::Link;

impl Session {
    /// Moves the session to another connection, of another transport than it is on. Submits go there from then on; the old
    /// connection delivers what is in flight until the server's grace time is over. Frames that the server has not got are
    /// submitted again, and each result comes once.
    ///
    /// That the session is this client's is proven by the token that the server has given with its hello's answer, if it
    /// has. For another proof, see [`Self::migrate_with`]. Frame ids must grow afterwards.
    ///
    /// If this is dropped, the migration goes on; [`Self::events`] tells what became of it.
    ///
    /// # Errors
    /// If it does not move. Then it goes on where it was, and the link is closed.
    pub async fn migrate(&self, link: Link) -> Result<Migrated, MigrateError> {
        let proof = self.core().agreed().proof;
        let proof = proof.map_or_else(Bytes::new, |proof| proof.body());
        self.migrate_with(link, proof).await
    }

    /// As [`Self::migrate`], to a connection of this transport that is dialled for that, within
    /// [`ClientOptions::migration_timeout`](nnrp_wire::session::ClientOptions::migration_timeout).
    ///
    /// If this is dropped while it dials, nothing happens; after that, the migration goes on.
    ///
    /// # Errors
    /// As [`Self::migrate`]; [`MigrateError::CannotDial`] for sessions over a connection that was made by the caller.
    pub async fn migrate_to(&self, transport: TransportId) -> Result<Migrated, MigrateError> {
        let core = self.core();
        let connector = core.connector.as_ref().ok_or(MigrateError::CannotDial)?;
        let timeout = core.options.session.migration_timeout;
        let deadline = later(Instant::now(), timeout);
        let link = connector.connect(Some(transport), deadline).await;
        let link = link.map_err(|error| match error {
            Some(error) => MigrateError::Dial(error),
            None => MigrateError::Timeout { timeout },
        });
        self.migrate(link?).await
    }

    /// As [`Self::migrate`], with a proof that client and server agree on in another way.
    ///
    /// If this is dropped, the migration goes on.
    ///
    /// # Errors
    /// As [`Self::migrate`].
    pub async fn migrate_with(&self, link: Link, proof: Bytes) -> Result<Migrated, MigrateError> {
        let outcome = self.begin_migration(link, proof)?.await;
        match outcome {
            Ok(moved) => moved.map_err(MigrateError::Failed),
            Err(_) => Err(self.migration_over()),
        }
    }

    fn begin_migration(&self, mut link: Link, proof: Bytes) -> Result<Outcome, MigrateError> {
        let core = self.core();
        let Some(driver) = core.current_driver() else {
            return Err(self.migration_over());
        };
        let (sender, outcome) = oneshot::channel();
        link.reader.set_limits(core.options.split_limits());
        let transport = link.transport();
        let path: PathId = driver.with(|_, feed, _| feed.next_path_id());
        let begun = driver.add_link_with(path, link, PathTasks::default(), |machine, feed, now| {
            machine.migrate(path, transport, proof, now)?;
            feed.add_path(path, transport);
            feed.answers.wait_for_migration(sender);
            Ok(())
        });
        match begun {
            Ok(()) => Ok(outcome),
            Err((misuse, _)) => Err(MigrateError::Misuse(misuse)),
        }
    }

    fn migration_over(&self) -> MigrateError {
        let end = self.core().end();
        end.map_or(
            MigrateError::Misuse(MigrateMisuse::NotActive),
            MigrateError::Over,
        )
    }
}

type Outcome = oneshot::Receiver<Result<Migrated, nnrp_wire::session::MigrationFailure>>;
