//! Learning-rate schedules: what a base rate is multiplied by at each step.

/// A factor by step, counted from 0. Lengths are steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// 1.
    Constant,
    /// From `from` straight to `to` over `steps`, then `to`.
    Linear { from: f64, to: f64, steps: u64 },
    /// From 1 to `end` along half a cosine over `steps`, then `end` (Loshchilov and Hutter 2017, without restarts).
    Cosine { end: f64, steps: u64 },
    /// `factor`^⌊step / every⌋.
    Step { factor: f64, every: u64 },
    /// 1 for `flat` steps, then straight to 0 over `decay` (Zhu et al. 2017).
    FlatThenLinear { flat: u64, decay: u64 },
}

impl Schedule {
    /// The factor at a step.
    pub fn factor(self, step: u64) -> f64 {
        let part = |step: u64, steps: u64| if steps == 0 { 1.0 } else { (step as f64 / steps as f64).min(1.0) };
        match self {
            Schedule::Constant => 1.0,
            Schedule::Linear { from, to, steps } => from + (to - from) * part(step, steps),
            Schedule::Cosine { end, steps } => {
                end + (1.0 - end) * 0.5 * (1.0 + (std::f64::consts::PI * part(step, steps)).cos())
            }
            Schedule::Step { factor, every } => factor.powf((step / every.max(1)) as f64),
            Schedule::FlatThenLinear { flat, decay } => 1.0 - if step < flat { 0.0 } else { part(step - flat, decay) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule::*;

    #[test]
    fn factors() {
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        near(Linear { from: 0.0, to: 1.0, steps: 4 }.factor(3), 0.75);
        near(Linear { from: 0.0, to: 1.0, steps: 4 }.factor(9), 1.0);
        near(Linear { from: 1.0, to: 0.5, steps: 0 }.factor(0), 0.5);
        near(Cosine { end: 0.1, steps: 10 }.factor(0), 1.0);
        near(Cosine { end: 0.1, steps: 10 }.factor(5), 0.55);
        near(Cosine { end: 0.1, steps: 10 }.factor(11), 0.1);
        near(Step { factor: 0.5, every: 3 }.factor(8), 0.25);
        near(FlatThenLinear { flat: 100, decay: 100 }.factor(99), 1.0);
        near(FlatThenLinear { flat: 100, decay: 100 }.factor(150), 0.5);
        near(FlatThenLinear { flat: 100, decay: 100 }.factor(300), 0.0);
        near(Constant.factor(7), 1.0);
    }
}
