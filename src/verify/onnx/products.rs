//! ONNX matrix products.

use super::Operator;
use super::node::Node;
use crate::tensor::Tensor;
use crate::verify::run::Refusal;

pub fn operator(op: &str) -> Option<Operator> {
    Some(match op {
        "Gemm" => gemm,
        "MatMul" => matmul,
        _ => return None,
    })
}

/// alpha·A·B + beta·C, where C broadcasts to the product.
fn gemm(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(3)?;
    let known = ["alpha", "beta", "transA", "transB", "broadcast"];
    n.attrs.only(if n.opset < 7 { &known } else { &known[..4] })?;
    let (a, b) = (n.tensor(0)?, n.tensor(1)?);
    if a.rank() != 2 || b.rank() != 2 {
        return Err(n.failed(format!("expects two matrices (A {}, B {})", a.shape(), b.shape())));
    }
    let y = a.matmul_transposed(b, n.attrs.flag_number("transA", false)?, n.attrs.flag_number("transB", false)?);
    let y = y * n.attrs.number("alpha", 1.0)?;
    Ok(vec![match n.maybe(2)? {
        Some(c) => y + c * n.attrs.number("beta", 1.0)?,
        None => y,
    }])
}

/// As NumPy's: a vector on the left is a row, on the right a column, and the axis of size 1 goes away again.
fn matmul(n: &Node) -> Result<Vec<Tensor>, Refusal> {
    n.inputs_to(2)?;
    n.attrs.only(&[])?;
    let (a, b) = (n.tensor(0)?, n.tensor(1)?);
    if a.rank() == 0 || b.rank() == 0 {
        return Err(n.failed(format!("expects no scalars (A {}, B {})", a.shape(), b.shape())));
    }
    let row = if a.rank() == 1 { a.insert_axis(0) } else { a.clone() };
    let column = if b.rank() == 1 { b.insert_axis(1) } else { b.clone() };
    let mut y = row.matmul(&column);
    if b.rank() == 1 {
        y = y.remove_axis(y.rank() - 1);
    }
    if a.rank() == 1 {
        y = y.remove_axis(y.rank() - if b.rank() == 1 { 1 } else { 2 });
    }
    Ok(vec![y])
}
