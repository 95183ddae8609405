//! The published networks: their parameter counts, shapes and layers.

use crate::devices;
use toile::models::{
    Down, LayerSpec, Norm, PatchSpec, ResnetSpec, TranslatorSpec, UnetSpec, Up, build, dcgan, output_shape, sngan,
};
use toile::nn::init::Initializer;
use toile::nn::{Draws, Init, Mode, Module, Strips};
use toile::ops::{Activation, Conv2d, Pool2d};
use toile::rng::{Domain, Stream};
use toile::tensor::no_grad;
use toile::train::Recipe;
use toile::{Device, Tensor};

fn init() -> Initializer {
    Initializer::new(&Device::Cpu, Init::GlorotUniform, 0, 0)
}

fn resnet(ngf: usize, blocks: usize) -> ResnetSpec {
    ResnetSpec { ngf, blocks, down: Down::Stride, up: Up::Transposed }
}

fn patch(ndf: usize, norm: Norm) -> PatchSpec {
    PatchSpec { ndf, layers: 3, norm, down: Down::Stride }
}

fn images(n: usize, c: usize, h: usize, w: usize) -> Tensor {
    let mut stream = Stream::new(5, Domain::Test, 0);
    Tensor::new(&Device::Cpu, [n, c, h, w], &stream.uniform_vec(n * c * h * w, -1.0, 1.0))
}

#[test]
fn parameter_counts_are_the_published_ones() {
    assert_eq!(resnet(64, 9).build([3, 3], &mut init()).parameter_count(), 11_378_179);
    assert_eq!(patch(64, Norm::Instance).build(3, &mut init()).parameter_count(), 2_764_737);
    assert_eq!(patch(64, Norm::Batch).build(6, &mut init()).parameter_count(), 2_768_705);
    let unet = UnetSpec { ngf: 64, downs: 8, dropout: 0.5 };
    assert_eq!(unet.build([3, 3], &mut init(), &Draws::new(0)).parameter_count(), 54_413_955);
    let generator = build(&dcgan::generator(dcgan::LATENT, &dcgan::WIDTHS, 3), &[dcgan::LATENT], &mut init()).unwrap();
    assert_eq!(generator.parameter_count(), 3_576_704);
    let discriminator = build(&dcgan::discriminator(&[64, 128, 256, 512]), &[3, 64, 64], &mut init()).unwrap();
    assert_eq!(discriminator.parameter_count(), 2_765_568);
    let residual = build(&sngan::discriminator(sngan::WIDTH, 2, false), &[3, 32, 32], &mut init()).unwrap();
    assert_eq!(residual.parameter_count(), 1_053_825);
}

#[test]
fn the_recipe_holds_dcgan() {
    let recipe = Recipe::load("dcgan", &[]).unwrap();
    assert_eq!(recipe.generator.layers, dcgan::generator(dcgan::LATENT, &dcgan::WIDTHS, 3));
    assert_eq!(recipe.discriminator.layers, dcgan::discriminator(&[64, 128, 256, 512]));
    assert_eq!(recipe.image_shape(), [3, 64, 64]);
    let written = recipe.to_toml();
    assert_eq!(Recipe::parse("written", &written, &[]).unwrap(), recipe, "{written}");
}

#[test]
fn dcgan_starts_from_its_distributions() {
    let recipe = Recipe::load("dcgan", &[]).unwrap();
    let mut init = Initializer::new(&Device::Cpu, recipe.init, 1, 0);
    let network = build(&recipe.discriminator.layers, &[3, 64, 64], &mut init).unwrap();
    for (name, parameter) in network.parameters() {
        let values = parameter.get().to_vec().unwrap();
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| v as f64).sum::<f64>() / n;
        let std = (values.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / n).sqrt();
        let (want_mean, want_std) = match name.rsplit('.').next() {
            Some("weight") => (0.0, 0.02),
            Some("gamma") => (1.0, 0.02),
            _ => (0.0, 0.0),
        };
        // Six standard errors.
        assert!((mean - want_mean).abs() <= 6.0 * 0.02 / n.sqrt(), "{name}: mean {mean}");
        assert!((std - want_std).abs() <= 6.0 * 0.02 / (2.0 * n).sqrt(), "{name}: standard deviation {std}");
    }
}

