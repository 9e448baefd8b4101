//! NNRP sessions under load: frames are submitted, and their results bring the same payload back.
//!
//! Both ends are processes of their own, with one thread each; what is measured is everything between a submit and its
//! result. The limits are bare transports that echo whole messages, with the same settings.

mod load;
mod peers;
pub mod raw;
pub mod site;
pub mod table;

pub use load::{Load, Meter, Outcome, Transport};
pub use peers::Program;

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
}
