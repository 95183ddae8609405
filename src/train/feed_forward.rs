//! Feed-forward style transfer in training, and what a run of it makes of pictures.

use super::adain;
use super::checkpoint;
use super::encoder::Encoder;
use super::features::open_features;
use super::folder::RunFolder;
use super::gradients;
use super::johnson::{self, JohnsonConfig};
use super::memory::check_picture;
use super::picture::Picture as ContentPicture;
use super::recipe::{FeedForwardRecipe, Style};
use super::run::{Picture, Training};
use super::translation::Losses;
use crate::data::{DataSpec, Loader, LoaderOptions, Source, licences_of_source, open};
use crate::error::{Error, Result};
use crate::nn::init::Initializer;
use crate::nn::{Mode, Module, Parameter, Sequential, prefixed};
use crate::ops::PadMode;
use crate::optim::Adam;
use crate::report::{Panel, file_hash, image_grid};
use crate::tensor::{Device, Tensor, no_grad};
use std::path::Path;
use std::sync::Arc;

/// Images by which the sizes of features are measured.
const MEASURED: usize = 8;
/// Rows of the picture that is written while training.
pub(super) const SHOWN: usize = 6;
/// AdaIN's styles come in an order drawn under the seed plus this.
const OTHER_ORDER: u64 = 0x9E37_79B9_7F4A_7C15;

/// The trained network and what it is trained with.
struct Built {
    encoder: Encoder,
    network: Sequential,
    /// Heights and widths must be multiples of this.
    multiple: usize,
    features: String,
}

fn build(recipe: &FeedForwardRecipe, device: &Device) -> Result<Built> {
    let (features, identity) = open_features(&recipe.features, recipe.train.seed, device)?;
    let encoder = Encoder::new(features, &recipe.objective, device)?;
    let mut init = Initializer::new(device, recipe.init, recipe.train.seed, 0);
    let (network, multiple) = match &recipe.objective {
        Style::Adain(_) => {
            let spec = encoder.depth(device)?;
            (spec.build(&mut init), 1 << spec.halvings)
        }
        Style::Johnson(config) => (config.network.build(&mut init), 4),
    };
    let [h, w] = recipe.data.size;
    if !h.is_multiple_of(multiple) || !w.is_multiple_of(multiple) {
        let message = format!("[{h}, {w}]: must be multiples of {multiple} for these features");
        return Err(Error::Recipe { file: recipe.name.clone(), key: "data.size".into(), message });
    }
    Ok(Built { encoder, network, multiple, features: identity })
}

fn weights(built: &Built) -> Vec<(String, Parameter)> {
    let scales = vec![("scales".to_string(), built.encoder.scales.clone())];
    [prefixed("network", built.network.parameters()), scales].concat()
}

/// Feed-forward style transfer as a [`Training`].
pub struct FeedForward {
    recipe: FeedForwardRecipe,
    device: Device,
    built: Built,
    optimizer: Adam,
    source: Arc<dyn Source>,
    shown: Arc<dyn Source>,
    /// Johnson's style: the Gram matrices, and what identifies the picture.
    style: Option<(Vec<Tensor>, String)>,
    loaders: Vec<Loader>,
}

/// Goes through what a run does, on images without content, for an estimate of its memory: features are measured, two updates, a
/// picture. Gives the state that a checkpoint holds.
///
/// # Errors
/// As [`FeedForward::new`].
pub(super) fn rehearse(recipe: &FeedForwardRecipe, device: &Device) -> Result<Vec<(String, Parameter)>> {
    let built = build(recipe, device)?;
    let [h, w] = recipe.data.size;
    let images = |count: usize| Tensor::zeros(device, [count, 3, h, w]);
    built.encoder.sizes(&images(MEASURED.min(open(&recipe.data)?.len())))?;
    let targets = match &recipe.objective {
        Style::Adain(_) => Vec::new(),
        Style::Johnson(config) => johnson::style_targets(&built.encoder, &style_picture(config)?.tensor(device))?,
    };
    let mut optimizer = Adam::new(recipe.optimizer, built.network.parameters());
    // As many batches as there are loaders.
    let styled = matches!(recipe.objective, Style::Adain(_));
    for _ in 0..2 {
        let batches: Vec<Tensor> = (0..if styled { 2 } else { 1 }).map(|_| images(recipe.train.batch)).collect();
        built.update(&mut optimizer, &recipe.objective, &batches, &targets)?;
    }
    let styles: Vec<_> = styled.then(|| (images(SHOWN), 1.0)).into_iter().collect();
    built.apply(&images(SHOWN), &styles, 1.0)?;
    Ok([weights(&built), prefixed("optimizer.network", optimizer.state())].concat())
}

fn style_picture(config: &JohnsonConfig) -> Result<ContentPicture> {
    ContentPicture::read(Path::new(&config.style), Some(config.style_size))
}

