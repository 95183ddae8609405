//! Points of a latent space as users name them: a seed, a picture of a seed, or an image file that is projected.

use super::common::Common;
use super::progress::Count;
use super::say;
use crate::data::{Fitting, read_image};
use crate::error::{Error, Result};
use crate::nn::Mode;
use crate::report::{Provenance, image_grid};
use crate::train::gan_training::sample_latents;
use crate::train::latent::TrainedGenerator;
use crate::train::projection::{Projecting, Projection, project};
use image::RgbImage;
use std::path::{Path, PathBuf};

/// How image files are projected into latent space.
#[derive(clap::Args)]
pub struct ProjectArgs {
    /// Steps that a projection takes.
    #[arg(long, default_value_t = Projecting::default().steps, value_name = "N")]
    project_steps: usize,
    /// Beginnings of a projection; the best end is taken.
    #[arg(long, default_value_t = Projecting::default().restarts, value_name = "N")]
    restarts: usize,
    /// Weight of what keeps a projected vector as long as drawn ones are; 0 lets it go where the picture is nearest.
    #[arg(long, default_value_t = Projecting::default().prior, value_name = "X")]
    prior: f64,
    /// Licence of the image files, recorded in the output [default: what a file LICENCES beside them says].
    #[arg(long, value_name = "TEXT")]
    pub licence: Option<String>,
}

impl ProjectArgs {
    fn options(&self, seed: u64) -> Result<Projecting> {
        if !(1..=100_000).contains(&self.project_steps) {
            return Err(Error::Usage(format!("--project-steps {}: takes 1 to 100000", self.project_steps)));
        }
        if !(1..=256).contains(&self.restarts) {
            return Err(Error::Usage(format!("--restarts {}: takes 1 to 256", self.restarts)));
        }
        if !(self.prior >= 0.0 && self.prior.is_finite()) {
            return Err(Error::Usage(format!("--prior {}: takes a number from 0", self.prior)));
        }
        Ok(Projecting {
            steps: self.project_steps,
            restarts: self.restarts,
            prior: self.prior,
            seed,
            ..Default::default()
        })
    }
}

/// What a user names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// Picture `index` of `toile sample --seed SEED`.
    Seed { seed: u64, index: usize },
    /// An image file.
    Picture(PathBuf),
}

/// A place in latent space.
pub struct Found {
    /// For labels: `seed 3`, `shirt.png`.
    pub name: String,
    /// The latent vector.
    pub z: Vec<f32>,
    /// The file, the picture as training would see it [C, H, W], and its projection.
    pub projected: Option<(PathBuf, Vec<f32>, Projection)>,
}

impl Point {
    /// Reads `3`, `3:12` or a path.
    pub fn parse(text: &str) -> Result<Point> {
        let number = |text: &str| text.parse::<u64>().ok();
        if let Some(seed) = number(text) {
            return Ok(Point::Seed { seed, index: 0 });
        }
        if let Some((seed, index)) = text.split_once(':').and_then(|(a, b)| Some((number(a)?, number(b)?))) {
            if index > 65_535 {
                return Err(Error::Usage(format!("{text}: pictures of a seed are numbered 0 to 65535")));
            }
            return Ok(Point::Seed { seed, index: index as usize });
        }
        if !Path::new(text).is_file() {
            return Err(Error::Usage(format!(
                "{text}: neither an image file nor a seed (3, or 3:12 for picture 12 of `toile sample --seed 3`)"
            )));
        }
        Ok(Point::Picture(text.into()))
    }

