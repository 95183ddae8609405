//! Textures as scratch memory between two kernels: rows of vec4 that a software adapter reads several times faster than
//! a storage buffer, because a texture access needs no branches for lanes and bounds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Gpu;
use crate::error::{Error, Result};

/// Texels (vec4 of f32) a row: texel i is at (i mod 2048, i / 2048). Twin of the number in `shaders/lib/panel.wgsl`.
pub const TEXELS_A_ROW: u64 = 2048;

/// What WebGPU guarantees.
const MOST_ROWS: u64 = 8192;

/// A texture on loan; it returns to the pool when the last handle is dropped, as a buffer does.
#[derive(Clone)]
pub struct GpuTexture(Arc<Lent>);

struct Lent {
    raw: Option<Raw>,
    pool: Arc<TexturePool>,
}

struct Raw {
    view: wgpu::TextureView,
    id: u64,
    rows: u64,
}

/// The textures of a kernel call. They are bound behind its buffers: those that are read as `texture_2d<f32>`, then the
/// one that is written as `texture_storage_2d<rgba32float, write>`.
#[derive(Clone, Copy, Default)]
pub struct Textures<'a> {
    /// Read by the kernel.
    pub reads: &'a [&'a GpuTexture],
    /// Written by the kernel.
    pub write: Option<&'a GpuTexture>,
}

/// Free textures.
#[derive(Default)]
pub(super) struct TexturePool {
    free: Mutex<Vec<Raw>>,
    made: AtomicU64,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(raw);
        }
    }
}

impl TexturePool {
    /// Forgets all free textures.
    pub fn trim(&self) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl GpuTexture {
    pub(super) fn view(&self) -> &wgpu::TextureView {
        &self.raw().view
    }

    /// A number that no buffer and no other texture has.
    pub(super) fn key(&self) -> u64 {
        1 << 63 | self.raw().id
    }

    pub(super) fn is_from(&self, pool: &Arc<TexturePool>) -> bool {
        Arc::ptr_eq(&self.0.pool, pool)
    }

    fn raw(&self) -> &Raw {
        self.0.raw.as_ref().expect("a texture is there until it is dropped")
    }
}

impl Textures<'_> {
    pub(super) fn all(&self) -> impl Iterator<Item = &GpuTexture> {
        self.reads.iter().copied().chain(self.write)
    }
}

impl Gpu {
    /// A texture of at least this many texels, with whatever it held before.
    ///
    /// # Errors
    ///
    /// [`Error::Gpu`] if it is larger than WebGPU guarantees or memory ran out.
    pub fn alloc_texels(&self, texels: u64) -> Result<GpuTexture> {
        let rows = texels.div_ceil(TEXELS_A_ROW).next_power_of_two().max(16);
        if rows > MOST_ROWS {
            return Err(Error::Gpu(format!("a texture of {texels} texels is too large; use --device cpu")));
        }
        let pool = self.textures();
        let free = &mut *pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest first, so that the same step takes the same textures every time and bind groups repeat.
        let place = (0..free.len()).filter(|&i| free[i].rows == rows).min_by_key(|&i| free[i].id);
        let raw = match place {
            Some(place) => free.remove(place),
            None => {
                let size = wgpu::Extent3d { width: TEXELS_A_ROW as u32, height: rows as u32, depth_or_array_layers: 1 };
                let usage = wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::TEXTURE_BINDING;
                let (texture, error) = self.scoped(|| {
                    self.device().create_texture(&wgpu::TextureDescriptor {
                        label: Some("toile texels"),
                        size,
                        mip_level_count: 1,
                        sample_count: 1,
                        dimension: wgpu::TextureDimension::D2,
                        format: wgpu::TextureFormat::Rgba32Float,
                        usage,
                        view_formats: &[],
                    })
                });
                if let Some(error) = error {
                    let message = format!("no memory for a texture of {rows} rows: {error}; take a smaller batch");
                    return Err(Error::Gpu(message));
                }
                let id = pool.made.fetch_add(1, Ordering::Relaxed);
                Raw { view: texture.create_view(&wgpu::TextureViewDescriptor::default()), id, rows }
            }
        };
        Ok(GpuTexture(Arc::new(Lent { raw: Some(raw), pool: pool.clone() })))
    }
}
