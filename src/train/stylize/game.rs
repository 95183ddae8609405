//! The training of one style on one picture: critics of patches at several scales against the repainting network, and
//! what keeps the content.

use super::mask::{rim, shrunk};
use super::planes::{Planes, filled, widened_area};

use super::apply::{Change, change};
use super::picture::Content;
use super::{Config, Style};
use crate::error::Result;
use crate::metrics::patches::{View, patch_distance};
use crate::models::{CRITIC_STEP, Stylist, patch_critic};
use crate::nn::init::Initializer;
use crate::nn::{Init, Linear, Mode, Module, Parameter, Relu, Sequential, prefixed};
use crate::ops::losses::{l1, mse, patch_nce};
use crate::ops::{Conv2d, Indices, Pool2d};
use crate::optim::ema::{self, Decay};
use crate::optim::{Adam, AdamConfig, AdamConvention};
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor, no_grad};
use crate::train::translation::Losses;
use crate::train::{gradients, gradients_of_all};

/// Mirrored pixels around a picture, so that the networks' zeros at the border stay outside of it.
pub const MARGIN: usize = 8;

/// The sides of what is trained on are multiples of this: three scales of a critic fit.
pub const MULTIPLE: usize = 8;

/// The side of the patches whose statistics are compared, in pixels of each scale.
const PATCH: usize = 7;

/// Random projections of patches, and patches, that are compared in a step and scale.
const PROJECTIONS: usize = 48;
const SAMPLES: usize = 1024;

/// Places whose descriptions are contrasted, and their descriptions' length.
const PLACES: usize = 256;
const DESCRIPTION: usize = 64;

/// How far the gates are open at first: so much for each unit of the patch distance to the style, and at most so much.
const GATES_PER_DISTANCE: f64 = 8.0;
const MOST_OPEN: f64 = 0.8;

/// What the mean of the weights keeps at each step.
const AVERAGE: f64 = 0.98;

/// The scales at which patches are judged: 1, 1/2 and 1/4.
const SCALES: usize = 3;

/// Places of the patches of a scale: of the content, of the style.
struct Places {
    content: Vec<u32>,
    style: Vec<u32>,
}

/// The training of one style.
pub struct Game<'a> {
    config: &'a Config,
    device: Device,
    network: Stylist,
    /// The same with the mean of its weights over the last steps: what is used afterwards.
    pub average: Stylist,
    critics: Vec<Sequential>,
    describers: Describers,
    optimizer: Adam,
    critic_optimizers: Vec<Adam>,
    describers_optimizer: Adam,
    x: Tensor,
    style: Tensor,
    whole: &'a Style,
    /// For each scale.
    places: Vec<Places>,
    /// For each scale the weights of a critic's patches of the content and of the style.
    weights: Vec<[Tensor; 2]>,
    area: Tensor,
    described: [Vec<u32>; 2],
}

struct Describers(Vec<Sequential>);

impl Module for Describers {
    fn forward(&self, _: &Tensor, _: Mode) -> Tensor {
        unreachable!("places of each layer have a describer of their own")
    }

    fn parameters(&self) -> Vec<(String, Parameter)> {
        let of = |(i, network): (usize, &Sequential)| prefixed(&format!("layer{i}"), network.parameters());
        self.0.iter().enumerate().flat_map(of).collect()
    }
}

fn adam(lr: f64) -> AdamConfig {
    AdamConfig { lr, betas: [0.5, 0.99], eps: 1e-8, convention: AdamConvention::Torch }
}

impl<'a> Game<'a> {
    /// Fresh networks for this picture, of which `area` is to be restyled, and this style.
    pub fn new(config: &'a Config, picture: &Planes, area: &[bool], style: &'a Style, device: &Device) -> Game<'a> {
        let seed = config.seed;
        let network = config.network.build(device, seed);
        let critics: Vec<Sequential> =
            (0..SCALES as u64).map(|k| patch_critic(config.critic_width, device, seed, (k + 1) << 32)).collect();
        let init = &mut Initializer::new(device, Init::GlorotUniform, seed, 9 << 32);
        let describers = [config.network.width, 2 * config.network.width].map(|from| {
            let mut network = Sequential::new();
            network.push("dense1", Linear::new(init, from, DESCRIPTION, true));
            network.push("relu", Relu);
            network.push("dense2", Linear::new(init, DESCRIPTION, DESCRIPTION, true));
            network
        });
        let describers = Describers(describers.into());

