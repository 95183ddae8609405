//! Each operation of the vectors of each instruction set, against plain loops.

use super::*;
use crate::cpu::simd::Isa;

/// Numbers of which any few products and their sums are exact.
fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 + seed * 11) % 29) as f32 - 14.0).collect()
}

/// Does `check::<V, W>()` with the vectors of every instruction set that the processor has.
macro_rules! with_all_vectors {
    ($check:ident) => {
        for isa in [Isa::best()].into_iter().chain(Isa::others()) {
            let work = || {
                isa.limit_thread();
                with_vectors!($check, [], ());
            };
            // A thread of its own keeps to its instructions.
            std::thread::scope(|scope| scope.spawn(work).join().unwrap());
        }
    };
}

/// Every length is written whole, and nothing beside it.
fn every_length<V: Vector<W>, const W: usize>() {
    let [even, odd] = [1.0, 101.0].map(|first| (0..16).map(|i| first + i as f32).collect::<Vec<f32>>());
    // SAFETY: buffers of 48 elements, and `with_vectors` chose instructions that the processor has.
    unsafe {
        let (a, b) = (V::read(even.as_ptr()), V::read(odd.as_ptr()));
        let mut y = vec![0.0; 48];
        a.write(y.as_mut_ptr().add(8));
        assert!((0..48).all(|i| y[i] == if (8..8 + W).contains(&i) { even[i - 8] } else { 0.0 }), "{y:?}");
        for len in 1..=W {
            let mut y = vec![0.0; 48];
            a.write_first(y.as_mut_ptr().add(8), len);
            let want = |i: usize| if (8..8 + len).contains(&i) { even[i - 8] } else { 0.0 };
            assert!((0..48).all(|i| y[i] == want(i)), "write_first {len} of {W}: {y:?}");
            let mut y = vec![0.0; 48];
            a.write_pairs(b, y.as_mut_ptr().add(8), len);
            let pair = |i: usize| if i.is_multiple_of(2) { even[i / 2] } else { odd[i / 2] };
            let want = |i: usize| if (8..8 + 2 * len).contains(&i) { pair(i - 8) } else { 0.0 };
            assert!((0..48).all(|i| y[i] == want(i)), "write_pairs {len} of {W}: {y:?}");
        }
        let halves = V::read_halves(even.as_ptr(), odd.as_ptr().add(1));
        for len in 1..=W / 2 {
            let mut y = [vec![0.0; 16], vec![0.0; 16]];
            let [low, high] = y.each_mut().map(|y| y.as_mut_ptr().add(4));
            halves.write_halves(low, high, len);
            let want = |from: &[f32], i: usize| if (4..4 + len).contains(&i) { from[i - 4] } else { 0.0 };
            assert!((0..16).all(|i| y[0][i] == want(&even, i) && y[1][i] == want(&odd[1..], i)), "halves {len}");
        }
    }
}

#[test]
fn stores_are_exact() {
    with_all_vectors!(every_length);
}

fn arithmetic<V: Vector<W>, const W: usize>() {
    let [a, b, c] = [1, 2, 3].map(|seed| numbers(W, seed));
    // SAFETY: W elements each, and `with_vectors` chose instructions that the processor has.
    let [va, vb, vc] = unsafe { [&a, &b, &c].map(|x| V::read(x.as_ptr())) };
    let holds = |v: V, want: &dyn Fn(usize) -> f32| {
        let mut y = [0.0; W];
        // SAFETY: as above.
        unsafe { v.store(&mut y) };
        assert!((0..W).all(|i| y[i] == want(i)), "{y:?}");
    };
    // SAFETY: as above.
    unsafe {
        holds(V::all(2.5), &|_| 2.5);
        holds(va.add(vb), &|i| a[i] + b[i]);
        holds(va.subtract(vb), &|i| a[i] - b[i]);
        holds(va.times(vb), &|i| a[i] * b[i]);
        holds(va.add_product(vb, vc), &|i| a[i] + b[i] * c[i]);
        holds(V::load(a.first_chunk().unwrap()), &|i| a[i]);
    }
}

#[test]
fn arithmetic_is_by_lane() {
    with_all_vectors!(arithmetic);
}

/// R rows and N vectors, of panels, of rows that lie apart, and of neither.
fn products<V: Vector<W>, const W: usize, const R: usize, const N: usize>() {
    let (a, b) = (numbers(1000, 5), numbers(1000, 6));
    for strides in [[1, R], [1, R + 3], [21, 1], [23, 3]] {
        for count in 0..10 {
            let [row, step] = strides;
            // SAFETY: (R − 1)·23 + 9·R and 9·7 + N·W are below 1000; `with_vectors` chose instructions that the processor has.
            unsafe {
                let mut sums = [[V::all(1.0); N]; R];
                V::add_products(&mut sums, a.as_ptr(), strides, count, |k, i| V::read(b.as_ptr().add(7 * k + W * i)));
                for (r, i) in (0..R).flat_map(|r| (0..N).map(move |i| (r, i))) {
                    let mut y = [0.0; W];
                    sums[r][i].store(&mut y);
                    for (lane, y) in y.into_iter().enumerate() {
                        let product = |k: usize| a[r * row + k * step] * b[7 * k + W * i + lane];
                        let want = 1.0 + (0..count).map(product).sum::<f32>();
                        assert_eq!(y, want, "row {r} of {R}, vector {i} of {N}, lane {lane}, {strides:?}, k {count}");
                    }
                }
            }
        }
    }
}

fn all_products<V: Vector<W>, const W: usize>() {
    products::<V, W, 1, 1>();
    products::<V, W, 3, 2>();
    products::<V, W, 4, 3>();
    products::<V, W, 6, 2>();
    products::<V, W, 8, 1>();
}

#[test]
fn products_are_those_of_their_rows() {
    with_all_vectors!(all_products);
}
