//!use math
// The activations that are computed along with something else, by the numbers that src/ops/bias_activation.rs gives them; 0 is
// the identity.

const LEAKY_RELU: u32 = 1u;
const TANH: u32 = 2u;
const SIGMOID: u32 = 3u;

// f(z), by f's number.
fn activation(f: u32, z: f32, slope: f32) -> f32 {
    switch f {
        case LEAKY_RELU: { return select(slope * z, z, z > 0.0); }
        case TANH: { return tanh_f32(z); }
        case SIGMOID: { return sigmoid_f32(z); }
        default: { return z; }
    }
}
