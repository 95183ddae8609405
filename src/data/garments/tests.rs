//! Tests of the built-in garments: the same for ever, sound at every size, and as varied as promised.

use super::*;

/// A garment of each kind in each pattern, with cuts from all over.
fn everything() -> impl Iterator<Item = Garment> {
    Kind::ALL.into_iter().enumerate().flat_map(|(i, kind)| {
        Pattern::ALL.into_iter().enumerate().map(move |(j, pattern)| {
            let drawn = Garment::draw(11, (i * 12 + j) as u64);
            Garment { kind, ..drawn.with_pattern(pattern) }
        })
    })
}

/// How far apart two colours are.
fn distance(a: Rgb, b: Rgb) -> f32 {
    a.iter().zip(b).map(|(&a, b)| (a as f32 - b as f32).powi(2)).sum::<f32>().sqrt()
}

/// Descriptions must never change: pictures are named by seed and index in recipes and reports.
#[test]
fn descriptions_are_stable() {
    for index in 0..50 {
        assert_eq!(Garment::draw(7, index), Garment::draw(7, index));
    }
    assert_ne!(Garment::draw(7, 0), Garment::draw(8, 0));
    let prints = [(7, 0), (7, 1), (u64::MAX, u64::MAX)].map(|(seed, index)| Garment::draw(seed, index).fingerprint());
    assert_eq!(prints, [0xB8DD_F568_30E3_3DB3, 0x6618_E5FC_D994_D6BF, 0xC50B_C46F_6355_3A2D], "{prints:#x?}");
    let first = Garment::draw(7, 0);
    assert_ne!(
        first.fingerprint(),
        first.with_palette(Palette::ALL[(first.palette.id as usize + 1) % 16]).fingerprint()
    );
}

#[test]
fn renders_are_deterministic() {
    for garment in everything().step_by(17) {
        assert_eq!(garment.render(64), garment.render(64));
        assert_eq!(garment.render(128), garment.render(128));
    }
}

#[test]
fn ids_and_names_agree() {
    for (i, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!((kind.id() as usize, Kind::from_name(kind.name())), (i, Some(kind)));
    }
    for (i, pattern) in Pattern::ALL.into_iter().enumerate() {
        assert_eq!((pattern.id() as usize, Pattern::from_name(pattern.name())), (i, Some(pattern)));
    }
    for (i, palette) in Palette::ALL.iter().enumerate() {
        assert_eq!(palette.id as usize, i);
    }
    let cut = Garment::draw(7, 3).cut;
    assert_eq!(Cut::from_values(cut.values()), cut);
}

#[test]
fn everything_renders_at_every_size() {
    for garment in everything() {
        for size in [1, 7, 28, 64] {
            let image = garment.render(size);
            assert_eq!(image.dimensions(), (size, size));
            let far = image.pixels().filter(|p| distance(p.0, garment.background) > 12.0).count() as f32;
            assert!(far / (size * size) as f32 > 0.08, "{} is blank at {size}", garment.caption());
            assert_eq!(garment.mask(size).dimensions(), (size, size));
        }
    }
    for size in [2, 3, 13, 95, 96, 191, 192] {
        for garment in everything().step_by(23) {
            assert_eq!(garment.render(size).dimensions(), (size, size));
            assert_eq!(garment.outline(size, [0; 3]).dimensions(), (size, size));
        }
    }
}

#[test]
#[should_panic(expected = "0 pixels")]
fn no_picture_without_pixels() {
    Garment::draw(0, 0).render(0);
}

