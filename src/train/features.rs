//! From what a user writes after `--features` to a feature network: `random`, a classifier's run, or a safetensors file.

use super::classifier;
use super::folder::RunFolder;
use crate::error::{Error, Result};
use crate::models::FeatureNetwork;
use crate::report::file_hash;
use crate::tensor::Device;
use std::path::Path;

/// The network, and what identifies its weights. Random filters are drawn under `seed`.
///
/// # Errors
/// A name that is none of the three, a run of another kind, a file that does not hold a network.
pub fn open_features(name: &str, seed: u64, device: &Device) -> Result<(FeatureNetwork, String)> {
    let path = Path::new(name);
    if name == "random" {
        return Ok((FeatureNetwork::random(seed, device), format!("random filters of seed {seed}")));
    }
    if path.is_dir() {
        let (judge, identity) = classifier::load_identified(&RunFolder::read(path)?, None, device)?;
        return Ok((FeatureNetwork::classifier(judge.into_network()), identity));
    }
    if !path.exists() {
        let why = "is neither `random` nor the folder of a classifier's run (toile train classifier) nor a safetensors file with \
                   torchvision's names";
        return Err(Error::Usage(format!("features {name:?}: it {why}")));
    }
    let network = FeatureNetwork::open(path, device)?;
    Ok((network, file_hash(path)?))
}
