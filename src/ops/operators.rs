//! The operators + − · / of tensors and of a tensor and a number, and the sign: rows of `binary` and `unary` as Rust writes them.

use crate::ops::binary::Binary::{Add, Div, Mul, Sub};
use crate::tensor::{Tensor, apply};

macro_rules! operator {
    ($trait:ident, $method:ident, $op:expr, |$a:ident, $c:ident| $scalar:expr) => {
        impl std::ops::$trait<&Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                apply($op, &[self, other])
            }
        }
        impl std::ops::$trait<Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                apply($op, &[self, &other])
            }
        }
        impl std::ops::$trait<&Tensor> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                apply($op, &[&self, other])
            }
        }
        impl std::ops::$trait<Tensor> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                apply($op, &[&self, &other])
            }
        }
        impl std::ops::$trait<f64> for &Tensor {
            type Output = Tensor;
            fn $method(self, $c: f64) -> Tensor {
                let $a = self;
                $scalar
            }
        }
        impl std::ops::$trait<f64> for Tensor {
            type Output = Tensor;
            fn $method(self, $c: f64) -> Tensor {
                let $a = &self;
                $scalar
            }
        }
    };
}

operator!(Add, add, Add, |a, c| a.affine(1.0, c));
operator!(Sub, sub, Sub, |a, c| a.affine(1.0, -c));
operator!(Mul, mul, Mul, |a, c| a.affine(c, 0.0));
operator!(Div, div, Div, |a, c| a.affine(1.0 / c, 0.0));

impl std::ops::Neg for &Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        self.affine(-1.0, 0.0)
    }
}

impl std::ops::Neg for Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        self.affine(-1.0, 0.0)
    }
}
