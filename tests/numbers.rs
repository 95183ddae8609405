//! docs/numbers.md is true: each device gives what its tables say for NaN, infinities, subnormal and huge numbers.

use crate::devices;
use toile::ops::reduce_more::Variance;
use toile::ops::{Conv2d, Pool2d};
use toile::{Device, Tensor};

/// A table: its header's cells, and its rows'.
type Table = (Vec<String>, Vec<Vec<String>>);

fn tables() -> Vec<Table> {
    let text = include_str!("../docs/numbers.md");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
    let mut tables: Vec<Table> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (line.starts_with('|'), inside) {
            (true, false) => tables.push((cells(line), Vec::new())),
            (true, true) if line.starts_with("|---") => {}
            (true, true) => tables.last_mut().unwrap().1.push(cells(line)),
            (false, _) => {}
        }
        inside = line.starts_with('|');
    }
    tables
}

fn number(text: &str) -> f32 {
    match text {
        "NaN" => f32::NAN,
        "∞" => f32::INFINITY,
        "-∞" => f32::NEG_INFINITY,
        _ => text.parse().unwrap_or_else(|_| panic!("docs/numbers.md: `{text}` is no number")),
    }
}

fn numbers(cells: &[String]) -> Vec<f32> {
    cells.iter().map(|cell| number(cell)).collect()
}

/// Whether a device's value is one of those that the cell allows; `defined` is the reference's, rounded to f32.
fn allowed(cell: &str, got: f32, defined: f32) -> bool {
    let close = |want: f32| got == want || (want.is_finite() && (got - want).abs() <= 2e-6 * want.abs());
    cell.split(" or ").any(|one| match one {
        "f" => close(defined),
        "~0" => got.abs() <= 1e-37,
        "-0" => got == 0.0 && got.is_sign_negative(),
        "NaN" => got.is_nan(),
        _ => close(number(one)),
    })
}

