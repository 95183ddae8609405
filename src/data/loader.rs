//! Feeds training: batches in an order that depends on seed and step alone, read ahead by a background thread.

use super::{Source, volume};
use crate::error::{Error, Result};
use crate::rng::{Domain, Stream};
use rayon::prelude::*;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// The images of one training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The step, from 0.
    pub step: u64,
    /// Numbers in [-1, 1], `[N, C, H, W]`.
    pub images: Vec<f32>,
    /// The number that each image has in its source, `[N]`.
    pub indices: Vec<u32>,
}

/// What a loader does beside loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Mirror each image left to right with probability 1/2, drawn anew each time it is seen.
    pub flip: bool,
    /// Cut a part of this height and width out of each image, at a place drawn anew each time it is seen.
    pub crop: Option<[usize; 2]>,
    /// How many finished batches wait for training; one more is in the making. 0 hands each over as it is ready.
    pub prefetch: usize,
    /// Threads that decode; 0 takes as many as the rest of the program has.
    pub threads: usize,
}

impl Default for LoaderOptions {
    fn default() -> LoaderOptions {
        LoaderOptions { flip: false, crop: None, prefetch: 2, threads: 0 }
    }
}

/// The endless sequence of batches of a run.
///
/// Image `k = step * batch + j` of a run is `order(k / n)[k % n]`, where `order(e)` is epoch e's permutation of the n
/// images. So each image comes once an epoch, a batch may reach over an epoch's end or hold several epochs, and a
/// loader that starts at step s gives what one that started at 0 gives from there on, whatever the thread count.
pub struct Loader {
    batches: Option<Receiver<Result<Batch>>>,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<()>>,
    /// Why there is no worker; the first `next` returns it.
    failure: Option<Error>,
}

impl Loader {
    /// Batches of `batch` images from `start_step` on, without augmentation.
    #[track_caller]
    pub fn new(source: Arc<dyn Source>, batch: usize, seed: u64, start_step: u64) -> Loader {
        Loader::with_options(source, batch, seed, start_step, LoaderOptions::default())
    }

    /// [`new`](Loader::new) with options. Panics if the batch or the source has no image.
    #[track_caller]
    pub fn with_options(
        source: Arc<dyn Source>,
        batch: usize,
        seed: u64,
        start_step: u64,
        options: LoaderOptions,
    ) -> Loader {
        assert!(batch > 0, "loader: a batch of 0 images");
        assert!((1..=u32::MAX as usize).contains(&source.len()), "loader: a source of {} images", source.len());
        let (sender, batches) = sync_channel(options.prefetch);
        let stop = Arc::new(AtomicBool::new(false));
        let threads = if options.threads == 0 { rayon::current_num_threads() } else { options.threads };
        let [c, h, w] = source.shape();
        let [crop_h, crop_w] = options.crop.unwrap_or([h, w]);
        assert!(
            (1..=h).contains(&crop_h) && (1..=w).contains(&crop_w),
            "loader: a part of {crop_h}x{crop_w} does not lie in images of {h}x{w}"
        );
        let shape = [c, crop_h, crop_w];
        let mut maker = Maker { source, batch, seed, flip: options.flip, shape, order: None, stop: stop.clone() };
        let work = move || {
            // A pool of its own: a training loop that runs inside the program's pool may then wait for a batch without
            // taking away the thread that makes it. The scope ends when every thread of the pool has ended.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let run = pool
                .thread_name(|i| format!("decoder {i}"))
                .build_scoped(|thread| thread.run(), |pool| maker.run(pool, start_step, &sender));
            if let Err(e) = run {
                let _ = sender.send(Err(no_threads(e)));
            }
        };
        match thread::Builder::new().name("loader".into()).spawn(work) {
            Ok(worker) => Loader { batches: Some(batches), stop, worker: Some(worker), failure: None },
            Err(e) => Loader { batches: None, stop, worker: None, failure: Some(no_threads(e)) },
        }
    }

    /// The next batch; waits if it is not ready.
    ///
    /// The error of the first unreadable image of a batch, in batch order, takes the place of that batch and ends the
    /// sequence. A panic in a source goes on in the caller.
    #[expect(
        clippy::should_implement_trait,
        reason = "the sequence is endless and may fail: no `Option`, so no iterator"
    )]
    pub fn next(&mut self) -> Result<Batch> {
        if let Some(batch) = self.batches.as_ref().and_then(|batches| batches.recv().ok()) {
            return batch;
        }
        if let Some(Err(payload)) = self.worker.take().map(JoinHandle::join) {
            panic::resume_unwind(payload);
        }
        Err(self.failure.take().unwrap_or_else(|| Error::Invalid("the loader has ended after an earlier error".into())))
    }
}

impl Drop for Loader {
    /// Ends the background threads and waits for them: at most for the images that are being decoded.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Without a receiver, a worker that waits to hand over a batch wakes up.
        self.batches = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn no_threads(e: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("cannot start the threads that load images ({e}); ask for fewer with --threads"))
}

