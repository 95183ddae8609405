//! One picture, one style, no data set: a small network is trained on the two, adversarially, and repaints the picture.
//!
//! The style becomes a cloth ([`Quilt`]: its own patches, rearranged), critics of patches at three scales compare what the
//! network makes of picture and cloth with the style (`game`), and contrast of places, self-similarity and edges keep
//! the content. The result is x + strength·r(x), so one training serves all strengths ([`Restyler`]).

mod apply;
mod game;
mod mask;
mod picture;
mod planes;
mod quilt;
mod saved;

pub use apply::{Change, Restyler, restyled};
pub use game::Game;
pub use mask::resized as resized_area;
pub use picture::{Content, Mask};
pub use planes::{Planes, within};
pub use quilt::Quilt;
pub use saved::{Saved, save};

use crate::error::Result;
use crate::models::StylistSpec;
use crate::tensor::Device;
use crate::train::translation::Losses;
use image::DynamicImage;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};

/// How much each term of the network's loss weighs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// Fooling the critics.
    pub adversarial: f64,
    /// Patch statistics like the style's.
    pub patches: f64,
    /// Places that tell where they came from.
    pub nce: f64,
    /// Coarse self-similarity.
    pub similarity: f64,
    /// Edges that stay edges.
    pub edges: f64,
    /// Leaving the style itself as it is.
    pub identity: f64,
}

impl Default for Weights {
    fn default() -> Weights {
        Weights { adversarial: 0.1, patches: 40.0, nce: 0.05, similarity: 0.5, edges: 1.5, identity: 4.0 }
    }
}

/// How a style is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Updates of all networks.
    #[serde(skip)]
    pub steps: u64,
    /// The longer side of what is trained on, in pixels.
    pub size: usize,
    /// Of weights, cloth and draws.
    #[serde(skip)]
    pub seed: u64,
    /// How large the style's pattern becomes; 1 as it is, relative to the picture.
    pub pattern_scale: f64,
    /// The learning rate of all networks.
    pub lr: f64,
    /// Filters of the critics' first layer.
    pub critic_width: usize,
    /// The repainting network.
    pub network: StylistSpec,
    /// The terms of its loss.
    pub weights: Weights,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            steps: 300,
            size: 128,
            seed: 0,
            pattern_scale: 1.0,
            lr: 2e-3,
            critic_width: 24,
            network: StylistSpec { width: 16, blocks: 2 },
            weights: Weights::default(),
        }
    }
}

/// A style made ready: the picture at the size that is trained with, its cloth.
pub struct Style {
    /// The picture at full detail, at most 1,024 pixels a side.
    pub detail: Planes,
    /// Where its thing is, at full detail, if it shows a thing on a plain ground.
    pub thing: Option<Vec<bool>>,
    /// The picture at the size that is trained with.
    pub small: Planes,
    /// Where its thing is there.
    pub inside: Option<Vec<bool>>,
    /// The cloth.
    pub quilt: Quilt,
    /// The mean colour of its ground.
    pub ground: Option<[f32; 3]>,
}

/// The longest side of a style that is kept, in pixels.
const DETAIL: usize = 1024;

/// How much longer than a picture's sides those of the cloth are, so that steps see other parts of it.
const ROOM: f64 = 1.5;

impl Style {
    /// Makes a style of a picture.
    pub fn new(picture: &DynamicImage, config: &Config) -> Style {
        let rgba = picture.to_rgba8();
        let own = Planes::of(&rgba);
        let thing = if picture.color().has_alpha() && rgba.pixels().any(|pixel| pixel[3] < 255) {
            let opaque: Vec<bool> = rgba.pixels().map(|pixel| pixel[3] >= 128).collect();
            opaque.contains(&true).then_some(opaque)
        } else {
            None
        };
        let size = within(own.size, DETAIL);
        let detail = match &thing {
            // Under what is transparent the colours are anything.
            Some(thing) => planes::filled(&own, thing).resized(size),
            None => own.resized(size),
        };
        let thing = thing.map(|thing| mask::resized(&thing, own.size, size)).or_else(|| mask::thing_of(&detail));
        Style::of(detail, thing, config)
    }

    /// A style from its picture at full detail and its thing.
    pub fn of(detail: Planes, thing: Option<Vec<bool>>, config: &Config) -> Style {
        let longest = detail.size[0].max(detail.size[1]) as f64;
        let factor = (config.size as f64).min(longest) / longest * config.pattern_scale;
        let size = detail.size.map(|side| ((side as f64 * factor).round() as usize).max(1));
        let small = detail.resized(size);
        let inside = thing.as_ref().map(|thing| mask::resized(thing, detail.size, size));
        let inside = inside.filter(|inside| inside.contains(&true));
        let usable = match &inside {
            Some(inside) => mask::shrunk(inside, size, 2 * mask::rim(size)),
            None => vec![true; small.area()],
        };
        let side = ((config.size + 2 * game::MARGIN) as f64 * ROOM) as usize;
        let quilt = Quilt::new(&small, &usable, [side.next_multiple_of(game::MULTIPLE); 2], config.seed);
        let ground = thing.as_ref().and_then(|thing| mean_outside(&detail, thing));
        Style { detail, thing, small, inside, quilt, ground }
    }
}

/// The mean colour of what is not of a thing.
fn mean_outside(picture: &Planes, thing: &[bool]) -> Option<[f32; 3]> {
    let outside: Vec<usize> = (0..thing.len()).filter(|&i| !thing[i]).collect();
    let mean = |c: usize| {
        outside.iter().map(|i| f64::from(picture.values[c * picture.area() + i])).sum::<f64>() / outside.len() as f64
    };
    (!outside.is_empty()).then(|| [0, 1, 2].map(|c| mean(c) as f32))
}

/// Watches a training.
pub trait Watch {
    /// A step is done, of so many.
    ///
    /// # Errors
    /// What its own files meet.
    fn step(&mut self, step: u64, game: &Game, losses: &Losses) -> Result<()>;
}

/// Trains a style on a picture. Stopped before its last step, it gives what it has learnt so far.
///
/// # Errors
/// What went wrong on the device.
pub fn learn(
    content: &Content,
    style: Style,
    config: &Config,
    device: &Device,
    stop: &AtomicBool,
    watch: &mut dyn Watch,
) -> Result<Restyler> {
    let size = within(content.size(), config.size);
    let (part, _) = content.part(style.thing.is_some());
    let picture = content.filled(part).resized(size);
    let area = part.map_or_else(|| vec![true; picture.area()], |part| mask::resized(part, content.size(), size));
    let mut game = Game::new(config, &picture, &area, &style, device);
    for step in 0..config.steps {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let losses = game.step(step)?;
        watch.step(step + 1, &game, &losses)?;
    }
    let network = game.average;
    Ok(Restyler::new(network, style, *config, device))
}
