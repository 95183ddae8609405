//! What a run leaves for the eye: image grids, curves, and the way files reach the disk whole.

mod animation;
mod file;
mod font;
mod gif;
mod grid;
mod plot;
mod provenance;
mod sheet;

pub use animation::{Timing, save_apng, save_gif};
pub use file::{write_atomic, write_new};
pub use grid::{colour, image_grid, read_png_text, save_png, save_png_rgba};
pub use plot::{Panel, curves_plot};
pub use provenance::{ModelIdentity, Provenance, file_hash};
pub use sheet::{Tiling, labelled_grid, labelled_sheet};
