//! Runs one case on a device: values, first and second gradients, equal bits of repeated runs, guard words.

use super::cases::Case;
use super::compare::{Deviation, Tolerance, compare, compare_each};
use super::gradients::{directional, first_order, loss, second_order};
use super::variants::Variant;
use crate::cpu::guard::Guards;
use crate::error::Result;
use crate::gpu::UNWRITTEN;
use crate::tensor::{Device, Tensor, no_grad};
use std::fmt;

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
    /// A run on another number of threads with the first, bit for bit.
    Threads,
    /// Every result written, the inputs as they were, nothing written around any buffer.
    Guards,
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
            Check::Threads => "threads",
            Check::Guards => "guards",
        }
    }
}

/// The outcome of one comparison.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The case's name.
    pub case: String,
    /// How the device computed it; see [`Variant::name`].
    pub variant: String,
    /// What was compared.
    pub check: Check,
    /// Which tensor: `y`, or the input that the gradient is by.
    pub of: String,
    /// The worst element.
    pub deviation: Deviation,
    /// What its error may be.
    pub limit: f64,
    /// What was written where it should not be, or not written.
    pub note: Option<String>,
}

impl CaseReport {
    /// True if the error is within the limit.
    pub fn passed(&self) -> bool {
        self.deviation.error <= self.limit
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CaseReport { case, variant, check, of, deviation, limit, note } = self;
        write!(f, "{case}, {variant}: {} of {of}: ", check.name())?;
        match note {
            Some(note) => write!(f, "{note}"),
            None => write!(f, "{deviation}, limit {limit:.1e}"),
        }
    }
}

/// Relative limit for a gradient against central differences (f64, extrapolated: about 1e-10 is seen).
const DIFFERENCES: f64 = 1e-7;

/// A case with its inputs and what the reference says about it: computed once, however many variants are held against it.
pub struct Expected<'a> {
    case: &'a Case,
    order: u32,
    /// The inputs, on the reference.
    x: Vec<Tensor>,
    /// What the output is multiplied by for a loss, and the directions of the second gradients.
    up: Tensor,
    v: Vec<Tensor>,
    y: Vec<f64>,
    first: Vec<Vec<f64>>,
    second: Vec<Vec<f64>>,
}

fn all_values(tensors: &[Tensor]) -> Result<Vec<Vec<f64>>> {
    tensors.iter().map(Tensor::to_vec_f64).collect()
}

