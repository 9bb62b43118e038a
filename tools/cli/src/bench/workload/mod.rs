//! What the state is asked to do: a file per workload.

mod list;
mod map;
mod nexmark;
mod value;
mod window;

pub(super) use list::Lists;
pub(super) use map::Maps;
pub(super) use nexmark::Nexmark;
pub(super) use value::Values;
pub(super) use window::Windows;

use super::draw::Draw;
use super::probe::Probe;
use super::settings::Settings;
use esker::Result;
use esker::backend::Backend;

/// One subtask of a workload: states on a backend, and what is asked of them.
pub(super) trait Workload<B: Backend>: Sized + Send + 'static {
    /// The calls that are told apart.
    const CALLS: &'static [&'static str];

    /// How many keys all subtasks share; 0 where keys are not drawn.
    fn keys(settings: &Settings) -> u64;

    /// Opens the states; cheap, as it is part of a restore.
    ///
    /// # Errors
    /// The backend's, of this and of all below.
    fn open(backend: B, settings: &Settings) -> Result<Self>;

    /// What holds the states.
    fn backend(&mut self) -> &mut B;

    /// Fills the states.
    ///
    /// # Errors
    /// As above.
    fn load(&mut self, draw: &mut Draw, probe: &mut Probe) -> Result<()>;

    /// Does the next thing: a few calls, each timed.
    ///
    /// # Errors
    /// As above.
    fn step(&mut self, draw: &mut Draw, probe: &mut Probe) -> Result<()>;
}
