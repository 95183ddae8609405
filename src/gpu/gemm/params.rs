//! The parameters of the product kernels, as these read them.

use super::{Operand, Product, Walk};
use bytemuck::{Pod, Zeroable};

/// Twin of `Epilogue` in `lib/epilogue.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct Epilogue {
    pub(super) f: u32,
    pub(super) slope: f32,
    pub(super) by: u32,
    pub(super) step_z: u32,
    pub(super) plane: u32,
    pub(super) channels: u32,
}
/// Twin of `Gather` in `lib/gather.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Gather {
    pub offset: u32,
    pub plane_z: u32,
    pub plane_k: u32,
    pub plane_c: u32,
    pub y_start: u32,
    pub y_k: u32,
    pub y_c: u32,
    pub x_start: u32,
    pub x_k: u32,
    pub x_c: u32,
    pub h: u32,
    pub w: u32,
    pub row: u32,
    pub k_high: u32,
    pub k_low: u32,
    pub c_high: u32,
    pub c_low: u32,
    pub k_all_inverse: f32,
    pub k_low_inverse: f32,
}

/// Twin of `Scatter` in `lib/scatter.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Scatter {
    pub offset: u32,
    pub step_z: u32,
    pub step_row: u32,
    pub steps: [u32; 3],
    pub c_high: u32,
    pub c_low: u32,
}

/// Twin of `TileParams` in `gemm.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct TileParams {
    pub a: Gather,
    pub b: Gather,
    pub y: Scatter,
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub run: u32,
    pub splits: u32,
    pub step_split: u32,
    pub row_tiles: u32,
    pub column_tiles: u32,
    pub depth: u32,
    pub products: u32,
    pub span: u32,
    pub span_tiles: u32,
    pub epilogue: Epilogue,
}

/// Twin of `CombineParams` in `gemm.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct CombineParams {
    pub n: u32,
    pub splits: u32,
    pub accumulate: u32,
    pub epilogue: Epilogue,
}
/// Twin of `Params` in `gemm_pack.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct PackParams {
    pub g: Gather,
    pub z_start: u32,
    pub depth: u32,
    pub k_start: u32,
    pub k_count: u32,
    pub k_padded: u32,
    pub c_start: u32,
    pub c_count: u32,
    pub blocks: u32,
    pub quads: u32,
    pub run: u32,
    pub runs: u32,
    pub base: u32,
    pub operand: u32,
    pub entries: u32,
    pub stride: u32,
}

/// Twin of `PanelParams` in `lib/panel.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct PanelParams {
    pub y: Scatter,
    pub m: u32,
    pub n: u32,
    pub k: u32,
    pub z_start: u32,
    pub depth: u32,
    pub c_start: u32,
    pub row_blocks: u32,
    pub column_blocks: u32,
    pub base_a: u32,
    pub base_b: u32,
    pub products: u32,
    pub stride: u32,
    pub epilogue: Epilogue,
}

impl Operand {
    /// A matrix [k, columns] of which element (k, c) lies at k·step_k + c·step_c.
    pub fn matrix(step_z: usize, step_k: usize, step_c: usize) -> Operand {
        Operand {
            step_z,
            plane_k: step_k,
            plane_c: step_c,
            y: Walk::NONE,
            x: Walk::NONE,
            k_digits: [1, 1],
            c_digits: [1, 1],
        }
    }

    pub(super) fn gather(&self) -> Gather {
        let (y, x) = (self.y, self.x);
        Gather {
            offset: 0,
            plane_z: self.step_z as u32,
            plane_k: self.plane_k as u32,
            plane_c: self.plane_c as u32,
            y_start: y.start as u32,
            y_k: y.k as u32,
            y_c: y.c as u32,
            x_start: x.start as u32,
            x_k: x.k as u32,
            x_c: x.c as u32,
            h: y.len as u32,
            w: x.len as u32,
            row: x.len as u32,
            k_high: self.k_digits[0] as u32,
            k_low: self.k_digits[1] as u32,
            c_high: self.c_digits[0] as u32,
            c_low: self.c_digits[1] as u32,
            k_all_inverse: 1.0 / (self.k_digits[0] * self.k_digits[1]) as f32,
            k_low_inverse: 1.0 / self.k_digits[1] as f32,
        }
    }
}

impl Product {
    pub(super) fn scatter(&self) -> Scatter {
        Scatter {
            offset: self.y.offset as u32,
            step_z: self.y.step_z as u32,
            step_row: self.y.step_row as u32,
            steps: self.y.steps.map(|s| s as u32),
            c_high: self.b.c_digits[0] as u32,
            c_low: self.b.c_digits[1] as u32,
        }
    }
}
