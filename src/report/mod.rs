//! What a run leaves for the eye: image grids, curves, and the way files reach the disk whole.

mod file;
mod font;
mod grid;
mod plot;
mod sheet;

pub use file::{write_atomic, write_new};
pub use grid::{colour, image_grid, read_png_text, save_png, save_png_rgba};
pub use plot::{Panel, curves_plot};
pub use sheet::{Tiling, labelled_grid, labelled_sheet};