#[test]
fn translators_keep_the_size_and_patches_shrink_as_said() {
    let x = images(1, 3, 32, 48);
    for (down, up) in [(Down::Stride, Up::Transposed), (Down::Stride, Up::Nearest), (Down::Blur, Up::Bilinear)] {
        let network = ResnetSpec { down, up, ..resnet(2, 2) }.build([3, 1], &mut init());
        let y = network.forward(&x, Mode::Inference);
        assert_eq!(y.shape()[..], [1, 1, 32, 48], "{down:?} {up:?}");
        assert!(y.to_vec().unwrap().iter().all(|v| v.abs() < 1.0));
    }
    for (down, layers, size) in [(Down::Stride, 3, [64, 50]), (Down::Stride, 1, [16, 9]), (Down::Blur, 3, [64, 51])] {
        let spec = PatchSpec { down, layers, ..patch(2, Norm::Instance) };
        let y = spec.build(3, &mut init()).forward(&images(1, 3, size[0], size[1]), Mode::Train);
        assert_eq!(y.shape()[..2], [1, 1]);
        assert_eq!(y.shape()[2..], spec.output_size(size).unwrap(), "{down:?} {layers} {size:?}");
    }
    assert_eq!(patch(2, Norm::Instance).output_size([64, 16]), None);
    assert_eq!(patch(2, Norm::Instance).output_size([64, 24]), Some([6, 1]));
}

#[test]
fn cut_compares_the_published_layers() {
    let spec = ResnetSpec { down: Down::Blur, up: Up::Bilinear, ..resnet(2, 6) };
    let names = spec.feature_layers();
    assert_eq!(names, ["stem_pad", "down1", "down2", "block0", "block4"]);
    let network = spec.build([3, 3], &mut init());
    let (y, features) = network.forward_with(&images(1, 3, 16, 24), Mode::Train, &names);
    let shapes: Vec<Vec<usize>> = features.iter().map(|f| f.shape().to_vec()).collect();
    assert_eq!(shapes, [[1, 3, 22, 30], [1, 4, 16, 24], [1, 8, 8, 12], [1, 8, 4, 6], [1, 8, 4, 6]]);
    assert_eq!(y.to_vec().unwrap(), network.forward(&images(1, 3, 16, 24), Mode::Train).to_vec().unwrap());
    for (a, b) in features.iter().zip(network.features(&images(1, 3, 16, 24), Mode::Train, &names)) {
        assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap());
    }
}

#[test]
fn dropout_masks_have_addresses() {
    let draws = Draws::new(3);
    let spec = UnetSpec { ngf: 2, downs: 6, dropout: 0.5 };
    let network = spec.build([3, 3], &mut init(), &draws);
    let x = images(2, 3, 64, 64);
    let at = |step: u64, mode: Mode| {
        draws.begin(step);
        network.forward(&x, mode).to_vec().unwrap()
    };
    let first = at(7, Mode::BatchStatistics);
    assert_ne!(first, at(8, Mode::BatchStatistics));
    assert_eq!(first, at(7, Mode::BatchStatistics));
    assert_eq!(at(1, Mode::Inference), at(2, Mode::Inference));
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let refused = |layer: &str, input: &[usize]| {
        let layer: toml::Table = format!("layer = {layer}").parse().unwrap();
        let layer = layer["layer"].clone().try_into().unwrap();
        output_shape(&[layer], input).unwrap_err()
    };
    assert_eq!(refused("{ reflect_pad = { size = 4 } }", &[3, 4, 9]).key, "size");
    assert_eq!(refused("{ instance_norm = { eps = 0 } }", &[3, 4, 4]).key, "eps");
    assert!(refused("{ upsample = { kind = \"nearest\" } }", &[3]).message.contains("takes images"));
    let wide = "{ conv_transpose2d = { filters = 2, kernel = 3, stride = 2, padding = 1, output_padding = 2 } }";
    assert_eq!(refused(wide, &[3, 4, 4]).key, "output_padding");
}