impl FeedForward {
    /// Opens the data, the feature network and Johnson's style, and builds the network.
    ///
    /// # Errors
    /// What cannot be read, layers that there are not, images of a size that does not suit the network.
    pub fn new(recipe: &FeedForwardRecipe, device: &Device) -> Result<FeedForward> {
        let mut built = build(recipe, device)?;
        let source = open(&recipe.data)?;
        built.encoder.measure(&load(&*source, 0, MEASURED.min(source.len()), device)?)?;
        // Garments of another seed are not trained on.
        let other = DataSpec { seed: recipe.data.seed.wrapping_add(1), count: Some(2 * SHOWN), ..recipe.data.clone() };
        let shown = if recipe.data.source == "garments" { open(&other)? } else { source.clone() };
        let style = match &recipe.objective {
            Style::Adain(_) => None,
            Style::Johnson(config) => {
                let picture = style_picture(config)?.tensor(device);
                Some((johnson::style_targets(&built.encoder, &picture)?, file_hash(Path::new(&config.style))?))
            }
        };
        let optimizer = Adam::new(recipe.optimizer, built.network.parameters());
        let (recipe, device) = (recipe.clone(), device.clone());
        Ok(FeedForward { recipe, device, built, optimizer, source, shown, style, loaders: Vec::new() })
    }
}

/// Images [N, C, H, W] of a source from number `first` on.
fn load(source: &dyn Source, first: usize, count: usize, device: &Device) -> Result<Tensor> {
    let [c, h, w] = source.shape();
    let mut values = vec![0.0; count * c * h * w];
    for (i, image) in values.chunks_exact_mut(c * h * w).enumerate() {
        source.load((first + i) % source.len(), image)?;
    }
    Ok(Tensor::new(device, [count, c, h, w], &values))
}

impl Training for FeedForward {
    fn data(&self) -> String {
        format!("{}; compared by {}", self.source.describe(), self.built.encoder.network.name())
    }

    fn fingerprint(&self) -> String {
        let style = self.style.as_ref().map_or(String::new(), |(_, hash)| format!("+{hash}"));
        format!("{}+{}{style}", self.source.fingerprint(), self.built.features)
    }

    fn licences(&self) -> Result<Option<String>> {
        licences_of_source(&self.recipe.data.source)
    }

    fn images_per_step(&self) -> usize {
        self.recipe.train.batch
    }

    fn parameters(&self) -> Vec<(&'static str, usize)> {
        vec![("network", self.built.network.parameter_count())]
    }

    fn begin(&mut self, step: u64) {
        self.optimizer.set_steps(step);
        let train = &self.recipe.train;
        let options = LoaderOptions { flip: train.flip, ..LoaderOptions::default() };
        let orders = if self.style.is_none() { &[0, OTHER_ORDER][..] } else { &[0] };
        let loader = |order: &u64| {
            Loader::with_options(self.source.clone(), train.batch, train.seed.wrapping_add(*order), step, options)
        };
        self.loaders = orders.iter().map(loader).collect();
    }

    fn step(&mut self, step: u64) -> Result<Losses> {
        let (n, [h, w]) = (self.recipe.train.batch, self.recipe.data.size);
        let mut images = Vec::new();
        for loader in &mut self.loaders {
            images.push(Tensor::new(&self.device, [n, 3, h, w], &loader.next()?.images));
        }
        self.optimizer.set_lr(self.recipe.optimizer.lr * self.recipe.schedule.factor(step));
        let targets = self.style.as_ref().map_or(&[][..], |(targets, _)| targets);
        self.built.update(&mut self.optimizer, &self.recipe.objective, &images, targets)
    }

    fn state(&self) -> Vec<(String, Parameter)> {
        [weights(&self.built), prefixed("optimizer.network", self.optimizer.state())].concat()
    }

    /// A row a content: it, the style where there are several, and what becomes of it.
    fn picture(&self) -> Result<Picture> {
        let [c, h, w] = self.shown.shape();
        let contents = load(&*self.shown, 0, SHOWN, &self.device)?;
        let (columns, rows): (&[&str], Vec<Tensor>) = match &self.recipe.objective {
            Style::Adain(_) => {
                let styles = load(&*self.shown, SHOWN, SHOWN, &self.device)?;
                let made = self.built.apply(&contents, &[(styles.clone(), 1.0)], 1.0)?;
                (&["content", "style", "result"], vec![contents, styles, made])
            }
            Style::Johnson(_) => {
                let made = self.built.apply(&contents, &[], 1.0)?;
                (&["content", "result"], vec![contents, made])
            }
        };
        let rows = rows.iter().map(Tensor::to_vec).collect::<Result<Vec<_>>>()?;
        let image = c * h * w;
        let each = (0..SHOWN).flat_map(|i| rows.iter().map(move |row| &row[i * image..(i + 1) * image]));
        let values: Vec<f32> = each.flatten().copied().collect();
        let scale = (128 / h.max(w)).clamp(1, 8) as u32;
        let grid = image_grid(&values, SHOWN * columns.len(), c, h, w, columns.len(), scale, 2);
        Ok(Picture { image: grid, text: vec![("columns".into(), columns.join(", "))] })
    }

