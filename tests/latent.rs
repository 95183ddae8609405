//! Latent spaces of trained generators: projection, style taken over, what a checkpoint says of its data.

use toile::Device;
use toile::nn::Mode;
use toile::train::latent::{TrainedGenerator, around};
use toile::train::projection::{Projecting, project};
use toile::train::{Observer, Recipe, Row, RunFolder, gan_training, run::Start};

struct Silent;

impl Observer for Silent {
    fn begin(&mut self, _: &Start) {}
    fn step(&mut self, _: u64, _: Option<&Row>) {}
    fn wrote(&mut self, _: &std::path::Path) {}
}

/// The seed recipe after a few steps, in a run folder.
fn trained(folder: &std::path::Path, settings: &[&str], device: &Device) -> TrainedGenerator {
    let settings: Vec<String> = ["train.batch=4", "train.steps=3", "data.count=16", "train.sample_every=100"]
        .iter()
        .chain(settings)
        .map(|s| s.to_string())
        .collect();
    let recipe = Recipe::load("seed", &settings).unwrap();
    let run = RunFolder::create(folder, &recipe).unwrap();
    gan_training::train(&recipe, &run, device, &false.into(), &mut Silent).unwrap();
    TrainedGenerator::load(&run, None, device).unwrap()
}

#[test]
fn a_generators_own_images_are_projected_back_to_themselves() {
    let place = tempfile::tempdir().unwrap();
    let generator = trained(&place.path().join("run"), &[], &Device::Cpu);
    let options = Projecting { restarts: 3, steps: 300, seed: 5, ..Projecting::default() };
    for seed in [1, 2] {
        let z = gan_training::sample_latents(seed, 1, generator.latent(), None);
        let picture = generator.generate(&z, Mode::Inference).unwrap();
        let mut heard = Vec::new();
        let found =
            project(&generator, &picture, &options, &mut |step, distance| heard.push((step, distance))).unwrap();
        assert!(found.distance < 0.1 * found.drawn && found.distance < 1.0, "{} of {}", found.distance, found.drawn);
        assert_eq!(generator.generate(&found.z, Mode::Inference).unwrap(), found.image);
        assert_eq!((heard[0].0, heard.last().unwrap().0), (0, 300), "{heard:?}");
        let length = found.z.iter().map(|v| v * v).sum::<f32>() / found.z.len() as f32;
        assert!((0.7..1.4).contains(&length), "{length}");
        // The same again, bit for bit; other beginnings end near the same picture.
        assert_eq!(project(&generator, &picture, &options, &mut |_, _| {}).unwrap(), found);
    }
}

#[test]
fn style_is_taken_over_by_degrees_and_layer() {
    let place = tempfile::tempdir().unwrap();
    let generator = trained(&place.path().join("run"), &[], &Device::Cpu);
    let names: Vec<(String, [usize; 2])> = generator.style_layers();
    let wanted = [("conv_transpose2d_1", [7, 7]), ("conv_transpose2d_2", [14, 14])];
    assert_eq!(names, wanted.map(|(name, size)| (name.to_string(), size)));
    let layers: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
    let latent = generator.latent();
    let z = gan_training::sample_latents(4, 2, latent, None);
    let (a, b) = z.split_at(latent);
    let images = generator.generate(&z, Mode::Inference).unwrap();
    let image_a = &images[..images.len() / 2];
    let far = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    for layers in [&layers[..1], &layers[1..], &layers[..]] {
        let mixed = generator.style_mixed(a, b, layers, &[0.0, 0.5, 1.0]).unwrap();
        let [none, half, all] = [0, 1, 2].map(|i| &mixed[i * image_a.len()..][..image_a.len()]);
        assert!(far(none, image_a) < 1e-4, "{}", far(none, image_a));
        assert!(far(half, image_a) > 1e-3 && far(all, image_a) > far(half, image_a));
        // Its own style changes nothing.
        assert!(far(&generator.style_mixed(a, a, layers, &[1.0]).unwrap(), image_a) < 1e-4);
    }
    let near = around(a, 0.2, 1, 4).concat();
    let near = generator.generate(&near, Mode::Inference).unwrap();
    assert!(near.chunks(image_a.len()).all(|image| far(image, image_a) > 1e-3));
}

#[test]
fn a_checkpoint_knows_the_licences_of_its_pictures() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    std::fs::create_dir(&data).unwrap();
    for name in ["a.png", "b.png"] {
        image::RgbImage::from_pixel(9, 9, image::Rgb([200, 9, 9])).save(data.join(name)).unwrap();
    }
    let source = format!("data.source={:?}", data.display().to_string());
    let without = trained(&place.path().join("without"), &[&source], &Device::Cpu);
    assert_eq!(without.identity.data_licence, None);
    std::fs::write(data.join("LICENCES"), "a.png: CC0\n").unwrap();
    let with = trained(&place.path().join("with"), &[&source], &Device::Cpu);
    assert_eq!(with.identity.data_licence.as_deref(), Some("CC0 (1 image), not stated (1 image)"));
    let text = toile::report::read_png_text(place.path().join("with/samples/step-000003.png")).unwrap();
    assert!(text.contains(&("data-licence".into(), "CC0 (1 image), not stated (1 image)".into())), "{text:?}");
    std::fs::write(data.join("LICENCES"), "a.png\n").unwrap();
    let recipe = Recipe::load("seed", &[source, "train.batch=4".into(), "train.steps=1".into()]).unwrap();
    let run = RunFolder::create(&place.path().join("bad"), &recipe).unwrap();
    let error = gan_training::train(&recipe, &run, &Device::Cpu, &false.into(), &mut Silent).unwrap_err();
    assert!(error.to_string().contains("LICENCES: line 1"), "{error}");
}
