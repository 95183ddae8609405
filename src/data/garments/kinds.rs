//! The garment kinds, and the cut parameters that vary within a kind.

use super::drawing::Drawing;
use super::{accessories, bottoms, footwear, outerwear, tops};
use crate::rng::Stream;

/// What a garment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Short sleeves, ribbed neck.
    TShirt,
    /// Long sleeves, collar, button placket, rounded tails.
    Shirt,
    /// Knitted, with ribbed neck, cuffs and hem.
    Jumper,
    /// Fitted bodice, belt and flared skirt.
    Dress,
    /// Waistband and gored panels.
    Skirt,
    /// Two long legs with creases.
    Trousers,
    /// Two short legs with turn-ups.
    Shorts,
    /// Long, with lapels, double-breasted.
    Coat,
    /// Handles, flap and clasp.
    Bag,
    /// A laced trainer, seen from the side.
    Shoe,
    /// A heeled boot, seen from the side.
    Boot,
    /// Brim, pinched crown and band.
    Hat,
}

impl Kind {
    /// Every kind, in the order of their ids.
    pub const ALL: [Kind; 12] = [
        Kind::TShirt,
        Kind::Shirt,
        Kind::Jumper,
        Kind::Dress,
        Kind::Skirt,
        Kind::Trousers,
        Kind::Shorts,
        Kind::Coat,
        Kind::Bag,
        Kind::Shoe,
        Kind::Boot,
        Kind::Hat,
    ];

    /// Small number that identifies the kind: its place in [`Kind::ALL`].
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The kind's name, such as `t-shirt`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::TShirt => "t-shirt",
            Kind::Shirt => "shirt",
            Kind::Jumper => "jumper",
            Kind::Dress => "dress",
            Kind::Skirt => "skirt",
            Kind::Trousers => "trousers",
            Kind::Shorts => "shorts",
            Kind::Coat => "coat",
            Kind::Bag => "bag",
            Kind::Shoe => "shoe",
            Kind::Boot => "boot",
            Kind::Hat => "hat",
        }
    }

    /// The kind of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Everything that a garment of this kind and cut consists of.
    pub(super) fn sketch(self, cut: &Cut) -> Drawing {
        // Cuts may have been edited, and a sketch has to stay sound: what is outside [0, 1] is brought back into it.
        let cut = &Cut::from_values(cut.values().map(|v| lerp(0.0, 1.0, v)));
        match self {
            Kind::TShirt => tops::tshirt(cut),
            Kind::Shirt => tops::shirt(cut),
            Kind::Jumper => tops::jumper(cut),
            Kind::Dress => bottoms::dress(cut),
            Kind::Skirt => bottoms::skirt(cut),
            Kind::Trousers => bottoms::trousers(cut),
            Kind::Shorts => bottoms::shorts(cut),
            Kind::Coat => outerwear::coat(cut),
            Kind::Bag => accessories::bag(cut),
            Kind::Shoe => footwear::shoe(cut),
            Kind::Boot => footwear::boot(cut),
            Kind::Hat => accessories::hat(cut),
        }
    }
}

/// How a garment is cut: each number is in [0, 1], and a kind reads those that mean something to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Cropped to long; for shoes and boots, low to high.
    pub length: f32,
    /// Slim to wide.
    pub width: f32,
    /// Straight to taken in at the waist.
    pub waist: f32,
    /// Narrow hem to flared hem.
    pub flare: f32,
    /// Short sleeve to long sleeve, within what the kind allows.
    pub sleeve: f32,
    /// Narrow cuff to wide cuff; deep turn-ups on shorts.
    pub cuff: f32,
    /// High neckline to low neckline.
    pub neckline: f32,
    /// Small collar to large collar; low to high on a jumper.
    pub collar: f32,
    /// Few buttons or laces to many.
    pub closure: f32,
    /// Below one half no pockets, above it pockets that grow.
    pub pocket: f32,
    /// Narrow brim to wide brim.
    pub brim: f32,
    /// Flat heel to high heel.
    pub heel: f32,
    /// Short handles to long handles.
    pub handle: f32,
    /// Where the folds fall.
    pub fold: f32,
}

impl Cut {
    /// The parameters' names, in the order of [`Cut::values`].
    pub const NAMES: [&'static str; 14] = [
        "length", "width", "waist", "flare", "sleeve", "cuff", "neckline", "collar", "closure", "pocket", "brim",
        "heel", "handle", "fold",
    ];

    /// The parameters, in the order of [`Cut::NAMES`].
    pub fn values(&self) -> [f32; 14] {
        let Cut { length, width, waist, flare, sleeve, cuff, neckline, .. } = *self;
        let Cut { collar, closure, pocket, brim, heel, handle, fold, .. } = *self;
        [length, width, waist, flare, sleeve, cuff, neckline, collar, closure, pocket, brim, heel, handle, fold]
    }

    /// A cut from its parameters, in the order of [`Cut::NAMES`].
    pub fn from_values(values: [f32; 14]) -> Cut {
        let [length, width, waist, flare, sleeve, cuff, neckline, collar, closure, pocket, brim, heel, handle, fold] =
            values;
        Cut { length, width, waist, flare, sleeve, cuff, neckline, collar, closure, pocket, brim, heel, handle, fold }
    }

    /// Draws every parameter, whatever the kind, so that kinds do not shift each other's numbers.
    pub(super) fn draw(stream: &mut Stream) -> Cut {
        Cut::from_values(std::array::from_fn(|_| stream.uniform()))
    }
}

/// `low` at 0, `high` at 1, and no further; what is no number counts as one half.
pub(super) fn lerp(low: f32, high: f32, t: f32) -> f32 {
    low + (high - low) * if t.is_finite() { t.clamp(0.0, 1.0) } else { 0.5 }
}