/// The garment fills the frame, is centred, and the mask tells where it is.
#[test]
fn masks_are_sound() {
    for (size, index) in [(28, 0..300), (112, 300..340)].into_iter().flat_map(|(s, r)| r.map(move |i| (s, i))) {
        let garment = Garment::draw(5, index);
        let (image, mask) = (garment.render(size), garment.mask(size));
        let caption = garment.caption();
        let area = mask.pixels().map(|p| p.0[0] as f32 / 255.0).sum::<f32>() / (size * size) as f32;
        assert!((0.08..0.85).contains(&area), "{caption} covers {area}");
        let (mut low, mut high) = ([size; 2], [0; 2]);
        for (x, y, m) in mask.enumerate_pixels() {
            let off = distance(image.get_pixel(x, y).0, garment.background);
            match m.0[0] {
                // The cast shadow of large pictures may darken the background.
                0 => assert!(off < if size < 96 { 2.0 } else { 90.0 }, "{caption}: {off} outside the mask"),
                255 => assert!(off > 16.0, "{caption}: only {off} inside the mask at {x}, {y} of {size}"),
                _ => {}
            }
            if m.0[0] > 100 {
                (low, high) = ([low[0].min(x), low[1].min(y)], [high[0].max(x), high[1].max(y)]);
            }
        }
        let spans = [0, 1].map(|i| (high[i] + 1 - low[i]) as f32 / size as f32);
        let longest = spans[0].max(spans[1]);
        assert!((0.78..0.93).contains(&longest), "{caption} spans {longest}");
        for i in 0..2 {
            let middle = 0.5 * (high[i] + 1 + low[i]) as f32 / size as f32;
            assert!((middle - 0.5).abs() < 0.06, "{caption} is centred at {middle}");
        }
    }
}

/// A description edited by hand, even nonsensically, still draws.
#[test]
fn wild_cuts_do_not_panic() {
    for kind in Kind::ALL {
        for values in [[0.0; 14], [1.0; 14], [-3.0; 14], [40.0; 14], [f32::NAN; 14]] {
            let drawn = Garment::draw(2, 2);
            let cloth = Cloth { scale: values[0], angle: 1e6 * values[0], style: values[0], ..drawn.cloth };
            let garment = Garment { kind, cut: Cut::from_values(values), cloth, ..drawn };
            garment.render(28);
            garment.render(100);
            garment.mask(28);
        }
    }
}

/// 2000 garments: each kind and pattern makes up a twelfth, each palette a sixteenth, within a third of that.
#[test]
fn draws_are_balanced() {
    let (mut kinds, mut patterns, mut palettes) = ([0u32; 12], [0u32; 12], [0u32; 16]);
    for index in 0..2000 {
        let garment = Garment::draw(1, index);
        kinds[garment.kind.id() as usize] += 1;
        patterns[garment.cloth.pattern.id() as usize] += 1;
        palettes[garment.palette.id as usize] += 1;
        assert!(garment.cut.values().iter().all(|v| (0.0..1.0).contains(v)));
    }
    for count in kinds.into_iter().chain(patterns) {
        assert!((112..=222).contains(&count), "kinds {kinds:?}, patterns {patterns:?}");
    }
    assert!(palettes.into_iter().all(|count| (83..=167).contains(&count)), "{palettes:?}");
}

#[test]
fn cloth_stands_off_the_background() {
    let background = [249, 246, 241];
    for palette in Palette::ALL {
        assert!(distance(palette.ground, background) > 100.0, "{}", palette.name);
        assert!(distance(palette.figure, background) > 45.0, "{}", palette.name);
        assert!(distance(palette.ground, palette.figure) > 75.0, "{}", palette.name);
        assert!(distance(palette.ink, background) > 250.0, "{}", palette.name);
    }
}

/// Another pattern or palette leaves the shape as it is: that is what makes image pairs.
#[test]
fn swaps_keep_the_shape() {
    for index in 0..20 {
        let garment = Garment::draw(9, index);
        let mask = garment.mask(28);
        for other in [garment.with_pattern(Pattern::Dots), garment.with_palette(Palette::ALL[4])] {
            assert_eq!(other.mask(28), mask);
            assert_eq!(other.outline(28, [9; 3]), garment.outline(28, [9; 3]));
        }
    }
}
