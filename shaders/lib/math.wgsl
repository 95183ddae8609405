// Accurate f32 exp, expm1, log, log1p, tanh, sigmoid, softplus, sin and cos, where WGSL promises little for the built-in
// ones (SwiftShader's sin and cos, for one, are off by 2e-4).
//
// Each is a range reduction and a polynomial (coefficients of the Cephes library's single precision routines), in
// additions, multiplications and bit operations that every device rounds alike, plus at most one division. Errors,
// relative, against f64 over all of f32 (held by the tests in src/gpu/math_tests.rs):
//
//   exp 1.2e-7    expm1 3e-7    log 1.2e-7    log1p 3e-7    tanh 3e-7    sigmoid 3e-7    softplus 3e-7
//
// and, absolute, for |x| up to 10,000 (the driver's own beyond 100,000): sin 2e-7, cos 2e-7
//
// (for results that are normal numbers; subnormal results may be flushed to zero, subnormal inputs may be read as
// zero). At the edges, which WGSL itself leaves open:
//
//             NaN    -inf   +inf   beyond the range
//   exp       NaN    0      +inf   +inf above 88.72284, 0 below -104
//   expm1     NaN    -1     +inf   +inf above 88.72284
//   log       NaN    NaN    +inf   -inf at both zeros, NaN below zero
//   log1p     NaN    NaN    +inf   -inf at -1, NaN below -1
//   tanh      NaN    -1     1      never beyond +-1; the sign of zero is kept, by expm1 too
//   sigmoid   NaN    0      1      never beyond 0 and 1
//   softplus  NaN    0      +inf
//   sin, cos  NaN    NaN    NaN
//
// A NaN is found by its bits, since compilers may assume that x == x. Infinity and NaN are made from bits that the
// WGSL front end cannot fold, since it refuses them as constants.

var<private> bits_of_infinity: u32 = 0x7f800000u;

fn infinity() -> f32 {
    return bitcast<f32>(bits_of_infinity);
}

fn not_a_number() -> f32 {
    return bitcast<f32>(bits_of_infinity | 0x400000u);
}

fn is_nan(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

// Neither infinite nor NaN.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

// 2^n for -126 <= n <= 127, exact.
fn power_of_two(n: i32) -> f32 {
    return bitcast<f32>(u32(n + 127) << 23u);
}

// (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2.
fn exp_tail(r: f32) -> f32 {
    return ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r + 4.1665795894e-2) * r
        + 1.6666665459e-1) * r + 5.0000001201e-1;
}

// e^x
fn exp_f32(x: f32) -> f32 {
    // x = n ln 2 + r. ln 2 is split so that n times its first part is exact; 2^n is applied in two steps, because n
    // reaches from -150 to 128.
    let clamped = clamp(x, -104.0, 89.0);
    let n = floor(clamped * 1.44269504088896341 + 0.5);
    let r = (clamped - n * 0.693359375) - n * -2.12194440e-4;
    let y = (exp_tail(r) * r) * r + r + 1.0;
    let half = i32(n) / 2;
    var result = (y * power_of_two(half)) * power_of_two(i32(n) - half);
    result = select(result, infinity(), x > 88.72284);
    return select(result, x, is_nan(x));
}

// e^x - 1
fn expm1_f32(x: f32) -> f32 {
    let small = (exp_tail(x) * x) * x + x;
    let result = select(exp_f32(x) - 1.0, small, abs(x) < 0.35);
    return select(result, x, x == 0.0); // zero keeps its sign
}

// log(1 + f) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1, without the term f itself: log(1 + f) - f.
fn log_tail(f: f32) -> f32 {
    let square = f * f;
    let p = (((((((7.0376836292e-2 * f - 1.1514610310e-1) * f + 1.1676998740e-1) * f - 1.2420140846e-1) * f
        + 1.4249322787e-1) * f - 1.6668057665e-1) * f + 2.0000714765e-1) * f - 2.4999993993e-1) * f + 3.3333331174e-1;
    return (p * f) * square - 0.5 * square;
}

