//! Dense layers and matrix products.

use super::run::{Function, Inputs, Outputs, Refusal};

pub fn function(op: &str) -> Option<Function> {
    matches!(op, "linear" | "matmul").then_some(run as Function)
}

fn run(i: &Inputs) -> Result<Outputs, Refusal> {
    i.attrs.only(&[])?;
    let y = match i.op {
        "linear" => i.tensor("x")?.linear(i.tensor("w")?, i.maybe("b")),
        _ => i.tensor("a")?.matmul(i.tensor("b")?),
    };
    Ok(Outputs::one("y", y))
}