/// Makes batches in the background.
struct Maker {
    source: Arc<dyn Source>,
    batch: usize,
    seed: u64,
    flip: bool,
    /// [C, H, W] of what training gets.
    shape: [usize; 3],
    /// The last epoch that was asked for, and its order.
    order: Option<(u64, Vec<u32>)>,
    stop: Arc<AtomicBool>,
}

impl Maker {
    fn run(&mut self, pool: &rayon::ThreadPool, start_step: u64, sender: &SyncSender<Result<Batch>>) {
        for step in start_step.. {
            let batch = pool.install(|| self.make(step));
            let failed = batch.is_err();
            if self.stop.load(Ordering::Relaxed) || sender.send(batch).is_err() || failed {
                return;
            }
        }
    }

    /// The images of `step`. Once `stop` is set, the pixels no longer matter.
    fn make(&mut self, step: u64) -> Result<Batch> {
        let first = u128::from(step) * self.batch as u128;
        let indices: Vec<u32> = (0..self.batch).map(|j| self.index(first + j as u128)).collect();
        let size = volume(self.shape);
        let mut images = vec![0.0; self.batch * size]; // [N, C, H, W]
        let results: Vec<Result<()>> = images
            .par_chunks_exact_mut(size)
            .zip(&indices)
            .enumerate()
            .map(|(j, (image, &index))| {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                self.load(index as usize, (first + j as u128) as u64, image)
            })
            .collect();
        // In batch order, so the same image is blamed whichever thread came first.
        results.into_iter().collect::<Result<()>>()?;
        Ok(Batch { step, images, indices })
    }

    /// Image `index` of the source as number `number` of the run: cut and mirrored.
    fn load(&self, index: usize, number: u64, image: &mut [f32]) -> Result<()> {
        let ([_, h, w], [_, crop_h, crop_w]) = (self.source.shape(), self.shape);
        let mut draws = Stream::new(self.seed, Domain::Augment, number);
        let mirrored = draws.uniform() < 0.5;
        if [crop_h, crop_w] == [h, w] {
            self.source.load(index, image)?;
        } else {
            let mut whole = vec![0.0; volume(self.source.shape())];
            self.source.load(index, &mut whole)?;
            let [top, left] = [h - crop_h, w - crop_w].map(|room| draws.below(room as u32 + 1) as usize);
            for (plane, whole) in image.chunks_exact_mut(crop_h * crop_w).zip(whole.chunks_exact(h * w)) {
                for (row, whole) in plane.chunks_exact_mut(crop_w).zip(whole.chunks_exact(w).skip(top)) {
                    row.copy_from_slice(&whole[left..left + crop_w]);
                }
            }
        }
        if self.flip && mirrored {
            image.chunks_exact_mut(crop_w).for_each(<[f32]>::reverse);
        }
        Ok(())
    }