/// Against the block written out in ops.
#[test]
fn a_residual_block_is_two_convolutions_and_a_shortcut() {
    let spec = [
        LayerSpec::Residual { filters: 5, down: true, first: true, spectral_norm: false },
        LayerSpec::Residual { filters: 5, down: false, first: false, spectral_norm: false },
    ];
    let network = build(&spec, &[3, 6, 8], &mut init()).unwrap();
    let names: Vec<String> = network.parameters().into_iter().map(|(name, _)| name).collect();
    let convs = ["residual_1.conv1", "residual_1.conv2", "residual_1.shortcut", "residual_2.conv1", "residual_2.conv2"];
    assert_eq!(names, convs.iter().flat_map(|n| [format!("{n}.weight"), format!("{n}.bias")]).collect::<Vec<_>>());

    let w: Vec<Tensor> = network.parameters().into_iter().step_by(2).map(|(_, w)| w.get()).collect();
    let conv = |x: &Tensor, w: &Tensor| x.conv2d(w, Conv2d { padding: [w.dim(2) / 2; 4], ..Conv2d::default() });
    let x = images(2, 3, 6, 8);
    let half = |x: &Tensor| x.avg_pool2d(Pool2d::new(2), true);
    let a = half(&conv(&conv(&x, &w[0]).relu(), &w[1])) + half(&conv(&x, &w[2]));
    let b = conv(&conv(&a.relu(), &w[3]).relu(), &w[4]) + &a;
    let (got, want) = (network.forward(&x, Mode::Train), b);
    assert_eq!(got.shape()[..], [2, 5, 3, 4]);
    let far = (got - want).norm_max_axes(&[0, 1, 2, 3]).item().unwrap();
    assert!(far < 1e-6, "{far:e}");
    let error =
        output_shape(&[LayerSpec::Residual { filters: 5, down: true, first: true, spectral_norm: false }], &[3, 1, 8])
            .unwrap_err();
    assert_eq!((error.key, error.message.as_str()), ("down", "images of [3, 1, 8] cannot be halved"));
    assert_eq!(output_shape(&[LayerSpec::GlobalSumPool], &[3]).unwrap_err().layer, 0);
}

/// The largest singular value of a weight as a matrix [out, rest], by many iterations from another start.
fn largest_singular_value(w: &Tensor) -> f64 {
    let u = Tensor::normal(w.device(), [w.dim(0)], &Stream::new(9, Domain::Test, 0));
    w.spectral_norm(&u, 0, 2000, 1e-12).sigma.item().unwrap()
}

