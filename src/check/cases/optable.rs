//! The case rows of the families beside the core, one file a family.

use super::{Case, elementwise, images, layout, losses, reductions, training};

pub(super) fn rows() -> Vec<Case> {
    let families =
        [elementwise::rows(), layout::rows(), reductions::rows(), images::rows(), losses::rows(), training::rows()];
    families.into_iter().flatten().collect()
}
