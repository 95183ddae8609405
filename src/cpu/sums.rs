//! Sums over runs of neighbouring elements: lanes in f32, totals in f64, one order.

/// Additions to a lane before it goes into the total.
const TURNS: usize = 256;

/// Lanes of sums, and the total of those that are complete.
struct Lanes<const N: usize> {
    lanes: [f32; N],
    total: f64,
}

impl<const N: usize> Lanes<N> {
    const NEW: Lanes<N> = Lanes { lanes: [0.0; N], total: 0.0 };

    #[inline(always)]
    fn add(&mut self, value: impl Fn(usize) -> f32) {
        for (i, lane) in self.lanes.iter_mut().enumerate() {
            *lane += value(i);
        }
    }

    #[inline(always)]
    fn flush(&mut self) {
        for lane in &mut self.lanes {
            self.total += *lane as f64;
            *lane = 0.0;
        }
    }

    #[inline(always)]
    fn finish(mut self) -> f64 {
        self.flush();
        self.total
    }
}

/// Σ x over runs of `len` elements. To be called where it is compiled for the widest vectors.
#[inline(always)]
pub fn sum<'a>(len: usize, runs: impl Iterator<Item = &'a [f32]>) -> f64 {
    match len {
        32.. => sum_lanes::<32>(runs),
        16.. => sum_lanes::<16>(runs),
        _ => sum_lanes::<8>(runs),
    }
}

#[inline(always)]
fn sum_lanes<'a, const N: usize>(runs: impl Iterator<Item = &'a [f32]>) -> f64 {
    let (mut sums, mut count) = (Lanes::<N>::NEW, 0);
    for run in runs {
        for x in run.chunks(TURNS * N) {
            if count + x.len() > TURNS * N {
                sums.flush();
                count = 0;
            }
            count += x.len();
            let (rows, rest) = x.as_chunks::<N>();
            for row in rows {
                sums.add(|i| row[i]);
            }
            if rest.is_empty() {
                continue;
            }
            match x.last_chunk::<N>() {
                // The last whole vectors, without what those before had.
                Some(last) => sums.add(|i| if i + rest.len() >= N { last[i] } else { 0.0 }),
                None => rest.iter().for_each(|&v| sums.total += v as f64),
            }
        }
    }
    sums.finish()
}

/// Σ y and Σ y·(x − mean) over runs of `len` elements of both. To be called where it is compiled for the widest vectors.
#[inline(always)]
pub fn sum_and_dot<'a>(len: usize, runs: impl Iterator<Item = [&'a [f32]; 2]>, mean: f32) -> [f64; 2] {
    match len {
        32.. => dot_lanes::<32>(runs, mean),
        16.. => dot_lanes::<16>(runs, mean),
        _ => dot_lanes::<8>(runs, mean),
    }
}

#[inline(always)]
fn dot_lanes<'a, const N: usize>(runs: impl Iterator<Item = [&'a [f32]; 2]>, mean: f32) -> [f64; 2] {
    let (mut sums, mut dots, mut count) = (Lanes::<N>::NEW, Lanes::<N>::NEW, 0);
    for [x, y] in runs {
        for (x, y) in x.chunks(TURNS * N).zip(y.chunks(TURNS * N)) {
            if count + x.len() > TURNS * N {
                sums.flush();
                dots.flush();
                count = 0;
            }
            count += x.len();
            let ((x_rows, x_rest), (y_rows, y_rest)) = (x.as_chunks::<N>(), y.as_chunks::<N>());
            // Both at once, in arrays of their own: otherwise they stay in memory.
            let (mut sum, mut dot) = (sums.lanes, dots.lanes);
            for (x, y) in x_rows.iter().zip(y_rows) {
                for i in 0..N {
                    sum[i] += y[i];
                    dot[i] += y[i] * (x[i] - mean);
                }
            }
            (sums.lanes, dots.lanes) = (sum, dot);
            if x_rest.is_empty() {
                continue;
            }
            match (x.last_chunk::<N>(), y.last_chunk::<N>()) {
                (Some(x), Some(y)) => {
                    let inside = |i: usize| i + x_rest.len() >= N;
                    sums.add(|i| if inside(i) { y[i] } else { 0.0 });
                    dots.add(|i| if inside(i) { y[i] * (x[i] - mean) } else { 0.0 });
                }
                _ => {
                    for (x, y) in x_rest.iter().zip(y_rest) {
                        sums.total += *y as f64;
                        dots.total += (y * (x - mean)) as f64;
                    }
                }
            }
        }
    }
    [sums.finish(), dots.finish()]
}

/// Σ (x − mean)² over runs of `len` elements. To be called where it is compiled for the widest vectors.
#[inline(always)]
pub fn sum_of_squares<'a>(len: usize, runs: impl Iterator<Item = &'a [f32]>, mean: f32) -> f64 {
    match len {
        32.. => square_lanes::<32>(runs, mean),
        16.. => square_lanes::<16>(runs, mean),
        _ => square_lanes::<8>(runs, mean),
    }
}

#[inline(always)]
fn square_lanes<'a, const N: usize>(runs: impl Iterator<Item = &'a [f32]>, mean: f32) -> f64 {
    let (mut sums, mut count) = (Lanes::<N>::NEW, 0);
    for run in runs {
        for x in run.chunks(TURNS * N) {
            if count + x.len() > TURNS * N {
                sums.flush();
                count = 0;
            }
            count += x.len();
            let (rows, rest) = x.as_chunks::<N>();
            for row in rows {
                sums.add(|i| (row[i] - mean) * (row[i] - mean));
            }
            match x.last_chunk::<N>() {
                _ if rest.is_empty() => {}
                Some(last) => {
                    let square = |i: usize| (last[i] - mean) * (last[i] - mean);
                    sums.add(|i| if i + rest.len() >= N { square(i) } else { 0.0 });
                }
                None => rest.iter().for_each(|&v| sums.total += ((v - mean) * (v - mean)) as f64),
            }
        }
    }
    sums.finish()
}

/// `total[c] += Σ value(row, c)` over the rows, for the columns of a matrix.
#[inline(always)]
pub fn add_columns(total: &mut [f64], rows: std::ops::Range<usize>, value: impl Fn(usize, usize) -> f64) {
    for row in rows {
        for (c, total) in total.iter_mut().enumerate() {
            *total += value(row, c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Domain, Stream};

    #[test]
    fn runs_of_every_length() {
        let values = Stream::new(3, Domain::Test, 0).normal_vec(40_000);
        for (len, count) in [(1, 70), (7, 9), (9, 40), (16, 700), (31, 300), (32, 3), (49, 64), (196, 50), (9000, 3)] {
            let runs = || (0..count).map(|i| &values[i * len..][..len]);
            let all = || runs().flatten().map(|&v| v as f64);
            let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-4 * (len * count) as f64, "{got} {want}");
            near(sum(len, runs()), all().sum());
            near(sum_of_squares(len, runs(), 0.25), all().map(|v| (v - 0.25).powi(2)).sum());
            let [s, d] = sum_and_dot(len, runs().map(|run| [run, run]), 0.25);
            near(s, all().sum());
            near(d, all().map(|v| v * (v - 0.25)).sum());
        }
        assert_eq!(sum(9, std::iter::empty()), 0.0);
        let mut columns = [0.5; 3];
        add_columns(&mut columns, 1..3, |row, c| (10 * row + c) as f64);
        assert_eq!(columns, [30.5, 32.5, 34.5]);
        assert!(sum(2, [&[0.0, f32::NAN][..]].into_iter()).is_nan());
    }
}