impl<'a> Expected<'a> {
    /// What is expected of a case, with gradients up to the order it states, or to `most` if that is less.
    ///
    /// # Errors
    /// None of its own; the reference device does not fail.
    pub fn new(case: &'a Case, most: u32) -> Result<Expected<'a>> {
        let order = case.order.min(most);
        let x = case.inputs(&Device::Reference);
        let y = no_grad(|| (case.run)(&x));
        let up = case.random(&Device::Reference, y.shape(), 1001);
        let direction = |(i, x): (usize, &Tensor)| case.random(&Device::Reference, x.shape(), 2001 + i as u64);
        let v: Vec<Tensor> = x.iter().enumerate().map(direction).collect();
        let first = if order >= 1 { all_values(&first_order(&*case.run, &x, &up))? } else { Vec::new() };
        let second = if order >= 2 { all_values(&second_order(&*case.run, &x, &up, &v).1)? } else { Vec::new() };
        Ok(Expected { case, order, y: y.to_vec_f64()?, up, v, first, second, x })
    }

    /// `x0`, `x1` … or, of the last one, `up`.
    fn name(&self, i: usize) -> String {
        if i < self.x.len() { format!("x{i}") } else { "up".to_string() }
    }

    /// Runs every check that applies on this device, computing in this way.
    ///
    /// # Errors
    /// What goes wrong on the device.
    pub fn check(&self, device: &Device, variant: &Variant) -> Result<Vec<CaseReport>> {
        match device {
            Device::Reference => self.differences(),
            _ => variant.run(device, || self.compared(device, variant)),
        }
    }

    fn report(&self, variant: &str, check: Check, of: &str, deviation: Deviation, limit: f64) -> CaseReport {
        let case = self.case.name.clone();
        CaseReport { case, variant: variant.into(), check, of: of.into(), deviation, limit, note: None }
    }

    /// The reference's own gradients against central differences.
    fn differences(&self) -> Result<Vec<CaseReport>> {
        let Expected { case, x, up, v, .. } = self;
        let reference = Device::Reference;
        let mut reports = Vec::new();
        let mut add = |check: Check, gradients: Vec<Tensor>, along: &[Tensor], want: f64| -> Result<()> {
            let got = gradients.iter().zip(along).map(|(d, v)| (d * v).sum()).reduce(|a, b| a + b);
            let got = got.expect("a case has inputs").item()?;
            let deviation = compare(&[].into(), &[got], &[want], 0.1);
            reports.push(self.report("as chosen", check, "x", deviation, DIFFERENCES));
            Ok(())
        };
        if case.constants.is_some() {
            return Ok(reports);
        }
        if self.order >= 1 {
            let scalar = |x: &[Tensor]| no_grad(|| loss(&*case.run, x, up));
            let want = directional(&scalar, x, v)?;
            add(Check::Differences, first_order(&*case.run, x, up), v, want)?;
        }
        if self.order >= 2 {
            let s = |all: &[Tensor]| {
                let (up, x) = all.split_last().expect("up is there");
                second_order(&*case.run, x, up, v).0.detach()
            };
            let all: Vec<Tensor> = x.iter().chain([up]).cloned().collect();
            let direction = |(i, t): (usize, &Tensor)| case.random(&reference, t.shape(), 3001 + i as u64);
            let w: Vec<Tensor> = all.iter().enumerate().map(direction).collect();
            let want = directional(&s, &all, &w)?;
            add(Check::SecondDifferences, second_order(&*case.run, x, up, v).1, &w, want)?;
        }
        Ok(reports)
    }

    /// The device against the reference.
    fn compared(&self, device: &Device, variant: &Variant) -> Result<Vec<CaseReport>> {
        let guards = (*device == Device::Cpu).then(Guards::new);
        let (mut reports, mut wrong) = self.computed(device, variant)?;
        wrong.extend(guards.iter().flat_map(Guards::broken));
        if let Device::Gpu(gpu) = device {
            wrong.extend(gpu.broken_guards()?);
        }
        let error = if wrong.is_empty() { 0.0 } else { f64::INFINITY };
        let deviation = Deviation { error, index: vec![], got: wrong.len() as f64, want: 0.0 };
        let note = (!wrong.is_empty()).then(|| wrong.join("; "));
        reports.push(CaseReport { note, ..self.report(variant.name(), Check::Guards, "all", deviation, 0.0) });
        Ok(reports)
    }

    /// All comparisons, and what is wrong with elements that were not written and inputs that were.
    fn computed(&self, device: &Device, variant: &Variant) -> Result<(Vec<CaseReport>, Vec<String>)> {
        let (threads, variant) = (variant.other_threads(device)?, variant.name());
        let Expected { case, x, up, v, .. } = self;
        let run = &*case.run;
        let here = |t: &[Tensor]| -> Result<Vec<Tensor>> { t.iter().map(|t| t.to_device(device)).collect() };
        let (dx, dup, dv) = (here(x)?, up.to_device(device)?, here(v)?);
        let (mut reports, mut wrong) = (Vec::new(), Vec::new());
        let mut values = |what: &str, t: &Tensor| -> Result<Vec<f64>> {
            let values = t.to_vec()?;
            if let Some(place) = values.iter().position(|v| v.to_bits() == UNWRITTEN) {
                wrong.push(format!("element {place} of {} of {what} was not written", values.len()));
            }
            Ok(values.into_iter().map(f64::from).collect())
        };
        let same = |got: &Tensor, want: &[f64]| -> Result<Deviation> {
            Ok(compare(got.shape(), &got.to_vec_f64()?, want, 0.0))
        };

        let dy = no_grad(|| run(&dx));
        let got = values("y", &dy)?;
        let deviation = match case.is_edges() {
            true => compare_each(dy.shape(), &got, &self.y),
            false => compare(dy.shape(), &got, &self.y, case.floor),
        };
        reports.push(self.report(variant, Check::Value, "y", deviation, case.tolerance.limit()));
        reports.push(self.report(variant, Check::Repeat, "y", same(&no_grad(|| run(&dx)), &got)?, 0.0));
        if let Some(threads) = &threads {
            let again = threads.install(|| no_grad(|| run(&dx)));
            reports.push(self.report(variant, Check::Threads, "y", same(&again, &got)?, 0.0));
        }

        let gradient_limit = case.tolerance.limit().max(Tolerance::Gradient.limit());
        if self.order >= 1 {
            let got = first_order(run, &dx, &dup);
            let again = first_order(run, &dx, &dup);
            let others = threads.as_ref().map(|threads| threads.install(|| first_order(run, &dx, &dup)));
            for (i, (d, want)) in got.iter().zip(&self.first).enumerate() {
                let name = self.name(i);
                let got = values(&format!("the gradient by {name}"), d)?;
                let deviation = compare(d.shape(), &got, want, case.floor);
                reports.push(self.report(variant, Check::Gradient, &name, deviation, gradient_limit));
                let name = format!("d{name}");
                reports.push(self.report(variant, Check::Repeat, &name, same(&again[i], &got)?, 0.0));
                if let Some(others) = &others {
                    reports.push(self.report(variant, Check::Threads, &name, same(&others[i], &got)?, 0.0));
                }
            }
        }
        if self.order >= 2 {
            let (_, got) = second_order(run, &dx, &dup, &dv);
            let (_, again) = second_order(run, &dx, &dup, &dv);
            // A second gradient that is zero in theory is compared with the scale of the others.
            let largest = self.second.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
            let floor = largest.max(case.floor) * 0.1;
            for (i, (d, want)) in got.iter().zip(&self.second).enumerate() {
                let name = self.name(i);
                let got = values(&format!("the second gradient by {name}"), d)?;
                let deviation = compare(d.shape(), &got, want, floor);
                reports.push(self.report(variant, Check::SecondGradient, &name, deviation, gradient_limit));
                reports.push(self.report(variant, Check::Repeat, &format!("dd{name}"), same(&again[i], &got)?, 0.0));
            }
        }
        for (i, (here, there)) in dx.iter().zip(x).enumerate() {
            let changed = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
            if let Some(place) = here.to_vec()?.iter().zip(&there.to_vec()?).position(changed) {
                wrong.push(format!("element {place} of input x{i} was changed"));
            }
        }
        Ok((reports, wrong))
    }
}

/// Runs every check that applies to this case on this device as it computes by itself. On the reference device those
/// are the finite differences; on the others the comparison with the reference.
///
/// # Errors
/// What goes wrong on the device.
pub fn check_case(case: &Case, device: &Device) -> Result<Vec<CaseReport>> {
    Expected::new(case, 2)?.check(device, &Variant::as_chosen())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::cases;
    use crate::gpu::{GpuOptions, test_kernels};
    use std::sync::Arc;

    /// A device that was lost before: every case that computes anything there ends in an error.
    #[test]
    fn a_lost_device_is_an_error_and_no_panic() {
        let Some(gpu) = test_kernels::gpu(GpuOptions::default()) else { return };
        gpu.lose();
        let device = Device::Gpu(gpu);
        let outcome = |case: &Case| Expected::new(case, 1).unwrap().check(&device, &Variant::as_chosen());
        let unnoticed: Vec<String> =
            cases().iter().filter(|case| outcome(case).is_ok()).map(|c| c.name.clone()).collect();
        assert_eq!(unnoticed, [""; 0], "cases that do not notice that the device is lost");
    }

    /// A device that is lost in the middle, when the inputs are there and the indices are still to come.
    #[test]
    fn a_device_lost_in_the_middle_is_an_error_and_no_panic() {
        let fallible =
            ["argmax", "max_pool2d", "gather", "embedding", "cross_entropy", "patch_nce", "scatter_add", "adam"];
        for op in fallible {
            let Some(gpu) = test_kernels::gpu(GpuOptions::default()) else { return };
            let mut case = cases().into_iter().find(|case| case.op() == op).expect("the op has a case");
            let run: Arc<super::super::gradients::Function> =
                Arc::from(std::mem::replace(&mut case.run, Box::new(|x| x[0].clone())));
            let lost = gpu.clone();
            case.run = Box::new(move |x: &[Tensor]| {
                if matches!(x[0].device(), Device::Gpu(_)) {
                    let _ = x[0].sum().to_vec();
                    lost.lose();
                }
                run(x)
            });
            let outcome = Expected::new(&case, 1).unwrap().check(&Device::Gpu(gpu), &Variant::as_chosen());
            assert!(outcome.is_err(), "{op} does not notice that the device is lost");
        }
    }

    /// Elements that are not written, inputs that are, and writes past the end are all told.
    #[test]
    fn guards_find_what_they_are_there_for() {
        let Some(gpu) = test_kernels::gpu(GpuOptions { guarded: true, ..GpuOptions::default() }) else { return };
        let buffer = gpu.alloc(400).unwrap();
        assert_eq!(bytemuck::pod_collect_to_vec::<u8, u32>(&gpu.read(&buffer, 400).unwrap()), [UNWRITTEN; 100]);
        assert_eq!(gpu.broken_guards().unwrap(), [""; 0]);
        // The kernel believes that there are 103 elements: the last three of the vector may be written; 105 may not.
        let x = gpu.upload(&[0; 512]).unwrap();
        for (n, broken) in [(100u32, 0), (105, 1)] {
            let y = gpu.alloc(400).unwrap();
            gpu.run(&crate::gpu::KernelCall {
                kernel: crate::gpu::Kernel::new("test_add", "add"),
                reads: &[&x],
                writes: &[&y],
                params: bytemuck::cast_slice(&[n, 7u32]),
                workgroups: [2, 1, 1],
                label: "too far",
            })
            .unwrap();
            drop(y);
            let told = gpu.broken_guards().unwrap();
            assert_eq!(told.len(), broken, "{told:?}");
            assert!(
                told.iter()
                    .all(|line| line == "0x00000007 was written 0 bytes behind the end of a buffer of 400 bytes"),
                "{told:?}"
            );
        }
    }
}
