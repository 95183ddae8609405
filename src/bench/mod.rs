//! Benchmarks: every kernel and four standard training workloads, checked before they are timed.
//!
//! `toile bench` and the programs under `benches/` run the same code. Rates stand beside the [`Limits`] of the device
//! that were measured in the same run, because absolute times move from machine to machine and from hour to hour.

mod clock;
mod kernels;
mod limits;
mod profile;
mod tune;
mod wgan_gp;
mod workloads;

pub use clock::{Timing, peak_memory, processor, time};
pub use kernels::{Amount, KernelResult, KernelRow, kernel_rows, measure_kernel};
pub use limits::Limits;
pub use profile::{Stage, StepProfile, profile_steps, shapes_text};
pub use tune::{Trial, tune};
pub use workloads::{StepResult, Work, Workload, measure_steps};
