//! Sizes that the case table is too small for: strips of large images, several groups of tiles, few groups and many.

use super::*;
use crate::cpu::simd::Isa;
use crate::rng::{Domain, Stream};

/// y, dx and dw, in f64 by the definition.
fn by_definition(s: &Sizes, x: &[f32], w: &[f32], dy: &[f32]) -> [Vec<f64>; 3] {
    let (area_x, area_y) = (s.x[0] * s.x[1], s.y[0] * s.y[1]);
    let [mut y, mut dx, mut dw] = [s.n * s.o * area_y, x.len(), w.len()].map(|len| vec![0.0; len]);
    for (n, o) in (0..s.n).flat_map(|n| (0..s.o).map(move |o| (n, o))) {
        for (oy, ox) in (0..s.y[0]).flat_map(|oy| (0..s.y[1]).map(move |ox| (oy, ox))) {
            let to = (n * s.o + o) * area_y + oy * s.y[1] + ox;
            let [height, width] = s.kernel;
            for (i, j) in (0..height).flat_map(|i| (0..width).map(move |j| (i, j))) {
                let (Some(iy), Some(ix)) =
                    ((s.stride[0] * oy + i).checked_sub(s.before[0]), (s.stride[1] * ox + j).checked_sub(s.before[1]))
                else {
                    continue;
                };
                if iy >= s.x[0] || ix >= s.x[1] {
                    continue;
                }
                for c in 0..s.c {
                    let pixel = (n * s.c + c) * area_x + iy * s.x[1] + ix;
                    let tap = ((o * s.c + c) * height + i) * width + j;
                    y[to] += x[pixel] as f64 * w[tap] as f64;
                    dx[pixel] += dy[to] as f64 * w[tap] as f64;
                    dw[tap] += dy[to] as f64 * x[pixel] as f64;
                }
            }
        }
    }
    [y, dx, dw]
}

fn worst(found: &[f32], wanted: &[f64]) -> f64 {
    let largest = wanted.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    found.iter().zip(wanted).fold(0.0f64, |most, (a, b)| most.max((*a as f64 - b).abs())) / largest
}

#[test]
fn strips_and_groups_agree_with_the_definition() {
    let sizes = [
        // Of either form: one image in strips, with an odd number of rows of results; one that is wide; many groups of images; few tiles a
        // group and a block of channels that is filled up.
        (4, 1, 45, 60, [70, 50], [1, 1], [35, 25]),
        (4, 2, 32, 32, [52, 91], [1, 2], [25, 45]),
        (4, 13, 32, 64, [30, 26], [1, 1], [15, 13]),
        (4, 40, 48, 80, [8, 8], [1, 1], [4, 4]),
        (3, 1, 45, 60, [35, 27], [1, 1], [35, 27]),
        (3, 1, 32, 32, [20, 70], [0, 2], [18, 72]),
        (3, 9, 48, 56, [16, 14], [1, 1], [16, 14]),
        (3, 70, 48, 80, [2, 2], [1, 1], [2, 2]),
    ];
    for (kernel, n, c, o, x, before, y) in sizes {
        let (kernel, stride) = ([kernel; 2], if kernel == 4 { [2, 2] } else { [1, 1] });
        let s = Sizes { n, groups: 1, c, o, x, kernel, y, stride, before, dilation: [1, 1] };
        let plan = Plan::of(&s).expect("large enough");
        let mut stream = Stream::new(3, Domain::Test, 0);
        let [pixels, w, dy] =
            [n * c * x[0] * x[1], o * c * kernel[0] * kernel[1], n * o * y[0] * y[1]].map(|len| stream.normal_vec(len));
        let wanted = by_definition(&s, &pixels, &w, &dy);
        for isa in [Isa::best()].into_iter().chain(Isa::others()) {
            // A thread of its own keeps to its instructions; what it does not write stays NaN.
            let found = std::thread::scope(|scope| {
                let work = || {
                    isa.limit_thread();
                    let mut found = [wanted[0].len(), wanted[1].len(), wanted[2].len()].map(|len| vec![f32::NAN; len]);
                    plan.forward(&pixels, &w, &mut found[0]);
                    plan.input_gradient(&dy, &w, &mut found[1]);
                    plan.weight_gradient(&pixels, &dy, &mut found[2]);
                    found
                };
                scope.spawn(work).join().unwrap()
            });
            for (name, (found, wanted)) in ["y", "dx", "dw"].iter().zip(found.iter().zip(&wanted)) {
                assert!(found.iter().all(|v| v.is_finite()), "{name} of {s:?} ({})", isa.name());
                let deviation = worst(found, wanted);
                assert!(deviation < 4e-6, "{name} of {s:?} ({}): {deviation:e}", isa.name());
            }
        }
    }
}
