//! exp, ln and their kin in f32 without branches or calls, so that loops over them become vectors.
//!
//! Only sums, products, quotients and bit patterns are used, in one order and never fused: the bits are the same with
//! every instruction set. Errors stay below 4 units in the last place (see the tests).

/// Adding and subtracting it rounds to a whole number: 1.5·2²³.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, the first so short that its products with exponents are exact.
const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// 2ⁿ for n in −126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// x = n·ln 2 + r with |r| ≤ ½·ln 2: n and r, for x between −104 and 89.
#[inline(always)]
fn reduce(x: f32) -> (i32, f32) {
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let whole = (rounded.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    (whole, (x - n * LN2[0]) - n * LN2[1])
}

/// (e^r − 1 − r) / r² by the exponential series.
#[inline(always)]
fn series(r: f32) -> f32 {
    let p = 1.0 / 5040.0;
    let p = p * r + 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    p * r + 0.5
}

#[inline(always)]
fn clamped(x: f32) -> f32 {
    // Comparisons rather than min and max: NaN passes.
    let x = if x > 89.0 { 89.0 } else { x };
    if x < -104.0 { -104.0 } else { x }
}

/// e^x
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let (n, r) = reduce(clamped(x));
    let e = 1.0 + (r + r * r * series(r));
    // In two steps, for 2ⁿ itself may overflow or be subnormal.
    let half = n >> 1;
    e * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// e^x − 1
#[inline(always)]
pub fn exp_m1(x: f32) -> f32 {
    let (n, r) = reduce(clamped(x));
    let small = r + r * r * series(r); // e^r − 1
    // 2ⁿ·(e^r − 1) + (2ⁿ − 1), with 2ⁿ halved where it would overflow.
    let half = power_of_two(n.wrapping_sub(1).clamp(-126, 127));
    let e = (half * small + (half - 0.5)) * 2.0;
    let e = if n == 0 { small } else { e };
    let e = if x == 0.0 { x } else { e }; // −0 stays
    if x < -25.0 { -1.0 } else { e }
}

/// x = 2ⁿ·m with m between √½ and √2: n and m − 1, for positive finite x.
#[inline(always)]
fn split(x: f32) -> (f32, f32) {
    let subnormal = x < f32::MIN_POSITIVE;
    let scaled = if subnormal { x * 8_388_608.0 } else { x };
    let shifted = scaled.to_bits().wrapping_sub(0.5f32.sqrt().to_bits());
    let n = (shifted as i32) >> 23;
    let m = f32::from_bits((shifted & 0x7f_ffff).wrapping_add(0.5f32.sqrt().to_bits()));
    (n as f32 - if subnormal { 23.0 } else { 0.0 }, m - 1.0)
}

/// ln x; −∞ at 0, NaN below.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let (n, f) = split(x);
    // ln(1 + f) = 2·artanh(s) with s = f / (2 + f).
    let s = f / (2.0 + f);
    let z = s * s;
    let p = 2.0 / 9.0;
    let p = p * z + 2.0 / 7.0;
    let p = p * z + 2.0 / 5.0;
    let p = p * z + 2.0 / 3.0;
    // 2s = f − s·f exactly, and f is exact: the small terms are added first.
    let y = n * LN2[0] + (f + (s * (z * p - f) + n * LN2[1]));
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x >= 0.0 { y } else { f32::NAN }
}

/// ln(1 + x)
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let u = 1.0 + x;
    // What rounding took from 1 + x, to first order.
    let lost = (x - (u - 1.0)) / u;
    let y = ln(u) + lost;
    let y = if u == 1.0 { x } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if u == 0.0 { f32::NEG_INFINITY } else { y }
}

/// tanh x
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let (a, z) = (x.abs(), x * x);
    // Lambert's continued fraction near 0, (e^2|x| − 1) / (e^2|x| + 1) elsewhere, with one division for both.
    let e = exp(2.0 * if a > 20.0 { 20.0 } else { a });
    let small = [x * (10395.0 + z * (1260.0 + z * 21.0)), 10395.0 + z * (4725.0 + z * (210.0 + z))];
    let near = a < 0.75;
    let dividend = if near { small[0] } else { (e - 1.0).copysign(x) };
    dividend / if near { small[1] } else { e + 1.0 }
}

/// 1 / (1 + e^−x)
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// ln(1 + e^x)
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let tail = ln_1p(exp(-x.abs()));
    if x > 0.0 { x + tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 9,973rd bit pattern, and those around the places where formulas change.
    fn arguments() -> impl Iterator<Item = f32> {
        let edges = [0.0f32, 0.346_57, 0.75, 1.0, 2.0, 25.0, 87.3, 88.7, 89.0, 103.9, 104.0, f32::MIN_POSITIVE];
        let near = edges.into_iter().flat_map(|v| (-40i32..40).map(move |d| v.to_bits().wrapping_add(d as u32)));
        (0..u32::MAX).step_by(9_973).chain(near).flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
    }

    /// The largest error in units in the last place of the expected value; subnormal results have those of the least
    /// normal one.
    fn worst(name: &str, f: fn(f32) -> f32, want: fn(f64) -> f64) -> f64 {
        let mut worst = (0.0, 0.0);
        for x in arguments() {
            let (got, want) = (f(x), want(x as f64));
            if (got as f64).is_nan() && want.is_nan() || got == want as f32 {
                continue;
            }
            let unit = f64::from(f32::EPSILON) * want.abs().max(f64::from(f32::MIN_POSITIVE));
            let error = (got as f64 - want).abs() / unit;
            assert!(!error.is_nan(), "{name}({x:e}): got {got}, expected {want}");
            if error > worst.0 {
                worst = (error, x);
            }
        }
        println!("{name}: {:.2} units at {:e}", worst.0, worst.1);
        worst.0
    }

    #[test]
    fn agree_with_the_f64_functions() {
        assert!(worst("exp", exp, f64::exp) < 2.0);
        assert!(worst("exp_m1", exp_m1, f64::exp_m1) < 4.0);
        assert!(worst("ln", ln, f64::ln) < 2.0);
        assert!(worst("ln_1p", ln_1p, f64::ln_1p) < 4.0);
        assert!(worst("tanh", tanh, f64::tanh) < 4.0);
        assert!(worst("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp())) < 4.0);
        assert!(worst("softplus", softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()) < 4.0);
    }

    #[test]
    fn the_ends_are_exact() {
        let inf = f32::INFINITY;
        assert_eq!([exp(-inf), exp(inf), exp(0.0), ln(0.0), ln(1.0), ln(inf)], [0.0, inf, 1.0, -inf, 0.0, inf]);
        assert_eq!([tanh(-inf), tanh(inf), sigmoid(-inf), sigmoid(inf)], [-1.0, 1.0, 0.0, 1.0]);
        assert_eq!([softplus(-inf), softplus(inf), exp_m1(-inf), ln_1p(-1.0)], [0.0, inf, -1.0, -inf]);
        assert!([exp, ln, ln_1p, exp_m1, tanh, sigmoid, softplus].iter().all(|f| f(f32::NAN).is_nan()));
        assert!(tanh(-0.0).is_sign_negative() && exp_m1(-0.0).is_sign_negative());
    }
}
