//! Sparse linear maps along one axis: gather, scatter, resampling, pooling, blur and padding modes are all of this kind.

use crate::cpu::parallel::for_rows;
use crate::error::Result;
use crate::gpu::{Gpu, GpuBuffer, Kernel, KernelCall, Span, grid, in_pieces};
use crate::shape::Shape;
use crate::tensor::{GpuView, Op, Real, Tensor, View, apply, reference_loops};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

/// A matrix [out_len, in_len] with few entries, by rows, and its transpose. Cheap to clone.
#[derive(Clone)]
pub struct AxisMap {
    pair: Arc<Pair>,
    transposed: bool,
}

struct Pair {
    rows: Rows,
    columns: OnceLock<Rows>,
}

/// The entries of row i are those from `start[i]` to `start[i + 1]`: weight `weight[k]` at column `from[k]`.
struct Rows {
    in_len: usize,
    start: Vec<u32>,
    from: Vec<u32>,
    weight: Vec<f64>,
    /// The table as the kernel reads it, on the device that used it last.
    on_device: Mutex<Option<(Gpu, GpuBuffer)>>,
    /// The stretches of neighbours that are moved, if the map only moves elements.
    moves: OnceLock<Option<Vec<Stretch>>>,
}

/// Elements `from`, `from + 1`, … (or `from − 1`, …) go to places from the end of the stretch before on.
#[derive(Clone, Copy, PartialEq)]
struct Stretch {
    from: usize,
    len: usize,
    backwards: bool,
}

/// Rows with more entries are summed in parts: no kernel loop is long.
const LONGEST: usize = 4096;

impl Rows {
    fn out_len(&self) -> usize {
        self.start.len() - 1
    }

    fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let entries = self.start[i] as usize..self.start[i + 1] as usize;
        entries.map(|k| (self.from[k] as usize, self.weight[k]))
    }

    /// How the map moves elements, if each place takes one unchanged.
    fn moves(&self) -> Option<&[Stretch]> {
        let find = || {
            let one_each = self.start.windows(2).all(|w| w[1] - w[0] == 1) && self.weight.iter().all(|&w| w == 1.0);
            one_each.then(|| {
                let mut stretches: Vec<Stretch> = Vec::new();
                for from in self.from.iter().map(|&from| from as usize) {
                    if let Some(last) = stretches.last_mut() {
                        let (up, down) = (last.from + last.len, last.from.checked_sub(last.len));
                        if from == up && (last.len == 1 || !last.backwards) {
                            (last.len, last.backwards) = (last.len + 1, false);
                            continue;
                        }
                        if Some(from) == down && (last.len == 1 || last.backwards) {
                            (last.len, last.backwards) = (last.len + 1, true);
                            continue;
                        }
                    }
                    stretches.push(Stretch { from, len: 1, backwards: false });
                }
                stretches
            })
        };
        self.moves.get_or_init(find).as_deref()
    }

    fn longest(&self) -> usize {
        self.start.windows(2).map(|w| (w[1] - w[0]) as usize).max().unwrap_or(0)
    }

    /// The transpose; each of its rows lists its entries by rising column.
    fn transpose(&self) -> Rows {
        let mut start = vec![0u32; self.in_len + 1];
        self.from.iter().for_each(|&from| start[from as usize + 1] += 1);
        (1..start.len()).for_each(|i| start[i] += start[i - 1]);
        let mut next = start.clone();
        let (mut from, mut weight) = (vec![0; self.from.len()], vec![0.0; self.from.len()]);
        for i in 0..self.out_len() {
            for (column, w) in self.row(i) {
                let k = next[column] as usize;
                next[column] += 1;
                (from[k], weight[k]) = (i as u32, w);
            }
        }
        Rows { in_len: self.out_len(), start, from, weight, on_device: Mutex::default(), moves: OnceLock::new() }
    }

    fn upload(&self, gpu: &Gpu) -> Result<GpuBuffer> {
        let mut kept = self.on_device.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((device, buffer)) = &*kept
            && device.is_same(gpu)
        {
            return Ok(buffer.clone());
        }
        let weights = self.weight.iter().map(|&w| (w as f32).to_bits());
        let table: Vec<u32> = self.start.iter().chain(&self.from).copied().chain(weights).collect();
        let buffer = gpu.upload(bytemuck::cast_slice(&table))?;
        *kept = Some((gpu.clone(), buffer.clone()));
        Ok(buffer)
    }
}

