//! Learning a style: its progress, and pictures of what is learnt so far.

use super::super::progress::Progress;
use super::record::{save, style_name};
use super::{Args, command};
use crate::error::{Error, Result};
use crate::report::Provenance;
use crate::train::run::Start;
use crate::train::stylize::{self, Config, Content, Game, Restyler, Style, Watch, within};
use crate::train::translation::Losses;
use crate::train::{Observer, Row};
use crate::{Device, nn::Module};
use image::DynamicImage;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// Learns style `k`.
pub(super) fn learn(
    args: &Args,
    content: &Content,
    k: usize,
    picture: &DynamicImage,
    config: &Config,
    device: &Device,
    stop: &AtomicBool,
) -> Result<Restyler> {
    let style = Style::new(picture, config);
    let [h, w] = content.size();
    let [lh, lw] = within([h, w], config.size);
    let name = args.styles[k].display();
    let thing = if style.thing.is_some() { ", a thing on a plain ground" } else { "" };
    let mut watching = Watching {
        progress: Progress::new(args.common.printing.quiet, matches!(device, Device::Gpu(_))),
        preview: args.preview.as_ref().map(|folder| (folder.clone(), content, style_name(&args.styles[k]), k)),
        every: args.preview_every,
        force: args.common.force,
        steps: config.steps,
    };
    watching.progress.begin(&Start {
        data: format!("{} ({w}x{h}, learnt on at {lw}x{lh}) in the style of {name}{thing}", args.content.display()),
        from: 0,
        to: config.steps,
        batch: 1,
        parameters: vec![("network", config.network.build(&Device::Cpu, 0).parameter_count())],
        note: None,
    });
    stylize::learn(content, style, config, device, stop, &mut watching)
}

/// Progress lines, and pictures of what is learnt so far.
struct Watching<'a> {
    progress: Progress,
    preview: Option<(PathBuf, &'a Content, String, usize)>,
    every: u64,
    force: bool,
    steps: u64,
}

impl Watch for Watching<'_> {
    fn step(&mut self, step: u64, game: &Game, losses: &Losses) -> Result<()> {
        let due = step == 1 || step.is_multiple_of(10) || step == self.steps;
        let row = if due {
            let value = |(name, loss): &(&'static str, crate::Tensor)| Ok((name.to_string(), loss.item()?));
            Some(Row { step, images_seen: step, values: losses.iter().map(value).collect::<Result<_>>()? })
        } else {
            None
        };
        if let Some((name, value)) = row.iter().flat_map(|row| &row.values).find(|(_, value)| !value.is_finite()) {
            let why = "the training has failed; another --seed may help";
            return Err(Error::Train(format!("{name} is {value} at step {step}: {why}")));
        }
        self.progress.step(step, row.as_ref());
        if let Some((folder, content, name, k)) = &self.preview
            && (step.is_multiple_of(self.every) || step == self.steps)
        {
            let planes = stylize::restyled(content, &[(1.0, &game.change(content)?)], 1.0, false);
            let path = folder.join(format!("{}-{name}-step-{step:06}.png", k + 1));
            let made = Provenance::new(&command()).with("step", step);
            save(&path, content, &planes, made.text(), self.force)?;
        }
        Ok(())
    }
}
