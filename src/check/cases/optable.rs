//! The case rows of the families beside the core, one file a family.

use super::{Case, elementwise, images, layout, losses, reductions};

pub(super) fn rows() -> Vec<Case> {
    let families = [elementwise::rows(), layout::rows(), reductions::rows(), images::rows(), losses::rows()];
    families.into_iter().flatten().collect()
}