impl AxisMap {
    /// The map whose row i has the entries (column, weight) that `rows` gives for i, summed in that order.
    #[track_caller]
    pub fn new(in_len: usize, rows: impl IntoIterator<Item = Vec<(usize, f64)>>) -> AxisMap {
        let (mut start, mut from, mut weight) = (vec![0], Vec::new(), Vec::new());
        for row in rows {
            for (column, w) in row {
                assert!(column < in_len, "axis map: column {column} of an axis of {in_len} elements");
                from.push(column as u32);
                weight.push(w);
            }
            start.push(from.len() as u32);
        }
        let rows = Rows { in_len, start, from, weight, on_device: Mutex::default(), moves: OnceLock::new() };
        AxisMap { pair: Arc::new(Pair { rows, columns: OnceLock::new() }), transposed: false }
    }

    /// The map that takes element `from[i]` to place i.
    #[track_caller]
    pub fn pick(in_len: usize, from: impl IntoIterator<Item = usize>) -> AxisMap {
        AxisMap::new(in_len, from.into_iter().map(|from| vec![(from, 1.0)]))
    }

    /// The map of this key, made by `make` if it is not among those kept.
    pub(crate) fn cached<K: Hash + fmt::Debug>(key: K, make: impl FnOnce() -> AxisMap) -> AxisMap {
        static MAPS: LazyLock<Mutex<HashMap<String, AxisMap>>> = LazyLock::new(Mutex::default);
        const KEEP: usize = 512;
        let key = format!("{key:?}");
        if let Some(map) = MAPS.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return map.clone();
        }
        let map = make();
        let mut maps = MAPS.lock().unwrap_or_else(PoisonError::into_inner);
        if maps.len() >= KEEP {
            maps.clear();
        }
        maps.insert(key, map.clone());
        map
    }

    fn rows(&self) -> &Rows {
        if self.transposed { self.pair.columns.get_or_init(|| self.pair.rows.transpose()) } else { &self.pair.rows }
    }

    /// The adjoint map.
    pub fn transpose(&self) -> AxisMap {
        AxisMap { pair: self.pair.clone(), transposed: !self.transposed }
    }

    /// Elements of the axis it is applied to.
    pub fn in_len(&self) -> usize {
        if self.transposed { self.pair.rows.out_len() } else { self.pair.rows.in_len }
    }

    /// Elements of the axis it makes.
    pub fn out_len(&self) -> usize {
        if self.transposed { self.pair.rows.in_len } else { self.pair.rows.out_len() }
    }

    /// Two maps that make this one, the first with rows of at most `LONGEST` entries.
    fn in_parts(&self) -> (AxisMap, AxisMap) {
        let rows = self.rows();
        let (mut parts, mut sums) = (Vec::new(), Vec::new());
        for i in 0..rows.out_len() {
            let entries: Vec<(usize, f64)> = rows.row(i).collect();
            let first = parts.len();
            parts.extend(entries.chunks(LONGEST).map(<[_]>::to_vec));
            sums.push((first..parts.len()).map(|part| (part, 1.0)).collect());
        }
        (AxisMap::new(rows.in_len, parts.clone()), AxisMap::new(parts.len(), sums))
    }
}

impl fmt::Debug for AxisMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AxisMap({} -> {})", self.in_len(), self.out_len())
    }
}

/// y[o, i, c] = Σ_k weight_k·x[o, from_k, c] over the entries k of row i, along one axis.
#[derive(Clone, Debug)]
struct MapAxis {
    map: AxisMap,
    axis: usize,
}

impl MapAxis {
    fn inner(&self, x: &Shape) -> usize {
        x[self.axis + 1..].iter().product()
    }

    fn define<T: Real>(&self, x: &[View<T>], y: &mut [T], _: &Shape) {
        let (rows, inner) = (self.map.rows(), self.inner(x[0].shape));
        for (at, y) in y.iter_mut().enumerate() {
            let (o, i, c) = (at / inner / rows.out_len(), at / inner % rows.out_len(), at % inner);
            let mut total = T::of(0.0);
            for (from, weight) in rows.row(i) {
                total += T::of(weight) * x[0].data[(o * rows.in_len + from) * inner + c];
            }
            *y = total;
        }
    }
}

/// Twin of `Params` in `axis_map.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    in_len: u32,
    out_len: u32,
    inner: u32,
    entries: u32,
    y: Span,
    x: Span,
    accumulate: u32,
}

