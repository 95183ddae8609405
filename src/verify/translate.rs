//! Image translation: the published networks and CycleGAN's losses.

use super::run::{Function, Inputs, Outputs, Refusal};
use crate::models::{Down, Norm, PatchSpec, ResnetSpec, Unet, UnetSpec, Up};
use crate::nn::init::Initializer;
use crate::nn::{Draws, Init, Mode, Module, Sequential};
use crate::tensor::Tensor;
use crate::train::cyclegan::{CycleConfig, CycleGan, discriminator_step};

pub fn function(op: &str) -> Option<Function> {
    Some(match op {
        "resnet_generator" => resnet_generator,
        "patch_discriminator" => patch_discriminator,
        "unet_generator" => unet_generator,
        "cyclegan_losses" => cyclegan_losses,
        _ => return None,
    })
}

fn init(i: &Inputs) -> Initializer {
    Initializer::new(i.device, Init::GlorotUniform, 0, 0)
}

/// Gives a network the case's parameters: those named `in.{prefix}{name}`. The tensors themselves, so that the case's
/// gradients by its inputs are those by the parameters.
fn load(i: &Inputs, prefix: &str, network: &dyn Module) -> Result<(), Refusal> {
    for (name, parameter) in network.parameters() {
        parameter.set(i.tensor(&format!("{prefix}{name}"))?.clone());
    }
    Ok(())
}

fn resnet(i: &Inputs, prefix: &str, channels: usize) -> Result<Sequential, Refusal> {
    let (ngf, blocks) = (i.attrs.size("ngf", 64)?, i.attrs.size("blocks", 9)?);
    let network = ResnetSpec { ngf, blocks, down: Down::Stride, up: Up::Transposed }.build([channels; 2], &mut init(i));
    load(i, prefix, &network)?;
    Ok(network)
}

fn patch(i: &Inputs, prefix: &str, channels: usize) -> Result<Sequential, Refusal> {
    let spec = PatchSpec { ndf: i.attrs.size("ndf", 64)?, layers: 3, norm: Norm::Instance, down: Down::Stride };
    let network = spec.build(channels, &mut init(i));
    load(i, prefix, &network)?;
    Ok(network)
}

fn resnet_generator(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["ngf", "blocks"])?;
    let x = i.tensor("x")?;
    Ok(Outputs::one("y", resnet(i, "", x.dim(1))?.forward(x, Mode::Train)))
}

fn patch_discriminator(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["ndf"])?;
    let x = i.tensor("x")?;
    Ok(Outputs::one("y", patch(i, "", x.dim(1))?.forward(x, Mode::Train)))
}

fn unet_generator(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["ngf", "downs"])?;
    let x = i.tensor("x")?;
    let spec = UnetSpec { ngf: i.attrs.size("ngf", 64)?, downs: i.attrs.size("downs", 8)?, dropout: 0.0 };
    let network: Unet = spec.build([x.dim(1); 2], &mut init(i), &Draws::new(0));
    load(i, "", &network)?;
    Ok(Outputs::one("y", network.forward(x, Mode::Train)))
}

fn cyclegan_losses(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&["ngf", "blocks", "ndf", "lambda_a", "lambda_b", "lambda_identity"])?;
    let (a, b) = (i.tensor("a")?, i.tensor("b")?);
    let gan = CycleGan {
        g_a: Box::new(resnet(i, "g_a.", a.dim(1))?),
        g_b: Box::new(resnet(i, "g_b.", b.dim(1))?),
        d_a: patch(i, "d_a.", b.dim(1))?,
        d_b: patch(i, "d_b.", a.dim(1))?,
        config: CycleConfig {
            lambda_a: i.attrs.number("lambda_a", 10.0)?,
            lambda_b: i.attrs.number("lambda_b", 10.0)?,
            lambda_identity: i.attrs.number("lambda_identity", 0.5)?,
            pool: 0,
        },
    };
    let g = gan.translator_step(a, b);
    let (loss_d_a, d_a) = discriminator_step(&gan.d_a, b, &g.fake_b);
    let (loss_d_b, d_b) = discriminator_step(&gan.d_b, a, &g.fake_a);
    let networks: [(&str, &dyn Module, Vec<Tensor>); 4] = [
        ("g_a", &*gan.g_a, g.gradients_a),
        ("g_b", &*gan.g_b, g.gradients_b),
        ("d_a", &gan.d_a, d_a),
        ("d_b", &gan.d_b, d_b),
    ];
    let mut outputs = Outputs::one("loss_g", g.loss)
        .and("loss_g_a", g.adversarial_a)
        .and("loss_g_b", g.adversarial_b)
        .and("loss_cycle_a", g.cycle_a)
        .and("loss_cycle_b", g.cycle_b)
        .and("loss_idt_a", g.identity_a)
        .and("loss_idt_b", g.identity_b)
        .and("loss_d_a", loss_d_a)
        .and("loss_d_b", loss_d_b)
        .and("fake_a", g.fake_a)
        .and("fake_b", g.fake_b)
        .and("rec_a", g.rec_a)
        .and("rec_b", g.rec_b);
    for (network, module, gradients) in networks {
        for ((name, _), gradient) in module.parameters().into_iter().zip(gradients) {
            outputs = outputs.and(&format!("grad.{network}.{name}"), gradient);
        }
    }
    Ok(outputs)
}
