//! x as batches of images of channels, and how kernels and loops walk over it.

use crate::cpu::parallel::for_rows;
use crate::cpu::sums;
use crate::gpu::tuning;
use crate::gpu::{Gpu, Kernel};
use crate::shape::Shape;

/// Elements of a channel that one GPU invocation takes in a statistics pass.
const CHUNK: usize = 512;
/// The most parts that a channel is cut into (old drivers stop loops after 65,535 turns).
const MOST_CHUNKS: usize = 1 << 15;

/// x as [parts·N, C, L]: batches that lie one behind the other, their images, channels, everything behind. Each channel of
/// each part has statistics of its own: group number part·C + channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct Sizes {
    pub parts: usize,
    pub n: usize,
    pub c: usize,
    pub l: usize,
}

impl Sizes {
    pub fn of(x: &Shape, parts: usize) -> Sizes {
        Sizes { parts, n: x[0] / parts, c: x[1], l: x[2..].iter().product() }
    }

    /// Elements of a group.
    pub fn count(self) -> usize {
        self.n * self.l
    }

    pub fn groups(self) -> usize {
        self.parts * self.c
    }

    /// Where a part's rows begin in what [`BatchNormSums`] gives: behind the totals, unless these are the part's own.
    pub fn first_row(self) -> usize {
        if self.parts == 1 { 0 } else { 2 }
    }

    /// The runs of l elements that a group consists of.
    pub fn group(self, group: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (part, c) = (group / self.c, group % self.c);
        (part * self.n..(part + 1) * self.n).map(move |n| (n * self.c + c) * self.l..(n * self.c + c + 1) * self.l)
    }

    /// Calls `work(group, channel, where the plane begins, plane of y)` for each plane of l elements, over all cores.
    #[inline(always)]
    pub fn for_planes(self, y: &mut [f32], work: impl Fn(usize, usize, usize, &mut [f32]) + Sync) {
        if self.l == 1 {
            // Rows of channels.
            return for_rows(
                y,
                self.c,
                #[inline(always)]
                |image, y| {
                    let group = image / self.n * self.c;
                    for (c, y) in y.iter_mut().enumerate() {
                        work(group + c, c, image * self.c + c, std::slice::from_mut(y));
                    }
                },
            );
        }
        // Whole planes are shared out, not images: instance normalisation has one image of many channels.
        let planes = if self.l < 16 { self.c } else { 1 };
        for_rows(
            y,
            planes * self.l,
            #[inline(always)]
            |row, y| {
                for (i, y) in y.chunks_exact_mut(self.l).enumerate() {
                    let plane = row * planes + i;
                    let (image, c) = (plane / self.c, plane % self.c);
                    work(image / self.n * self.c + c, c, plane * self.l, y);
                }
            },
        );
    }

    /// Means and variances of single elements: of the columns of a matrix a part.
    #[inline(always)]
    pub fn column_moments(self, x: &[f32], means: &mut [f32], vars: &mut [f32]) {
        let n = self.n as f64;
        for (part, (means, vars)) in means.chunks_mut(self.c).zip(vars.chunks_mut(self.c)).enumerate() {
            let (rows, mut exact) = (part * self.n..(part + 1) * self.n, vec![0.0; self.c]);
            sums::add_columns(&mut exact, rows.clone(), |row, c| x[row * self.c..][..self.c][c] as f64);
            exact.iter_mut().for_each(|mean| *mean /= n);
            let mut squares = vec![0.0; self.c];
            let exact = &exact[..self.c];
            sums::add_columns(&mut squares, rows, |row, c| {
                let d = x[row * self.c..][..self.c][c] as f64 - exact[c];
                d * d
            });
            for c in 0..self.c {
                (means[c], vars[c]) = (exact[c] as f32, (squares[c] / n) as f32);
            }
        }
    }

    /// Σ dy and Σ dy·(x − mean)·inv of single elements.
    #[inline(always)]
    pub fn column_sums(self, [x, dy]: [&[f32]; 2], mean: &[f32], inv: &[f32], sums: &mut [f32], dots: &mut [f32]) {
        for part in 0..self.parts {
            let (rows, groups) = (part * self.n..(part + 1) * self.n, part * self.c..(part + 1) * self.c);
            let [mut sum, mut dot] = [vec![0.0; self.c], vec![0.0; self.c]];
            let mean = &mean[groups.clone()];
            sums::add_columns(&mut sum, rows.clone(), |row, c| dy[row * self.c..][..self.c][c] as f64);
            sums::add_columns(&mut dot, rows, |row, c| {
                let at = row * self.c;
                (dy[at..][..self.c][c] * (x[at..][..self.c][c] - mean[c])) as f64
            });
            for (c, group) in groups.enumerate() {
                (sums[group], dots[group]) = (sum[c] as f32, (dot[c] * inv[group] as f64) as f32);
            }
        }
    }

    /// Whether the kernels on whole vec4s may be used.
    pub fn whole_quads(self, gpu: &Gpu) -> bool {
        self.l > 0 && self.l.is_multiple_of(4) && !tuning::general_only(gpu)
    }

    /// The kernel of this name, and for these sizes; how many invocations a row of l takes.
    pub fn row_kernel(self, gpu: &Gpu, entries: [&'static str; 2]) -> (Kernel, usize) {
        match self.whole_quads(gpu) {
            true => (Kernel::new("batch_norm", entries[1]), self.runs(gpu)),
            false => (Kernel::new("batch_norm", entries[0]), self.l),
        }
    }

    /// Invocations among which the vec4s of a row of l are dealt out.
    fn runs(self, gpu: &Gpu) -> usize {
        (self.l / 4).div_ceil(tuning::quads(gpu, self.count() * self.groups()) as usize).max(1)
    }

    pub(super) fn params(self, gpu: &Gpu, eps: f64, slope: f64) -> NormParams {
        // Not more chunks than the combining invocation may loop over.
        let most = MOST_CHUNKS / self.parts;
        let chunk = CHUNK.max(self.count().div_ceil(most).next_multiple_of(4)).min(self.count().max(1));
        NormParams {
            n: self.n as u32,
            c: self.c as u32,
            l: self.l as u32,
            chunk: chunk as u32,
            chunks: self.count().div_ceil(chunk).max(1) as u32,
            eps: eps as f32,
            runs: self.runs(gpu) as u32,
            slope: slope as f32,
            parts: self.parts as u32,
            keep: 0.0,
            mean_scale: 0.0,
            var_scale: 0.0,
        }
    }
}

/// Twin of `NormParams` in `lib/batch_norm.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct NormParams {
    pub n: u32,
    pub c: u32,
    pub l: u32,
    pub chunk: u32,
    pub chunks: u32,
    pub eps: f32,
    pub runs: u32,
    pub slope: f32,
    pub parts: u32,
    pub keep: f32,
    pub mean_scale: f32,
    pub var_scale: f32,
}