impl Op for MapAxis {
    fn name(&self) -> &'static str {
        "axis_map"
    }

    fn inputs(&self) -> &'static [&'static str] {
        &["x"]
    }

    fn infer(&self, x: &[&Shape]) -> Result<Shape, String> {
        let mut shape = x[0].to_vec();
        if shape.get(self.axis) != Some(&self.map.in_len()) {
            return Err(format!("axis {} should have {} elements", self.axis, self.map.in_len()));
        }
        shape[self.axis] = self.map.out_len();
        Ok(shape.into())
    }

    reference_loops!();

    fn cpu(&self, x: &[View<f32>], y: &mut [f32], _: &Shape) {
        let (rows, inner, x) = (self.map.rows(), self.inner(x[0].shape), x[0].data);
        let out_len = rows.out_len();
        if inner == 1
            && let Some(moves) = rows.moves()
        {
            return for_rows(y, out_len, |o, mut y| {
                let x = &x[o * rows.in_len..];
                for m in moves {
                    let (here, rest) = std::mem::take(&mut y).split_at_mut(m.len);
                    y = rest;
                    if m.backwards {
                        here.iter_mut().zip((0..=m.from).rev()).for_each(|(y, from)| *y = x[from]);
                    } else {
                        here.copy_from_slice(&x[m.from..][..m.len]);
                    }
                }
            });
        }
        if inner == 1 {
            return for_rows(y, out_len, |o, y| {
                let x = &x[o * rows.in_len..];
                for (i, y) in y.iter_mut().enumerate() {
                    *y = rows.row(i).fold(0.0, |total, (from, weight)| total + weight as f32 * x[from]);
                }
            });
        }
        for_rows(
            y,
            inner,
            #[inline(always)]
            |row, y| {
                let (o, i) = (row / out_len, row % out_len);
                let mut first = true;
                for (from, weight) in rows.row(i) {
                    let x = &x[(o * rows.in_len + from) * inner..][..inner];
                    if first {
                        y.iter_mut().zip(x).for_each(|(y, x)| *y = weight as f32 * x);
                    } else {
                        y.iter_mut().zip(x).for_each(|(y, x)| *y += weight as f32 * x);
                    }
                    first = false;
                }
                if first {
                    y.fill(0.0);
                }
            },
        );
    }

    fn gpu(&self, gpu: &Gpu, x: &[GpuView], y: GpuView) -> Result<()> {
        let rows = self.map.rows();
        let table = rows.upload(gpu)?;
        let inner = self.inner(x[0].shape);
        let [in_x, in_y] = [x[0].shape, y.shape].map(|shape| gpu.pieces(shape.len()));
        let kernel = in_pieces(Kernel::new("axis_map", "axis_map"), &[in_x, in_y]);
        let [image_x, image_y] = [rows.in_len * inner, rows.out_len() * inner];
        for to in in_y.all() {
            let reach = to.start / image_y * image_x..to.end.div_ceil(image_y) * image_x;
            for (i, from) in in_x.reaching(reach).enumerate() {
                let params = Params {
                    in_len: rows.in_len as u32,
                    out_len: rows.out_len() as u32,
                    inner: inner as u32,
                    entries: rows.from.len() as u32,
                    y: Span::from(&to),
                    x: Span::from(&from),
                    accumulate: u32::from(i > 0),
                };
                gpu.run(&KernelCall {
                    kernel: kernel.clone(),
                    reads: &[&x[0].buffer.piece(&from), &table],
                    writes: &[&y.buffer.piece(&to)],
                    params: bytemuck::bytes_of(&params),
                    workgroups: grid(to.len() as u64, 64),
                    label: self.name(),
                })?;
            }
        }
        Ok(())
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, dy: &Tensor, _: &[bool]) -> Vec<Option<Tensor>> {
        vec![Some(dy.map_axis(self.axis, &self.map.transpose()))]
    }
}

impl Tensor {
    /// Applies a sparse linear map along one axis, which then has `map.out_len()` elements. Its gradient is the
    /// transposed map, so the family is closed under differentiation.
    #[track_caller]
    pub fn map_axis(&self, axis: usize, map: &AxisMap) -> Tensor {
        if map.rows().longest() > LONGEST {
            let (parts, sums) = map.in_parts();
            return self.map_axis(axis, &parts).map_axis(axis, &sums);
        }
        apply(MapAxis { map: map.clone(), axis }, &[self])
    }
}