        let x = picture.widened(MARGIN, MULTIPLE);
        let wide = |area: &[bool], size: [usize; 2]| widened_area(area, size, MARGIN, MULTIPLE);
        let (own, of) = (picture.size, style.small.size);
        // Around a thing lies what lies in it, as around the part of the picture that is restyled.
        let judged = match &style.inside {
            Some(inside) => filled(&style.small, &shrunk(inside, of, rim(of))),
            None => style.small.clone(),
        };
        let s = judged.widened(MARGIN, MULTIPLE);
        // The farther the picture is from the style, the more of the cloth lies over it at first.
        let distance = patch_distance(
            View { values: &picture.values, shape: [3, own[0], own[1]], area: Some(area) },
            View { values: &judged.values, shape: [3, of[0], of[1]], area: style.inside.as_deref() },
        );
        network.open_gates((GATES_PER_DISTANCE * distance).min(MOST_OPEN));
        let area = wide(area, own);
        let style_area = style.inside.as_ref().map_or_else(|| vec![true; s.area()], |thing| wide(thing, of));
        let places = (0..SCALES)
            .map(|k| Places { content: patch_places(&area, x.size, k), style: patch_places(&style_area, s.size, k) })
            .collect();
        let weights = (0..SCALES)
            .map(|k| [critic_weights(&area, x.size, k, device), critic_weights(&style_area, s.size, k, device)])
            .collect();
        let there = |size: [usize; 2], every: usize| -> Vec<u32> {
            let half = size.map(|side| side / every);
            let inside = |k: &usize| area[(k / half[1] * every) * size[1] + k % half[1] * every];
            (0..half[0] * half[1]).filter(inside).map(|k| k as u32).collect()
        };
        let described = [there(x.size, 1), there(x.size, 2)];
        let values: Vec<f32> = area.iter().map(|&there| f32::from(u8::from(there))).collect();
        Game {
            average: config.network.build(device, seed),
            optimizer: Adam::new(adam(config.lr), network.parameters()),
            critic_optimizers: critics.iter().map(|critic| Adam::new(adam(config.lr), critic.parameters())).collect(),
            describers_optimizer: Adam::new(adam(config.lr), describers.parameters()),
            area: Tensor::new(device, [1, 1, x.size[0], x.size[1]], &values),
            config,
            device: device.clone(),
            network,
            critics,
            describers,
            x: x.tensor(device),
            style: s.tensor(device),
            whole: style,
            places,
            weights,
            described,
        }
    }

    /// What it would change in a picture now.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn change(&self, content: &Content) -> Result<Change> {
        change(&self.average, self.whole, self.config, content, &self.device)
    }

    fn stream(&self, step: u64, k: u64) -> Stream {
        Stream::new(self.config.seed, Domain::Stylize, (step << 8) + k)
    }

    /// A part of the cloth of this size, [1, 3, H, W], from anywhere in it.
    fn cloth(&self, like: &Tensor, mut stream: Stream) -> Tensor {
        let size = [like.dim(2), like.dim(3)];
        let from = [0, 1].map(|axis| {
            let room = self.whole.quilt.size[axis].saturating_sub(size[axis]);
            stream.below(room as u32 + 1) as usize
        });
        self.whole.quilt.window(&self.whole.small, from, size).tensor(&self.device)
    }

    /// One step of all networks.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn step(&mut self, step: u64) -> Result<Losses> {
        let config = self.config;
        let factor = (2.0 * (1.0 - step as f64 / config.steps as f64)).min(1.0);
        self.optimizer.set_lr(config.lr * factor);
        let z = self.cloth(&self.x, self.stream(step, 0));
        let (painted, features) = self.network.paint(&self.x, &z);
        let y = Stylist::result(&self.x, &z, &painted);
        let ys = scales(&y);
        let styles = scales(&self.style);
        let mut losses = Losses::new();

        // The critics first (hinge; Lim and Ye 2017).
        let mut d_loss = Tensor::scalar(&self.device, 0.0);
        for k in 0..SCALES {
            let [of_content, of_style] = &self.weights[k];
            let real = self.critics[k].forward(&styles[k], Mode::Train);
            let fake = self.critics[k].forward(&no_grad(|| ys[k].detach()), Mode::Train);
            let loss = (real.affine(-1.0, 1.0).relu() * of_style).sum() + ((fake + 1.0).relu() * of_content).sum();
            d_loss = d_loss + loss.detach();
            let gradients = gradients(loss, &self.critics[k]);
            self.critic_optimizers[k].step(&gradients)?;
        }

        // Then the network and the describers, from one loss.
        let mut adversarial = Tensor::scalar(&self.device, 0.0);
        let mut patches = Tensor::scalar(&self.device, 0.0);
        for k in 0..SCALES {
            let score = self.critics[k].forward(&ys[k], Mode::BatchStatistics);
            adversarial = adversarial - (score * &self.weights[k][0]).sum();
            patches = patches + self.patch_distance(&ys[k], &styles[k], k, step)?;
        }
        let nce = self.contrast(&y, &features, step)?;
        let similar = self.self_similarity(&y);
        let edges = self.edges(&y);
        let same = {
            let z = self.cloth(&self.style, self.stream(step, 1));
            let (painted, _) = self.network.paint(&self.style, &z);
            l1(&Stylist::result(&self.style, &z, &painted), &self.style)
        };
        for (name, loss) in [
            ("adversarial", &adversarial),
            ("patches", &patches),
            ("nce", &nce),
            ("similarity", &similar),
            ("edges", &edges),
            ("identity", &same),
        ] {
            losses.push((name, loss.detach()));
        }
        losses.push(("critics", d_loss));
        let l = &config.weights;
        let loss = adversarial * l.adversarial
            + patches * l.patches
            + nce * l.nce
            + similar * l.similarity
            + edges * l.edges
            + same * l.identity;
        drop((y, ys, painted, features));
        let [g, f] = gradients_of_all(loss, [&self.network, &self.describers]);
        self.optimizer.step(&g)?;
        self.describers_optimizer.step(&f)?;
        let share = Decay::RampUp(AVERAGE).share(step, 1, step);
        for ((_, average), (_, now)) in self.average.parameters().iter().zip(self.network.parameters()) {
            average.set(ema::update(&average.get(), &now.get(), share));
        }
        Ok(losses)
    }

    /// The sliced Wasserstein distance of patches: the mean square difference of sorted random projections.
    fn patch_distance(&self, y: &Tensor, style: &Tensor, k: usize, step: u64) -> Result<Tensor> {
        let places = &self.places[k];
        if places.content.is_empty() || places.style.is_empty() {
            return Ok(Tensor::scalar(&self.device, 0.0));
        }
        let mut stream = self.stream(step, 16 + k as u64);
        let n = 3 * PATCH * PATCH;
        let mut directions = stream.normal_vec(PROJECTIONS * n);
        for direction in directions.chunks_exact_mut(n) {
            let norm = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
            direction.iter_mut().for_each(|v| *v /= norm);
        }
        let directions = Tensor::new(&self.device, [PROJECTIONS, 3, PATCH, PATCH], &directions);
        let projected = |x: &Tensor| {
            let y = x.conv2d(&directions, Conv2d::default());
            let places = y.dim(2) * y.dim(3);
            y.reshape([PROJECTIONS, places])
        };
        let (y, style) = (projected(y), no_grad(|| projected(style)));
        let samples = SAMPLES.min(places.content.len().max(places.style.len()));
        let mut pick = |places: &[u32]| -> Indices {
            let picked: Vec<u32> = if places.len() == samples {
                places.to_vec()
            } else {
                (0..samples).map(|_| places[stream.below(places.len() as u32) as usize]).collect()
            };
            Indices::new(&self.device, [samples], picked)
        };
        let (from_y, from_style) = (pick(&places.content), pick(&places.style));
        let wanted = no_grad(|| sorted(&style.index_select(1, &from_style)?))?;
        Ok(mse(&sorted(&y.index_select(1, &from_y)?)?, &wanted))
    }

    /// A place of the result must tell which place of the picture it came from (Park et al. 2020, eq. 4).
    fn contrast(&self, y: &Tensor, keys: &[Tensor], step: u64) -> Result<Tensor> {
        let queries = self.network.features(y);
        let mut total = Tensor::scalar(&self.device, 0.0);
        for (layer, ((query, key), network)) in queries.iter().zip(keys).zip(&self.describers.0).enumerate() {
            let places = &self.described[layer];
            if places.len() < 2 {
                continue;
            }
            let mut stream = self.stream(step, 32 + layer as u64);
            let picked: Vec<u32> =
                (0..PLACES.min(places.len())).map(|_| places[stream.below(places.len() as u32) as usize]).collect();
            let picked = Indices::new(&self.device, [picked.len()], picked);
            let describe = |features: &Tensor| -> Result<Tensor> {
                let [c, h, w] = [1, 2, 3].map(|axis| features.dim(axis));
                let taken = features.reshape([c, h * w]).index_select(1, &picked)?.permute(&[1, 0]); // [P, C]
                Ok(network.forward(&taken, Mode::Train).reshape([1, picked.len(), DESCRIPTION]))
            };
            let query = describe(query)?;
            let key = no_grad(|| describe(&key.detach()))?;
            total = total + patch_nce(&query, &key, 0.07)?;
        }
        Ok(total * 0.5)
    }

    /// How alike coarse places are to each other must stay: mean |S(y) − S(x)| for the distances S of the means of
    /// blocks, over their mean.
    fn self_similarity(&self, y: &Tensor) -> Tensor {
        let pool = Pool2d::new(8);
        let distances = |x: &Tensor| {
            let x = (x * &self.area).avg_pool2d(pool, false); // [1, 3, H/8, W/8]
            let n = x.dim(2) * x.dim(3);
            let x = x.reshape([3, n]);
            let squares = x.square().sum_axes(&[0]); // [n]
            let products = x.matmul_transposed(&x, true, false); // [n, n]
            let d = (squares.reshape([n, 1]) + squares.reshape([1, n]) - products * 2.0).relu() + 1e-4;
            let d = d.sqrt();
            let mean = d.mean();
            d / (mean + 0.1)
        };
        let wanted = no_grad(|| distances(&self.x));
        l1(&distances(y), &wanted)
    }

    /// Edges of the picture must be edges of the result, in the same direction: the part of their steepness that is
    /// missing.
    fn edges(&self, y: &Tensor) -> Tensor {
        let grey = |x: &Tensor| x.mean_keep(&[1]);
        let (x, y) = (grey(&self.x), grey(y));
        let mut missing = Tensor::scalar(&self.device, 0.0);
        let mut all = Tensor::scalar(&self.device, 1e-2);
        for axis in [2, 3] {
            let len = x.dim(axis);
            let step = |x: &Tensor| x.narrow(axis, 1, len - 1) - x.narrow(axis, 0, len - 1);
            let inside = self.area.narrow(axis, 1, len - 1) * self.area.narrow(axis, 0, len - 1);
            let (dx, weight) = no_grad(|| (step(&x), inside));
            let steep = no_grad(|| (dx.abs() - 0.02).relu());
            let along = step(&y) * no_grad(|| dx.sign());
            missing = missing + ((&steep - along).relu() * no_grad(|| &steep * &weight)).mean();
            all = all + no_grad(|| (steep.square() * &weight).mean());
        }
        missing / all
    }
}