// log of a positive finite x.
fn log_of_positive(x: f32) -> f32 {
    // x = m 2^n with m in [sqrt(1/2), sqrt(2)); a subnormal x is first scaled into the normal range.
    let tiny = x < 1.17549435e-38;
    let bits = bitcast<i32>(select(x, x * 8388608.0, tiny));
    let n = (bits - 0x3f3504f3) >> 23u;
    let f = bitcast<f32>(bits - (n << 23u)) - 1.0;
    let e = f32(n - select(0, 23, tiny));
    return ((log_tail(f) + e * -2.12194440e-4) + f) + e * 0.693359375;
}

// The natural logarithm.
fn log_f32(x: f32) -> f32 {
    var result = select(infinity(), log_of_positive(x), x <= 3.40282346e38);
    result = select(not_a_number(), result, x > 0.0);
    result = select(result, -infinity(), x == 0.0);
    return select(result, x, is_nan(x));
}

// log(1 + x), accurate near x = 0.
fn log1p_f32(x: f32) -> f32 {
    let near = x > -0.2928 && x < 0.4142;
    return select(log_f32(1.0 + x), log_tail(x) + x, near);
}

// (e^x - e^-x) / (e^x + e^-x)
fn tanh_f32(x: f32) -> f32 {
    let z = x * x;
    let small = ((((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z + 1.33314422036e-1) * z
        - 3.33332819422e-1) * z * x + x;
    // 1 - 2 / (e^2|x| + 1) is 1 in f32 from 9.02 on.
    let large = 1.0 - 2.0 / (exp_f32(2.0 * min(abs(x), 10.0)) + 1.0);
    let result = select(select(large, -large, x < 0.0), small, abs(x) < 0.625);
    return select(result, x, x == 0.0 || is_nan(x));
}

// 1 / (1 + e^-x)
fn sigmoid_f32(x: f32) -> f32 {
    // The exponential never overflows, and for negative x the quotient keeps its relative accuracy down to underflow.
    let e = exp_f32(-abs(x));
    let result = select(1.0, e, x < 0.0) / (1.0 + e);
    return select(result, x, is_nan(x));
}

// log(1 + e^x)
fn softplus_f32(x: f32) -> f32 {
    let result = max(x, 0.0) + log1p_f32(exp_f32(-abs(x)));
    return select(result, x, is_nan(x));
}

// x^a as e^(a ln |x|): for negative finite x only integer exponents have a value. Relative error about |a ln x| ulp.
fn pow_f32(x: f32, a: f32) -> f32 {
    if a == 0.0 || x == 1.0 {
        return 1.0;
    }
    // 0 times infinity has no value, but 1 to the power of infinity has.
    let size = select(exp_f32(a * log_f32(abs(x))), 1.0, x == -1.0 && !is_nan(a));
    let whole = floor(a) == a;
    let odd = whole && floor(a * 0.5) * 2.0 != a;
    let has_value = whole || x == 0.0 || x < -3.40282346e38;
    let negative = select(select(not_a_number(), size, has_value), -size, odd);
    return select(negative, size, bitcast<i32>(x) >= 0 || is_nan(x));
}

// sin(r + quarter pi/2) for |r| <= pi/4.
fn quarter_wave(r: f32, quarter: i32) -> f32 {
    let z = r * r;
    let sine = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
    let cosine = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z
        - 0.5 * z + 1.0;
    let wave = select(sine, cosine, (quarter & 1) == 1);
    return select(wave, -wave, (quarter & 2) == 2);
}

// x = n pi/2 + r. pi/2 is split so that n times its first two parts is exact.
fn wave(x: f32, shift: i32) -> f32 {
    let n = floor(x * 0.636619772367581 + 0.5);
    let r = ((x - n * 1.5703125) - n * 4.837512969970703125e-4) - n * 7.54978995489188216e-8;
    return quarter_wave(r, i32(n) + shift);
}

// The sine of x radians.
fn sin_f32(x: f32) -> f32 {
    if abs(x) > 1e5 {
        return select(not_a_number(), sin(x), is_finite(x));
    }
    return select(wave(x, 0), x, x == 0.0); // zero keeps its sign
}

// The cosine of x radians.
fn cos_f32(x: f32) -> f32 {
    if abs(x) > 1e5 {
        return select(not_a_number(), cos(x), is_finite(x));
    }
    return wave(x, 1);
}
