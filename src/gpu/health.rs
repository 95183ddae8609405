//! What goes wrong on a device outside of any call, and how it becomes the error of a call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Gpu;
use crate::error::{Error, Result};

/// What the device reported outside of any call: kept for the next one.
#[derive(Default)]
pub(super) struct Health {
    troubled: AtomicBool,
    /// A lost device stays lost.
    pub lost: Mutex<Option<String>>,
    pub error: Mutex<Option<String>>,
}

impl Health {
    pub fn set(&self, slot: &Mutex<Option<String>>, message: String) {
        slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
        self.troubled.store(true, Ordering::Release);
    }

    /// The stored trouble, if any. It is told again and again: which results it spoiled is not known, so none that is
    /// read from then on may pass as good.
    pub fn trouble(&self) -> Option<String> {
        if !self.troubled.load(Ordering::Acquire) {
            return None;
        }
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.clone().or_else(|| self.error.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Gpu {
    /// Trouble that the device reported since the last call.
    pub(super) fn check(&self) -> Result<()> {
        match self.0.health.trouble() {
            None => Ok(()),
            Some(message) => Err(self.trouble(&message)),
        }
    }

    /// The reported trouble, or if there is none, this.
    pub(super) fn health_error(&self, otherwise: &str) -> Error {
        let message = self.0.health.trouble();
        self.trouble(message.as_deref().unwrap_or(otherwise))
    }

    /// Keeps an error for all calls to come.
    pub(super) fn spoil(&self, error: &Error) {
        self.0.health.set(&self.0.health.error, error.to_string());
    }

    pub(super) fn trouble(&self, message: &str) -> Error {
        // The lock may be held by this very thread.
        let last = self.0.recorder.try_lock().map(|recorder| recorder.last_label().to_string()).unwrap_or_default();
        let name = &self.0.report.name;
        let last = if last.is_empty() { String::new() } else { format!(" (last recorded: {last})") };
        Error::Gpu(format!(
            "{name}: {message}{last}; start again from the last checkpoint, with --device cpu or a smaller batch if it repeats"
        ))
    }

    /// Lets the device report finished work. wgpu panics if it finds the device lost here.
    pub(super) fn poll(&self, how: wgpu::PollType) -> Result<()> {
        match catch_unwind(AssertUnwindSafe(|| self.device().poll(how))) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.health_error(&format!("waiting for the device failed: {error}"))),
            Err(_) => Err(self.health_error("the device was lost while it was waited for")),
        }
    }

    /// Runs something on the device and returns the error it caused, if any.
    pub(super) fn scoped<T>(&self, make: impl FnOnce() -> T) -> (T, Option<String>) {
        let device = self.device();
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let made = make();
        let errors = [internal, memory, validation].map(|scope| pollster::block_on(scope.pop()));
        let error = errors.into_iter().flatten().next().map(|error| describe(&error));
        (made, error)
    }
}

/// The message of a wgpu error, with its causes.
pub(super) fn describe(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => "out of memory".to_string(),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            description.trim_start_matches("Validation Error").trim_start_matches("\n\nCaused by:").trim().to_string()
        }
    }
}