    /// A part of a file's name.
    pub fn slug(&self) -> String {
        match self {
            Point::Seed { seed, index: 0 } => seed.to_string(),
            Point::Seed { seed, index } => format!("{seed}.{index}"),
            Point::Picture(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }
}

/// Finds each point's latent vector; image files are projected, which is shown and told.
pub fn find(
    points: &[Point],
    generator: &TrainedGenerator,
    args: &ProjectArgs,
    seed: u64,
    common: &Common,
) -> Result<Vec<Found>> {
    let options = args.options(seed)?;
    // What cannot be read is found before the first projection.
    let pictures = points.iter().map(|point| match point {
        Point::Seed { .. } => Ok(None),
        Point::Picture(path) => as_trained(path, generator).map(Some),
    });
    let pictures = pictures.collect::<Result<Vec<_>>>()?;
    let mut found = Vec::new();
    for (point, picture) in points.iter().zip(pictures) {
        found.push(match (point, picture) {
            (Point::Picture(path), Some(picture)) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let mut count = Count::new(common.printing.quiet, options.steps, &format!("projects {name}"));
                let mut tell = |step, distance: f64| count.at(step, &format!("distance {distance:.1} of 255"));
                let projection = project(generator, &picture, &options, &mut tell)?;
                if !common.printing.quiet {
                    let Projection { distance, drawn, .. } = &projection;
                    say(&format!(
                        "{name}: distance {distance:.1} of 255 a pixel (nearest of the drawn ones: {drawn:.1})"
                    ));
                }
                Found { name, z: projection.z.clone(), projected: Some((path.clone(), picture, projection)) }
            }
            (Point::Seed { seed, index }, _) => {
                let name = if *index == 0 { format!("seed {seed}") } else { format!("seed {seed}:{index}") };
                let latent = generator.latent();
                let z = sample_latents(*seed, index + 1, latent, None).split_off(index * latent);
                Found { name, z, projected: None }
            }
            (Point::Picture(_), None) => unreachable!("every image file was read"),
        });
    }
    Ok(found)
}

/// The picture as training would see it.
fn as_trained(path: &Path, generator: &TrainedGenerator) -> Result<Vec<f32>> {
    let data = &generator.recipe().data;
    let fitting = Fitting { size: data.size, channels: data.channels, fit: data.fit, background: data.background };
    let mut bytes = vec![0; fitting.shape().iter().product()];
    fitting.apply(read_image(path)?, &mut bytes);
    Ok(bytes.into_iter().map(|byte| f32::from(byte) / 127.5 - 1.0).collect())
}

/// Records the model and each point that went in.
pub fn record(
    made: Provenance,
    generator: &TrainedGenerator,
    found: &[Found],
    args: &ProjectArgs,
) -> Result<Provenance> {
    // Where no picture went in, a licence given can only be the data's.
    let pictures = found.iter().any(|point| point.projected.is_some());
    let of_data = args.licence.as_deref().filter(|_| !pictures);
    let mut made = made.model(&generator.identity, of_data);
    let names: Vec<&str> = found.iter().map(|point| point.name.as_str()).collect();
    made = made.with("points", names.join(", "));
    for (path, _, projection) in found.iter().filter_map(|point| point.projected.as_ref()) {
        made = made.picture("content", path, args.licence.as_deref())?;
        made = made.with("projection-distance", format!("{:.2} of 255 ({})", projection.distance, path.display()));
    }
    if pictures {
        made = made.with(
            "projection",
            format!("{} steps, {} beginnings, prior {}", args.project_steps, args.restarts, args.prior),
        );
    }
    Ok(made)
}

/// What a point is as JSON.
pub fn json(found: &Found) -> serde_json::Value {
    let projection = found.projected.as_ref().map(|(_, _, projection)| projection);
    serde_json::json!({
        "name": found.name,
        "distance": projection.map(|p| p.distance),
        "distance_drawn": projection.map(|p| p.drawn),
    })
}

/// Images of latent vectors, each a picture.
pub fn draw(generator: &TrainedGenerator, vectors: &[Vec<f32>], scale: u32) -> Result<Vec<RgbImage>> {
    let images = generator.generate(&vectors.concat(), Mode::Inference)?;
    Ok(pictures(&images, generator.recipe().image_shape(), scale))
}

/// Images [N, C, H, W], each a picture.
pub fn pictures(images: &[f32], [c, h, w]: [usize; 3], scale: u32) -> Vec<RgbImage> {
    images.chunks(c * h * w).map(|image| image_grid(image, 1, c, h, w, 1, scale, 0)).collect()
}

/// `--scale`, or what makes a picture about 84 wide.
pub fn scale_for(generator: &TrainedGenerator, scale: Option<u32>) -> Result<u32> {
    if let Some(scale) = scale.filter(|scale| !(1..=64).contains(scale)) {
        return Err(Error::Usage(format!("--scale {scale}: takes 1 to 64")));
    }
    let [_, h, w] = generator.recipe().image_shape();
    Ok(scale.unwrap_or((84 / h.max(w)).clamp(1, 8) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_pictures_of_seeds_and_files() {
        assert_eq!(Point::parse("3").unwrap(), Point::Seed { seed: 3, index: 0 });
        assert_eq!(Point::parse("3:12").unwrap(), Point::Seed { seed: 3, index: 12 });
        assert_eq!(Point::parse("3:12").unwrap().slug(), "3.12");
        for (text, word) in [("-1", "nor a seed"), ("3:", "nor a seed"), ("3:70000", "65535"), ("none.png", "none.png")]
        {
            let error = Point::parse(text).unwrap_err();
            assert!(error.to_string().contains(word) && error.exit_code() == 2, "{error}");
        }
    }
}
