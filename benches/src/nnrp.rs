//! NNRP sessions under load: frames are submitted, and their results bring the same payload back.
//!
//! Both ends are processes of their own, with one thread each; what is measured is everything between a submit and its
//! result. The limits are bare transports that echo whole messages, with the same settings.

mod load;
mod many;
pub mod ours;
mod peers;
pub mod raw;
pub mod site;
pub mod table;

pub use load::{Load, Meter, Outcome, Transport};
pub use many::{FanOut, Idle};
pub use peers::Program;

use std::any::Any;
use std::path::Path;

/// Something that carries frames there and back.
pub trait Carrier {
    /// Answers until the process is killed; tells where once it listens.
    ///
    /// # Errors
    /// It cannot listen.
    fn serve(
        &self,
        transport: Transport,
        certificate: &Path,
        announce: impl FnOnce(&str),
    ) -> impl Future<Output = anyhow::Result<()>>;

    /// Puts load on what [`Self::serve`] announced.
    ///
    /// # Errors
    /// The connection fails, or a result is not what was submitted.
    fn load(&self, load: &Load) -> impl Future<Output = anyhow::Result<Outcome>>;

    /// Opens sessions with what [`Self::serve`] announced and sends nothing; gives what keeps them open.
    ///
    /// # Errors
    /// One cannot be opened.
    fn open_idle(&self, idle: &Idle) -> impl Future<Output = anyhow::Result<Box<dyn Any>>>;

    /// Sends to all receivers once they are there, then waits to be killed; tells where it listens.
    ///
    /// # Errors
    /// It cannot listen, or a receiver leaves too early.
    fn publish(
        &self,
        fan_out: &FanOut,
        announce: impl FnOnce(&str),
    ) -> impl Future<Output = anyhow::Result<()>>;

    /// Receives what [`Self::publish`] sends in as many sessions; gives the times that all messages took, in ns.
    ///
    /// # Errors
    /// A connection fails, or ends too early.
    fn receive(&self, fan_out: &FanOut) -> impl Future<Output = anyhow::Result<Vec<u64>>>;
}
