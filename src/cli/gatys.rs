//! `toile gatys`: one picture in the style of another by optimising its pixels.

use super::common::{Common, command};
use super::progress::Progress;
use super::train::stop_on_signals;
use super::{print_line, say};
use crate::error::{Error, Result};
use crate::optim::{LbfgsConfig, LineSearch};
use crate::report::Provenance;
use crate::rng::{Domain, Stream};
use crate::tensor::{Device, Tensor};
use crate::train::features::open_features;
use crate::train::gatys::{Distance, Losses, Optimised, Rule, Weights, check_memory, memory, optimise};
use crate::train::picture::Picture;
use crate::train::run::Start;
use crate::train::{Observer, Row};
use std::path::PathBuf;

/// Gives a picture another's style by optimising its pixels
///
/// The method of Gatys et al. 2016: what the layers of a feature network
/// say of the picture shall be as for the content, and their Gram matrices
/// as for the style. It begins with the content.
///
/// Examples:
///
///   toile gatys shirt.png floral.png --features runs/classifier-1 --out a.png
///   toile gatys shirt.png floral.png --features mobilenet_v2.safetensors --out b.png
///   toile gatys shirt.png floral.png --optimizer adam --evaluations 500 --out c.png
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The picture to restyle: PNG, JPEG or WebP.
    content: PathBuf,
    /// The picture whose style it takes.
    style: PathBuf,
    /// The result, a file that ends in .png.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What compares pictures: random (random filters at four scales), a run of classifier, or a safetensors file of VGG-16, VGG-19,
    /// SqueezeNet 1.1 or MobileNetV2 with torchvision's names.
    #[arg(long, default_value = "random", value_name = "random|RUN|FILE")]
    features: String,
    /// The layers that tell the style, such as relu1_1,relu2_1 [default: five of the network's, four of those without a download].
    #[arg(long, value_delimiter = ',', value_name = "LAYER,LAYER")]
    style_layers: Option<Vec<String>>,
    /// The layer that tells the content [default: the network's].
    #[arg(long, value_name = "LAYER")]
    content_layer: Option<String>,
    /// How the pixels are moved.
    #[arg(long, value_parser = ["lbfgs", "adam"], default_value = "lbfgs")]
    optimizer: String,
    /// Of L-BFGS: steps as long as its model says, as published (fixed), or a search for a length that descends (wolfe).
    #[arg(long, value_parser = ["fixed", "wolfe"], default_value = "fixed")]
    line_search: String,
    /// Adam's learning rate, for pixels from -1 to 1.
    #[arg(long, default_value_t = 0.02)]
    lr: f64,
    /// How often loss and gradient are computed.
    #[arg(long, default_value_t = 200, value_name = "N")]
    evaluations: usize,
    /// How much the content counts.
    #[arg(long, default_value_t = 1.0, value_name = "WEIGHT")]
    content_weight: f64,
    /// How much the style counts.
    #[arg(long, default_value_t = 10.0, value_name = "WEIGHT")]
    style_weight: f64,
    /// How much the squared differences of neighbouring pixels count; 0 as published. Features without a download need it against
    /// coloured noise.
    #[arg(long, default_value_t = 0.0, value_name = "WEIGHT")]
    smooth_weight: f64,
    /// The longer side of both pictures, and of the result, 32 to 2048 pixels.
    #[arg(long, default_value_t = 256, value_name = "PIXELS")]
    size: usize,
    /// What it begins with.
    #[arg(long, value_parser = ["content", "noise"], default_value = "content")]
    start: String,
    /// Of random filters and of noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The pictures' licence, written into the result [default: what a file LICENCES beside a picture says].
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub fn run(args: Args) -> Result<u8> {
    check(&args)?;
    args.common.check_png(&args.out)?;
    let content = Picture::read(&args.content, Some(args.size))?;
    let style = Picture::read(&args.style, Some(args.size))?;
    let device = args.common.open()?;
    let (network, identity) = open_features(&args.features, args.seed, &device)?;
    let rule = rule(&args);
    let weights = Weights {
        content: args.content_weight,
        style: args.style_weight,
        smooth: args.smooth_weight,
        content_layer: args.content_layer.clone().unwrap_or_else(|| network.content_layer().into()),
        style_layers: args.style_layers.clone().unwrap_or_else(|| network.style_layers().to_vec()),
    };
    let layers = [weights.style_layers.join(", "), weights.content_layer.clone()];
    let needed = memory((&args.features, args.seed), &weights, [content.size, style.size], (rule, args.evaluations))?;
    check_memory(&args.content, content.size, needed)?;
    if !args.common.printing.quiet {
        say(&format!("memory: about {} MiB beside the program", needed.div_ceil(1 << 20)));
    }
    let distance = Distance::new(&network, weights, &content.tensor(&device), &style.tensor(&device))?;
    let mut progress = Progress::new(args.common.printing.quiet, matches!(device, Device::Gpu(_)));
    let [h, w] = content.size;
    progress.begin(&Start {
        data: format!("{} in the style of {}; {}", args.content.display(), args.style.display(), network.name()),
        from: 0,
        to: args.evaluations as u64,
        batch: 1,
        parameters: vec![("picture", 3 * h * w)],
        note: None,
    });
    let begun = std::time::Instant::now();
    let start = if args.start == "noise" { noise(&args, content.size, &device) } else { content.tensor(&device) };
    let stop = stop_on_signals()?;
    let found = optimise(&distance, &start, rule, args.evaluations, &stop, |number, losses| {
        let values = [("loss", losses.total), ("content", losses.content), ("style", losses.style)];
        let values = values.map(|(name, value)| (name.to_string(), value)).to_vec();
        progress.step(number as u64, Some(&Row { step: number as u64, images_seen: number as u64, values }));
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let text = provenance(&args, &identity, network.name(), &layers, &found)?;
    content.save(&args.out, &found.picture, text.text(), args.common.force)?;
    report(&args, &found, seconds)?;
    Ok(0)
}

fn rule(args: &Args) -> Rule {
    match args.optimizer.as_str() {
        "adam" => Rule::Adam { lr: args.lr },
        _ => {
            let line_search = if args.line_search == "wolfe" { LineSearch::Wolfe } else { LineSearch::Fixed };
            Rule::Lbfgs(LbfgsConfig { line_search, ..LbfgsConfig::default() })
        }
    }
}

fn check(args: &Args) -> Result<()> {
    let within = |option: &str, value: f64, low: f64, high: f64| match value {
        v if v >= low && v <= high => Ok(()),
        v => Err(Error::Usage(format!("{option} {v}: takes {low} to {high}"))),
    };
    within("--size", args.size as f64, 32.0, 2048.0)?;
    within("--evaluations", args.evaluations as f64, 1.0, 1e6)?;
    within("--content-weight", args.content_weight, 0.0, 1e12)?;
    within("--style-weight", args.style_weight, 0.0, 1e12)?;
    within("--smooth-weight", args.smooth_weight, 0.0, 1e12)?;
    within("--lr", args.lr, 0.0, 10.0)?;
    if args.content_weight == 0.0 && args.style_weight == 0.0 {
        return Err(Error::Usage("--content-weight 0 and --style-weight 0: one must count".into()));
    }
    Ok(())
}

/// Uniform in ±0.5.
fn noise(args: &Args, [h, w]: [usize; 2], device: &Device) -> Tensor {
    let values = Stream::new(args.seed, Domain::Latent, 0).uniform_vec(3 * h * w, -0.5, 0.5);
    Tensor::new(device, [1, 3, h, w], &values)
}

fn provenance(
    args: &Args,
    identity: &str,
    network: &str,
    [style_layers, content_layer]: &[String; 2],
    found: &Optimised,
) -> Result<Provenance> {
    let Args { content_weight, style_weight, smooth_weight, .. } = args;
    let weights = format!("content {content_weight}, style {style_weight}, smooth {smooth_weight}");
    let rule = match args.optimizer.as_str() {
        "adam" => format!("adam, lr {}", args.lr),
        _ => format!("lbfgs, {} steps", args.line_search),
    };
    Ok(Provenance::new(&command())
        .picture("content", &args.content, args.licence.as_deref())?
        .picture("style", &args.style, args.licence.as_deref())?
        .with("method", "gatys")
        .with("features", format!("{network} ({})", args.features))
        .with("model", identity)
        .with("style-layers", style_layers)
        .with("content-layer", content_layer)
        .with("weights", weights)
        .with("optimizer", rule)
        .with("evaluations", found.losses.len())
        .with("loss", found.losses[found.best].total)
        .with("size", args.size)
        .with("start", &args.start)
        .with("seed", args.seed))
}

fn report(args: &Args, found: &Optimised, seconds: f64) -> Result<()> {
    let (first, last) = (found.losses[0], found.losses[found.best]);
    if args.common.printing.json {
        let part = |of: fn(&Losses) -> f64| found.losses.iter().map(of).collect::<Vec<f64>>();
        let all = serde_json::json!({
            "written": [args.out.display().to_string()], "evaluations": found.losses.len(), "best": found.best + 1,
            "seconds": seconds, "losses": part(|l| l.total), "content": part(|l| l.content), "style": part(|l| l.style),
        });
        return print_line(&all.to_string());
    }
    if args.common.printing.quiet {
        return Ok(());
    }
    let share = 100.0 * last.total / first.total;
    let tenth = found.losses.iter().position(|l| l.total < 0.1 * first.total);
    let tenth = tenth.map_or(String::new(), |k| format!("; below a tenth at evaluation {}", k + 1));
    print_line(&args.out.display().to_string())?;
    print_line(&format!(
        "loss {:.4} at the start, {:.4} at evaluation {} of {} ({share:.1} %){tenth}; {seconds:.1} s",
        first.total,
        last.total,
        found.best + 1,
        found.losses.len()
    ))
}