    fn panels(&self) -> [Panel<'static>; 2] {
        let panel = |unit, curves: &[&'static str]| Panel {
            unit,
            range: None,
            curves: curves.iter().map(|&name| (name, name)).collect(),
        };
        [panel("loss", &["loss"]), panel("parts", &["content", "style"])]
    }
}

impl Built {
    /// One update: on contents and styles by AdaIN, on contents by Johnson, whose style has these targets.
    fn update(&self, optimizer: &mut Adam, method: &Style, images: &[Tensor], targets: &[Tensor]) -> Result<Losses> {
        let Built { encoder, network, .. } = self;
        let [loss, content, style] = match (method, images) {
            (Style::Adain(config), [content, style]) => adain::losses(encoder, network, config, content, style)?,
            (Style::Johnson(config), [content]) => johnson::losses(encoder, network, config, content, targets)?,
            _ => unreachable!("a method's loaders are made with it"),
        };
        let losses = vec![("loss", loss.detach()), ("content", content.detach()), ("style", style.detach())];
        drop((content, style));
        let gradients = gradients(loss, network);
        optimizer.step(&gradients)?;
        Ok(losses)
    }

    /// Images restyled: AdaIN by `styles`, whose weights have the sum 1, at a strength; Johnson by its own.
    fn apply(&self, content: &Tensor, styles: &[(Tensor, f64)], strength: f64) -> Result<Tensor> {
        no_grad(|| {
            let (h, w) = (content.dim(2), content.dim(3));
            let [down, right] = [h, w].map(|side| side.next_multiple_of(self.multiple) - side);
            let content = content.pad_mode(&[0; 4], &[0, 0, down, right], PadMode::Reflect);
            let image = if styles.is_empty() {
                self.network.forward(&content, Mode::Inference)
            } else {
                let features = |(style, weight): &(Tensor, f64)| Ok((self.encoder.end(style)?, *weight));
                let styles = styles.iter().map(features).collect::<Result<Vec<_>>>()?;
                let features = adain::blended(&self.encoder.end(&content)?, &styles, strength);
                self.network.forward(&features, Mode::Inference)
            };
            Ok(image.narrow(2, 0, h).narrow(3, 0, w))
        })
    }
}

/// A run's network, to be applied to pictures.
pub struct Transfer {
    built: Built,
    recipe: FeedForwardRecipe,
    device: Device,
    /// The checkpoint's step.
    pub step: u64,
    /// What identifies the checkpoint's values and the data that it was trained on.
    pub identity: [String; 2],
    /// The licences of that data, where they were stated.
    pub data_licence: Option<String>,
}

impl Transfer {
    /// The network of a run's newest checkpoint, or of that of `step`.
    ///
    /// # Errors
    /// A run of another kind or without the checkpoint, a feature network that is gone or another one.
    pub fn load(folder: &RunFolder, step: Option<u64>, device: &Device) -> Result<Transfer> {
        let place = folder.path().display().to_string();
        let recipe = folder.any_recipe()?.feed_forward(&place)?;
        let step = folder.checkpoint_step(step)?;
        let mut built = build(&recipe, device)?;
        let path = folder.checkpoint(step);
        let loaded = checkpoint::load(&path)?;
        if !loaded.header.data.contains(&built.features) {
            let why = format!("was trained with other weights of the feature network than {} has now", recipe.features);
            return Err(Error::file(&path, why));
        }
        loaded.restore_part(&weights(&built))?;
        built.encoder.use_scales()?;
        let identity = [loaded.header.content.clone(), loaded.header.data.clone()];
        let data_licence = loaded.header.licences.clone();
        Ok(Transfer { data_licence, built, recipe, device: device.clone(), step, identity })
    }

    /// The run's recipe.
    pub fn recipe(&self) -> &FeedForwardRecipe {
        &self.recipe
    }

    /// Whether it takes its styles from pictures; else it knows one.
    pub fn takes_styles(&self) -> bool {
        matches!(self.recipe.objective, Style::Adain(_))
    }

    /// A content restyled, [3, H, W] of the content's size. AdaIN takes styles with weights of any sum above 0; strength 0 to 1 goes from
    /// the content's own features, decoded, to the styles'. Johnson takes no style, and no strength but 1.
    ///
    /// # Errors
    /// Too little memory, what went wrong on the device.
    pub fn restyle(
        &self,
        path: &Path,
        content: &ContentPicture,
        styles: &[(ContentPicture, f64)],
        strength: f64,
    ) -> Result<Vec<f32>> {
        let [h, w] = content.size;
        let widest = match &self.recipe.objective {
            Style::Adain(_) => 64,
            Style::Johnson(config) => config.network.width,
        };
        // The widest layers are at full size: one being read, one written, one padded, and a convolution's own.
        let needed = (4 * 4 * widest as u64).saturating_mul((h * w) as u64);
        check_picture(path, [h, w], needed, "take a smaller --size")?;
        let sum: f64 = styles.iter().map(|(_, weight)| weight).sum();
        let styles: Vec<_> = styles.iter().map(|(style, weight)| (style.tensor(&self.device), weight / sum)).collect();
        self.built.apply(&content.tensor(&self.device), &styles, strength)?.to_vec()
    }
}