/// An image at 1, 1/2 and 1/4 of its size.
fn scales(x: &Tensor) -> Vec<Tensor> {
    let mut all = vec![x.clone()];
    for k in 1..SCALES {
        all.push(all[k - 1].avg_pool2d(Pool2d::new(2), false));
    }
    all
}

/// Each row in rising order.
fn sorted(x: &Tensor) -> Result<Tensor> {
    let [rows, len] = [x.dim(0), x.dim(1)];
    let values = x.to_vec()?;
    let mut order = Vec::with_capacity(rows * len);
    for row in values.chunks_exact(len) {
        let mut at: Vec<u32> = (0..len as u32).collect();
        at.sort_by(|&a, &b| row[a as usize].total_cmp(&row[b as usize]));
        order.extend(at);
    }
    x.gather(1, &Indices::new(x.device(), [rows, len], order))
}

/// The patches of scale 2^-k whose middle lies in a region, by their number among all.
fn patch_places(region: &[bool], size: [usize; 2], k: usize) -> Vec<u32> {
    let small = size.map(|side| side >> k);
    let Some([rows, columns]) = conv_size(small) else { return Vec::new() };
    let middle = |i: usize| ((i + PATCH / 2) << k) + (1 << k) / 2;
    (0..rows * columns)
        .filter(|place| region[middle(place / columns) * size[1] + middle(place % columns)])
        .map(|place| place as u32)
        .collect()
}

fn conv_size(size: [usize; 2]) -> Option<[usize; 2]> {
    Some([size[0].checked_sub(PATCH - 1)?, size[1].checked_sub(PATCH - 1)?]).filter(|s| s[0] > 0 && s[1] > 0)
}

/// The weights of a critic's patches at scale 2^-k, [1, 1, H', W']: equal for those whose middle lies in the area, summing
/// to 1.
fn critic_weights(area: &[bool], size: [usize; 2], k: usize, device: &Device) -> Tensor {
    let [rows, columns] = size.map(|side| (side >> k) / CRITIC_STEP);
    let middle = |i: usize| (i * CRITIC_STEP + CRITIC_STEP / 2) << k;
    let inside = |place: usize| area[middle(place / columns) * size[1] + middle(place % columns)];
    let weights: Vec<f32> = (0..rows * columns).map(|place| f32::from(u8::from(inside(place)))).collect();
    let total = weights.iter().sum::<f32>().max(1.0);
    Tensor::new(device, [1, 1, rows, columns], &weights.iter().map(|w| w / total).collect::<Vec<_>>())
}