    /// The image of the source that is number `k` of the run.
    fn index(&mut self, k: u128) -> u32 {
        let n = self.source.len();
        let (epoch, place) = ((k / n as u128) as u64, (k % n as u128) as usize);
        if self.order.as_ref().is_none_or(|(known, _)| *known != epoch) {
            self.order = Some((epoch, Stream::new(self.seed, Domain::Shuffle, epoch).permutation(n)));
        }
        self.order.as_ref().map_or(0, |(_, order)| order[place])
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_source::Numbered;
    use super::*;
    use std::time::{Duration, Instant};

    fn numbers(count: usize) -> Arc<dyn Source> {
        Arc::new(Numbered { count, broken: None })
    }

    fn batches(mut loader: Loader, number: usize) -> Vec<Batch> {
        (0..number).map(|_| loader.next().unwrap()).collect()
    }

    #[test]
    fn each_image_comes_once_an_epoch() {
        // 3 epochs of 20 images in 10 batches of 6: batches reach over the ends of epochs.
        let run = batches(Loader::new(numbers(20), 6, 3, 0), 10);
        let order: Vec<u32> = run.iter().flat_map(|b| b.indices.clone()).collect();
        for (epoch, seen) in order.chunks(20).enumerate() {
            assert_eq!(seen, Stream::new(3, Domain::Shuffle, epoch as u64).permutation(20));
        }
        assert_ne!(order[..20], order[20..40]);
        for batch in &run {
            for (image, &index) in batch.images.chunks(4).zip(&batch.indices) {
                assert_eq!(image, [index as f32 / 127.5 - 1.0, -1.0, -1.0, 1.0]);
            }
        }
    }

    #[test]
    fn a_batch_may_hold_several_epochs() {
        let batch = Loader::new(numbers(3), 10, 1, 0).next().unwrap();
        assert_eq!(batch.images.len(), 40);
        for seen in batch.indices.chunks_exact(3) {
            let mut sorted = seen.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
        }
    }

    #[test]
    fn the_start_step_and_the_threads_change_nothing() {
        let options = |threads| LoaderOptions { flip: true, crop: Some([1, 3]), prefetch: threads, threads };
        let whole = batches(Loader::with_options(numbers(50), 7, 9, 0, options(1)), 30);
        for start in [0, 1, 7, 23] {
            let rest = batches(Loader::with_options(numbers(50), 7, 9, start as u64, options(4)), 30 - start);
            assert_eq!(rest, whole[start..], "from step {start}");
        }
        assert_ne!(batches(Loader::with_options(numbers(50), 7, 10, 0, options(1)), 1)[0].indices, whole[0].indices);
        assert_eq!(Loader::new(numbers(5), 2, 0, u64::MAX - 9).next().unwrap().step, u64::MAX - 9);
    }

    #[test]
    fn flips_mirror_about_half_of_the_images() {
        let options = LoaderOptions { flip: true, ..LoaderOptions::default() };
        let run = batches(Loader::with_options(numbers(10), 100, 2, 0, options), 10);
        let mut flipped = 0;
        for batch in &run {
            for (image, &index) in batch.images.chunks(4).zip(&batch.indices) {
                let value = index as f32 / 127.5 - 1.0;
                let mirrored = image == [1.0, -1.0, -1.0, value];
                assert!(mirrored || image == [value, -1.0, -1.0, 1.0]);
                flipped += usize::from(mirrored);
            }
        }
        assert!((450..550).contains(&flipped), "{flipped} of 1000");
    }

    #[test]
    fn cuts_lie_everywhere_and_two_loaders_of_one_seed_cut_and_mirror_alike() {
        let options = LoaderOptions { flip: true, crop: Some([1, 2]), ..LoaderOptions::default() };
        let of = |seed| batches(Loader::with_options(numbers(10), 50, seed, 0, options), 2);
        let run = of(4);
        let mut seen: Vec<Vec<u8>> = Vec::new();
        for batch in &run {
            for image in batch.images.chunks(2) {
                let bytes: Vec<u8> = image.iter().map(|v| ((v + 1.0) * 127.5).round() as u8).collect();
                let known = [0, 255].iter().filter(|edge| bytes.contains(edge)).count();
                assert!(known > 0, "{bytes:?} is no part of [index, 0, 0, 255]");
                seen.push(bytes);
            }
        }
        let count = |part: [u8; 2]| seen.iter().filter(|bytes| bytes[..] == part).count();
        // A third of the images, half of them mirrored.
        assert!((5..30).contains(&count([0, 255])) && (5..30).contains(&count([255, 0])), "{seen:?}");
        assert_eq!(run, of(4), "what pairs of images rely on");
        assert_ne!(run, of(5));
    }

    #[test]
    fn an_unreadable_image_comes_back_as_the_error_of_its_batch() {
        let mut loader = Loader::new(Arc::new(Numbered { count: 8, broken: Some(0) }), 8, 5, 0);
        let first = Stream::new(5, Domain::Shuffle, 0).permutation(8)[0];
        assert_eq!(loader.next().unwrap_err().to_string(), format!("{first}.png: cannot be read"));
        assert!(loader.next().unwrap_err().to_string().contains("after an earlier error"));
        assert!(loader.next().is_err());
    }

    /// Takes its time, and panics at one index.
    struct Slow(Option<usize>);

    impl Source for Slow {
        fn len(&self) -> usize {
            1000
        }

        fn shape(&self) -> [usize; 3] {
            [1, 1, 1]
        }

        fn pixels(&self, index: usize, out: &mut [u8]) -> Result<()> {
            assert_ne!(self.0, Some(index), "the source is wrong");
            thread::sleep(Duration::from_millis(5));
            out.fill(index as u8);
            Ok(())
        }

        fn describe(&self) -> String {
            "slow".into()
        }

        fn fingerprint(&self) -> String {
            "slow".into()
        }
    }

    #[test]
    fn dropping_ends_the_threads_at_once() {
        let source: Arc<dyn Source> = Arc::new(Slow(None));
        for (batch, taken) in [(1000, 0), (1, 0), (1, 3), (4, 1)] {
            let start = Instant::now();
            let mut loader = Loader::new(source.clone(), batch, 1, 0);
            for _ in 0..taken {
                loader.next().unwrap();
            }
            if batch == 1 {
                thread::sleep(Duration::from_millis(40)); // the queue is full, the worker waits
            }
            drop(loader);
            assert!(start.elapsed() < Duration::from_secs(1));
            assert_eq!(Arc::strong_count(&source), 1, "a thread still holds the source");
        }
    }

    #[test]
    fn a_panic_in_a_source_goes_on_in_the_caller() {
        let first = Stream::new(1, Domain::Shuffle, 0).permutation(1000)[0] as usize;
        let mut loader = Loader::new(Arc::new(Slow(Some(first))), 4, 1, 0);
        let panic = panic::catch_unwind(panic::AssertUnwindSafe(|| loader.next())).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().contains("the source is wrong"));
        assert!(loader.next().is_err());
    }

    #[test]
    fn waiting_inside_a_pool_of_one_thread_does_not_lock() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let run = pool.install(|| batches(Loader::new(numbers(10), 4, 0, 0), 5));
        assert_eq!(run.len(), 5);
    }
}
