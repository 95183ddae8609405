//! Image translation in training: two domains feed a method; its pictures are held-out images beside what becomes of them.

use super::cut::Cut;
use super::cyclegan::CycleTraining;
use super::pix2pix::Pix2pix;
use super::recipe::{self, TranslationRecipe};
use super::run::{Picture, Training};
use crate::data::{Domains, Loader, LoaderOptions, licences_of_source, open_domains};
use crate::error::Result;
use crate::nn::init::Initializer;
use crate::nn::{Draws, Parameter};
use crate::optim::Adam;
use crate::report::{Panel, Tiling, image_grid};
use crate::tensor::{Device, Tensor, no_grad};

/// Losses of a step by name, each a tensor of one element.
pub type Losses = Vec<(&'static str, Tensor)>;

/// Images of each domain in the picture that is written while training.
pub(super) const SHOWN: usize = 8;

/// Domain B's order, when it is not that of A, is drawn under the seed plus this.
const OTHER_ORDER: u64 = 0x9E37_79B9_7F4A_7C15;

/// A way to train translators.
pub trait Method {
    /// One step of all networks on images of A and B [N, C, H, W].
    ///
    /// # Errors
    /// What went wrong on the device.
    fn step(&mut self, a: &Tensor, b: &Tensor, step: u64) -> Result<Losses>;

    /// Everything a checkpoint holds, by name. A translator from A to B is `g_a`, one from B to A `g_b`.
    fn state(&self) -> Vec<(String, Parameter)>;

    /// All optimisers; each takes one step a step.
    fn optimizers(&mut self) -> Vec<&mut Adam>;

    /// Trainable values by part.
    fn parameters(&self) -> Vec<(&'static str, usize)>;

    /// Images and what becomes of them, as columns of a picture, for one image [1, C, H, W] of each domain.
    fn show(&self, a: &Tensor, b: &Tensor) -> Vec<(&'static str, Tensor)>;
}

/// Draws the weights of a recipe's network number `k`, whatever the others have.
pub(super) fn init(recipe: &TranslationRecipe, device: &Device, k: u64) -> Initializer {
    Initializer::new(device, recipe.init, recipe.train.seed, k << 32)
}

/// The recipe's networks with fresh weights, in training by its method.
pub(super) fn method(recipe: &TranslationRecipe, draws: &Draws, device: &Device) -> Box<dyn Method> {
    match recipe.objective {
        recipe::Method::Cyclegan(config) => Box::new(CycleTraining::new(recipe, config, draws, device)),
        recipe::Method::Pix2pix(config) => Box::new(Pix2pix::new(recipe, config, draws, device)),
        recipe::Method::Cut(config) => Box::new(Cut::new(recipe, config, device)),
    }
}

/// Image translation as a [`Training`].
pub struct Translation {
    recipe: TranslationRecipe,
    device: Device,
    domains: Domains,
    method: Box<dyn Method>,
    draws: Draws,
    loaders: Option<[Loader; 2]>,
}

impl Translation {
    /// Opens the recipe's data and builds its networks.
    ///
    /// # Errors
    /// Data that cannot be read.
    pub fn new(recipe: &TranslationRecipe, device: &Device) -> Result<Translation> {
        let draws = Draws::new(recipe.train.seed);
        let method = method(recipe, &draws, device);
        let (recipe, device) = (recipe.clone(), device.clone());
        Ok(Translation { domains: open_domains(&recipe.data)?, recipe, device, method, draws, loaders: None })
    }

    fn tensor(&self, n: usize, images: &[f32]) -> Tensor {
        let [h, w] = self.recipe.data.size;
        Tensor::new(&self.device, [n, self.recipe.data.channels, h, w], images)
    }
}

impl Training for Translation {
    fn data(&self) -> String {
        self.domains.describe()
    }

    fn fingerprint(&self) -> String {
        self.domains.fingerprint()
    }

    fn licences(&self) -> Result<Option<String>> {
        let of = |source: &String| licences_of_source(source);
        let a = of(&self.recipe.data.source)?;
        let b = self.recipe.data.source_b.as_ref().map(of).transpose()?.flatten();
        let both: Vec<String> = [a, b].into_iter().flatten().collect();
        Ok((!both.is_empty()).then(|| both.join("; ")))
    }

    fn images_per_step(&self) -> usize {
        self.recipe.train.batch
    }

    fn parameters(&self) -> Vec<(&'static str, usize)> {
        self.method.parameters()
    }

    fn begin(&mut self, step: u64) {
        self.method.optimizers().into_iter().for_each(|optimizer| optimizer.set_steps(step));
        let train = &self.recipe.train;
        let crop = self.recipe.data.load_size.map(|_| self.recipe.data.size);
        let options = LoaderOptions { flip: train.flip, crop, ..LoaderOptions::default() };
        // Pairs stay pairs because both loaders draw the same order, cuts and mirrors.
        let other = if self.domains.paired { train.seed } else { train.seed.wrapping_add(OTHER_ORDER) };
        let loader = |source, seed| Loader::with_options(source, train.batch, seed, step, options);
        self.loaders = Some([loader(self.domains.a.clone(), train.seed), loader(self.domains.b.clone(), other)]);
    }

    fn step(&mut self, step: u64) -> Result<Losses> {
        let lr = self.recipe.optimizer.lr * self.recipe.schedule.factor(step);
        self.method.optimizers().into_iter().for_each(|optimizer| optimizer.set_lr(lr));
        self.draws.begin(step);
        let [a, b] = self.loaders.as_mut().expect("a run begins before it steps");
        let (a, b) = (a.next()?.images, b.next()?.images);
        let n = self.recipe.train.batch;
        self.method.step(&self.tensor(n, &a), &self.tensor(n, &b), step)
    }

    fn state(&self) -> Vec<(String, Parameter)> {
        self.method.state()
    }

    /// A row an image: it, and what becomes of it.
    fn picture(&self) -> Result<Picture> {
        let [a, b] = &self.domains.shown;
        let (c, [h, w]) = (self.recipe.data.channels, self.recipe.data.size);
        let count = SHOWN.min(a.len()).min(b.len());
        let (mut values, mut columns, mut image) = (Vec::new(), Vec::new(), vec![0.0; c * h * w]);
        for i in 0..count {
            let mut load = |source: &dyn crate::data::Source| -> Result<Tensor> {
                source.load(i, &mut image)?;
                Ok(self.tensor(1, &image))
            };
            let (a, b) = (load(&**a)?, load(&**b)?);
            let shown = no_grad(|| self.method.show(&a, &b));
            columns = shown.iter().map(|(name, _)| *name).collect();
            for (_, tensor) in shown {
                values.extend(tensor.to_vec()?);
            }
        }
        let scale = (128 / h.max(w)).clamp(1, 8) as u32;
        let image = image_grid(&values, count * columns.len(), c, h, w, columns.len(), scale, 2);
        let tiles = Tiling::of_image_grid(count * columns.len(), [h, w], columns.len(), scale, 2).text();
        Ok(Picture { image, text: vec![("columns".into(), columns.join(", ")), (Tiling::KEY.into(), tiles)] })
    }

    fn panels(&self) -> [Panel<'static>; 2] {
        let (upper, lower): (&[&str], &[&str]) = match self.recipe.objective {
            recipe::Method::Cyclegan(_) => (&["g_loss", "cycle_a", "cycle_b"], &["g_a", "g_b", "d_a", "d_b"]),
            recipe::Method::Pix2pix(_) => (&["g_loss", "l1"], &["g_adversarial", "d_loss"]),
            recipe::Method::Cut(_) => (&["g_loss", "nce", "nce_identity"], &["g_adversarial", "d_loss"]),
        };
        let panel = |unit, names: &[&'static str]| Panel {
            unit,
            range: None,
            curves: names.iter().map(|&name| (name, name)).collect(),
        };
        [panel("loss", upper), panel("loss", lower)]
    }
}