/// Holds every device to the rows of a table, in which `outcome(device, row's name)` gives a value a cell.
fn hold(table: &Table, outcome: impl Fn(&Device, &[String]) -> Vec<f32>, first: usize) {
    let mut wrong = Vec::new();
    for row in &table.1 {
        let defined = outcome(&Device::Reference, row);
        for device in devices::all() {
            let got = outcome(&device, row);
            assert_eq!(got.len(), row.len() - first, "{row:?}");
            for (i, (&got, &defined)) in got.iter().zip(&defined).enumerate() {
                let (cell, column) = (&row[first + i], &table.0[first + i]);
                if !allowed(cell, got, defined) {
                    wrong.push(format!("{device}: {} at {column}: {got:e} instead of {cell}", row[..first].join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}

fn unary(name: &str) -> fn(&Tensor) -> Tensor {
    match name {
        "affine (2x + 1)" => |x| x.affine(2.0, 1.0),
        "exp" => Tensor::exp,
        "expm1" => Tensor::expm1,
        "log" => Tensor::log,
        "log1p" => Tensor::log1p,
        "sqrt" => Tensor::sqrt,
        "sqrt_flat_at_zero" => Tensor::sqrt_flat_at_zero,
        "rsqrt" => Tensor::rsqrt,
        "recip" => Tensor::recip,
        "square" => Tensor::square,
        "abs" => Tensor::abs,
        "sign" => Tensor::sign,
        "step" => |x| x.leaky_relu_slope(0.0),
        "relu" => Tensor::relu,
        "leaky_relu (0.2)" => |x| x.leaky_relu(0.2),
        "elu (1)" => |x| x.elu(1.0),
        "tanh" => Tensor::tanh,
        "sigmoid" => Tensor::sigmoid,
        "log_sigmoid" => Tensor::log_sigmoid,
        "softplus" => Tensor::softplus,
        "silu" => Tensor::silu,
        "gelu" => Tensor::gelu,
        "gelu_tanh" => Tensor::gelu_tanh,
        "normal_cdf" => Tensor::normal_cdf,
        "clamp (-2 to 3)" => |x| x.clamp(-2.0, 3.0),
        "is_inside (-2 to 3)" => |x| x.is_inside(-2.0, 3.0),
        "sin" => Tensor::sin,
        "cos" => Tensor::cos,
        "pow (2)" => |x| x.pow(2.0),
        "pow (3)" => |x| x.pow(3.0),
        "pow (-1)" => |x| x.pow(-1.0),
        "pow (0.5)" => |x| x.pow(0.5),
        "pow (0)" => |x| x.pow(0.0),
        _ => panic!("docs/numbers.md: there is no op `{name}`"),
    }
}

/// The definition's value as the table counts it: beyond f32's range it is infinite.
fn values(y: &Tensor) -> Vec<f32> {
    y.to_vec().expect("a working device")
}

#[test]
fn functions_of_one_number() {
    let table = &tables()[0];
    assert!(table.1.len() >= 33);
    let x = numbers(&table.0[1..]);
    hold(table, |device, row| values(&unary(&row[0])(&Tensor::new(device, [x.len()], &x))), 1);
}

#[test]
fn functions_of_two_numbers() {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    let ops: [(&str, F); 8] = [
        ("add", |a, b| a + b),
        ("sub", |a, b| a - b),
        ("mul", |a, b| a * b),
        ("div", |a, b| a / b),
        ("max", Tensor::maximum),
        ("min", Tensor::minimum),
        ("gt", Tensor::gt),
        ("equal", Tensor::equal),
    ];
    let table = &tables()[1];
    assert_eq!(table.0[2..], ops.map(|(name, _)| name));
    let one = |device: &Device, cell: &str| Tensor::new(device, [], &[number(cell)]);
    hold(
        table,
        |device, row| ops.map(|(_, f)| values(&f(&one(device, &row[0]), &one(device, &row[1])))[0]).to_vec(),
        2,
    );
}

#[test]
fn cross_entropies() {
    for table in &tables()[2..4] {
        let x = numbers(&table.0[1..]);
        let outcome = |device: &Device, row: &[String]| {
            let (name, target) = row[0].trim_end_matches(')').split_once(" (").expect("a target");
            let (x, t) = (Tensor::new(device, [x.len()], &x), Tensor::new(device, [1], &[number(target)]));
            values(&match name {
                "bce_with_logits" => x.bce_with_logits(&t),
                "bce" => x.bce(&t),
                "bce_clipped" => x.bce_clipped(&t, 1e-7),
                _ => panic!("docs/numbers.md: there is no loss `{name}`"),
            })
        };
        hold(table, outcome, 1);
    }
}

#[test]
fn reductions() {
    type F = fn(&Tensor) -> Tensor;
    let place = |indices: toile::Result<toile::ops::Indices>, device: &Device| {
        let place = indices.and_then(|indices| indices.to_vec()).expect("a working device")[0];
        Tensor::new(device, [1], &[place as f32])
    };
    let ops: [(&str, F); 10] = [
        ("sum", |x| x.sum_axes(&[0])),
        ("mean", |x| x.mean_axes(&[0])),
        ("max", |x| x.max_axes(&[0])),
        ("min", |x| x.min_axes(&[0])),
        ("prod", |x| x.prod_axes(&[0])),
        ("var", |x| x.var_axes(&[0], Variance::Population)),
        ("norm", |x| x.norm_axes(&[0])),
        ("logsumexp", |x| x.logsumexp(&[0])),
        ("softmax, first", |x| x.softmax(0).narrow(0, 0, 1)),
        ("max_pool2d", |x| {
            let pool = Pool2d { kernel: [1, 3], ..Pool2d::new(1) };
            x.reshape([1, 1, 1, 3]).max_pool2d(pool).expect("a working device")
        }),
    ];
    let table = &tables()[4];
    let outcome = |device: &Device, row: &[String]| {
        let x: Vec<f32> = row[0].split(' ').map(number).collect();
        let x = Tensor::new(device, [3], &x);
        let value = |name: &String| match name.as_str() {
            "argmax" => place(x.argmax(0), device),
            "argmin" => place(x.argmin(0), device),
            name => ops.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no op `{name}`")).1(&x),
        };
        table.0[1..].iter().map(|name| values(&value(name))[0]).collect()
    };
    hold(table, outcome, 1);
}

/// Where the result is NaN, on every device.
fn nan_places(what: &str, f: impl Fn(&Device) -> Tensor) {
    let places = |device: &Device| values(&f(device)).iter().map(|v| v.is_nan()).collect::<Vec<bool>>();
    let want = places(&Device::Reference);
    assert!(want.contains(&true) && want.contains(&false), "{what}");
    for device in devices::all() {
        assert_eq!(places(&device), want, "{what} on {device}");
    }
}

#[test]
fn a_nan_reaches_its_own_outputs_only() {
    let with_nan = |device: &Device, shape: &[usize]| {
        let n: usize = shape.iter().product();
        let value = |i: usize| if i == n / 2 + 3 { f32::NAN } else { (i % 17) as f32 / 8.0 - 1.0 };
        Tensor::new(device, shape, &(0..n).map(value).collect::<Vec<f32>>())
    };
    let finite = |device: &Device, shape: &[usize]| Tensor::full(device, shape, 0.5);
    let conv = Conv2d { stride: [2, 2], padding: [1; 4], ..Conv2d::default() };
    // Small ones, and ones for which packed kernels are chosen.
    for (n, c, o) in [(2, 2, 3), (3, 9, 13)] {
        nan_places("conv2d", |d| with_nan(d, &[n, c, 10, 12]).conv2d(&finite(d, &[o, c, 4, 4]), conv));
        nan_places("conv2d_input", |d| {
            with_nan(d, &[n, o, 5, 6]).conv_transpose2d(&finite(d, &[o, c, 4, 4]), conv, [10, 12])
        });
        nan_places("conv2d_weight", |d| {
            with_nan(d, &[n, c, 10, 12]).conv2d_weight(&finite(d, &[n, o, 5, 6]), conv, [4, 4])
        });
        nan_places("matmul", |d| with_nan(d, &[7 * n, 11 * c]).matmul(&finite(d, &[11 * c, 5 * o])));
        nan_places("matmul, right", |d| finite(d, &[7 * n, 11 * c]).matmul(&with_nan(d, &[11 * c, 5 * o])));
    }
}
