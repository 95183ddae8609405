//! The palettes: sixteen named sets of four muted colours that belong together.

/// An sRGB colour.
pub type Rgb = [u8; 3];

/// Four colours that belong together, and their name.
///
/// The fields may be edited or a palette built from scratch; the built-in ones are [`Palette::ALL`], and each of their
/// cloth colours stands off the background clearly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Small number that identifies the palette: its place in [`Palette::ALL`].
    pub id: u8,
    /// Name, such as `indigo and bone`.
    pub name: &'static str,
    /// The cloth's main colour, and the only one of a plain garment.
    pub ground: Rgb,
    /// The colour of the pattern's figure: stripes, dots, petals.
    pub figure: Rgb,
    /// A third colour for fine lines, flower hearts, belts and bands.
    pub accent: Rgb,
    /// The darkest colour: buttons, seams, and the tint of shadows.
    pub ink: Rgb,
}

/// One row of the table below, its colours as 0xRRGGBB.
const fn palette(id: u8, name: &'static str, colours: [u32; 4]) -> Palette {
    const fn rgb(hex: u32) -> Rgb {
        [(hex >> 16) as u8, (hex >> 8) as u8, hex as u8]
    }
    let [ground, figure, accent, ink] = colours;
    Palette { id, name, ground: rgb(ground), figure: rgb(figure), accent: rgb(accent), ink: rgb(ink) }
}

impl Palette {
    /// Every built-in palette, in the order of their ids.
    pub const ALL: [Palette; 16] = [
        palette(0, "indigo and bone", [0x3A4C78, 0xDFD2B8, 0xBC7650, 0x1C2540]),
        palette(1, "terracotta and sand", [0xBA6544, 0xE3C79E, 0x74402E, 0x3D231C]),
        palette(2, "sage and cream", [0x879A7B, 0xE4DBBF, 0x4E6249, 0x2C382C]),
        palette(3, "mustard and ink", [0xCB9A3B, 0x2E3450, 0xEAD8AE, 0x1E2136]),
        palette(4, "blush and burgundy", [0xD69C95, 0x7C293D, 0xEBD3C3, 0x451723]),
        palette(5, "slate and mist", [0x58687B, 0xC2CCD5, 0xC98F6B, 0x29323E]),
        palette(6, "forest and oat", [0x385A45, 0xD9CAA5, 0xAE8946, 0x192B21]),
        palette(7, "rust and teal", [0xA8502F, 0x2F686D, 0xE4C59F, 0x2E1D19]),
        palette(8, "plum and lilac", [0x623F63, 0xC3A8C9, 0xDAB687, 0x2C1B2F]),
        palette(9, "camel and espresso", [0xBF9667, 0x4D372A, 0xE8D8BD, 0x2E2019]),
        palette(10, "denim and ecru", [0x5B80A4, 0xE4D9C1, 0xA95B38, 0x243A52]),
        palette(11, "olive and clay", [0x70724A, 0xCB8661, 0xE1D3A8, 0x323421]),
        palette(12, "charcoal and rose", [0x44474E, 0xD6A4A5, 0xE6DACF, 0x1E2024]),
        palette(13, "petrol and apricot", [0x265E6A, 0xE6AE80, 0xEFDDC2, 0x112E35]),
        palette(14, "brick and sky", [0x9F4640, 0xA9C2D3, 0xE8DAC1, 0x421B1B]),
        palette(15, "lavender and moss", [0x9892BD, 0x5A6946, 0xE5DCC4, 0x36334E]),
    ];

    /// The palette's name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The colour `t` of the way from `a` to `b`.
pub(super) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|i| (a[i] as f32 + (b[i] as f32 - a[i] as f32) * t).round().clamp(0.0, 255.0) as u8)
}