#[test]
fn spectral_normalisation_bounds_every_layer_of_sngan() {
    let mut init = Initializer::new(&Device::Reference, Init::GlorotUniform, 0, 0);
    let plain = build(&sngan::discriminator(4, 1, false), &[3, 8, 8], &mut init).unwrap();
    let network = build(&sngan::discriminator(4, 1, true), &[3, 8, 8], &mut init).unwrap();
    assert_eq!(plain.parameter_count(), network.parameter_count());
    assert!(plain.buffers().is_empty());
    let weights: Vec<_> = network.parameters().into_iter().filter(|(name, _)| name.ends_with("weight")).collect();
    let buffers = network.buffers();
    assert_eq!(weights.len(), buffers.len());
    for ((weight, w), (u_name, u)) in weights.iter().zip(&buffers) {
        assert_eq!(weight.replace("weight", "u"), *u_name);
        assert_eq!(u.get().shape()[..], [w.get().dim(0)]);
    }
    let x = Tensor::normal(&Device::Reference, [2, 3, 8, 8], &Stream::new(1, Domain::Test, 0));
    let values = || buffers.iter().map(|(_, u)| u.get().to_vec_f64().unwrap()).collect::<Vec<_>>();
    let before = values();
    for mode in [Mode::Inference, Mode::BatchStatistics] {
        network.forward(&x, mode);
        assert_eq!(values(), before, "{mode:?} moves nothing");
    }
    network.forward(&x, Mode::Train);
    assert_ne!(values(), before);
    (0..400).for_each(|_| drop(toile::tensor::no_grad(|| network.forward(&x, Mode::Train))));

    // Then the network is the plain one of weights divided by their largest singular value, whatever their scale.
    for ((name, w), (_, plain)) in network.parameters().iter().zip(plain.parameters()) {
        let w = w.get();
        plain.set(if name.ends_with("weight") { (&w * (1.0 / largest_singular_value(&w))).detach() } else { w });
    }
    let [got, want] = [network.forward(&x, Mode::Inference), plain.forward(&x, Mode::Inference)];
    for (got, want) in got.to_vec_f64().unwrap().iter().zip(want.to_vec_f64().unwrap()) {
        assert!((got - want).abs() < 1e-6, "{got} is not {want}");
    }
}

/// A network applied in strips of rows gives what it gives at once, whatever the strips' heights.
#[test]
fn strips_give_what_the_whole_gives() {
    let nets: [(&str, TranslatorSpec); 5] = [
        (
            "transposed",
            TranslatorSpec::Resnet(ResnetSpec { ngf: 3, blocks: 2, down: Down::Stride, up: Up::Transposed }),
        ),
        ("bilinear", TranslatorSpec::Resnet(ResnetSpec { ngf: 2, blocks: 1, down: Down::Blur, up: Up::Bilinear })),
        ("nearest", TranslatorSpec::Resnet(ResnetSpec { ngf: 2, blocks: 1, down: Down::Stride, up: Up::Nearest })),
        ("unet", TranslatorSpec::Unet(UnetSpec { ngf: 2, downs: 3, dropout: 0.0 })),
        ("dropping unet", TranslatorSpec::Unet(UnetSpec { ngf: 1, downs: 6, dropout: 0.5 })),
    ];
    for device in devices::all() {
        let limit = if matches!(device, Device::Reference) { 1e-12 } else { 2e-5 };
        for (name, spec) in &nets {
            let sizes: &[[usize; 2]] = if *name == "dropping unet" { &[[64, 64]] } else { &[[8, 24], [40, 16]] };
            for &[h, w] in sizes {
                let draws = Draws::new(3);
                let network = spec.build(
                    3,
                    &mut Initializer::new(&device, Init::Normal { std: 0.3, gamma_std: 0.2 }, 5, 0),
                    &draws,
                );
                let x = Tensor::normal(&device, [1, 3, h, w], &Stream::new(1, Domain::Test, 0));
                for mode in [Mode::BatchStatistics, Mode::Inference] {
                    draws.begin(0);
                    let whole = no_grad(|| network.forward(&x, mode)).to_vec().unwrap();
                    for most in [1, 700, 5_000] {
                        draws.begin(0);
                        let strips = Strips::cut(&x, most);
                        let y = no_grad(|| network.forward_strips(strips, mode, Activation::Identity).join());
                        assert_eq!(&y.shape()[..], [1, 3, h, w]);
                        let y = y.to_vec().unwrap();
                        let worst = whole.iter().zip(&y).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                        assert!(
                            f64::from(worst) <= limit,
                            "{name} {h}x{w} {mode:?} strips of {most}, {device:?}: {worst}"
                        );
                    }
                }
            }
        }
    }
}
