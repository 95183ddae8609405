//! Bind groups and parameter buffers, cached by content, with a bound on how many are kept.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::buffer::GpuBuffer;
use super::pipeline::Pipeline;
use super::{Gpu, KernelCall, Textures};

/// A map that forgets the less recently used half of its entries when it is full.
pub(super) struct Recent<K, V> {
    entries: HashMap<K, (V, u64)>,
    capacity: usize,
    clock: u64,
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    pub fn new(capacity: usize) -> Recent<K, V> {
        Recent { entries: HashMap::new(), capacity, clock: 0 }
    }

    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.clock += 1;
        let (value, used) = self.entries.get_mut(key)?;
        *used = self.clock;
        Some(value.clone())
    }

    pub fn insert(&mut self, key: K, value: V) {
        if self.entries.len() >= self.capacity {
            let mut used: Vec<u64> = self.entries.values().map(|(_, used)| *used).collect();
            let (_, median, _) = used.select_nth_unstable(self.capacity / 2);
            let median = *median;
            self.entries.retain(|_, (_, used)| *used > median);
        }
        self.clock += 1;
        self.entries.insert(key, (value, self.clock));
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The two caches.
pub(super) struct Bindings {
    /// From the layout and what is bound, see [`GpuBuffer::push_key`].
    groups: Recent<Box<[u64]>, wgpu::BindGroup>,
    /// From the bytes of a `Params` struct: a training loop sends the same ones every step, so none after the first.
    pub params: Recent<Box<[u8]>, GpuBuffer>,
    key: Vec<u64>,
}

impl Default for Bindings {
    fn default() -> Bindings {
        Bindings { groups: Recent::new(8192), params: Recent::new(4096), key: Vec::new() }
    }
}

impl Bindings {
    /// The bind group for a call: reads, writes, params, in this order.
    pub fn group(
        &mut self,
        gpu: &Gpu,
        pipeline: &Pipeline,
        call: &KernelCall,
        params: Option<&GpuBuffer>,
        textures: Textures,
    ) -> wgpu::BindGroup {
        let exact = gpu.options().checked;
        self.key.clear();
        self.key.push(pipeline.layout.key());
        let buffers = || call.reads.iter().chain(call.writes).copied();
        for buffer in buffers() {
            buffer.push_key(exact, &mut self.key);
        }
        if let Some(params) = params {
            params.push_key(false, &mut self.key);
        }
        self.key.extend(textures.all().map(|texture| texture.key()));
        if let Some(group) = self.groups.get(self.key.as_slice()) {
            gpu.count_bind_group(true);
            return group;
        }

        let bound = buffers().map(|buffer| buffer.binding(exact)).chain(params.map(|params| params.binding(false)));
        let textures = textures.all().map(|texture| wgpu::BindingResource::TextureView(texture.view()));
        let entries: Vec<_> = (0..)
            .zip(bound.map(wgpu::BindingResource::Buffer).chain(textures))
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(call.label),
            layout: &pipeline.bind_group_layout,
            entries: &entries,
        });
        gpu.count_bind_group(false);
        self.groups.insert(self.key.as_slice().into(), group.clone());
        group
    }

    /// Forgets the bind groups of freed allocations, which would keep their memory.
    pub fn forget(&mut self, freed: &[u64]) {
        if freed.is_empty() {
            return;
        }
        // Offsets and sizes among the numbers may look like an id: then one bind group more is made anew.
        let freed: HashSet<u64> = freed.iter().copied().collect();
        self.groups.entries.retain(|key, _| !key[1..].iter().any(|number| freed.contains(&(number >> 1))));
    }

    /// How many bind groups and parameter buffers are kept.
    pub fn sizes(&self) -> (usize, usize) {
        (self.groups.len(), self.params.len())
    }
}
