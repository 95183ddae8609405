//! Runs one case on a device: values, first and second gradients, and whether two runs give the same bits.

use super::cases::Case;
use super::compare::{Deviation, Tolerance, compare, compare_each};
use super::gradients::{directional, first_order, loss, second_order};
use crate::error::Result;
use crate::tensor::{Device, Tensor, no_grad};

/// What is compared with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The device's values with the reference's.
    Value,
    /// The device's gradients with the reference's.
    Gradient,
    /// The device's second gradients with the reference's.
    SecondGradient,
    /// The reference's gradients with central differences.
    Differences,
    /// The reference's second gradients with central differences of its first.
    SecondDifferences,
    /// A second run with the first, bit for bit.
    Repeat,
}

impl Check {
    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Check::Value => "value",
            Check::Gradient => "gradient",
            Check::SecondGradient => "2nd gradient",
            Check::Differences => "differences",
            Check::SecondDifferences => "2nd differences",
            Check::Repeat => "repeat",
        }
    }
}

/// The outcome of one comparison.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The case's name.
    pub case: String,
    /// What was compared.
    pub check: Check,
    /// Which tensor: `y`, or the input that the gradient is by.
    pub of: String,
    /// The worst element.
    pub deviation: Deviation,
    /// What its error may be.
    pub limit: f64,
}

impl CaseReport {
    /// True if the error is within the limit.
    pub fn passed(&self) -> bool {
        self.deviation.error <= self.limit
    }
}

/// Relative limit for a gradient against central differences (f64, extrapolated: about 1e-10 is seen).
const DIFFERENCES: f64 = 1e-7;

/// Runs every check that applies to this case on this device. On the reference device those are the finite
/// differences; on the others the comparison with the reference.
///
/// # Errors
/// What goes wrong on the device.
pub fn check_case(case: &Case, device: &Device) -> Result<Vec<CaseReport>> {
    let reference = Device::Reference;
    let x = case.inputs(&reference);
    let y = no_grad(|| (case.run)(&x));
    let up = case.random(&reference, y.shape(), 1001);
    let v: Vec<Tensor> =
        x.iter().enumerate().map(|(i, x)| case.random(&reference, x.shape(), 2001 + i as u64)).collect();
    let mut reports = Vec::new();
    let mut add = |check: Check, of: &str, got: &Tensor, want: &Tensor, limit: f64, floor: f64| -> Result<()> {
        let (got, expected) = (got.to_vec_f64()?, want.to_vec_f64()?);
        let deviation = match check {
            Check::Value if case.is_edges() => compare_each(want.shape(), &got, &expected),
            _ => compare(want.shape(), &got, &expected, floor),
        };
        reports.push(CaseReport { case: case.name.clone(), check, of: of.into(), deviation, limit });
        Ok(())
    };
    let name = |i: usize| if i < x.len() { format!("x{i}") } else { "up".to_string() };

    if *device == reference {
        if case.order >= 1 {
            let scalar = |x: &[Tensor]| no_grad(|| loss(&*case.run, x, &up));
            let want = Tensor::scalar(&reference, directional(&scalar, &x, &v)?);
            let gradients = first_order(&*case.run, &x, &up);
            let got = gradients.iter().zip(&v).map(|(d, v)| (d * v).sum()).reduce(|a, b| a + b);
            add(Check::Differences, "x", &got.expect("inputs"), &want, DIFFERENCES, 0.1)?;
        }
        if case.order >= 2 {
            let s = |all: &[Tensor]| {
                let (up, x) = all.split_last().expect("up is there");
                second_order(&*case.run, x, up, &v).0.detach()
            };
            let all: Vec<Tensor> = x.iter().chain([&up]).cloned().collect();
            let w: Vec<Tensor> =
                all.iter().enumerate().map(|(i, t)| case.random(&reference, t.shape(), 3001 + i as u64)).collect();
            let want = Tensor::scalar(&reference, directional(&s, &all, &w)?);
            let (_, gradients) = second_order(&*case.run, &x, &up, &v);
            let got = gradients.iter().zip(&w).map(|(d, w)| (d * w).sum()).reduce(|a, b| a + b);
            add(Check::SecondDifferences, "x", &got.expect("inputs"), &want, DIFFERENCES, 0.1)?;
        }
        return Ok(reports);
    }

    let here = |t: &[Tensor]| -> Result<Vec<Tensor>> { t.iter().map(|t| t.to_device(device)).collect() };
    let (dx, dup, dv) = (here(&x)?, up.to_device(device)?, here(&v)?);
    let dy = no_grad(|| (case.run)(&dx));
    add(Check::Value, "y", &dy, &y, case.tolerance.limit(), case.floor)?;
    add(Check::Repeat, "y", &no_grad(|| (case.run)(&dx)), &dy, 0.0, 0.0)?;
    let gradient_limit = case.tolerance.limit().max(Tolerance::Gradient.limit());
    if case.order >= 1 {
        let want = first_order(&*case.run, &x, &up);
        let got = first_order(&*case.run, &dx, &dup);
        let again = first_order(&*case.run, &dx, &dup);
        for (i, ((got, want), again)) in got.iter().zip(&want).zip(&again).enumerate() {
            add(Check::Gradient, &name(i), got, want, gradient_limit, case.floor)?;
            add(Check::Repeat, &format!("d{}", name(i)), again, got, 0.0, 0.0)?;
        }
    }
    if case.order >= 2 {
        let (_, want) = second_order(&*case.run, &x, &up, &v);
        let (_, got) = second_order(&*case.run, &dx, &dup, &dv);
        // A second gradient that is zero in theory is compared with the scale of the others.
        let scale = want.iter().map(|t| Ok(max_abs(&t.to_vec_f64()?))).collect::<Result<Vec<f64>>>()?;
        let floor = scale.iter().fold(case.floor, |m, &v| m.max(v)) * 0.1;
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            add(Check::SecondGradient, &name(i), got, want, gradient_limit, floor)?;
        }
    }
    Ok(reports)
}

fn max_abs(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}
